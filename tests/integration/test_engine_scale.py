"""Thousands of jobs from a generator: kept in little memory, and left early without loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.driver import order, start
from tests.support.sandboxes import Stage, check_events, staged

import viseme
from viseme import JobInvalid

MANY = 3_000


def brisk(stage: Stage, **over: object) -> viseme.Account:
    return stage.account("jogg", concurrency=200, polling={"first": "2s", "every": "5s"}, **over)


async def test_thousands_of_jobs_from_a_generator_run_in_flat_memory(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=50, fixed_size=1, settings={"sync": {"queue_seconds": 1}}) as stage:
        account = {"provider": "sync", "concurrency": 300, "polling": {"first": "5s", "every": "10s"}}
        process = await start(order(stage, MANY, [account], measure=1000))
        said, errors = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, errors.decode()
        lines = said.decode().splitlines()
        assert f'"succeeded": {MANY}' in lines[-1]
        peaks = [int(line.split()[1]) for line in lines if line.startswith("peak")]
        assert len(peaks) >= MANY // 1000
        assert peaks[-1] < peaks[0] * 1.25, peaks
        assert stage.creates("sync") == MANY
        assert stage.bill("sync")["duplicates"] == 0
        check_events(await stage.books())


async def test_a_large_run_that_is_left_early_parks_the_rest_and_a_later_one_completes_it(tmp_path: Path) -> None:
    count = 1000
    async with staged(tmp_path, fixed_size=1, settings={"jogg": {"queue_seconds": 1, "credits": None}}) as stage:
        async with stage.scheduler(brisk(stage)) as scheduler:
            async with scheduler.run(stage.jobs(count)) as run:
                async for event in run:
                    if event.type == "succeeded":
                        break
            assert run.tally.ended == run.tally.total
            assert run.tally.parked > 0
        before = stage.creates("jogg")
        assert before < count
        scheduler = stage.scheduler(brisk(stage))
        async with asyncio.timeout(100), scheduler, scheduler.run(stage.jobs(count)) as again:
            tally = await again.wait()
        assert tally.succeeded == tally.total == count
        assert stage.creates("jogg") == count
        check_events(await stage.books())


async def test_an_asynchronous_source_is_taken_job_by_job_as_it_comes(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        done: asyncio.Queue[str] = asyncio.Queue()

        async def source() -> AsyncIterator[viseme.Job]:
            for number in range(5):
                yield stage.job(number)
                assert await asyncio.wait_for(done.get(), 100) == f"job-{number:05d}"

        async with stage.scheduler(stage.account("sync")) as scheduler, scheduler.run(source()) as run:
            async for event in run:
                if event.type == "succeeded":
                    done.put_nowait(event.key)
            assert run.tally == viseme.Tally(total=5, succeeded=5)


async def test_a_source_that_breaks_off_stops_the_run_with_its_error_and_loses_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:

        async def source() -> AsyncIterator[viseme.Job]:
            for number in range(4):
                yield stage.job(number)
            raise ValueError("the producer died")

        async with stage.scheduler(stage.account("sync")) as scheduler:
            with pytest.raises(ValueError, match="producer"):
                await read(scheduler.run(source()))
        books = await stage.books()
        check_events(books)
        assert len(books.rows) == 4
        async with stage.scheduler(stage.account("sync")) as scheduler, scheduler.resume() as run:
            await asyncio.wait_for(run.wait(), 100)
        assert stage.creates("sync") == 4


async def read(run: viseme.Run) -> None:
    async with run:
        async for _ in run:
            pass


async def test_a_bad_job_in_the_middle_is_refused_before_its_create_or_left_out(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        jobs = [stage.job(0), stage.job(1, account="nobody"), stage.job(2, options={"nonsense": 1}), stage.job(3)]
        async with stage.scheduler(stage.account("sync")) as scheduler:
            async with scheduler.run(jobs, skip_invalid=True) as run:
                assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 2
            assert [problem.field for problem in run.problems] == ["account", "options"]
            with pytest.raises(viseme.ManifestError):
                async with scheduler.run([stage.job(9), *jobs], whole=True) as run:
                    await asyncio.wait_for(run.wait(), 100)
            with pytest.raises(JobInvalid):
                async with scheduler.run([stage.job(10), jobs[1]]) as run:
                    await asyncio.wait_for(run.wait(), 100)
        assert stage.creates("sync") <= 3
        assert "job-00009" not in (await stage.books()).rows


async def test_an_empty_run_ends_at_once(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, stage.scheduler(stage.account("sync")) as scheduler:
        async with scheduler.run([]) as run:
            assert [event async for event in run] == []
        assert run.tally == viseme.Tally()
