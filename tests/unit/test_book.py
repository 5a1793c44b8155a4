"""The book: each step of a task decided, durable, and told, whatever becomes of whoever asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.support.virtual import settled, virtually
from tests.unit.ledgers import intent, job, seat
from tests.unit.shelves import Shelf, shelf

from viseme.attempts import TaskRow
from viseme.engine.lifecycle.signals import Called, Fetched, Intended, Parks, Resumed
from viseme.engine.lifecycle.steps import Next
from viseme.engine.uncut import uncut
from viseme.errors import LedgerError
from viseme.events import EventType
from viseme.ledger import Change
from viseme.ledger.base import TakenOver
from viseme.results import Reason, State


async def cancels(one: Shelf) -> None:
    async with one.book.hold("a") as hold:
        await hold.take(Called(None))


@virtually
async def test_a_step_is_durable_then_told_then_dispatched_and_the_holder_has_the_new_row() -> None:
    async with shelf("a") as one, one.book.hold("a") as hold:
        began = asyncio.get_running_loop().time()
        step = await hold.take(Parks(Reason.STOPPED))
        assert asyncio.get_running_loop().time() - began == pytest.approx(1)
        assert [event.type for event in one.events] == [EventType.PARKED]
        assert one.steps == [step]
        assert (hold.row.parked, hold.row.seq) == (Reason.STOPPED, 2)
        assert await one.stored() == hold.row
        assert await one.book.look("a") == hold.row


@virtually
async def test_a_signal_that_changes_nothing_writes_nothing() -> None:
    async with shelf("a") as one, one.book.hold("a") as hold:
        assert await hold.take(Fetched("f", 1, "s")) is None
        assert (one.steps, one.events) == ([], [])


@pytest.mark.parametrize("way", ["asyncio", "anyio", "timeout", "twice"])
@pytest.mark.parametrize("moment", [0.0, 0.5])
@virtually
async def test_a_step_whose_asker_is_cancelled_is_finished_and_dispatched_before_anyone_else_has_the_task(
    way: str, moment: float
) -> None:
    async with shelf("a") as one:
        finished: list[bool] = []

        async def asks() -> None:
            try:
                await cancels(one)
            finally:
                finished.append(len(one.steps) == 1)

        if way == "anyio":
            async with anyio.create_task_group() as group:
                group.start_soon(asks)
                await settled()
                await anyio.sleep(moment)
                group.cancel_scope.cancel()
        elif way == "timeout":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(moment):
                    await asks()
        else:
            asking = asyncio.ensure_future(asks())
            await settled()
            await anyio.sleep(moment)
            asking.cancel()
            if way == "twice":
                await anyio.sleep(0.1)
                asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        if moment:
            assert finished == [True]
            assert (await one.stored()).state is State.CANCELLED
        async with one.book.hold("a") as hold:
            assert hold.row == await one.stored()
            assert len(one.steps) == (hold.row.state is State.CANCELLED)


@virtually
async def test_one_has_a_task_at_a_time_and_others_are_free() -> None:
    async with shelf("a", "b") as one:
        order: list[str] = []

        async def has(task: str, name: str) -> None:
            async with one.book.hold(task):
                order.append(f"{name} in")
                await anyio.sleep(1)
                order.append(f"{name} out")

        async with anyio.create_task_group() as group:
            for task, name in [("a", "1"), ("a", "2"), ("b", "3")]:
                group.start_soon(has, task, name)
            await settled()
            assert one.book.busy("a")
        assert order.index("3 in") < order.index("1 out") < order.index("2 in")
        assert not one.book.busy("a")
        assert not one.book.held


@pytest.mark.parametrize("moment", ["waiting", "in turn", "closed"])
@virtually
async def test_who_is_cancelled_while_waiting_for_a_task_leaves_it_to_the_next(moment: str) -> None:
    async with shelf("a") as one:
        had: list[str] = []

        async def has(name: str) -> None:
            async with one.book.hold("a"):
                had.append(name)

        first = one.book.held.take_now("a")
        waits = has("closed")
        if moment == "closed":
            waits.send(None)
        asking = [asyncio.ensure_future(has(name)) for name in "bcd"]
        await settled()
        waits.close()
        if moment == "waiting":
            asking[0].cancel()
            await settled()
        one.book.held.let_go("a")
        if moment == "in turn":
            asking[0].cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert first
        assert had == (["b", "c", "d"] if moment == "closed" else ["c", "d"])
        assert not one.book.busy("a")


@virtually
async def test_a_task_that_the_ledger_does_not_have_is_a_key_error() -> None:
    async with shelf("a") as one:
        with pytest.raises(KeyError):
            async with one.book.hold("x"):
                raise AssertionError
        with pytest.raises(KeyError):
            await one.book.look("x")
        assert not one.book.held


@virtually
async def test_progress_counts_in_the_sequence_and_is_not_written_down() -> None:
    async with shelf("a") as one:
        for number in range(3):
            one.book.progress("a", "a", 1, 1, {"progress": number})
        async with one.book.hold("a") as hold:
            await hold.take(Parks(Reason.STOPPED))
            assert hold.row.seq == 5
        assert [event.seq for event in one.book.journal.since(0)] == [1, 2, 3, 4, 5]
        assert [event.seq for event in one.events] == [5]


@virtually
async def test_what_happened_at_the_vendor_is_tried_to_be_written_for_half_a_minute() -> None:
    async with shelf("a") as one:
        one.refuses = 5
        async with one.book.hold("a") as hold:
            await hold.take(Parks(Reason.STOPPED))
        assert len(one.steps) == 1
        one.refuses = 1000
        began = asyncio.get_running_loop().time()
        async with one.book.hold("a") as hold:
            with pytest.raises(LedgerError):
                await hold.take(Called(None))
        assert 30 <= asyncio.get_running_loop().time() - began <= 34
        assert len(one.steps) == 1
        one.refuses = 0


@virtually
async def test_an_intent_that_cannot_be_written_fails_at_once_so_that_its_request_does_not_leave() -> None:
    async with shelf("a") as one:
        one.refuses = 1
        async with one.book.hold("a") as hold:
            with pytest.raises(LedgerError):
                await hold.take(Intended(intent(hold.row), seat(hold.row)))
            assert hold.row.state is State.QUEUED
        assert one.steps == []


@virtually
async def test_many_idle_tasks_take_a_signal_in_one_commit_and_those_that_someone_has_are_named() -> None:
    async with shelf("a", "b", "c", "d") as one, one.book.hold("b"):
        began = asyncio.get_running_loop().time()
        changed, busy = await one.book.write_idle(
            ["a", "b", "c", "d", "a", "x"], Parks(Reason.STOPPED), where=lambda row: row.id != "d"
        )
        assert (changed, busy) == (2, ["b"])
        assert asyncio.get_running_loop().time() - began == pytest.approx(1)
        assert sorted(step.row.id for step in one.steps) == ["a", "c"]
        assert ("b" in one.book.held, len(one.book.held)) == (True, 1)


@virtually
async def test_many_steps_whose_asker_is_cancelled_are_finished_and_dispatched() -> None:
    async with shelf("a", "b") as one:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await one.book.write_idle(["a", "b"], Parks(Reason.STOPPED), where=lambda row: True)
        assert len(one.steps) == 2


@virtually
async def test_tasks_that_a_later_run_takes_up_are_on_disk_as_the_book_has_them() -> None:
    async with shelf("a", "b") as one:
        for reason in (Reason.STOPPED, Reason.DEADLINE):
            await one.book.write_idle(["a"], Parks(reason), where=lambda row: True)
            await one.book.write_idle(["a", "b"], Resumed(2), where=lambda row: True)
            assert {step.row.id for step in one.steps[-2:]} == {"a", "b"}
            assert [await one.stored(step.row.id) for step in one.steps[-2:]] == [step.row for step in one.steps[-2:]]
            assert {(step.row.run, step.row.parked) for step in one.steps[-2:]} == {(2, None)}


async def left_waiting(one: Shelf, *names: str) -> None:
    """Have tasks at the vendor, as a dead run left them."""
    rows = [evolve(row, state=State.WAITING, handle={"id": row.id}) for row in await one.ledger.tasks(names)]
    await one.ledger.commit(*(Change(row=row) for row in rows))


def take_over(one: Shelf, run: int = 2) -> Coroutine[Any, Any, TakenOver]:
    one.book.first_run = 2
    return one.book.take_over(run, 0, 99, ["house"])


@virtually
async def test_a_step_that_changes_nothing_is_acted_on_and_not_written() -> None:
    async with shelf("a", "b") as one:
        await left_waiting(one, "a", "b")
        assert (await take_over(one)).tasks == {"house": 2}
        rows, written = await one.ledger.tasks(["a", "b"]), one.ledger.statistics().works
        one.refuses = 9
        assert await one.book.write_idle(["a", "b"], Resumed(2), where=lambda row: row.run == 2) == (2, [])
        assert one.ledger.statistics().works == written
        assert {step.row.id: (step.row, step.next) for step in one.steps} == {row.id: (row, Next.WATCH) for row in rows}


@virtually
async def test_what_someone_holds_is_not_taken_over() -> None:
    async with shelf("a", "b") as one:
        await left_waiting(one, "a", "b")
        async with one.book.hold("a") as hold:
            assert (await take_over(one)).tasks == {"house": 1}
            await hold.take(Parks(Reason.STOPPED))
            assert await one.stored("a") == hold.row
        assert [(await one.stored(name)).run for name in "ab"] == [1, 2]


@pytest.mark.parametrize("many", [False, True])
@virtually
async def test_who_takes_hold_of_a_task_while_it_is_taken_over_has_it_as_it_is_then(many: bool) -> None:
    async with shelf("a") as one:
        await left_waiting(one, "a")
        await one.book.open_tasks(0, 9)  # as it was before
        taking = asyncio.create_task(take_over(one))
        await settled()
        if many:
            await one.book.write_idle(["a"], Parks(Reason.STOPPED), where=lambda row: True)
        else:
            async with one.book.hold("a") as hold:
                await hold.take(Parks(Reason.STOPPED))
        assert (await taking).tasks == {"house": 1}
        assert await one.stored() == one.steps[-1].row
        assert (one.steps[-1].row.run, [event.run for event in one.events]) == (2, [2])


@virtually
async def test_what_is_remembered_of_a_task_from_before_it_was_taken_over_is_forgotten() -> None:
    async with shelf("a") as one:
        await left_waiting(one, "a")
        async with one.book.hold("a") as hold:
            hold.row = evolve(hold.row, seconds=7.5)
            await hold.take(Parks(Reason.STOPPED))
            await hold.take(Resumed(1))
        await one.book.open_tasks(0, 9)
        await take_over(one)
        async with one.book.hold("a") as hold:
            assert hold.row == await one.stored()
            assert hold.row.run == 2


@virtually
async def test_tasks_are_taken_over_to_the_end_whoever_is_cancelled_meanwhile() -> None:
    async with shelf("a") as one:
        await left_waiting(one, "a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await take_over(one)
        async with one.book.hold("a") as hold:
            assert hold.row.run == 2


@virtually
async def test_what_a_holder_learnt_is_written_with_a_step_that_changes_nothing_else() -> None:
    async with shelf("a") as one, one.book.hold("a") as hold:
        await hold.take(Parks(Reason.STOPPED))
        hold.row = evolve(hold.row, seconds=7.5)
        await hold.take(Resumed(2))
        assert await one.stored() == hold.row == one.steps[-1].row
        assert (hold.row.run, hold.row.seconds) == (2, 7.5)


@virtually
async def test_a_row_that_fell_out_of_memory_is_read_from_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viseme.engine.lifecycle.book._RECENT", 1)
    async with shelf("a", "b") as one:
        for name in ("a", "b"):
            async with one.book.hold(name) as hold:
                await hold.take(Parks(Reason.STOPPED))
        assert list(one.book._recent) == ["b"]
        async with one.book.hold("a") as hold:
            assert hold.row.parked is Reason.STOPPED
            await hold.take(Resumed(2))
        assert (await one.stored()).run == 2


def task(name: str) -> TaskRow:
    return TaskRow(id=name, key=name, job=job(), digest="d", account="house", run=1)


def unread(one: Shelf) -> list[str]:
    """The ids that the ledger is asked for from now on."""
    asked: list[str] = []
    ask = one.ledger.tasks

    async def tasks(ids: Sequence[str]) -> list[TaskRow]:
        asked.extend(ids)
        return await ask(ids)

    one.ledger.tasks = tasks
    return asked


@virtually
async def test_a_task_that_was_just_added_is_not_read_back_and_stays_known_until_it_changes() -> None:
    async with shelf() as one:
        asked = unread(one)
        (added,) = await one.book.add([task("a")])
        assert one.book.known("a") is await one.book.look("a") is added
        async with one.book.hold("a") as hold:
            await hold.take(Parks(Reason.STOPPED))
        assert one.book.known("a") == hold.row != added
        assert asked == []
        assert not one.book._added


@virtually
async def test_tasks_that_were_there_before_or_are_held_back_or_for_which_there_is_no_room_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("viseme.engine.lifecycle.book._ADDED", 2)
    async with shelf("a") as one:
        await one.book.add([task("e")], held=True)
        again = await one.book.add([evolve(task("other"), key="a"), task("b"), task("c"), task("d")])
        assert [row.id for row in again] == list("abcd")
        assert [one.book.known(name) is not None for name in ("a", "b", "c", "d", "e")] == [0, 1, 1, 0, 0]


@virtually
@pytest.mark.parametrize("remembered", [512, 1])
async def test_a_task_that_changed_before_its_adder_heard_of_it_is_known_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    monkeypatch.setattr("viseme.engine.lifecycle.book._RECENT", remembered)
    async with shelf() as one:
        add = one.ledger.add

        async def added(rows: Sequence[TaskRow], *, held: bool = False) -> list[TaskRow]:
            stored = await add(rows, held=held)
            for name in ("a", "b"):
                async with one.book.hold(name) as hold:
                    await hold.take(Parks(Reason.STOPPED))
            return stored

        one.ledger.add = added
        await one.book.add([task("a"), task("b")])
        assert [(await one.book.look(name)).parked for name in ("a", "b")] == [Reason.STOPPED] * 2
        one.book._recent.clear()  # as others fill it
        assert [(await one.book.look(name)).parked for name in ("a", "b")] == [Reason.STOPPED] * 2


# -- work that is not cut off --------------------------------------------------------------------------------------


@virtually
async def test_uncut_work_gives_its_result_or_its_error() -> None:
    async def works() -> int:
        await anyio.sleep(1)
        return 7

    async def breaks() -> None:
        raise LookupError

    assert await uncut(works()) == 7
    with pytest.raises(LookupError):
        await uncut(breaks())


@virtually
async def test_an_error_of_work_whose_asker_was_cancelled_gives_way_to_the_cancellation() -> None:
    async def breaks() -> None:
        await anyio.sleep(1)
        raise LookupError

    asking = asyncio.ensure_future(uncut(breaks()))
    await settled()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@virtually
async def test_work_that_is_itself_cancelled_ends_its_asker() -> None:
    async def stops() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(uncut(stops()))
