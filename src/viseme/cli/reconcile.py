"""``viseme reconcile``: creates whose fate is unknown, and what to do about them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import define

import viseme
from viseme import ConfigError
from viseme.attempts import TaskRow
from viseme.cli.figures import money
from viseme.cli.guard import OK, SOME_FAILED, Unusable, complain
from viseme.cli.orders import give
from viseme.cli.reading import find, open_rows, reading
from viseme.cli.settings import Places, load_config, places
from viseme.cli.tables import show
from viseme.errors import JobInvalid
from viseme.events import timestamp
from viseme.ledger import Order
from viseme.money import Price, exact
from viseme.providers import adapter
from viseme.providers.asking import how_to_ask, remembered_until, why_not
from viseme.providers.base import Provider
from viseme.results import UNSETTLED
from viseme.wording import quote

__all__ = ["reconcile"]

_CHOICES = """
at stake: what the lost create costs at most, if the vendor carried it out.{first}

  viseme reconcile --resubmit KEY   create it anew: if the lost one was carried out, what is at stake is paid again
  viseme reconcile --abandon KEY    end it as failed: if it was carried out, what is at stake is paid and lost

with the same --out or --ledger."""

_RUN_FIRST = """ Where the next run asks the vendor, run it first:

  viseme run, or resume             ask once more what became of it; nothing is paid for twice

What waits for you, and what is still open after that, is yours to decide, by the vendor's own list:"""

_LOOK_FIRST = " Look at the vendor's own list, then decide:"

_DONE = {
    "resubmit": "is queued again, by your order; the run at work creates it, or the next one does",
    "abandon": "has ended as failed, by your order",
}


def reconcile(
    *, resubmit: str | None, abandon: str | None, out: str | None, ledger: str | None, config: str | None
) -> int:
    """List them, or carry out a decision about one."""
    if resubmit is not None and abandon is not None:
        raise Unusable("--resubmit and --abandon exclude each other; decide on one job at a time")
    where = places(out, ledger)
    if resubmit is not None:
        return viseme.run(_decide("resubmit", resubmit, where, config))
    if abandon is not None:
        return viseme.run(_decide("abandon", abandon, where, config))
    return viseme.run(_list(where, config))


async def _decide(verb: Literal["resubmit", "abandon"], key: str, where: Places, config: str | None) -> int:
    async with reading(where.ledger) as ledger:
        row = await find(ledger, key)
    if row.state not in UNSETTLED:
        raise Unusable(f"the fate of {quote(key)!r} is known, it is {row.shown}; there is nothing to decide")
    (after,), _ = await give([Order(verb=verb, key=key)], [row], _decided, where, config)
    if not _decided(after, row):
        print(f"{quote(key)}: the order is left, and the owner of the ledger obeys it when it can")
        return SOME_FAILED
    print(f"{quote(key)} {_DONE[verb] if after.vendor_id is None else f'turned out to be {after.shown} at the vendor'}")
    return OK


def _decided(now: TaskRow, before: TaskRow) -> bool:
    return now.seq > before.seq and now.parked is None


# -- the list --------------------------------------------------------------------------------------------------------


async def _list(where: Places, config: str | None) -> int:
    async with reading(where.ledger) as ledger:
        rows = [row async for row in open_rows(ledger) if row.state in UNSETTLED]
    if not rows:
        print("no create's fate is unknown")
        return OK
    view = _View(_providers(config), time.time())
    titles = ("key", "account", "sent", "stands", "what the vendor can tell", "at stake", "why")
    show(titles, [view.cells(row) for row in rows])
    asks = any(view.asks(row) for row in rows)
    print(_CHOICES.format(first=_RUN_FIRST if asks else _LOOK_FIRST))
    return OK


def _providers(config: str | None) -> Mapping[str, Provider]:
    """The accounts as they are configured; none where no configuration can be read, which is said."""
    try:
        return {account.name: adapter(account) for account in load_config(config).accounts}
    except ConfigError as error:
        if config is not None:
            raise
        complain(f"what the vendors can tell is not known here: {str(error).partition(chr(10))[0]}")
        return {}


@define
class _View:
    """Lost creates as they look with these accounts, now (UTC seconds)."""

    providers: Mapping[str, Provider]
    now: float

    def cells(self, row: TaskRow) -> Sequence[str]:
        sent = timestamp(row.intent.at) if row.intent else "-"
        why = quote(row.failure.message, 500) if row.failure else "no reply was written down"
        return quote(row.key), row.account, sent, self._stands(row), self._tells(row), self._at_stake(row), why

    def asks(self, row: TaskRow) -> bool:
        """Whether the next run asks the vendor what became of it."""
        provider = self.providers.get(row.account)
        return (
            provider is not None and row.intent is not None and how_to_ask(provider, row.intent, self.now) is not None
        )

    def _stands(self, row: TaskRow) -> str:
        if row.parked is None:
            return "under way, or left by a run that was killed"
        return "the next run asks the vendor" if self.asks(row) else "waits for you"

    def _tells(self, row: TaskRow) -> str:
        provider, intent = self.providers.get(row.account), row.intent
        if provider is None or intent is None:
            return "unknown: the account is not configured here"
        match how_to_ask(provider, intent, self.now):
            case "replay":
                return f"all: its key is good until {timestamp(remembered_until(provider, intent))}"
            case "lookup" if provider.sheet.complete and not intent.batch:
                return "all: it can be looked up, and its absence proved"
            case "lookup":
                return "where it is, if it shows in a lookup; never that it is not there"
            case None:
                return f"nothing: {why_not(provider, intent, self.now)}"

    def _at_stake(self, row: TaskRow) -> str:
        """What was set aside for it, else what its price table says."""
        if row.charge is not None and row.charge.amount is not None:
            return money(row.charge.amount, row.charge.unit)
        price = self._price(row)
        if price is None:
            return "unknown"
        if price.per == "job":
            return money(exact(price.amount), price.unit)
        return f"{money(exact(price.amount), price.unit)} a {price.per}"

    def _price(self, row: TaskRow) -> Price | None:
        provider = self.providers.get(row.account)
        try:
            return None if provider is None else provider.price(row.job)
        except JobInvalid:  # the account no longer has its model
            return None
