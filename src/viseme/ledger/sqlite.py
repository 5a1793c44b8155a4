"""The ledger as an SQLite file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

from viseme.attempts import Intent, Seat, TaskRow, Upload
from viseme.events import Event
from viseme.ledger import files, queries
from viseme.ledger.base import Count, Order, Rank
from viseme.ledger.grouped import GroupLedger
from viseme.ledger.lock import OwnerLock
from viseme.ledger.reading import Blocking, Reading
from viseme.ledger.works import Outcome, Work
from viseme.ledger.writer import Writer
from viseme.money import Spending

__all__ = ["Blocking", "SqliteLedger"]


class SqliteLedger(GroupLedger):
    """A ledger in one SQLite file, in WAL mode, synced at every group of commits.

    Args:
        path: of the file; made, with its folder, where it is missing. Beside it lie ``-wal`` and ``-shm`` while it is
            open, and ``.lock``, which its owner holds.
        blocking: runs a function off the event loop.
        read_only: only look; goes together with an owner, and with other readers, in this process or another.
    """

    def __init__(self, path: str | os.PathLike[str], *, blocking: Blocking, read_only: bool = False) -> None:
        super().__init__()
        self._path = os.path.realpath(path)
        self._blocking = blocking
        self._looks_only = read_only
        self._lock = OwnerLock(self._path)
        self._held = ExitStack()
        self._writer: Writer | None = None
        self._reading = Reading(self._path, blocking)

    @property
    def _name(self) -> str:
        return self._path

    @property
    def _read_only(self) -> bool:
        return self._looks_only

    # -- life --------------------------------------------------------------------------------------------------------

    async def _start(self) -> int:
        return await self._blocking(self._connect)

    def _connect(self) -> int:
        with files.explained(self._path), ExitStack() as stack:
            if not self._looks_only:
                self._own(stack)
            reader = stack.enter_context(closing(files.reader(self._path)))
            last = queries.last_event(reader)
            self._reading.start(reader)
            self._held = stack.pop_all()
        return last

    def _own(self, stack: ExitStack) -> None:
        files.look(self._path)
        files.create(self._path)
        self._lock.acquire()
        stack.callback(self._lock.release)
        connection = stack.enter_context(closing(files.writer(self._path)))
        self._writer = Writer(connection, self._path)
        self._writer.clear()

    async def _stop(self) -> None:
        await self._reading.stop()
        self._writer = None
        await self._blocking(self._disconnect)

    def _disconnect(self) -> None:
        with files.explained(self._path):
            self._held.close()

    async def _write(self, group: Sequence[Work]) -> Sequence[Outcome]:
        writer = self._writer
        assert writer is not None
        return await self._blocking(lambda: writer.write(group))

    # -- reading -----------------------------------------------------------------------------------------------------

    async def tasks(self, ids: Sequence[str]) -> list[TaskRow]:
        return await self._reading.ask(lambda reader: queries.tasks(reader, ids))

    async def by_keys(self, keys: Sequence[str]) -> list[TaskRow]:
        return await self._reading.ask(lambda reader: queries.by_keys(reader, keys))

    async def queued(self, account: str, run: int, after: Rank | None, limit: int) -> list[TaskRow]:
        return await self._reading.ask(lambda reader: queries.queued(reader, account, run, after, limit))

    async def open_tasks(
        self, after: int, limit: int, *, account: str | None = None, run: int | None = None
    ) -> list[TaskRow]:
        return await self._reading.ask(lambda reader: queries.open_tasks(reader, after, limit, account, run))

    async def all_tasks(self, after: int, limit: int) -> list[TaskRow]:
        return await self._reading.ask(lambda reader: queries.all_tasks(reader, after, limit))

    async def seats(self, after: str = "", limit: int = sys.maxsize) -> list[Seat]:
        return await self._reading.ask(lambda reader: queries.seats(reader, after, limit))

    async def intents(self, account: str, since: float) -> list[Intent]:
        return await self._reading.ask(lambda reader: queries.intents(reader, account, since))

    async def recent(self, account: str, creates: int) -> list[TaskRow]:
        return await self._reading.ask(lambda reader: queries.recent(reader, account, creates))

    async def adopted(self, account: str, vendor_id: str) -> str | None:
        return await self._reading.ask(lambda reader: queries.adopted(reader, account, vendor_id))

    async def events(self, after: int, limit: int, *, task: str | None = None, run: int | None = None) -> list[Event]:
        found = await self._reading.ask(lambda reader: queries.events(reader, after, limit, task, run))
        if self._looks_only:
            self._last_order = await self._reading.ask(queries.last_event)
        return found

    async def counts(self, run: int | None = None) -> list[Count]:
        return await self._reading.ask(lambda reader: queries.counts(reader, run))

    async def spending(self, since: str = "") -> list[Spending]:
        return await self._reading.ask(lambda reader: queries.spending(reader, since))

    async def upload(self, account: str, digest: str) -> Upload | None:
        return await self._reading.ask(lambda reader: queries.upload(reader, account, digest))

    async def gates(self) -> dict[str, Any]:
        return await self._reading.ask(queries.gates)

    # -- orders ------------------------------------------------------------------------------------------------------

    async def _has_orders(self) -> bool:
        return await self._reading.ask(queries.has_orders)

    async def place_order(self, order: Order) -> None:
        await self._blocking(lambda: self._place_order(order))

    def _place_order(self, order: Order) -> None:
        with files.explained(self._path), closing(files.connect(self._path, "rw")) as connection:
            connection.execute("INSERT INTO orders (verb, key) VALUES (?, ?)", (order.verb, order.key))
