"""Orders on a ledger: left for its owner, who obeys within a second, or carried out here where nobody owns it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import anyio
import anyio.to_thread

from viseme import LedgerBusy, Scheduler
from viseme.attempts import TaskRow
from viseme.cli.guard import complain, usable
from viseme.cli.reading import reading
from viseme.cli.settings import Places, load_config
from viseme.ledger import Order, SqliteLedger

__all__ = ["give"]

_PATIENCE = 20.0
"""How long the owner is waited for, seconds; an order may wait for a create that has left."""
_EVERY = 0.1


Done = Callable[[TaskRow, TaskRow], bool]


async def give(
    orders: Sequence[Order], rows: Sequence[TaskRow], done: Done, where: Places, config: str | None
) -> tuple[list[TaskRow], bool]:
    """Have orders carried out.

    Args:
        rows: the tasks that they are about, as they stood before.
        done: whether a task, as it stands now and as it stood before, shows that its order was obeyed.
        config: the configuration's file, needed where nobody owns the ledger.

    Returns:
        the tasks as they stand then, and whether the orders were left for an owner who has not obeyed all of them yet.

    Raises:
        ConfigError: nobody owns the ledger, and the configuration cannot be used.
    """
    if not await _owned(where.ledger):
        try:
            await _carry_out(orders, where, config)
        except LedgerBusy:
            pass  # someone came in between
        else:
            async with reading(where.ledger) as ledger:
                return await ledger.tasks([row.id for row in rows]), False
    return await _leave(orders, rows, done, where)


async def _owned(path: str) -> bool:
    with usable():
        try:
            async with SqliteLedger(path, blocking=anyio.to_thread.run_sync):
                return False
        except LedgerBusy:
            return True


async def _carry_out(orders: Sequence[Order], where: Places, config: str | None) -> None:
    settings = load_config(config)
    scheduler = Scheduler(
        settings.accounts, output=where.out, ledger=where.ledger, downloads=settings.downloads, notice=complain
    )
    async with AsyncExitStack() as stack:
        with usable():
            await stack.enter_async_context(scheduler)
        for order in orders:
            for refused in await scheduler.obey(order):
                complain(refused)


async def _leave(
    orders: Sequence[Order], rows: Sequence[TaskRow], done: Done, where: Places
) -> tuple[list[TaskRow], bool]:
    async with reading(where.ledger) as ledger:
        for order in orders:
            with usable():
                await ledger.place_order(order)
        before, until = {row.id: row for row in rows}, time.monotonic() + _PATIENCE
        while True:
            found = await ledger.tasks(list(before))
            obeyed = all(done(row, before[row.id]) for row in found)
            if obeyed or time.monotonic() > until:
                return found, not obeyed
            await anyio.sleep(_EVERY)
