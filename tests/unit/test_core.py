"""The engine's middle: what it tells the runs of their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import define, evolve, field
from tests.support.house import House, account
from tests.support.virtual import settled, simulated_world, virtually

from viseme.attempts import Seat, TaskRow
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.core import Again, Core
from viseme.engine.journal import Journal
from viseme.engine.lifecycle.signals import Parks
from viseme.engine.results_file import ResultsFile
from viseme.jobs import Job
from viseme.ledger import Change, MemoryLedger
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
    """A core whose workers do nothing; ``watched`` are the tasks that the hub was given, and how."""

    core: Core
    ledger: MemoryLedger
    watched: list[tuple[str, bool]]


@asynccontextmanager
async def engine() -> AsyncIterator[Engine]:
    world = simulated_world()
    provider = House(account())
    desk = Desk(world.world, provider.account, provider, pools_of(world.world, [provider])["house"], world.network)
    names = ("withdraw", "find", "forget", "arrived", "follow", "put")
    worker: Any = SimpleNamespace(**dict.fromkeys(names, nothing))
    watched: list[tuple[str, bool]] = []
    worker.watch = lambda row, background=False, now=False: watched.append((row.id, background))
    async with MemoryLedger() as ledger:
        journal = Journal(ledger)
        ledger.listener = journal.publish
        core = Core(world.world, ledger, journal, ResultsFile(world.world, "out/results.jsonl"))
        core.offices = {"house": cast("Any", SimpleNamespace(desk=desk, creator=worker, reconciler=worker, hub=worker))}
        core.fetcher = worker
        yield Engine(core, ledger, watched)


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
        core.open_run(run)
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
        core.open_run(run)
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
async def test_the_seats_that_were_left_are_read_many_at_a_time_and_their_jobs_looked_at() -> None:
    async with engine() as stage:
        names = [f"t{number}" for number in range(200)]
        rows = [waiting(name, attempt=2) for name in names]
        others = [waiting("moved on", attempt=2), evolve(waiting("idle"), handle=None)]
        older = [seat("t0", 1), seat("moved on", 1), seat("idle", 1)]
        await left(stage.ledger, *rows, *others, seats=[*(seat(name, 2) for name in names), *older])
        reads = 0
        ask = stage.ledger.tasks

        async def tasks(ids: Sequence[str]) -> list[TaskRow]:
            nonlocal reads
            reads += 1
            return await ask(ids)

        stage.ledger.tasks = tasks
        await stage.core.restore_seats()
        assert sorted(stage.watched) == sorted((name, True) for name in names)
        assert reads == 1
        seats = stage.core.offices["house"].desk.pool.seats
        assert all(seats.holds(name) for name in (*(f"{name}:2" for name in names), *(one.id for one in older)))
