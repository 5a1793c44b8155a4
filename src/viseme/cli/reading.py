"""A ledger to look at, whoever owns it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio.to_thread

from viseme.attempts import TaskRow
from viseme.cli.guard import Unusable, usable
from viseme.ledger import SqliteLedger
from viseme.wording import quote

__all__ = ["find", "open_rows", "reading"]

_PAGE = 500


@asynccontextmanager
async def reading(path: str) -> AsyncGenerator[SqliteLedger]:
    """Open a ledger for reading.

    Raises:
        Unusable: there is none, or it cannot be read.
    """
    ledger = SqliteLedger(path, blocking=anyio.to_thread.run_sync, read_only=True)
    async with AsyncExitStack() as stack:
        with usable():
            await stack.enter_async_context(ledger)
        yield ledger


async def open_rows(ledger: SqliteLedger) -> AsyncGenerator[TaskRow]:
    """The tasks that have not ended."""
    after = 0
    while rows := await ledger.open_tasks(after, _PAGE):
        after = rows[-1].order
        for row in rows:
            yield row


async def find(ledger: SqliteLedger, key: str) -> TaskRow:
    """The task of a key.

    Raises:
        Unusable: there is none.
    """
    rows = await ledger.by_keys([key])
    if not rows:
        raise Unusable(f"the ledger has no job with the key {quote(key)!r}; `viseme status` counts those that it has")
    return rows[0]
