"""The poll hub: one heap of due times for all of an account's waiting tasks, and no coroutine for any of them."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from math import ceil, inf

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.engine.crew import Crew
from viseme.engine.cuts import Cut
from viseme.engine.polling.cadence import Cadence
from viseme.engine.polling.watches import Watch, kind_of, told_of
from viseme.engine.world import World

__all__ = ["Hub"]

_MOMENT = 0.1
"""Tasks that begin to be watched within so many seconds have the time of the first of them in common."""
_AT_ONCE = 16
_HELD_AT_ONCE = 64
"""Looks that their vendor may hold back at the same time; they take no hand from others."""
_LISTS_AT_ONCE = 2

Turn = tuple[float, float, Watch]
"""A watch's place among the others: when it is due by monotonic time, or earlier where it shall be looked at at once;
between equals, who has waited for longer. (A tuple is compared without Python's help, which each look does a dozen
times.)"""


@define(eq=False, repr=False)
class Hub:
    """Decides when the waiting tasks of one account are looked at, and which of them together.

    Attributes:
        look: looks at a batch and gives each of it back to the hub, or lets it go.
        at_most: how many tasks one look may take.
    """

    world: World
    cadence: Cadence
    crew: Crew
    look: Callable[[list[Watch]], Awaitable[None]]
    at_most: int = 1
    _heap: list[Turn] = field(factory=list[Turn])
    _watches: dict[str, Watch] = field(factory=dict[str, Watch])
    _wake: asyncio.Event = field(factory=asyncio.Event)
    _looks: set[Cut] = field(factory=set[Cut])
    _lists: int = 0
    """How many of the looks under way may take many tasks; ``_held``, how many the vendor may hold back."""
    _held: int = 0
    _round: float = field(default=-inf)
    """When the newest round of list requests began; what is due by then belongs to it."""
    _brimful: bool = False
    """The newest list had room for none but those that were due about then, so that there may be more of them."""
    _lately: float = -inf
    """When a task last began to be watched, UTC seconds."""
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
        began = since if row.began in (None, since) else row.began
        batch = bool(row.intent and row.intent.batch)
        watch = Watch(
            *(row.id, row.run, row.seq, told_of(row.key, row.handle), kind_of(self.cadence.model(row), row.stage)),
            *(since, began, batch, background),
            media=row.seconds,
            attempt=row.attempt,
        )
        self._watches[watch.task] = watch
        if not 0 <= clock - self._lately < _MOMENT:
            self._lately = clock
        watch.running_since, watch.observed, watch.heard = row.timings.started, row.observed, self._lately
        wait = self.cadence.first(watch, self.world.random) - max(0.0, clock - began)
        watch.late = now or wait < 0
        self.again(watch, 0.0 if watch.late else wait)

    def again(self, watch: Watch, wait: float) -> None:
        """Look at a task in so many seconds; at once means at once, where others wait for the next round of lists."""
        if watch.gone:
            return
        if watch.placed:  # nobody has looked meanwhile
            self._heap = [turn for turn in self._heap if turn[2] is not watch]
            heapq.heapify(self._heap)
        now = self.world.monotonic()
        due = watch.due = now + wait if wait > 0 else min(now, self._round)
        turn = due, watch.since, watch
        watch.placed = True
        heapq.heappush(self._heap, turn)
        if self._heap[0] is turn:
            self._wake.set()

    def _next_turn(self) -> Turn:
        """The turn that is due before all others, taken from its place."""
        turn = heapq.heappop(self._heap)
        turn[2].placed = False
        return turn

    def forget(self, task: str) -> None:
        """Look at a task no more."""
        watch = self._watches.pop(task, None)
        if watch is not None:
            watch.gone = True

    def take_hold(self) -> bool:
        """Have room for a look that the vendor may hold back, until ``end_hold``; False where there is none."""
        if self._held >= _HELD_AT_ONCE:
            return False
        self._held += 1
        self._wake.set()
        return True

    def end_hold(self) -> None:
        """A look that the vendor could hold back was answered."""
        self._held -= 1

    def stop(self) -> None:
        """Look at nothing more."""
        self._stopping = True
        for cut in self._looks:
            cut.make()
        self._wake.set()

    async def run(self) -> None:
        """Look at tasks as they come due, until stopped."""
        while not self._stopping:
            opens = self._opens()
            single = self.at_most == 1 or bool(self._heap and self._heap[0][2].alone)
            short = len(self._looks) - self._lists - self._held
            free = short < _AT_ONCE if single else self._lists < _LISTS_AT_ONCE
            if not free or opens > self.world.monotonic():
                await self._pause(opens if free else inf)
            else:
                cut = Cut()
                self._looks.add(cut)
                self._lists += not single
                self.crew.start_soon(self._look, self._due_batch(), cut, single)

    def _opens(self) -> float:
        """When the next look may begin. Lists go out in rounds, so that what comes due in between shares requests.

        There are as many rounds in a beat as it takes lists to look at all once. A list that was brimful has nothing to
        share, and a round that was too much for it goes on.
        """
        heap = self._heap
        while heap and heap[0][2].gone:
            self._next_turn()
        due = heap[0][0] if heap and not self._stopping else inf
        if self.at_most == 1 or self._brimful or due <= self._round or (heap and heap[0][2].alone):
            return due
        return max(due, self._round + self.cadence.beat() / max(1, ceil(len(self._watches) / self.at_most)))

    async def _look(self, batch: list[Watch], cut: Cut, single: bool) -> None:
        try:
            if cut.made:
                return
            with cut:
                await self.look(batch)
                # While there is enough to look at, none is begun anew.
                while (
                    single and self._opens() <= self.world.monotonic() and (self.at_most == 1 or self._heap[0][2].alone)
                ):
                    await self.look(self._due_batch())
        finally:
            self._looks.discard(cut)
            self._lists -= not single
            self._wake.set()

    async def _pause(self, until: float) -> None:
        timer = None if until == inf else self.world.call_at(until, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            self._wake.clear()
            if timer is not None:
                timer.cancel()

    def _due_batch(self) -> list[Watch]:
        """The task that is due, and, where one request can name many, those that are due with it or soon after it."""
        if self.at_most == 1 or self._heap[0][2].alone:
            return [self._next_turn()[2]]
        now = self.world.monotonic()
        if self._heap[0][0] > self._round:
            self._round = now
        batch: list[Watch] = []
        put_off: list[Turn] = []
        last = now
        while self._heap and len(batch) < self.at_most and len(put_off) < self.at_most:
            turn = self._next_turn()
            due, _, watch = turn
            if watch.gone:
                continue
            if not watch.alone and (due <= now or self._may_join(watch, due - now)):
                watch.asked = now
                batch.append(watch)
                last = due
            else:
                put_off.append(turn)
        for turn in put_off:
            turn[2].placed = True
            heapq.heappush(self._heap, turn)
        self._brimful = len(batch) == self.at_most and 2 * (last - now) <= self.cadence.beat()
        return batch

    def _may_join(self, watch: Watch, early: float) -> bool:
        """Whether a task is looked at together with others so long before it is due, since that costs no request."""
        beat = self.cadence.beat()
        if not watch.looks:
            return not watch.firm and early <= beat
        if early <= self.cadence.tolerance() and not watch.failures:
            return True
        return not watch.firm and 2 * (self.world.monotonic() - watch.asked) >= beat
