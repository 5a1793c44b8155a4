"""The poll hub: one heap of due times for all of an account's waiting tasks, and no coroutine for any of them."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

from anyio import CancelScope
from anyio.abc import TaskGroup
from attrs import define, field

from viseme.attempts import Handle, TaskRow
from viseme.engine.polling.cadence import Cadence
from viseme.engine.world import World

__all__ = ["Hub", "Watch"]

_AT_ONCE = 16
_LISTS_AT_ONCE = 2


@define(eq=False)
class Watch:
    """What the hub keeps of a waiting task.

    Attributes:
        since: when the task's clock started, UTC seconds; ``began`` when its present stage was taken.
        stage: that the handle belongs to.
        batch: it was created together with others.
        background: nobody waits for it; it is looked at for its seat's sake.
        ticket: names its entry in the heap; older ones are stale.
        shown: what was last told of its progress.
        running_since: when it was first seen running, UTC seconds.
        failures: looks that failed one after the other.
        missing: looks at which the vendor did not know it, one after the other; ``missed`` when the first of them was
            (monotonic seconds).
        seen: whether a look has shown it; ``heard`` when the last one did, or when it began to be watched, UTC seconds.
        observed: when the newest look was sent, UTC seconds; later with each, whatever the clock does.
    """

    task: str
    key: str
    run: int
    seq: int
    handle: Handle
    since: float
    began: float
    stage: str = ""
    batch: bool = False
    background: bool = False
    due: float = 0.0
    ticket: int = -1
    shown: tuple[Any, ...] = ()
    running_since: float | None = None
    looks: int = 0
    failures: int = 0
    missing: int = 0
    missed: float = 0.0
    seen: bool = False
    heard: float = 0.0
    observed: float = 0.0
    gone: bool = False

    @property
    def vendor_id(self) -> str:
        """The vendor's id of the job."""
        return str(self.handle.get("id"))


@define(eq=False)
class Hub:
    """Decides when the waiting tasks of one account are looked at, and which of them together.

    Attributes:
        look: looks at a batch and gives each of it back to the hub, or lets it go.
        at_most: how many tasks one look may take.
    """

    world: World
    cadence: Cadence
    group: TaskGroup
    look: Callable[[list[Watch]], Awaitable[None]]
    at_most: int = 1
    _heap: list[tuple[float, int, Watch]] = field(factory=list[tuple[float, int, Watch]])
    _watches: dict[str, Watch] = field(factory=dict[str, Watch])
    _tickets: Iterator[int] = field(factory=count)
    _wake: asyncio.Event = field(factory=asyncio.Event)
    _looks: set[CancelScope] = field(factory=set[CancelScope])
    _stopping: bool = False

    def __len__(self) -> int:
        return len(self._watches)

    def find(self, task: str) -> Watch | None:
        """What is kept of a task, if it is watched."""
        return self._watches.get(task)

    def watched(self) -> list[Watch]:
        """All that is watched."""
        return list(self._watches.values())

    def watch(self, row: TaskRow, *, background: bool = False, now: bool = False) -> None:
        """Look at a task from now on: at once if ``now``, else when a result becomes likely."""
        self.forget(row.id)
        if row.handle is None or self._stopping:
            return
        clock = self.world.now()
        since = row.since or clock
        began = row.began or since
        batch = bool(row.intent and row.intent.batch)
        watch = self._watches[row.id] = Watch(
            row.id, row.key, row.run, row.seq, row.handle, since, began, row.stage, batch, background
        )
        watch.running_since, watch.observed, watch.heard = row.timings.started, row.observed, clock
        age = max(0.0, clock - began)
        self.again(watch, 0.0 if now else max(0.0, self.cadence.first() - age))

    def again(self, watch: Watch, wait: float) -> None:
        """Look at a task in so many seconds."""
        if watch.gone:
            return
        watch.due, watch.ticket = self.world.monotonic() + wait, next(self._tickets)
        heapq.heappush(self._heap, (watch.due, watch.ticket, watch))
        if self._heap[0][2] is watch:
            self._wake.set()

    def forget(self, task: str) -> None:
        """Look at a task no more."""
        watch = self._watches.pop(task, None)
        if watch is not None:
            watch.gone = True

    def stop(self) -> None:
        """Look at nothing more."""
        self._stopping = True
        for scope in self._looks:
            scope.cancel()
        self._wake.set()

    async def run(self) -> None:
        """Look at tasks as they come due, until stopped."""
        while not self._stopping:
            self._drop_stale()
            most = _AT_ONCE if self.at_most == 1 else _LISTS_AT_ONCE
            if not self._heap or len(self._looks) >= most:
                await self._pause(None)
            elif self._heap[0][0] > self.world.monotonic():
                await self._pause(self._heap[0][0])
            else:
                scope = CancelScope()
                self._looks.add(scope)
                self.group.start_soon(self._look, self._due_batch(), scope)

    async def _look(self, batch: list[Watch], scope: CancelScope) -> None:
        try:
            with scope:
                await self.look(batch)
        finally:
            self._looks.discard(scope)
            self._wake.set()

    async def _pause(self, until: float | None) -> None:
        timer = None if until is None else self.world.call_at(until, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            self._wake.clear()
            if timer is not None:
                timer.cancel()

    def _drop_stale(self) -> None:
        while self._heap and _stale(self._heap[0]):
            heapq.heappop(self._heap)

    def _due_batch(self) -> list[Watch]:
        """The task that is due, and, where one request can name many, those that are due soon after it."""
        now = self.world.monotonic()
        horizon = now + (self.cadence.tolerance() if self.at_most > 1 else 0.0)
        batch: list[Watch] = []
        while self._heap and len(batch) < self.at_most and self._heap[0][0] <= horizon:
            entry = self._heap[0]
            if entry[0] > now and not entry[2].looks:
                break
            heapq.heappop(self._heap)
            if not _stale(entry):
                batch.append(entry[2])
        return batch


def _stale(entry: tuple[float, int, Watch]) -> bool:
    _, ticket, watch = entry
    return watch.gone or watch.ticket != ticket
