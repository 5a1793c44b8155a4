"""Group commit: what overlaps shares one transaction, and nobody's fault or haste is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.unit.ledgers import KINDS, House, creating, house, in_thread, job, moved, row

from viseme.errors import LedgerError
from viseme.events import Event, EventType
from viseme.ledger import Change, MemoryLedger, SqliteLedger
from viseme.ledger.ending import to_the_end
from viseme.ledger.grouped import GroupLedger
from viseme.results import State


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return house(request.param, tmp_path)


class Gate:
    """Holds up a ledger's writing until it is opened, and tells when something stands before it."""

    def __init__(self, home: House) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.ledger: GroupLedger = (
            self._sqlite(home) if home.kind == "sqlite" else MemoryLedger(home.disk, sync=self._wait)
        )

    def _sqlite(self, home: House) -> SqliteLedger:
        async def blocking(function: Callable[[], Any]) -> Any:
            await self._wait()
            return await in_thread(function)

        return SqliteLedger(home.path, blocking=blocking)

    async def _wait(self) -> None:
        self.reached.set()
        await self.open.wait()

    def shut(self) -> None:
        self.open.clear()
        self.reached.clear()


async def settle() -> None:
    """Let everything that can run now run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_thousand_commits_at_once_share_few_transactions(home: House) -> None:
    async with Gate(home).ledger as ledger:
        tasks = await ledger.add([row(f"t{i}") for i in range(1000)])
        before = ledger.statistics()
        await asyncio.gather(*[ledger.commit(creating(task)) for task in tasks])
        after = ledger.statistics()
        assert after.works - before.works == 1000
        assert after.groups - before.groups <= 3
        assert len(await ledger.seats()) == 1000


async def test_what_comes_while_a_group_is_written_makes_the_next(home: House) -> None:
    gate = Gate(home)
    async with gate.ledger as ledger:
        gate.shut()
        first = asyncio.ensure_future(ledger.add([row("first")]))
        await gate.reached.wait()
        rest = [asyncio.ensure_future(ledger.add([row(f"t{i}")])) for i in range(50)]
        await settle()
        assert ledger.statistics().pending == 50
        gate.open.set()
        await asyncio.gather(first, *rest)
        assert ledger.statistics().groups == 2


async def test_the_listener_hears_in_order_before_the_callers_go_on_in_theirs(home: House) -> None:
    async with Gate(home).ledger as ledger:
        story: list[str] = []
        ledger.listener = lambda events: story.append("heard " + " ".join(f"{e.order}:{e.task}" for e in events))

        async def add(name: str, *, held: bool = False) -> None:
            await ledger.add([row(name)], held=held)
            story.append(f"added {name}")

        async def release() -> None:
            await ledger.release(1)
            story.append("released")

        await asyncio.gather(add("a"), add("h", held=True), release(), add("b"))
        assert story == ["heard 1:a", "heard 2:h", "heard 3:b", "added a", "added h", "released", "added b"]
        assert ledger.statistics().groups == 1


@pytest.mark.parametrize("serving", [True, False])
async def test_a_commit_is_written_whether_or_not_serve_runs(home: House, serving: bool) -> None:
    async with Gate(home).ledger as ledger, anyio.create_task_group() as group:
        if serving:
            group.start_soon(ledger.serve)
            await settle()
        (task,) = await ledger.add([row("a")])
        await ledger.commit(creating(task))
        assert len(await ledger.seats()) == 1
        group.cancel_scope.cancel()


async def test_serve_ends_with_close_and_its_cancellation_stops_no_writing(home: House) -> None:
    gate = Gate(home)
    ledger = gate.ledger
    await ledger.open()
    one, two = asyncio.ensure_future(ledger.serve()), asyncio.ensure_future(ledger.serve())
    gate.shut()
    adding = asyncio.ensure_future(ledger.add([row("a")]))
    await gate.reached.wait()
    one.cancel()
    await settle()
    assert one.cancelled()
    gate.open.set()
    assert [task.id for task in await adding] == ["a"]
    await ledger.close()
    await two


@pytest.mark.parametrize("moment", ["waiting", "writing"])
async def test_a_cancelled_caller_takes_nothing_back(home: House, moment: str) -> None:
    gate = Gate(home)
    async with gate.ledger as ledger:
        (task,) = await ledger.add([row("a")])
        gate.shut()
        if moment == "waiting":
            before = asyncio.ensure_future(ledger.add([row("b")]))
            await gate.reached.wait()
        caller = asyncio.ensure_future(ledger.commit(creating(task)))
        await gate.reached.wait()
        await settle()
        assert ledger.statistics().pending == (moment == "waiting")
        caller.cancel()
        await settle()
        assert caller.cancelled()
        gate.open.set()
        if moment == "waiting":
            await before
        await ledger.next_run()
        assert (await ledger.tasks(["a"]))[0].state is State.CREATING
        assert ledger.statistics().failed == 0


async def test_a_scope_that_is_cancelled_at_once_has_still_handed_over(home: House) -> None:
    async with Gate(home).ledger as ledger:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await ledger.add([row("a")])
        assert scope.cancelled_caught
        await ledger.next_run()
        assert len(await ledger.tasks(["a"])) == 1


async def test_close_writes_what_is_left(home: House) -> None:
    gate = Gate(home)
    ledger = gate.ledger
    await ledger.open()
    gate.shut()
    adding = [asyncio.ensure_future(ledger.add([row(f"t{i}")])) for i in range(3)]
    await gate.reached.wait()
    late = asyncio.ensure_future(ledger.add([row("late")]))
    await settle()
    closing = asyncio.ensure_future(ledger.close())
    await settle()
    with pytest.raises(LedgerError, match="not open"):
        await ledger.add([row("too late")])
    gate.open.set()
    await closing
    await asyncio.gather(*adding, late)
    async with home.ledger() as next_owner:
        assert [task.id for task in await next_owner.all_tasks(0, 9)] == ["t0", "t1", "t2", "late"]


async def test_close_goes_on_though_its_caller_is_cancelled(home: House) -> None:
    gate = Gate(home)
    ledger = gate.ledger
    await ledger.open()
    gate.shut()
    adding = asyncio.ensure_future(ledger.add([row("a")]))
    await gate.reached.wait()
    closing = asyncio.ensure_future(ledger.close())
    again = asyncio.ensure_future(ledger.close())
    await settle()
    closing.cancel()
    await settle()
    assert not closing.done()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await again
    await adding
    async with home.ledger() as next_owner:
        assert len(await next_owner.tasks(["a"])) == 1


async def test_close_runs_whole_in_a_scope_that_is_cancelled(home: House) -> None:
    with anyio.CancelScope() as scope:
        async with Gate(home).ledger as ledger:
            await ledger.add([row("a")])
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    async with home.ledger() as next_owner:
        assert len(await next_owner.tasks(["a"])) == 1


async def test_an_open_that_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    gate = Gate(house("sqlite", tmp_path))
    gate.shut()
    opening = asyncio.ensure_future(gate.ledger.open())
    await gate.reached.wait()
    opening.cancel()
    await settle()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with SqliteLedger(tmp_path / "viseme.db", blocking=in_thread) as next_owner:
        assert await next_owner.next_run() == 1


async def test_a_change_at_fault_does_not_fail_its_neighbours(home: House) -> None:
    gate = Gate(home)
    async with gate.ledger as ledger:
        heard: list[Event] = []
        a, b, c = await ledger.add([row("a"), row("b"), row("c")])
        ledger.listener = heard.extend
        outcomes = await asyncio.gather(
            ledger.commit(creating(a)),
            ledger.commit(moved(row("nobody", order=77), EventType.FAILED)),
            ledger.add([row("a", key="taken id")]),
            ledger.commit(creating(b), moved(row("nobody", order=77), EventType.FAILED)),
            ledger.commit(creating(c)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [
            type(None),
            LedgerError,
            LedgerError,
            LedgerError,
            type(None),
        ]
        assert [(e.order, e.task) for e in heard] == [(4, "a"), (5, "c")]
        assert await ledger.events(3, 9) == heard
        assert [open_seat.task for open_seat in await ledger.seats()] == ["a", "c"]
        assert ledger.statistics().failed == 3


async def test_a_failed_sync_fails_the_whole_group_and_the_ledger_goes_on(tmp_path: Path) -> None:
    faults: list[Exception] = []

    async def sync() -> None:
        if faults:
            raise faults.pop()

    async with MemoryLedger(sync=sync) as ledger:
        (task,) = await ledger.add([row("a")])
        heard: list[Event] = []
        ledger.listener = heard.extend
        faults.append(OSError(28, "No space left on device"))
        outcomes = await asyncio.gather(ledger.commit(creating(task)), ledger.add([row("b")]), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LedgerError, LedgerError]
        assert "No space left" in str(outcomes[0])
        assert (heard, await ledger.seats(), await ledger.tasks(["b"])) == ([], [], [])
        await ledger.commit(creating(task))
        assert len(await ledger.seats()) == 1


async def test_a_listener_that_raises_makes_serve_raise_and_nobody_else(home: House) -> None:
    async with Gate(home).ledger as ledger:
        serving = asyncio.ensure_future(ledger.serve())
        await settle()

        def listener(events: Sequence[Event]) -> None:
            raise RuntimeError(events[0].task)

        ledger.listener = listener
        (task,) = await ledger.add([row("a")])
        await ledger.add([row("b")])
        with pytest.raises(RuntimeError, match="a"):
            await serving
        ledger.listener = None
        await ledger.commit(creating(task))
        assert len(await ledger.seats()) == 1


async def test_a_fault_of_our_own_leaves_nobody_waiting(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Gate(home).ledger as ledger:

        async def broken(group: object) -> Any:
            raise TypeError("a slip")

        with monkeypatch.context() as patch:
            patch.setattr(ledger, "_write", broken)
            with pytest.raises(LedgerError, match="a slip"):
                await ledger.add([row("a")])
        await ledger.add([row("a")])


async def test_the_end_of_the_event_loop_leaves_nobody_waiting(home: House) -> None:
    gate = Gate(home)
    async with gate.ledger as ledger:
        gate.shut()
        writing = asyncio.ensure_future(ledger.add([row("a")]))
        await gate.reached.wait()
        waiting = asyncio.ensure_future(ledger.add([row("b")]))
        await settle()
        for task in asyncio.all_tasks():  # as asyncio.run does
            if task.get_name() == "viseme ledger: write":
                task.cancel()
        await settle()
        assert writing.cancelled()
        assert waiting.cancelled()
        gate.open.set()
        await ledger.add([row("c")])


async def test_to_the_end_prefers_the_cancellation_to_the_outcome() -> None:
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()
        raise ValueError

    task = asyncio.ensure_future(to_the_end(work()))
    await settle()
    task.cancel()
    await settle()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_question_at_a_time_has_the_connection_and_close_waits_for_it(tmp_path: Path) -> None:
    go, story = asyncio.Event(), list[str]()

    async def blocking(function: Callable[[], Any]) -> Any:
        story.append("begins")
        await go.wait()
        outcome = await in_thread(function)
        story.append("ends")
        return outcome

    go.set()
    ledger = SqliteLedger(tmp_path / "viseme.db", blocking=blocking)
    await ledger.open()
    go.clear()
    story.clear()
    cancelled = asyncio.ensure_future(ledger.seats())
    await settle()
    waiting = asyncio.ensure_future(ledger.seats())
    await settle()
    cancelled.cancel()
    closing = asyncio.ensure_future(ledger.close())
    await settle()
    assert cancelled.cancelled()
    assert story == ["begins"]
    go.set()
    await closing
    assert await waiting == []
    assert story == ["begins", "ends", "begins", "ends", "begins", "ends"]  # two readings, then the closing itself


async def test_questions_that_overlap_share_a_hop(tmp_path: Path) -> None:
    hops = 0

    async def blocking(function: Callable[[], Any]) -> Any:
        nonlocal hops
        hops += 1
        return await in_thread(function)

    async with SqliteLedger(tmp_path / "viseme.db", blocking=blocking) as ledger:
        await ledger.add([row(f"t{i}") for i in range(100)])
        hops = 0
        found = await asyncio.gather(*[ledger.tasks([f"t{i}"]) for i in range(100)])
        assert [tasks[0].id for tasks in found] == [f"t{i}" for i in range(100)]
        assert hops <= 2


async def test_the_end_of_the_event_loop_leaves_no_reader_waiting(tmp_path: Path) -> None:
    gate = Gate(house("sqlite", tmp_path))
    async with gate.ledger as ledger:
        gate.shut()
        asking = asyncio.ensure_future(ledger.seats())
        await gate.reached.wait()
        waiting = asyncio.ensure_future(ledger.seats())
        await settle()
        for task in asyncio.all_tasks():
            if task.get_name() == "viseme ledger: read":
                task.cancel()
        await settle()
        assert asking.cancelled()
        assert waiting.cancelled()
        gate.open.set()
        assert await ledger.seats() == []


async def test_work_to_the_end_is_whole_in_a_scope_that_is_cancelled() -> None:
    turns = 0

    async def work() -> str:
        nonlocal turns
        for _ in range(5):
            await asyncio.sleep(0)
            turns += 1
        return "whole"

    outcome = ""
    with anyio.CancelScope() as scope:
        scope.cancel()
        outcome = await to_the_end(work())
    assert (outcome, turns) == ("whole", 5)


async def test_overlapping_commits_leave_the_job_of_the_last(home: House) -> None:
    async with Gate(home).ledger as ledger:
        (task,) = await ledger.add([row("a")])
        other = evolve(task, job=job(output="other.mp4"))
        await asyncio.gather(ledger.commit(Change(row=other)), ledger.commit(Change(row=task)))
        assert await ledger.tasks(["a"]) == [task]
