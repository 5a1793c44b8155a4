"""What the engine makes of the times that jobs took: it keeps them in the ledger, and the next run knows them."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve
from tests.support.virtual import simulated_world, virtually
from tests.support.workshop import job, opened, run_all
from tests.unit.ledgers import intent, row

from viseme.engine.lifecycle.steps import anew
from viseme.ledger import Change
from viseme.ledger.memory import MemoryLedger


@virtually
async def test_the_next_run_looks_at_jobs_as_the_one_before_has_learnt_to(monkeypatch: pytest.MonkeyPatch) -> None:
    disk, world = MemoryLedger().disk, simulated_world()

    async def looks(numbers: range) -> list[int]:
        """How often each job's last stage was looked at."""
        seen: Counter[str] = Counter()
        async with opened(monkeypatch, ledger=MemoryLedger(disk), simulation=world, concurrency=1) as (one, workshop):
            workshop.look = lambda stage, name, times: seen.update([name] if stage == "lipsync" else [])
            tally, _ = await run_all(one, [job(number, stages=["lipsync"]) for number in numbers])
        assert tally.succeeded == len(numbers)
        return [seen[f"j{number}"] for number in numbers]

    first = await looks(range(30))
    second = await looks(range(30, 40))
    assert min(first[:10]) >= 5
    assert max(second[-2:]) <= 3

    async with MemoryLedger(disk) as ledger:
        rows = await ledger.all_tasks(0, 99)
    assert len(rows) == 40
    assert all(8 < row.lasted["lipsync"] <= 11 for row in rows)


@virtually
async def test_each_stage_of_a_job_is_remembered_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = MemoryLedger()
    async with opened(monkeypatch, ledger=ledger) as (scheduler, _):
        await run_all(scheduler, map(job, range(2)))
        for row in await ledger.all_tasks(0, 9):
            assert row.lasted == pytest.approx({"media": 10, "dub": 10, "check": 5, "lipsync": 10}, abs=1.2)


@virtually
async def test_what_a_task_took_at_another_account_or_in_an_earlier_attempt_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = row("a", account="house", lasted={"work": 10.0}, seconds=4.0)
    moved = row("b", account="elsewhere", lasted={"work": 500.0})
    ledger = MemoryLedger()
    async with ledger:
        for task in await ledger.add([here, moved]):
            ended = evolve(intent(task, ended=1002.0), account="house", model="m")
            await ledger.commit(Change(row=evolve(task, intent=ended), intent=ended))
    async with opened(monkeypatch, ledger=MemoryLedger(ledger.disk)) as (scheduler, _):
        assert scheduler._open is not None
        cadence = scheduler._open.core.offices["house"].hub.cadence
        assert [list(known._seen) for known in cadence._learnt.values()] == [[(10.0, 4.0)]]
    assert anew(here).lasted == {}
