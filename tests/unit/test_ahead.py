"""Steps that are acted on before they are written: nothing is lost with them, and they are told of in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anyio
import pytest
from attrs import evolve
from tests.support.trio import house, job
from tests.support.virtual import virtually
from tests.unit.ledgers import charge, intent, seat
from tests.unit.shelves import Shelf, shelf

from viseme.engine.lifecycle.signals import Fetched, Intended, Observed, Signal, Taken, Unfetched
from viseme.engine.lifecycle.steps import Next
from viseme.errors import LedgerError
from viseme.events import EventType
from viseme.failures import Failure, Kind
from viseme.ledger import Change
from viseme.ledger.base import Done
from viseme.providers.base import Accepted, Observation, Seen
from viseme.results import Artifact, State

DONE = Observed(Observation(seen=Seen.SUCCEEDED, status="done", outputs=(Artifact(url="https://cdn.example/v"),)))
LANDED = Fetched("v.mp4", 3, "s")
GONE = Unfetched(Failure(kind=Kind.RESULT_EXPIRED, message="gone"), refresh=True)


def now() -> float:
    return asyncio.get_running_loop().time()


async def waits_at_the_vendor(one: Shelf) -> None:
    """Task a has been created, in a seat, with money set aside; its events are forgotten."""
    async with one.book.hold("a") as hold:
        sent = evolve(intent(hold.row), stage="lipsync")
        await hold.take(Intended(sent, evolve(seat(hold.row), id="a:1"), charge(hold.row)))
        await hold.take(Taken(Accepted(handle={"id": "7"})))
    one.events.clear()
    one.steps.clear()


async def takes(one: Shelf, signal: Signal) -> None:
    async with one.book.hold("a") as hold:
        await hold.take(signal)


def told(one: Shelf) -> list[tuple[EventType, int]]:
    return [(event.type, event.seq) for event in one.events]


@virtually
async def test_a_result_that_was_seen_is_gone_after_at_once_and_known_to_all() -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        seat_of_a = (await one.stored()).seat
        began = now()
        await takes(one, DONE)
        assert now() == began
        assert [(step.next, step.closes) for step in one.steps] == [(Next.FETCH, seat_of_a)]
        for row in (one.book.known("a"), await one.book.look("a"), *(await one.book.look_at(["a"]))):
            assert row is not None
            assert row.state is State.FETCHING
        async with one.book.hold("a") as hold:
            assert hold.row.state is State.FETCHING
        assert (await one.stored()).state is State.WAITING
        assert one.events == []


@virtually
async def test_a_short_download_is_written_with_its_beginning_and_told_in_order() -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        first = (await one.stored()).seq + 1
        await takes(one, DONE)
        await takes(one, LANDED)
        assert told(one) == [(EventType.FETCHING, first), (EventType.SUCCEEDED, first + 1)]
        row = await one.stored()
        assert (row.state, row.seq, row.file) == (State.SUCCEEDED, first + 1, "v.mp4")
        assert row.outputs == DONE.observation.outputs
        assert await one.ledger.seats() == []
        assert [spent.state for spent in await one.ledger.spending()] == ["spent"]
        await anyio.sleep(10)
        assert len(one.events) == 2
        assert await one.stored() == row


@virtually
async def test_a_long_download_is_told_of_after_a_moment_while_it_is_under_way() -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        await takes(one, DONE)
        async with one.book.hold("a") as hold:
            await anyio.sleep(0.25 + 1.1)
            assert [kind for kind, _ in told(one)] == [EventType.FETCHING]
            assert await one.stored() == hold.row
            assert await one.ledger.seats() == []
            assert [spent.state for spent in await one.ledger.spending()] == ["spent"]
            await hold.take(LANDED)
        assert [kind for kind, _ in told(one)] == [EventType.FETCHING, EventType.SUCCEEDED]
        assert (await one.stored()).state is State.SUCCEEDED


@virtually
async def test_each_waits_for_a_moment_of_its_own() -> None:
    async with shelf("a", "b") as one:
        await waits_at_the_vendor(one)
        async with one.book.hold("b") as hold:
            await hold.take(Intended(intent(hold.row, name="other"), None, None))
            await hold.take(Taken(Accepted(handle={"id": "8"})))
        one.events.clear()
        await takes(one, DONE)
        await anyio.sleep(0.2)
        async with one.book.hold("b") as hold:
            await hold.take(DONE)
        await anyio.sleep(0.06 + 1)
        assert [event.task for event in one.events] == ["a"]
        await anyio.sleep(2)
        assert [event.task for event in one.events] == ["a", "b"]


@virtually
async def test_a_download_that_failed_is_told_with_its_beginning_and_looked_at_again() -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        await takes(one, DONE)
        await takes(one, GONE)
        assert [kind for kind, _ in told(one)] == [EventType.FETCHING, EventType.RETRYING]
        row = await one.stored()
        assert (row.state, row.outputs, row.tries) == (State.WAITING, (), 1)
        assert one.steps[-1].next is Next.REFRESH


@virtually
async def test_an_end_on_its_way_to_the_disk_is_not_overtaken_by_its_beginning() -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        await takes(one, DONE)
        await anyio.sleep(0.2)
        await takes(one, LANDED)
        await anyio.sleep(5)
        assert [kind for kind, _ in told(one)] == [EventType.FETCHING, EventType.SUCCEEDED]
        assert (await one.stored()).state is State.SUCCEEDED


@pytest.mark.parametrize("cut", [False, True])
@virtually
async def test_what_comes_while_the_beginning_is_on_its_way_to_the_disk_follows_it_also_if_its_asker_is_cancelled(
    cut: bool,
) -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        await takes(one, DONE)
        await anyio.sleep(0.3)
        asking = asyncio.ensure_future(takes(one, LANDED))
        await anyio.sleep(0.1)
        if cut:
            asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled() == cut
        assert [kind for kind, _ in told(one)] == [EventType.FETCHING, EventType.SUCCEEDED]
        assert (await one.stored()).state is State.SUCCEEDED
        assert one.book.known("a") == await one.stored()


@pytest.mark.parametrize("again", [False, True])
@virtually
async def test_a_beginning_that_the_disk_refuses_is_not_lost_and_written_later_or_with_the_end(again: bool) -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        await takes(one, DONE)
        one.refuses = 1
        await anyio.sleep(2)
        assert one.events == []
        assert (await one.book.look("a")).state is State.FETCHING
        if again:
            await anyio.sleep(2)
            assert [kind for kind, _ in told(one)] == [EventType.FETCHING]
        await takes(one, LANDED)
        assert [kind for kind, _ in told(one)] == [EventType.FETCHING, EventType.SUCCEEDED]
        assert await one.ledger.seats() == []


@virtually
async def test_an_end_that_the_disk_refuses_leaves_the_beginning_to_be_written() -> None:
    async with shelf("a", "b") as one:
        await waits_at_the_vendor(one)
        await takes(one, DONE)
        one.refuses = 1000
        with pytest.raises(LedgerError):
            await takes(one, LANDED)
        assert (await one.book.look("a")).state is State.FETCHING
        one.refuses = 0
        await anyio.sleep(3)
        assert [kind for kind, _ in told(one)] == [EventType.FETCHING]
        await takes(one, LANDED)
        assert [kind for kind, _ in told(one)] == [EventType.FETCHING, EventType.SUCCEEDED]


@virtually
async def test_a_name_that_the_look_taught_is_written_with_the_end() -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        await takes(one, Observed(evolve(DONE.observation, handle={"id": "9"})))
        await takes(one, LANDED)
        assert await one.ledger.adopted("house", "9") == "a"


@virtually
async def test_a_page_that_was_read_before_it_was_written_is_not_believed() -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        await takes(one, DONE)
        (row,) = await one.book.open_tasks(0, 10)
        assert row.state is State.WAITING
        await anyio.sleep(2)
        known = one.book.known("a")
        assert known is not None
        assert known.state is State.FETCHING


@virtually
async def test_a_ledger_that_was_closed_meanwhile_is_left_alone() -> None:
    async with shelf("a") as one:
        await waits_at_the_vendor(one)
        await takes(one, DONE)
    await anyio.sleep(5)
    assert one.events == []


@virtually
async def test_a_job_takes_three_commits_and_its_download_is_told_of_with_its_end() -> None:
    async with house("sync") as one:
        groups: list[list[EventType]] = []
        hand_over = one.ledger.hand_over

        def noted(changes: Sequence[Change], done: Done) -> None:
            groups.extend([event.type for event in change.events] for change in changes)
            hand_over(changes, done)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(one.ledger, "hand_over", noted)
            rows = await one.run(job("a"))
        assert rows["a"].state is State.SUCCEEDED
        assert groups == [
            [EventType.CREATING],
            [EventType.CREATED],
            [EventType.FETCHING, EventType.SUCCEEDED],
        ]
