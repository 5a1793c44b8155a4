"""Sync's batches: many jobs, one paid request, and the same ledger, events and files as single jobs."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.sandboxes import Stage, check_events, result_lines, staged, until

import viseme
from viseme import JobInvalid, Reason
from viseme.engine.lifecycle import batching

QUICK = {"batch_seconds": 20, "batch_pending_seconds": 5, "batch_created_seconds": 5}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are waited for longer than a slow machine needs from one to the next."""
    monkeypatch.setattr(batching, "_LINGER", 30.0)


async def run_all(stage: Stage, jobs: list[viseme.Job], *, timeout: float = 100, **more: Any) -> viseme.Run:
    account = stage.account("sync", **{"mode": "batch", **more})
    async with asyncio.timeout(timeout), stage.scheduler(account) as scheduler, scheduler.run(jobs) as run:
        await run.wait()
        return run


async def check(stage: Stage, jobs: int) -> list[dict[str, Any]]:
    """Each job was bought once, by batch or by itself, and its events and file are as they should be."""
    books = await stage.books()
    check_events(books)
    assert stage.creates("sync") == jobs
    assert stage.bill("sync")["duplicates"] == 0
    assert not books.seats
    lines = result_lines(stage.folder / "out")
    for line in lines:
        if line["file"] is not None:
            data = await asyncio.to_thread(Path(line["file"]).read_bytes)
            assert hashlib.sha256(data).hexdigest() == line["sha256"]
            assert len(data) == line["bytes"]
    return lines


@pytest.mark.parametrize("count", [20, 40, 510])
async def test_jobs_are_created_together_and_land_as_single_ones_do(count: int, tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": QUICK}) as stage:
        run = await run_all(stage, stage.jobs(count, "sync"), concurrency=1)
        assert run.tally.succeeded == count
        posts = stage.sandbox.log("sync", "batch")
        batches = -(-count // 500)
        assert len(posts) == 2 * batches  # a rehearsal and the paid one
        assert stage.bill("sync")["batches"]["creates"] == batches
        assert stage.bill("sync")["batches"]["records"] == count
        assert not stage.posts("sync")
        lines = await check(stage, count)
        assert {line["state"] for line in lines} == {"succeeded"}
        assert len({line["handle"] for line in lines}) == count


async def test_a_run_may_say_it_too_and_an_account_without_batches_refuses(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": QUICK}) as stage:
        async with asyncio.timeout(100), stage.scheduler(stage.account("sync"), stage.account("jogg")) as scheduler:
            async with scheduler.run(stage.jobs(20, "sync"), mode="batch") as run:
                assert (await run.wait()).succeeded == 20
            with pytest.raises(JobInvalid, match="jogg has no batches"):
                async with scheduler.run(stage.jobs(20, "jogg", start=100), mode="batch") as run:
                    await run.wait()
        assert stage.bill("sync")["batches"]["creates"] == 1


async def test_too_few_for_a_batch_are_created_one_by_one(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": QUICK}) as stage:
        told: list[str] = []
        account = stage.account("sync", mode="batch")
        async with (
            asyncio.timeout(100),
            stage.scheduler(account, notice=told.append) as scheduler,
            scheduler.run(stage.jobs(19, "sync")) as run,
        ):
            assert (await run.wait()).succeeded == 19
        assert (len(stage.posts("sync")), stage.sandbox.log("sync", "batch")) == (19, [])
        assert any("20 jobs at least; 19 jobs are created one by one" in line for line in told)
        await check(stage, 19)


async def test_a_plan_without_batches_runs_its_jobs_one_by_one(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {**QUICK, "batches": False}}) as stage:
        run = await run_all(stage, stage.jobs(25, "sync"))
        assert run.tally.succeeded == 25
        assert (len(stage.sandbox.log("sync", "batch")), len(stage.posts("sync"))) == (1, 25)
        await check(stage, 25)


async def test_each_job_of_a_batch_has_its_own_end(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": QUICK}) as stage:
        stage.sandbox.inject("job_failed", vendor="sync", route="batch", times=2, records=3)
        run = await run_all(stage, stage.jobs(30, "sync"))
        assert (run.tally.succeeded, run.tally.failed) == (27, 3)
        lines = await check(stage, 30)
        assert {line["error"]["kind"] for line in lines if line["state"] == "failed"} <= {"job_failed", "invalid"}


async def test_a_batch_that_fails_as_a_whole_fails_its_jobs(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": QUICK}) as stage:
        stage.sandbox.inject("job_failed", vendor="sync", route="batch", times=2, whole=True)
        run = await run_all(stage, stage.jobs(20, "sync"))
        assert run.tally.failed == 20
        await check(stage, 0)


async def test_a_record_that_the_rehearsal_refuses_fails_alone(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": QUICK}) as stage:
        jobs = stage.jobs(25, "sync")
        jobs[7] = stage.job(7, "sync", model="sync-9")
        run = await run_all(stage, jobs, extra_models=["sync-9"])
        assert (run.tally.succeeded, run.tally.failed) == (24, 1)
        lines = await check(stage, 24)
        (failed,) = [line for line in lines if line["state"] == "failed"]
        assert (failed["key"], failed["error"]["kind"]) == ("job-00007", "invalid")
        assert stage.bill("sync")["batches"]["creates"] == 1


async def test_without_credit_one_batch_is_tried_and_all_of_it_parks(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {**QUICK, "credits": 0}}) as stage:
        run = await run_all(stage, stage.jobs(40, "sync"))
        assert run.tally.parked == 40
        assert {line["reason"] for line in result_lines(tmp_path / "out")} == {Reason.NO_CREDIT}
        assert len(stage.sandbox.log("sync", "batch")) == 2
        async with ClientSession() as http:
            await http.post(f"{stage.base}/_sandbox/settings", json={"sync": {"credits": None}})
        run = await run_all(stage, stage.jobs(40, "sync"))
        assert run.tally.succeeded == 40
        await check(stage, 40)


async def test_a_batch_beyond_the_vendors_limit_waits(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {**QUICK, "batch_concurrency": 1}}) as stage:
        run = await run_all(stage, stage.jobs(520, "sync"))
        assert run.tally.succeeded == 520
        await check(stage, 520)
        assert stage.bill("sync")["batches"]["peak"] == 1


async def test_a_lost_batch_parks_is_never_sent_again_and_a_later_run_finds_it(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {**QUICK, "batch_seconds": 2000}}) as stage:
        stage.sandbox.inject("slow", vendor="sync", route="batch", seconds=0)  # the rehearsal
        stage.sandbox.inject("lost_reply", vendor="sync", route="batch")
        run = await run_all(stage, stage.jobs(20, "sync"))
        assert run.tally.parked == 20
        assert {line["reason"] for line in result_lines(tmp_path / "out")} == {Reason.FATE_UNKNOWN}
        assert stage.bill("sync")["batches"]["creates"] == 1
        stage.clock.skip(2000)
        run = await run_all(stage, stage.jobs(20, "sync"))
        assert run.tally.succeeded == 20
        await check(stage, 20)


async def test_a_run_that_is_left_goes_on_later_and_buys_nothing_twice(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {**QUICK, "batch_seconds": 2000}}) as stage:
        account = stage.account("sync", mode="batch")
        async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(40, "sync")) as run:
            await until(lambda: stage.creates("sync") == 40 or None)
        assert run.tally.parked == 40
        stage.clock.skip(2000)
        run = await run_all(stage, stage.jobs(40, "sync"))
        assert run.tally.succeeded == 40
        await check(stage, 40)


async def test_a_job_that_is_called_off_before_its_batch_leaves_is_not_in_it(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": QUICK}) as stage:
        account = stage.account("sync", mode="batch")
        async with asyncio.timeout(100), stage.scheduler(account) as scheduler:
            tasks = [await scheduler.submit(job) for job in stage.jobs(22, "sync")]
            await tasks[3].cancel()
            results = await asyncio.gather(*(task.result() for task in tasks if task is not tasks[3]))
        assert len(results) == 21
        await check(stage, 21)


async def test_a_budget_is_kept_in_batches_too(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": QUICK}) as stage:
        run = await run_all(stage, stage.jobs(60, "sync"), price="1 usd/job", budget="35usd")
        assert (run.tally.succeeded, run.tally.parked) == (35, 25)
        await check(stage, 35)
