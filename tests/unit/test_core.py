"""The engine's middle: what it tells the runs of their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from anyio import create_task_group
from attrs import define, evolve, field
from tests.support.house import House, account
from tests.support.trio import house
from tests.support.virtual import settled, simulated_world, virtually
from tests.unit.ledgers import row

from viseme.attempts import Seat, TaskRow
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.core import Again, Core
from viseme.engine.housekeeping import Housekeeping
from viseme.engine.journal import Journal
from viseme.engine.leftovers import LeftSeats
from viseme.engine.lifecycle import book as book_module
from viseme.engine.lifecycle.signals import Parks, Resumed
from viseme.engine.results_file import ResultsFile
from viseme.engine.run import Run
from viseme.errors import SchedulerClosed
from viseme.events import Event, EventType
from viseme.jobs import Job
from viseme.ledger import Change, MemoryLedger, Rank
from viseme.results import Reason, State

JOB = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav")


@define(eq=False)
class Counter:
    """A run that counts as the real one does."""

    number: int = 1
    counts: dict[State, int] = field(factory=dict[State, int])
    others: int = 0
    """Tasks that another, or the same, run drives."""

    def ended(self, row: TaskRow) -> None:
        self.counts[row.shown] = self.counts.get(row.shown, 0) + 1

    def shared(self, row: TaskRow) -> None:
        self.others += 1

    def reopened(self, row: TaskRow) -> None:
        self.counts[State.PARKED] -= 1


def nothing(*_: Any, **__: Any) -> None:
    """What the workers do here."""


@define(eq=False)
class Engine:
    """A core whose workers do nothing.

    Attributes:
        watched: the tasks that the hub was given, and whether in the background.
        reads: the ids of the tasks that the ledger was asked for.
    """

    core: Core
    ledger: MemoryLedger
    watched: list[tuple[str, bool]]
    reads: list[list[str]]


@asynccontextmanager
async def engine() -> AsyncIterator[Engine]:
    world = simulated_world()
    provider = House(account())
    desk = Desk(world.world, provider.account, provider, pools_of(world.world, [provider])["house"], world.network)
    names = ("withdraw", "forget", "arrived", "follow", "put")
    worker: Any = SimpleNamespace(**dict.fromkeys(names, nothing))
    watched: list[tuple[str, bool]] = []
    worker.find = lambda task: next((task for name, _ in watched if name == task), None)
    worker.watch = lambda row, background=False, now=False: watched.append((row.id, background))
    async with MemoryLedger() as ledger:
        journal = Journal(ledger)
        ledger.listener = journal.publish
        core = Core(world.world, ledger, journal, ResultsFile(world.world, "out/results.jsonl"))
        core.offices = {"house": cast("Any", SimpleNamespace(desk=desk, creator=worker, reconciler=worker, hub=worker))}
        core.fetcher = worker
        reads: list[list[str]] = []
        ask = ledger.tasks

        async def tasks(ids: Sequence[str]) -> list[TaskRow]:
            reads.append(list(ids))
            return await ask(ids)

        ledger.tasks = tasks
        yield Engine(core, ledger, watched, reads)


def waiting(name: str, attempt: int = 1) -> TaskRow:
    """A task that an earlier run left at the vendor."""
    row = TaskRow(id=name, key=f"key-{name}", job=JOB, digest="d", account="house", run=1, attempt=attempt)
    return evolve(row, state=State.WAITING, handle={"id": f"vendor-{name}"}, parked=Reason.STOPPED)


async def left(ledger: MemoryLedger, *rows: TaskRow, seats: Sequence[Seat] = ()) -> None:
    """Have the ledger as an earlier run left it."""
    kept = await ledger.add(rows)
    await ledger.commit(*(Change(row=evolve(row, order=new.order)) for row, new in zip(rows, kept, strict=True)))
    for seat in seats:
        (row,) = await ledger.tasks([seat.task])
        await ledger.commit(Change(row=row, opens=seat))


def seat(task: str, attempt: int) -> Seat:
    return Seat(id=f"{task}:{attempt}", pool="house", account="house", task=task, opened=0.0, until=9e9)


@pytest.mark.parametrize("parked", [True, False])
@virtually
async def test_a_task_that_is_called_off_after_it_was_parked_counts_once_in_its_run(parked: bool) -> None:
    async with engine() as stage:
        core, run = stage.core, Counter()
        core.runs.open(run)
        await stage.ledger.add([TaskRow(id="t", key="k", job=JOB, digest="d", account="house", run=1)])
        if parked:
            async with core.book.hold("t") as hold:
                await hold.take(Parks(Reason.DEADLINE))
            assert run.counts == {State.PARKED: 1}
        await core.cancel("t")
        assert {state: count for state, count in run.counts.items() if count} == {State.CANCELLED: 1}


@virtually
async def test_tasks_that_were_left_open_go_on_with_one_commit() -> None:
    async with engine() as stage:
        names = [f"t{number}" for number in range(200)]
        await left(stage.ledger, *map(waiting, names))
        before = stage.ledger.statistics().works
        assert await stage.core.take_up_all(names, 2, Again()) == []
        assert stage.ledger.statistics().works == before + 1
        assert {(row.run, row.parked) for row in await stage.ledger.tasks(names)} == {(2, None)}
        assert stage.watched == [(name, False) for name in names]


@virtually
async def test_of_many_tasks_each_is_taken_up_as_it_would_be_by_itself() -> None:
    async with engine() as stage:
        core, run = stage.core, Counter(2)
        core.runs.open(run)
        over = evolve(waiting("over"), state=State.FAILED, parked=None)
        ordered = evolve(waiting("ordered"), state=State.RECONCILING, handle=None)
        await left(stage.ledger, over, ordered, waiting("held"), waiting("twice"))
        names = ["over", "ordered", "held", "twice", "twice"]
        taking = core.take_up_all(names, 2, Again(redo=frozenset({ordered.key})))
        async with core.book.hold("held"):
            task = asyncio.create_task(taking)
            await settled()
            assert stage.watched == [("twice", False)]
        done = await task
        assert [row.id for row in done] == ["over"]
        assert stage.watched == [("twice", False), ("held", False)]
        assert (await core.book.look("ordered")).state is State.QUEUED, "it was ordered to be paid for anew"
        async with core.book.hold("twice") as hold:
            await hold.take(Parks(Reason.DEADLINE))
        assert (run.counts, run.others) == ({State.PARKED: 1}, 1), "who named it twice hears of it twice"


@virtually
async def test_seats_that_were_left_count_and_their_jobs_are_looked_at() -> None:
    async with engine() as stage:
        names = [f"t{number}" for number in range(200)]
        rows = [waiting(name, attempt=2) for name in names]
        others = [waiting("moved on", attempt=2), evolve(waiting("idle"), handle=None)]
        older = [seat("t0", 1), seat("moved on", 1), seat("idle", 1)]
        await left(stage.ledger, *rows, *others, seats=[*(seat(name, 2) for name in names), *older])
        seats = LeftSeats(stage.core)
        await seats.restore()
        taken = stage.core.offices["house"].desk.pool.seats
        assert all(taken.holds(name) for name in (*(f"{name}:2" for name in names), *(one.id for one in older)))
        stage.reads.clear()
        await seats.watch()
        assert sorted(stage.watched) == sorted((name, True) for name in names)
        assert len(stage.reads) == 1


@virtually
async def test_tasks_that_a_run_takes_up_meanwhile_are_not_looked_at_for_their_seats_sake() -> None:
    async with engine() as stage:
        stage.core.runs.open(Counter(2))
        rows = [waiting(f"t{number:03}") for number in range(600)]
        fetching = evolve(waiting("u"), state=State.FETCHING)
        await left(stage.ledger, *rows, fetching, seats=[seat(row.id, 1) for row in (*rows, fetching)])
        seats = LeftSeats(stage.core)
        await seats.restore()
        async with create_task_group() as group:
            group.start_soon(seats.watch)
            await settled()
            assert len(stage.watched) == 500
            stage.watched.clear()
            await stage.core.take_up_all([*(row.id for row in rows[500:599]), "u"], 2, Again())
            stage.core.offices["house"].desk.pool.seats.give_back("t599:1")
            stage.reads.clear()
        assert {background for _, background in stage.watched} == {False}
        assert [ids for ids in stage.reads if ids] == []


@virtually
async def test_a_page_of_tasks_that_was_read_is_not_read_again_unless_more_was_written_than_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with engine() as stage:
        monkeypatch.setattr(book_module, "_RECENT", 2)
        book = stage.core.book
        await left(stage.ledger, waiting("a"), *map(waiting, "bcd"))
        await book.open_tasks(0, 10)
        for name, read in ("b", []), ("c", []), ("d", []), ("a", [["a"]]):
            stage.reads.clear()
            async with book.hold(name) as hold:
                await hold.take(Resumed(7))
            assert stage.reads == read, name


@virtually
async def test_tasks_that_were_read_in_line_are_not_read_again_when_they_begin() -> None:
    async with engine() as stage:
        book = stage.core.book
        rows = await stage.ledger.add([row(name, account="house") for name in "abcdef"])
        stage.reads.clear()
        first = await book.queued("house", 0, None, 2)
        second = await book.queued("house", 0, (0, first[-1].order), 2)
        assert [await book.look(one.id) for one in rows[:4]] == [*first, *second] == rows[:4]
        assert stage.reads == []
        await book.queued("house", 0, (0, second[-1].order), 2)
        assert [(await book.look(name)).id for name in "cdef"] == list("cdef")
        assert stage.reads == []
        await book.look("a")  # two pages are behind it
        assert stage.reads == [["a"]]


@virtually
async def test_a_task_that_changed_while_its_line_was_read_is_not_taken_as_it_was() -> None:
    async with engine() as stage:
        book, read = stage.core.book, stage.ledger.queued
        await stage.ledger.add([row("a", account="house")])

        async def queued(account: str, run: int, after: Rank | None, limit: int) -> list[TaskRow]:
            rows = await read(account, run, after, limit)
            async with book.hold("a") as hold:
                await hold.take(Parks(Reason.DEADLINE))
            return rows

        stage.ledger.queued = queued
        (stale,) = await book.queued("house", 0, None, 9)
        assert stale.parked is None
        assert (await book.look("a")).parked is Reason.DEADLINE


# -- what the simulation found ---------------------------------------------------------------------------------------


@virtually
async def test_a_seat_that_is_given_up_writes_no_old_row_back() -> None:
    async with engine() as stage, create_task_group() as group:
        core, read = stage.core, stage.ledger.tasks
        await left(stage.ledger, evolve(waiting("a"), parked=None), seats=[evolve(seat("a", 1), until=-1.0)])

        async def move() -> None:
            async with core.book.hold("a") as hold:
                await hold.take(Parks(Reason.DEADLINE))

        async def tasks(ids: Sequence[str]) -> list[TaskRow]:
            rows, stage.ledger.tasks = await read(ids), read
            group.start_soon(move)
            await settled()
            return rows

        stage.ledger.tasks = tasks
        await Housekeeping(core).give_up_seats()
        await settled()
        (row,) = await read(["a"])
        assert row.parked is Reason.DEADLINE
        assert not await stage.ledger.seats()


@virtually
async def test_a_last_event_that_is_told_before_its_step_is_known_ends_the_reading() -> None:
    async with engine() as stage:
        await left(stage.ledger, evolve(waiting("a"), parked=None))
        row = await stage.core.book.look("a")
        told = Event(seq=row.seq + 1, task="a", key=row.key, type=EventType.SUCCEEDED, at=0.0, data={}, run=1)
        assert not await stage.core._under_way("a", told)
        assert await stage.core._under_way("a", evolve(told, type=EventType.CREATED))
        assert await stage.core._under_way("a", None)


@virtually
async def test_a_run_that_is_begun_while_the_scheduler_closes_is_refused() -> None:
    async with engine() as stage:
        number = stage.ledger.next_run

        async def next_run() -> int:
            stage.core.journal.close(SchedulerClosed("the scheduler was closed"))
            return await number()

        stage.ledger.next_run = next_run
        with pytest.raises(SchedulerClosed):
            async with Run(stage.core, cast("Any", None), [], nothing):
                pytest.fail("the run was begun")
        assert not stage.core.runs.live()


@pytest.mark.parametrize("given", [{"video": "https://m.example/v.mp4"}, None, "talk.mp4"])
@virtually
async def test_what_is_no_job_is_refused_with_a_sentence_and_not_half_taken(given: object) -> None:
    told = f"{type(given).__name__} is no job; make a viseme.Job of it"
    async with house("sync") as one, one.scheduler() as scheduler:
        with pytest.raises(TypeError, match=told):
            await scheduler.submit(cast("Job", given))
        with pytest.raises(TypeError, match=told):
            async with scheduler.run([cast("Job", given)]) as run:
                await run.wait()
        assert not await one.ledger.all_tasks(0, 10)
