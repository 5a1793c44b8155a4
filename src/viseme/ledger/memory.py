"""The ledger's twin in memory, for tests and simulations: same groups, and a disk that forgets what was not synced."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from viseme.attempts import Intent, Seat, TaskRow, Upload
from viseme.errors import LedgerBusy, LedgerError
from viseme.events import Event
from viseme.ledger import charges, rows
from viseme.ledger.base import Count, Order, Rank
from viseme.ledger.grouped import GroupLedger
from viseme.ledger.memory_disk import Entry, MemoryDisk
from viseme.ledger.works import Discard, Outcome, Work
from viseme.money import Spending
from viseme.results import Reason, State

__all__ = ["MemoryLedger", "Sync"]

Sync = Callable[[], Awaitable[None]]


class MemoryLedger(GroupLedger):
    """A ledger on a :class:`MemoryDisk`.

    Args:
        disk: what earlier owners wrote; default a blank one.
        sync: awaited for each group before it becomes durable: may delay it, or fail it by raising ``OSError`` or
            ``LedgerError``.
        read_only: only look.
    """

    def __init__(self, disk: MemoryDisk | None = None, *, sync: Sync | None = None, read_only: bool = False) -> None:
        super().__init__()
        self.disk = MemoryDisk() if disk is None else disk
        self._sync = sync
        self._looks_only = read_only
        self._running = False

    def crash(self) -> MemoryLedger:
        """Die as a killed process does: what is not durable is forgotten, whoever waits for it gets a LedgerError.

        Returns:
            a ledger over what was durable, to be opened by the next owner.
        """
        self._accepting = self._running = False
        self._disown()
        return MemoryLedger(self.disk, sync=self._sync)

    @property
    def _name(self) -> str:
        return "in memory"

    @property
    def _read_only(self) -> bool:
        return self._looks_only

    # -- life --------------------------------------------------------------------------------------------------------

    async def _start(self) -> int:
        if not self._looks_only:
            if self.disk.owner is not None:
                raise LedgerBusy("the ledger in memory is owned already; close its owner first")
            self.disk.owner = self
            self.disk.last_task = max(self.disk.tasks, default=0)  # as a file knows it
            self.disk.write([Discard(None)])
        self._running = True
        return self.disk.last_event

    async def _stop(self) -> None:
        self._running = False
        self._disown()

    def _disown(self) -> None:
        if self.disk.owner is self:
            self.disk.owner = None

    async def _write(self, group: Sequence[Work]) -> Sequence[Outcome]:
        failure = "its process is gone; open it again"
        try:
            if self._running and self._sync is not None:
                await self._sync()
        except (LedgerError, OSError) as error:
            failure = f"the sync failed ({error}); see the cause, then run again"
        else:
            if self._running:
                return self.disk.write(group)
        return [LedgerError(f"the ledger in memory cannot be written: {failure}") for _ in group]

    # -- reading -----------------------------------------------------------------------------------------------------

    def _look(self) -> MemoryDisk:
        if not self._running:
            raise LedgerError("the ledger in memory is not open; use it inside `async with`")
        return self.disk

    def _rows(self, entries: Iterable[Entry]) -> list[TaskRow]:
        return [entry.row() for entry in entries]

    async def tasks(self, ids: Sequence[str]) -> list[TaskRow]:
        disk = self._look()
        return self._rows(disk.ids[name] for name in set(ids) if name in disk.ids)

    async def by_keys(self, keys: Sequence[str]) -> list[TaskRow]:
        disk = self._look()
        return self._rows(disk.keys[key] for key in set(keys) if key in disk.keys)

    async def queued(self, account: str, run: int, after: Rank | None, limit: int) -> list[TaskRow]:
        disk = self._look()
        queue = disk.queues.get(account, [])
        start = 0 if after is None else bisect_right(queue, (rows.rank(-after[0]), after[1]))
        chosen = (disk.tasks[order] for _, order in islice(queue, start, None))
        return self._rows(islice((entry for entry in chosen if entry.run >= run), limit))

    async def open_tasks(
        self, after: int, limit: int, *, account: str | None = None, run: int | None = None
    ) -> list[TaskRow]:
        disk = self._look()
        chosen = (disk.tasks[order] for order in islice(disk.open, bisect_right(disk.open, after), None))
        wanted = (entry for entry in chosen if account in (None, entry.account) and run in (None, entry.run))
        return self._rows(islice(wanted, limit))

    async def all_tasks(self, after: int, limit: int) -> list[TaskRow]:
        chosen = (entry for order, entry in self._look().tasks.items() if order > after and entry.held is None)
        return self._rows(islice(chosen, limit))

    async def seats(self, after: str = "", limit: int = sys.maxsize) -> list[Seat]:
        seats = self._look().seats
        return [rows.seat(rows.parse(seats[name])) for name in sorted(name for name in seats if name > after)[:limit]]

    async def intents(self, account: str, since: float) -> list[Intent]:
        found = self._look().intents.values()
        return [
            rows.intent(rows.parse(text))
            for owner, ended, text in found
            if owner == account and (ended is None or ended > since)
        ]

    async def recent(self, account: str, creates: int) -> list[TaskRow]:
        disk = self._look()
        ended = sorted(
            (ended, name, rows.intent(rows.parse(text)).task)
            for name, (owner, ended, text) in disk.intents.items()
            if owner == account and ended is not None
        )
        newest = dict.fromkeys(task for _, _, task in reversed(ended[max(0, len(ended) - creates) :]))
        return self._rows(disk.ids[task] for task in reversed(newest))

    async def adopted(self, account: str, vendor_id: str) -> str | None:
        return self._look().vendor_ids.get((account, rows.vendor_id({"id": vendor_id}) or ""))

    async def events(self, after: int, limit: int, *, task: str | None = None, run: int | None = None) -> list[Event]:
        disk = self._look()
        if self._looks_only:
            self._last_order = disk.last_event
        wanted = (event for event in disk.beyond(after) if task in (None, event[1].id) and run in (None, event[2]))
        return [
            rows.event(order, number, entry.id, entry.key, rows.parse(text))
            for order, entry, number, text in islice(wanted, limit)
        ]

    async def counts(self, run: int | None = None) -> list[Count]:
        seen = (entry for entry in self._look().tasks.values() if entry.held is None and run in (None, entry.run))
        found = Counter((entry.account, entry.state, entry.parked) for entry in seen)
        return [
            Count(account=account, state=State(state), parked=None if parked is None else Reason(parked), tasks=number)
            for (account, state, parked), number in sorted(
                found.items(), key=lambda item: (*item[0][:2], item[0][2] or "")
            )
        ]

    async def spending(self, since: str = "") -> list[Spending]:
        return charges.sums(self._look().charges.values(), since)

    async def upload(self, account: str, digest: str) -> Upload | None:
        text = self._look().uploads.get((account, digest))
        return None if text is None else rows.upload(rows.parse(text))

    async def gates(self) -> dict[str, Any]:
        text = self._look().gates
        return {} if text is None else rows.parse(text)

    # -- orders ------------------------------------------------------------------------------------------------------

    async def _has_orders(self) -> bool:
        return bool(self._look().orders)

    async def place_order(self, order: Order) -> None:
        self._look().ask(order)
