"""Events on their way to readers: recent ones from a ring, older ones from the ledger.

A reader is a cursor. A slow one costs disk reads and not memory, and never keeps the engine waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from attrs import define, field

from viseme.events import Event, EventType
from viseme.ledger.base import Ledger

__all__ = ["Journal", "RunCursor", "follow_task"]

_PAGE = 500
_INBOX = 256


@define(eq=False, repr=False)
class Journal:
    """The ring of recent events, and who waits for more.

    Attributes:
        capacity: how many events the ring holds.
        first: position of the ring's oldest event; positions count up for ever.
        floor: persisted events up to this ``order`` may be missing from the ring.
        closed: why nothing more will be published, once that is so.
    """

    ledger: Ledger
    capacity: int = 8192
    first: int = 0
    floor: int = 0
    closed: BaseException | None = None
    _ring: deque[Event] = field(factory=deque[Event])
    _waiting: list[asyncio.Future[None]] = field(factory=list["asyncio.Future[None]"])
    _inboxes: dict[str, list[Inbox]] = field(factory=dict[str, "list[Inbox]"])

    @property
    def end(self) -> int:
        """Position behind the newest event."""
        return self.first + len(self._ring)

    def publish(self, events: Sequence[Event]) -> None:
        """Take events that are durable (or progress, which never is) to whoever reads."""
        ring = self._ring
        ring.extend(events)
        if self._inboxes:
            for event in events:
                for inbox in self._inboxes.get(event.task, ()):
                    inbox.put(event)
        while len(ring) > self.capacity:
            dropped = ring.popleft()
            self.first += 1
            if dropped.order is not None:
                self.floor = dropped.order
        self._wake()

    def since(self, position: int) -> list[Event]:
        """The ring's events from a position on."""
        start = position - self.first
        return list(self._ring) if start <= 0 else [self._ring[i] for i in range(start, len(self._ring))]

    async def changed(self) -> None:
        """Wait for something to be published."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    def close(self, why: BaseException) -> None:
        """Publish nothing more: who waits for an event hears why instead."""
        self.closed = self.closed or why
        for inboxes in self._inboxes.values():
            for inbox in inboxes:
                inbox.wake()
        self._wake()

    def nudge(self) -> None:
        """Wake the readers, so that they look whether they are done."""
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def subscribe(self, task: str) -> Inbox:
        """Collect a task's events from now on."""
        inbox = Inbox()
        self._inboxes.setdefault(task, []).append(inbox)
        return inbox

    def unsubscribe(self, task: str, inbox: Inbox) -> None:
        """Collect no more."""
        inboxes = self._inboxes.get(task, [])
        if inbox in inboxes:
            inboxes.remove(inbox)
        if not inboxes:
            self._inboxes.pop(task, None)


@define(eq=False, repr=False)
class Inbox:
    """A task's newest events for one reader; ``missed`` once more came than it holds."""

    events: deque[Event] = field(factory=lambda: deque[Event](maxlen=_INBOX))
    missed: bool = False
    _arrived: asyncio.Event = field(factory=asyncio.Event)

    def put(self, event: Event) -> None:
        self.missed = self.missed or len(self.events) == _INBOX
        self.events.append(event)
        self._arrived.set()

    def wake(self) -> None:
        """Let the reader look, though nothing came."""
        self._arrived.set()

    def take(self) -> tuple[list[Event], bool]:
        """What it holds, and whether more came than that; it is empty afterwards."""
        events, missed = list(self.events), self.missed
        self.events.clear()
        self.missed = False
        return events, missed

    async def wait(self) -> None:
        await self._arrived.wait()
        self._arrived.clear()


@define(eq=False, repr=False)
class RunCursor:
    """Reads the events of one run, or of all (``run`` None), in their order.

    Attributes:
        ready: the next events; who finds some here need not ask for them.
    """

    journal: Journal
    run: int | None
    order: int
    position: int
    ready: deque[Event] = field(factory=deque[Event], init=False)

    async def next(self) -> Event | None:
        """The next event, or None when there is none yet."""
        while not self.ready:
            if self.position <= self.journal.first and self.order < self.journal.floor:
                await self._from_ledger()
                continue
            self.position = max(self.position, self.journal.first)
            if self.position >= self.journal.end:
                return None
            self._from_ring()
        return self.ready.popleft()

    async def _from_ledger(self) -> None:
        floor, first = self.journal.floor, self.journal.first
        page = await self.journal.ledger.events(self.order, _PAGE, run=self.run)
        orders = [event.order for event in page if event.order is not None and event.order <= floor]
        self.ready.extend(page[: len(orders)])
        if len(orders) < _PAGE:
            self.order, self.position = floor, first
        else:
            self.order = orders[-1]

    def _from_ring(self) -> None:
        events = self.journal.since(self.position)
        self.position = self.journal.end
        for event in events:
            if event.order is not None:
                if event.order <= self.order:
                    continue
                self.order = event.order
            if self.run is None or event.run == self.run:
                self.ready.append(event)


async def follow_task(
    journal: Journal, task: str, *, active: Callable[[Event | None], Awaitable[bool]]
) -> AsyncIterator[Event]:
    """A task's events from ``queued`` to its last one in this run.

    Args:
        active: tells whether the task is under way after the newest event that the ledger has of it; if not, the
            stream ends with that. It is asked once the stream listens and has read what the ledger has, so that no
            end can come unnoticed in between.

    Raises:
        VisemeError: why the engine ended, where it ended before the task did.
    """
    if journal.closed is not None:
        raise journal.closed
    inbox = journal.subscribe(task)
    seen = told = 0
    try:
        history = await _history(journal.ledger, task)
        under_way = await active(history[-1] if history else None)
        for event in history:
            seen, final = event.seq, event is history[-1] and not under_way
            if event.type is not EventType.PARKED or final:
                told = seen
                yield event
            if final and event.last:
                return
        while True:
            for event in await _arrived(journal.ledger, task, inbox, seen):
                if event.seq > told:
                    told = event.seq
                    yield event
                if event.seq >= seen and event.last:  # the history may have shown it already, as one among others
                    return
                seen = max(seen, event.seq)
            if journal.closed is not None and not inbox.events:
                raise journal.closed
            await inbox.wait()
    finally:
        journal.unsubscribe(task, inbox)


async def _arrived(ledger: Ledger, task: str, inbox: Inbox, seen: int) -> list[Event]:
    """What came since the last call; what the inbox could not hold comes from the ledger."""
    events, missed = inbox.take()
    if missed:
        by_seq = {event.seq: event for event in await _history(ledger, task) if event.seq > seen}
        events = [event for _, event in sorted({**by_seq, **{event.seq: event for event in events}}.items())]
    return events


async def _history(ledger: Ledger, task: str) -> list[Event]:
    events: list[Event] = []
    while page := await ledger.events(events[-1].order or 0 if events else 0, _PAGE, task=task):
        events += page
    return events
