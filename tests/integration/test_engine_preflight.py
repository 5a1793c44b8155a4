"""The preflight in the library: off unless asked for, and what it makes of bad media."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.sandboxes import Stage, staged

import viseme
from viseme.engine.preflight.screening import NO_PYAV

GONE = "answers HTTP 404"


def bad(stage: Stage, number: int = 9, account: str | list[str] | None = None) -> viseme.Job:
    return viseme.Job(
        video=f"{stage.base}/media/none.mp4",
        audio=f"{stage.base}/media/short.wav",
        key=f"bad-{number}",
        account=account,  # type: ignore[arg-type]
    )


async def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        scheduler = stage.scheduler(stage.account("sync"))
        async with scheduler, scheduler.run([bad(stage)]) as run:
            assert (await run.wait()).total == 1
            assert (run.warnings, run.looked_at) == ([], (0, 0))
        assert stage.creates("sync") == 1


async def test_a_run_ends_at_a_job_whose_media_are_certainly_no_good(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        scheduler = stage.scheduler(stage.account("sync"))
        async with scheduler, scheduler.run([stage.job(1), bad(stage), stage.job(2)], preflight=True) as run:
            with pytest.raises(viseme.JobInvalid, match=GONE) as caught:
                await run.wait()
        assert (caught.value.field, caught.value.kind) == ("video", viseme.Kind.MEDIA_UNREACHABLE)
        assert stage.creates("sync") == 0


@pytest.mark.parametrize("whole", [False, True])
async def test_bad_jobs_can_be_left_out_and_noted(tmp_path: Path, whole: bool) -> None:
    async with staged(tmp_path) as stage:
        jobs = [stage.job(1), bad(stage), stage.job(2)]
        scheduler = stage.scheduler(stage.account("sync"), preflight=True)
        async with scheduler, scheduler.run(jobs, skip_invalid=True, whole=whole) as run:
            assert (await run.wait()).succeeded == 2
        (problem,) = run.problems
        assert GONE in problem.message
        assert (problem.field, problem.kind, problem.certain) == ("video", viseme.Kind.MEDIA_UNREACHABLE, True)
        assert run.looked_at == (3, 3)
        assert stage.creates("sync") == 2
        assert set((await stage.books()).rows) == {"job-00001", "job-00002"}


async def test_a_whole_source_is_refused_with_every_bad_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        jobs = [stage.job(1), bad(stage, 1), *stage.jobs(200, start=10), bad(stage, 2)]
        scheduler = stage.scheduler(stage.account("sync"))
        async with scheduler, scheduler.run(jobs, whole=True, preflight=True) as run:
            with pytest.raises(viseme.ManifestError) as caught:
                await run.wait()
        assert {problem.key for problem in caught.value.problems} == {"bad-1", "bad-2"}
        assert (await stage.books()).rows == {}
        assert stage.creates("sync") == 0


async def test_jobs_of_an_async_source_are_looked_at_too(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:

        async def live() -> AsyncIterator[viseme.Job]:
            for number in range(5):
                yield bad(stage, number) if number == 2 else stage.job(number)

        scheduler = stage.scheduler(stage.account("sync"))
        async with scheduler, scheduler.run(live(), skip_invalid=True, preflight=True) as run:
            assert (await run.wait()).succeeded == 4
        assert len(run.problems) == 1
        scheduler = stage.scheduler(stage.account("sync"), out="other")
        async with scheduler, scheduler.run(live(), preflight=True) as run:
            with pytest.raises(viseme.JobInvalid, match=GONE):
                await run.wait()


async def test_a_submitted_job_is_looked_at_where_the_scheduler_says_so(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        told: list[str] = []
        async with stage.scheduler(stage.account("sync"), preflight=True, notice=told.append) as scheduler:
            with pytest.raises(viseme.JobInvalid, match=GONE):
                await scheduler.submit(bad(stage))
            silent = viseme.Job(video="http://127.0.0.1:9/a.mp4", audio=f"{stage.base}/media/short.wav", key="silent")
            task = await scheduler.submit(silent)
            assert (await task.result()).state is viseme.State.SUCCEEDED
            again = await scheduler.submit(silent)
            assert again.id == task.id
        assert len(told) == 1
        assert "cannot be reached from here" in told[0]
        assert stage.creates("sync") == 1


async def test_warnings_are_kept_with_the_run(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        long = stage.job(1, "aimlapi", video=f"{stage.base}/media/video-31.mp4")
        scheduler = stage.scheduler(stage.account("aimlapi"))
        async with scheduler, scheduler.run([long, stage.job(2)], preflight=True) as run:
            assert (await run.wait()).succeeded == 2
        (warning,) = run.warnings
        assert (warning.key, warning.certain, run.warned) == ("job-00001", False, 1)
        assert "lasts 31.0 s, pixverse/lip-sync takes 30 s" in warning.message


async def test_a_job_whose_media_no_account_of_its_route_could_read_is_bad(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        scheduler = stage.scheduler(stage.account("sync"), stage.account("jogg"))
        async with scheduler, scheduler.run([bad(stage, 1, ["sync", "jogg"])], preflight=True) as run:
            with pytest.raises(viseme.JobInvalid, match=GONE):
                await run.wait()
        assert (stage.creates("sync"), stage.creates("jogg")) == (0, 0)


async def test_without_pyav_that_is_said_once_and_the_rest_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    async with staged(tmp_path) as stage:
        monkeypatch.setitem(sys.modules, "av", None)
        async with stage.scheduler(stage.account("sync"), preflight=True, notice=told.append) as scheduler:
            for number in range(3):
                async with scheduler.run([stage.job(number)]) as run:
                    assert (await run.wait()).succeeded == 1
            with pytest.raises(viseme.JobInvalid, match=GONE):
                await scheduler.submit(bad(stage))
    assert told == [NO_PYAV]
