"""The engine's middle: what it tells the runs of their tasks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import define, field
from tests.support.house import House, account
from tests.support.virtual import simulated_world, virtually

from viseme.attempts import TaskRow
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.core import Core
from viseme.engine.journal import Journal
from viseme.engine.lifecycle.signals import Parks
from viseme.engine.results_file import ResultsFile
from viseme.jobs import Job
from viseme.ledger import MemoryLedger
from viseme.results import Reason, State

JOB = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav")


@define(eq=False)
class Counter:
    """A run that counts as the real one does."""

    number: int = 1
    counts: dict[State, int] = field(factory=dict[State, int])

    def ended(self, row: TaskRow) -> None:
        self.counts[row.shown] = self.counts.get(row.shown, 0) + 1

    def reopened(self, row: TaskRow) -> None:
        self.counts[State.PARKED] -= 1


def nothing(*_: Any, **__: Any) -> None:
    """What the workers do here."""


@pytest.mark.parametrize("parked", [True, False])
@virtually
async def test_a_task_that_is_called_off_after_it_was_parked_counts_once_in_its_run(parked: bool) -> None:
    world = simulated_world()
    provider = House(account())
    desk = Desk(world.world, provider.account, provider, pools_of(world.world, [provider])["house"], world.network)
    names = ("withdraw", "find", "forget", "watch", "arrived", "follow")
    worker = SimpleNamespace(**dict.fromkeys(names, nothing))
    ledger = MemoryLedger()
    async with ledger:
        journal = Journal(ledger)
        ledger.listener = journal.publish
        core = Core(world.world, ledger, journal, ResultsFile(world.world, "out/results.jsonl"))
        office = SimpleNamespace(desk=desk, creator=worker, reconciler=worker, hub=worker)
        core.offices = {"house": cast("Any", office)}
        core.fetcher = cast("Any", worker)
        run = Counter()
        core.open_run(run)
        await ledger.add([TaskRow(id="t", key="k", job=JOB, digest="d", account="house", run=1)])
        if parked:
            async with core.book.hold("t") as hold:
                await hold.take(Parks(Reason.DEADLINE))
            assert run.counts == {State.PARKED: 1}
        await core.cancel("t")
        assert {state: count for state, count in run.counts.items() if count} == {State.CANCELLED: 1}
