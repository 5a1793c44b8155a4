"""``viseme reconcile``: creates whose fate is unknown, and what to do about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from viseme.attempts import TaskRow
from viseme.cli.guard import OK, SOME_FAILED, Unusable, in_loop
from viseme.cli.orders import give
from viseme.cli.reading import find, open_rows, reading
from viseme.cli.settings import Places, places
from viseme.cli.tables import show
from viseme.errors import quote
from viseme.events import timestamp
from viseme.ledger import Order
from viseme.results import Reason, State

__all__ = ["reconcile"]

_UNDECIDED = (State.CREATING, State.RECONCILING)

_CHOICES = """
look at the vendor's own list first; then, for each of those that wait for you,

  viseme reconcile --resubmit KEY   create it anew; if the vendor did start the first one, both are billed
  viseme reconcile --abandon KEY    end it as failed; if the vendor did start it, it is billed and not fetched

with the same --out or --ledger. Running the manifest again asks the vendor once more, where it can be asked."""

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
        return in_loop(lambda: _decide("resubmit", resubmit, where, config))
    if abandon is not None:
        return in_loop(lambda: _decide("abandon", abandon, where, config))
    return in_loop(lambda: _list(where))


async def _decide(verb: Literal["resubmit", "abandon"], key: str, where: Places, config: str | None) -> int:
    async with reading(where.ledger) as ledger:
        row = await find(ledger, key)
    if row.state not in _UNDECIDED:
        raise Unusable(f"the fate of {quote(key)!r} is known, it is {row.shown}; there is nothing to decide")
    (after,), _ = await give([Order(verb=verb, key=key)], [row], _decided, where, config)
    if not _decided(after, row):
        print(f"{quote(key)}: the order is left, and the owner of the ledger obeys it when it can")
        return SOME_FAILED
    print(f"{quote(key)} {_DONE[verb] if after.vendor_id is None else f'turned out to be {after.shown} at the vendor'}")
    return OK


def _decided(now: TaskRow, before: TaskRow) -> bool:
    return now.seq > before.seq and now.parked is None


async def _list(where: Places) -> int:
    async with reading(where.ledger) as ledger:
        rows = [row async for row in open_rows(ledger) if row.state in _UNDECIDED]
    if not rows:
        print("no create's fate is unknown")
        return OK
    show(("key", "account", "sent", "stands", "why"), [_cells(row) for row in rows])
    if any(row.parked is Reason.FATE_UNKNOWN for row in rows):
        print(_CHOICES)
    return OK


def _cells(row: TaskRow) -> Sequence[str]:
    sent = timestamp(row.intent.at) if row.intent else "-"
    why = quote(row.failure.message, 500) if row.failure else "no reply was written down"
    return quote(row.key), row.account, sent, _stands(row), why


def _stands(row: TaskRow) -> str:
    if row.parked is Reason.FATE_UNKNOWN:
        return "waits for you"
    if row.parked is None:
        return "under way, or left by a run that was killed"
    return "the next run asks the vendor"
