"""What lands on disk: films that open, last as long as they should, sound as they should, and are what was served."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from tests.integration.sandbox_client import Film
from tests.support.sandboxes import Stage, check_events, check_files, result_lines, staged

import viseme
from viseme import Downloads, State
from viseme.sandbox.samples import voice_hz

VOICES = {"sync": 3, "jogg": 4, "aimlapi": 6}


def length(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as film:
        return max(float(stream.duration * stream.time_base) for stream in film.streams)


async def test_every_result_opens_lasts_as_long_as_its_audio_and_holds_it(tmp_path: Path) -> None:
    async with staged(tmp_path, fixed_size=None) as stage:
        jobs: list[viseme.Job] = []
        wanted: dict[str, tuple[float, int]] = {}
        for number, seconds in enumerate((1.2, 2.5, 4.0)):
            for vendor, voice in VOICES.items():
                key = f"{vendor}-{seconds}"
                wanted[key] = (seconds, voice)
                audio = f"{stage.base}/media/audio-{seconds}-{voice}.wav"
                video = f"{stage.base}/media/video-3.mp4?n={number}"
                jobs.append(stage.job(number, vendor, key=key, audio=audio, video=video, metadata={"take": number}))
        accounts = [stage.account(vendor) for vendor in VOICES]
        async with asyncio.timeout(100), stage.scheduler(*accounts) as scheduler, scheduler.run(jobs) as run:
            assert (await run.wait()).succeeded == len(jobs)
        books = await stage.books()
        check_files(stage, books)
        served = {row["job"]: row for row in stage.sandbox.results()}
        for line in result_lines(tmp_path / "out"):
            seconds, voice = wanted[line["key"]]
            data = await asyncio.to_thread(Path(line["file"]).read_bytes)
            film = await asyncio.to_thread(Film.open, data)
            assert abs(length(data) - seconds) <= 0.1, line["key"]
            assert abs(film.video_seconds - seconds) <= 0.1, line["key"]
            assert abs(film.seconds - served[line["handle"]]["seconds"]) <= 0.1
            assert abs(film.pitch(0.1, seconds - 0.1) - voice_hz(voice)) < 12, line["key"]
            assert film.loudness(0.1, seconds - 0.1) > 300
            assert len(numpy.frombuffer(film.samples, "<i2")) / 16_000 == pytest.approx(seconds, abs=0.15)
            assert line["metadata"] == {"take": [1.2, 2.5, 4.0].index(seconds)}


# -- downloads that go wrong -------------------------------------------------------------------------------------------

FAULTS: dict[str, list[dict[str, Any]]] = {
    "reset in the middle": [{"fault": "reset_body"}],
    "reset again and again": [{"fault": "reset_body", "times": 4}],
    "connection closed early": [{"fault": "truncated", "route": "result", "times": 2}],
    "half a file that says it is whole": [{"fault": "short"}],
    "a page instead of the file": [{"fault": "html", "route": "result"}],
    "range ignored": [{"fault": "reset_body"}, {"fault": "range_ignored"}],
    "another file after a reset": [{"fault": "reset_body"}, {"fault": "etag_changed"}],
    "link expired": [{"fault": "expired_link"}],
    "link expired after a reset": [{"fault": "reset_body"}, {"fault": "expired_link"}],
    "server error": [{"fault": "server_error", "route": "result", "times": 3}],
    "reset before": [{"fault": "reset_before", "route": "result", "times": 3}],
    "no reply": [{"fault": "lost_reply", "route": "result", "times": 3}],
    "page after a reset": [{"fault": "reset_body"}, {"fault": "html", "route": "result"}],
}


@pytest.mark.parametrize("vendor", ["sync", "jogg"])
@pytest.mark.parametrize("trouble", FAULTS)
async def test_a_download_that_goes_wrong_ends_with_the_very_bytes_that_the_vendor_has(
    trouble: str, vendor: str, tmp_path: Path
) -> None:
    async with staged(tmp_path, fixed_size=3_000_000, speed=200) as stage:
        for order in FAULTS[trouble]:
            stage.sandbox.inject(**order, vendor=vendor)
        async with (
            asyncio.timeout(100),
            stage.scheduler(stage.account(vendor)) as scheduler,
            scheduler.run([stage.job(1)]) as run,
        ):
            tally = await run.wait()
        assert tally.succeeded == 1, result_lines(tmp_path / "out")
        books = await stage.books()
        check_events(books)
        check_files(stage, books)
        assert stage.creates(vendor) == 1
        assert sorted(path.name for path in (tmp_path / "out").glob("job*")) == ["job-00001.mp4"]


async def test_a_broken_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    async with staged(tmp_path, fixed_size=3_000_000) as stage:
        stage.sandbox.inject("reset_body", vendor="sync", times=2)
        async with stage.scheduler(stage.account("sync")) as scheduler, scheduler.run([stage.job(1)]) as run:
            await asyncio.wait_for(run.wait(), 100)
        rows = stage.sandbox.log("sync", "result")
        assert [bool(row["headers"].get("range")) for row in rows] == [False, True, True]
        assert all(row["headers"].get("if-range") for row in rows[1:])
        starts = [int(row["headers"]["range"].removeprefix("bytes=").removesuffix("-")) for row in rows[1:]]
        assert 0 < starts[0] < starts[1]
        check_files(stage, await stage.books())


async def test_a_download_that_is_stopped_is_taken_up_by_the_next_run(tmp_path: Path) -> None:
    async with staged(tmp_path, fixed_size=6_000_000) as stage:
        stage.sandbox.inject("slow", vendor="sync", route="result", seconds=100_000)
        async with stage.scheduler(stage.account("sync")) as scheduler:
            await scheduler.submit(stage.job(1))
            async with asyncio.timeout(100):
                while not list((tmp_path / "out").glob("*.part.tag")):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert (await stage.books()).rows["job-00001"].state is State.FETCHING
        async with stage.scheduler(stage.account("sync")) as scheduler, scheduler.run([stage.job(1)]) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 1
        second = stage.sandbox.log("sync", "result")[1]
        assert second["headers"]["range"] != "bytes=0-"
        assert 0 < second["bytes"] < 6_000_000
        check_files(stage, await stage.books())
        assert stage.creates("sync") == 1


async def test_a_file_that_never_arrives_parks_the_task_and_a_later_run_fetches_it(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=400) as stage:
        stage.sandbox.inject("server_error", vendor="sync", route="result", times=1000)
        account, few = stage.account("sync"), Downloads(tries=3)
        async with stage.scheduler(account, downloads=few) as scheduler, scheduler.run([stage.job(1)]) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).parked == 1
        line = result_lines(tmp_path / "out")[-1]
        assert "run again" in line["error"]["message"]
        stage.sandbox._desk._orders.clear()
        async with stage.scheduler(account) as scheduler, scheduler.run([stage.job(1)]) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 1
        assert stage.creates("sync") == 1
        check_events(await stage.books())


async def test_a_result_that_is_never_a_video_parks_and_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=400) as stage:
        stage.sandbox.inject("html", vendor="jogg", route="result", times=1000)
        async with stage.scheduler(stage.account("jogg")) as scheduler, scheduler.run([stage.job(1)]) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).parked == 1
        assert not list((tmp_path / "out").glob("job*"))
        assert "text/html" in result_lines(tmp_path / "out")[-1]["error"]["message"]


async def test_a_link_that_lives_shortly_is_refreshed_by_looking_again(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {"link_seconds": 30}}) as stage:
        async with stage.scheduler(stage.account("sync")) as scheduler, scheduler.run(stage.jobs(10)) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 10
        deleted = list((tmp_path / "out").glob("job*.mp4"))
        for path in deleted:
            path.unlink()
        await stage.clock.sleep(60)
        async with stage.scheduler(stage.account("sync")) as scheduler, scheduler.run(stage.jobs(10)) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 10
        assert stage.creates("sync") == 10
        check_files(stage, await stage.books())


async def test_covers_are_kept_where_they_are_wanted_and_never_fail_a_task(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        account, wanted = stage.account("jogg"), Downloads(covers=True)
        async with stage.scheduler(account, downloads=wanted) as scheduler, scheduler.run([stage.job(1)]) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 1
        assert (tmp_path / "out/job-00001.jpg").read_bytes()[:2] == b"\xff\xd8"


def outside(stage: Stage, name: str) -> viseme.Job:
    return stage.job(1, output=name)


@pytest.mark.parametrize("name", ["../out.mp4", "/out.mp4", "a/../../out.mp4", "..", "C:\\out.mp4"])
async def test_no_name_leads_out_of_the_output_folder(name: str, tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        with pytest.raises(viseme.JobInvalid):
            outside(stage, name)


async def test_a_link_in_the_output_folder_leads_nowhere(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=400) as stage:
        (tmp_path / "out").mkdir()
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "out/sub").symlink_to(tmp_path / "elsewhere")
        jobs = [outside(stage, "sub/result.mp4")]
        async with stage.scheduler(stage.account("sync")) as scheduler, scheduler.run(jobs) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).parked == 1
        assert not list((tmp_path / "elsewhere").iterdir())
