"""Readers of events: every durable event of theirs once and in order, however slow they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.virtual import Stuck, settled, virtual_run, virtually

from viseme.engine import journal as journal_module
from viseme.engine.journal import Journal, RunCursor, follow_task
from viseme.events import LAST, Event, EventType
from viseme.ledger.base import Ledger

MIDDLE = [EventType.CREATING, EventType.CREATED, EventType.RETRYING, EventType.FETCHING]


@define(eq=False)
class Notes:
    """The part of a ledger that readers use; ``reads`` counts its pages."""

    kept: list[Event] = field(factory=list[Event])
    reads: int = 0

    async def events(self, after: int, limit: int, *, task: str | None = None, run: int | None = None) -> list[Event]:
        self.reads += 1
        await checkpoint()
        found = [e for e in self.kept if (e.order or 0) > after and task in (None, e.task) and run in (None, e.run)]
        await checkpoint()
        return found[:limit]


@define(eq=False)
class Press:
    """Writes events down and publishes them, as the book does."""

    notes: Notes = field(factory=Notes)
    journal: Journal = field(init=False)
    seqs: dict[str, int] = field(factory=dict[str, int])
    capacity: int = 8192

    def __attrs_post_init__(self) -> None:
        self.journal = Journal(cast("Ledger", self.notes), self.capacity)

    def event(self, type_: EventType, task: str, run: int) -> Event:
        self.seqs[task] = self.seqs.get(task, 0) + 1
        return Event(seq=self.seqs[task], task=task, key=task, type=type_, at=0.0, run=run)

    def note(self, type_: EventType = EventType.CREATED, task: str = "t", run: int = 1) -> Event:
        """Make an event durable without publishing it."""
        kept = evolve(self.event(type_, task, run), order=len(self.notes.kept) + 1)
        self.notes.kept.append(kept)
        return kept

    def tell(self, *types: EventType, task: str = "t", run: int = 1) -> list[Event]:
        """Make events durable, then publish them."""
        events = [self.note(type_, task, run) for type_ in types or (EventType.CREATED,)]
        self.journal.publish(events)
        return events

    def progress(self, task: str = "t", run: int = 1) -> Event:
        event = self.event(EventType.PROGRESS, task, run)
        self.journal.publish([event])
        return event

    def cursor(self, run: int | None = 1) -> RunCursor:
        journal = self.journal
        return RunCursor(journal, run, max(len(self.notes.kept), journal.floor), journal.end)


async def ready(cursor: RunCursor) -> list[Event]:
    """All that there is for a reader now."""
    found: list[Event] = []
    while (event := await cursor.next()) is not None:
        found.append(event)
    return found


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_PAGE", 3)
    monkeypatch.setattr(journal_module, "_INBOX", 8)


# -- runs ----------------------------------------------------------------------------------------------------------


@virtually
async def test_a_fast_reader_is_served_from_the_ring_and_not_from_the_ledger() -> None:
    press = Press()
    cursor = press.cursor()
    for _ in range(50):
        told = [*press.tell(), press.progress()]
        assert await ready(cursor) == told
    assert press.notes.reads == 0


@virtually
async def test_a_reader_that_falls_off_the_ring_reads_the_ledger_and_misses_progress_only() -> None:
    press = Press(capacity=4)
    cursor = press.cursor()
    told: list[Event] = []
    for _ in range(20):
        told += press.tell()
        press.progress()
    found = await ready(cursor)
    assert [e for e in found if e.order is not None] == told
    assert len([e for e in found if e.order is None]) == 2
    assert press.notes.reads > 1
    reads = press.notes.reads
    more = press.tell()
    assert await ready(cursor) == more
    assert press.notes.reads == reads


@virtually
async def test_a_reader_sees_its_run_and_nothing_from_before_it_began() -> None:
    press = Press(capacity=3)
    press.tell(run=1)
    one, everything = press.cursor(run=1), press.cursor(run=None)
    told = [press.tell(run=run)[0] for run in (2, 1, 2, 2, 1, 3, 1, 2)]
    assert await ready(one) == [event for event in told if event.run == 1]
    assert await ready(everything) == told


@virtually
async def test_a_batch_larger_than_the_ring_is_read_whole() -> None:
    press = Press(capacity=4)
    cursor = press.cursor()
    assert await ready(cursor) == []
    told = press.tell(*[EventType.CREATED] * 30)
    assert await ready(cursor) == told


@virtually
async def test_a_thousand_readers_of_which_some_are_slow_all_see_the_same() -> None:
    press = Press(capacity=16)
    cursors = [press.cursor() for _ in range(200)]
    seen: list[list[Event]] = [[] for _ in cursors]
    for number in range(60):
        press.tell()
        for index, cursor in enumerate(cursors):
            if number % (index % 30 + 1) == 0:
                seen[index] += await ready(cursor)
    for index, cursor in enumerate(cursors):
        seen[index] += await ready(cursor)
    assert all(events == press.notes.kept for events in seen)


@virtually
async def test_the_ring_keeps_no_more_than_it_holds() -> None:
    press = Press(capacity=10)
    press.cursor()
    for _ in range(500):
        press.tell()
        press.progress()
    assert len(press.journal.since(0)) == 10
    assert press.journal.end - press.journal.first == 10


@virtually
async def test_waiting_readers_wake_when_something_is_published_or_when_they_are_nudged() -> None:
    press = Press()
    for wake in (press.tell, press.progress, press.journal.nudge):
        waiting = [asyncio.ensure_future(press.journal.changed()) for _ in range(3)]
        await settled()
        waiting[0].cancel()
        await settled()
        wake()
        await asyncio.gather(*waiting[1:])
    assert press.journal._waiting == []


ACTS = st.one_of(
    st.tuples(st.just("tell"), st.integers(1, 3), st.integers(1, 7)),
    st.tuples(st.just("progress"), st.integers(1, 3), st.just(0)),
    st.tuples(st.just("read"), st.integers(0, 2), st.integers(1, 12)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ACTS, max_size=60), st.integers(1, 9), st.booleans())
def test_no_durable_event_is_lost_or_doubled_in_any_order_of_writing_and_reading(
    acts: list[tuple[str, int, int]], capacity: int, together: bool
) -> None:
    async def main() -> None:
        press = Press(capacity=capacity)
        press.tell(run=1)
        runs: list[int | None] = [1, 2, None]
        cursors = [press.cursor(run) for run in runs]
        begun = len(press.notes.kept)
        seen: list[list[Event]] = [[], [], []]

        async def read(which: int, count: int) -> None:
            for _ in range(count):
                event = await cursors[which].next()
                if event is None:
                    return
                seen[which].append(event)

        reading: list[asyncio.Task[None] | None] = [None, None, None]
        for act, number, count in acts:
            match act:
                case "tell":
                    press.tell(*[EventType.CREATED] * count, run=number)
                case "progress":
                    press.progress(run=number)
                case _:
                    before = reading[number]
                    if before is not None:
                        await before
                    reading[number] = asyncio.ensure_future(read(number, count))
                    await (checkpoint() if together else cast("Any", reading[number]))
        for which, pending in enumerate(reading):
            if pending is not None:
                await pending
            await read(which, 10_000)
        for run, events in zip(runs, seen, strict=True):
            wanted = [event for event in press.notes.kept[begun:] if run in (None, event.run)]
            assert [event for event in events if event.order is not None] == wanted
            assert all(run in (None, event.run) for event in events)
            progress = [event.seq for event in events if event.order is None]
            assert progress == sorted(set(progress))

    virtual_run(main)


# -- one task ------------------------------------------------------------------------------------------------------


def follow(press: Press, task: str = "t", *, active: bool = True) -> AsyncIterator[Event]:
    async def under_way(_: Event | None) -> bool:
        await checkpoint()
        return active

    return follow_task(press.journal, task, active=under_way)


async def types(events: AsyncIterator[Event]) -> list[str]:
    return [str(event.type) async for event in events]


@virtually
async def test_a_stream_starts_with_queued_and_ends_with_the_last_event() -> None:
    press = Press()
    press.tell(EventType.QUEUED)
    reading = asyncio.ensure_future(types(follow(press)))
    await settled()
    press.tell(EventType.CREATING, EventType.CREATED)
    press.progress()
    press.tell(EventType.CREATED, task="other")
    await settled()
    press.tell(EventType.FETCHING, EventType.SUCCEEDED)
    assert await reading == ["queued", "creating", "created", "progress", "fetching", "succeeded"]
    assert press.journal._inboxes == {}


@pytest.mark.parametrize("last", sorted(LAST))
@virtually
async def test_the_stream_of_a_task_that_is_over_ends_with_what_the_ledger_has(last: EventType) -> None:
    press = Press()
    press.tell(EventType.QUEUED, EventType.CREATING, last)
    assert await types(follow(press, active=False)) == ["queued", "creating", str(last)]


@virtually
async def test_where_earlier_runs_parked_it_is_left_out_of_the_stream() -> None:
    press = Press()
    press.tell(EventType.QUEUED, EventType.PARKED, EventType.CREATING, EventType.PARKED)
    over = await types(follow(press, active=False))
    assert over == ["queued", "creating", "parked"]
    reading = asyncio.ensure_future(types(follow(press)))
    await settled()
    press.tell(EventType.CREATED, EventType.PARKED)
    assert await reading == ["queued", "creating", "created", "parked"]


@virtually
async def test_a_task_that_is_created_anew_goes_on_after_its_old_end() -> None:
    press = Press()
    press.tell(EventType.QUEUED, EventType.FAILED)
    reading = asyncio.ensure_future(types(follow(press)))
    await settled()
    assert not reading.done()
    press.tell(EventType.CREATING, EventType.SUCCEEDED)
    assert (await reading)[-2:] == ["creating", "succeeded"]


@virtually
async def test_a_task_that_ends_while_its_stream_is_opened_does_not_hang_its_reader() -> None:
    """Between any two of the stream's steps: it ends with the last event, whichever way that comes to it."""
    for moment in range(12):
        press = Press()
        press.tell(EventType.QUEUED, EventType.CREATED)
        ended = False

        async def active(_: Event | None) -> bool:
            await checkpoint()
            return not ended  # noqa: B023

        reading = asyncio.ensure_future(types(follow_task(press.journal, "t", active=active)))
        for _ in range(moment):
            await checkpoint()
        ended = True
        press.tell(EventType.SUCCEEDED)
        assert await reading == ["queued", "created", "succeeded"]


@virtually
async def test_a_reader_that_is_slower_than_the_inbox_misses_progress_only() -> None:
    for before in (3, 30):
        press = Press()
        press.tell(EventType.QUEUED)
        stream = follow(press)
        assert (await anext(stream)).type is EventType.QUEUED
        told = press.tell(*[EventType.RETRYING] * before)
        for _ in range(50):
            press.progress()
        told += press.tell(EventType.FETCHING, EventType.SUCCEEDED)
        found = [event async for event in stream]
        assert [event for event in found if event.order is not None] == told
        assert [event.seq for event in found] == sorted({event.seq for event in found})


@virtually
async def test_a_stream_that_is_left_early_is_forgotten() -> None:
    press = Press()
    press.tell(EventType.QUEUED)
    stream = follow(press)
    await anext(stream)
    assert list(press.journal._inboxes) == ["t"]
    await stream.aclose()  # type: ignore[attr-defined]
    assert press.journal._inboxes == {}


@virtually
async def test_two_readers_of_one_task_see_the_same() -> None:
    press = Press()
    press.tell(EventType.QUEUED)
    readers = [asyncio.ensure_future(types(follow(press))) for _ in range(2)]
    await settled()
    press.tell(EventType.CREATED)
    readers.append(asyncio.ensure_future(types(follow(press))))
    await settled()
    press.tell(EventType.CANCELLED)
    assert await asyncio.gather(*readers) == [["queued", "created", "cancelled"]] * 3


def test_a_reader_of_a_task_that_never_ends_waits() -> None:
    async def main() -> None:
        press = Press()
        press.tell(EventType.QUEUED)
        await types(follow(press))

    with pytest.raises(Stuck):
        virtual_run(main)


STEPS = st.lists(st.sampled_from(["tell", "tell", "progress", "turn", "many"]), max_size=40)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(0, 10), st.sampled_from(sorted(LAST)))
def test_a_tasks_stream_is_whole_in_any_order_of_writing_and_reading(
    steps: Sequence[str], late: int, last: EventType
) -> None:
    async def main() -> None:
        press = Press(capacity=5)
        press.tell(EventType.QUEUED)
        ended = False

        async def active(_: Event | None) -> bool:
            await checkpoint()
            return not ended

        found: list[Event] = []

        async def read() -> None:
            async for event in follow_task(press.journal, "t", active=active):
                found.append(event)
                await checkpoint()

        async with anyio.create_task_group() as group:
            for number, step in enumerate([*steps, "end"]):
                if number == min(late, len(steps)):
                    group.start_soon(read)
                match step:
                    case "tell":
                        press.tell(MIDDLE[number % len(MIDDLE)])
                    case "many":
                        press.tell(*[EventType.RETRYING] * 11)
                    case "progress":
                        press.progress()
                    case "end":
                        ended = True
                        press.tell(last)
                    case _:
                        await checkpoint()
        assert [event for event in found if event.order is not None] == press.notes.kept
        assert [event.seq for event in found] == sorted({event.seq for event in found})
        assert found[-1].type is last

    virtual_run(main)
