"""Steps on their way to the disk: what follows from a commit follows once, cancelled asker or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from attrs import define, field
from tests.support.virtual import settled, simulated_world, virtually
from tests.unit.ledgers import SlowDisk

from viseme.attempts import TaskRow
from viseme.engine.lifecycle.carrying import Carrying
from viseme.errors import LedgerError
from viseme.evolving import evolve
from viseme.jobs import Job
from viseme.ledger import Change, MemoryLedger
from viseme.results import State

JOB = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav")


@define(eq=False)
class Disk(SlowDisk):
    """A ledger with one task, whose disk is slow and may refuse."""

    ledger: MemoryLedger = field(init=False)
    row: TaskRow = field(init=False)
    acted: list[float] = field(factory=list[float])
    breaks: bool = False

    def act(self) -> None:
        self.acted.append(now())
        if self.breaks:
            raise LookupError("what follows fails")

    def carrying(self, *, patient: bool = True) -> Carrying:
        change = Change(row=evolve(self.row, state=State.FAILED))
        return Carrying(simulated_world().world, self.ledger, (change,), self.act, patient)

    async def failed(self) -> bool:
        (row,) = await self.ledger.tasks(["a"])
        return row.state is State.FAILED


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def disk() -> AsyncIterator[Disk]:
    one = Disk()
    one.ledger = MemoryLedger(sync=one.sync)
    async with one.ledger:
        (one.row,) = await one.ledger.add([TaskRow(id="a", key="a", job=JOB, digest="d", account="house", run=1)])
        yield one


@virtually
async def test_what_follows_is_done_once_the_ledger_has_it_and_before_the_asker_goes_on() -> None:
    async with disk() as one:
        began = now()
        await one.carrying().to_the_end()
        assert one.acted == [pytest.approx(began + 1)]
        assert await one.failed()


@virtually
async def test_no_task_is_spent_on_a_step() -> None:
    async with disk() as one:
        asking = asyncio.ensure_future(one.carrying().to_the_end())
        await settled()
        others = asyncio.all_tasks() - {asyncio.current_task(), asking}
        assert [task.get_name() for task in others] == ["viseme ledger: write"]
        await asking


@pytest.mark.parametrize("moments", [(0.5,), (0.5, 0.1), (1.0,), (1.5, 1.0)])
@virtually
async def test_a_cancelled_asker_leaves_when_a_refused_commit_was_tried_again_and_acted_on(
    moments: Sequence[float],
) -> None:
    async with disk() as one:
        one.refuses = 2
        began, asking = now(), asyncio.ensure_future(one.carrying().to_the_end())
        await settled()
        for moment in moments:
            await anyio.sleep(moment)
            asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert one.acted == [pytest.approx(began + 5)] == [pytest.approx(now())]
        assert await one.failed()


@virtually
async def test_a_scope_that_is_cancelled_asks_once_and_not_all_the_while_the_disk_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits, waited = Carrying._ended, list[float]()

    def counted(self: Carrying) -> asyncio.Future[None]:
        waited.append(now())
        return waits(self)

    monkeypatch.setattr(Carrying, "_ended", counted)
    async with disk() as one:
        with anyio.CancelScope() as scope:
            asyncio.get_running_loop().call_later(0.5, scope.cancel)
            await one.carrying().to_the_end()
        assert scope.cancelled_caught
        assert len(one.acted) == 1
        assert len(waited) == 2


@pytest.mark.parametrize("cancelled", [False, True])
@virtually
async def test_what_goes_wrong_afterwards_reaches_the_asker_unless_it_was_cancelled(cancelled: bool) -> None:
    async with disk() as one:
        one.breaks = True
        asking = asyncio.ensure_future(one.carrying().to_the_end())
        await settled()
        if cancelled:
            asking.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else LookupError):
            await asking
        assert len(one.acted) == 1
        assert await one.failed()
        one.breaks = False
        await one.carrying().to_the_end()  # the ledger goes on


@virtually
async def test_a_change_that_may_not_wait_fails_with_the_first_refusal() -> None:
    async with disk() as one:
        one.refuses, began = 1, now()
        with pytest.raises(LedgerError, match="full"):
            await one.carrying(patient=False).to_the_end()
        assert now() == pytest.approx(began + 1)
        assert one.acted == []


@pytest.mark.parametrize("patient", [False, True])
@virtually
async def test_a_ledger_that_is_closed_says_so_at_once_or_after_half_a_minute(patient: bool) -> None:
    async with disk() as one:
        pass
    began = now()
    with pytest.raises(LedgerError, match="not open"):
        await one.carrying(patient=patient).to_the_end()
    assert now() - began == pytest.approx(30.0 if patient else 0.0, abs=1.0)
    assert one.acted == []


@virtually
async def test_one_is_told_that_the_event_loop_is_torn_down() -> None:
    async with disk() as one:
        asking = asyncio.ensure_future(one.carrying().to_the_end())
        await settled()
        (writing,) = [task for task in asyncio.all_tasks() if task.get_name() == "viseme ledger: write"]
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert one.acted == []
