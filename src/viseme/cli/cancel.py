"""``viseme cancel``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import viseme
from viseme.attempts import TaskRow
from viseme.cli.figures import counted
from viseme.cli.guard import OK, SOME_FAILED, Unusable
from viseme.cli.orders import give
from viseme.cli.reading import find, open_rows, reading
from viseme.cli.settings import Places, places
from viseme.ledger import Order
from viseme.results import ENDED, State
from viseme.wording import quote

__all__ = ["cancel"]


def cancel(keys: Sequence[str], *, every: bool, out: str | None, ledger: str | None, config: str | None) -> int:
    """Call jobs off, and say what the vendors make of it."""
    if every == bool(keys):
        raise Unusable("name the keys of the jobs to cancel, or give --all")
    where = places(out, ledger)
    return viseme.run(_cancel_all(where, config) if every else _cancel(list(dict.fromkeys(keys)), where, config))


async def _cancel(keys: list[str], where: Places, config: str | None) -> int:
    async with reading(where.ledger) as ledger:
        rows = [await find(ledger, key) for key in keys]
    ended = [row for row in rows if row.state in ENDED]
    going = [row for row in rows if row.state not in ENDED]
    orders = [Order(verb="cancel", key=row.key) for row in going]
    after, left = await give(orders, going, _over, where, config) if going else ([], False)
    for row in (*ended, *after):
        print(f"{quote(row.key)}: {_told(row, left=left, late=row in ended)}")
    return OK if all(row.state is State.CANCELLED for row in (*ended, *after)) else SOME_FAILED


async def _cancel_all(where: Places, config: str | None) -> int:
    async with reading(where.ledger) as ledger:
        going = [row async for row in open_rows(ledger)]
    after, left = await give([Order(verb="cancel")], going, _over, where, config) if going else ([], False)
    if not after:
        print("nothing is open, so nothing was cancelled")
    for told, number in Counter(_told(row, left=left) for row in after).most_common():
        print(f"{counted(number, 'job')}: {told}")
    return OK if all(row.state is State.CANCELLED for row in after) else SOME_FAILED


def _over(now: TaskRow, before: TaskRow) -> bool:
    return now.state in ENDED


def _told(row: TaskRow, *, left: bool, late: bool = False) -> str:
    if row.state is not State.CANCELLED:
        if row.state in ENDED:
            return f"had ended already: {row.state}"
        return "not cancelled" + "; the order stays for the owner of the ledger, who obeys it when it can" * left
    if late:
        return "was cancelled already"
    if row.vendor_says:
        return f"cancelled; {quote(row.vendor_says)}"
    if row.attempt == 0:
        return "cancelled; it had not been created, so nothing is billed"
    if row.vendor_id is None:
        return "cancelled here; its create may have reached the vendor, who then runs and bills it"
    return "cancelled here; the vendor had taken it, and bills it"
