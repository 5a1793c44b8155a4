"""Local files on the sandbox: each content is handed over once, and what goes wrong with it costs nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from tests.support.commands import desk
from tests.support.driver import order, start
from tests.support.sandboxes import Stage, check_bill, check_events, check_files, drained, staged, until
from tests.support.video import box

import viseme
from viseme import Event, JobInvalid, Reason, State
from viseme.engine.lifecycle import batching
from viseme.sandbox import Sandbox

LANGUAGES = [f"{a}{b}" for a in "abcdefg" for b in "hijklmno"][:50]


@attrs.define
class Clips:
    """Local clips, as many as there are numbers: all of them play, no two are the same."""

    folder: Path
    video: bytes
    audio: bytes

    def talk(self, number: int = 0, *, padding: int = 0) -> str:
        """A video, made longer (in bytes) by padding."""
        return self._write(f"talk-{number}.mp4", self.video + box(b"free", f"{number}".encode() + bytes(padding)))

    def speech(self, number: int = 0) -> str:
        return self._write(f"speech-{number}.wav", self.audio + f"{number:06d}".encode())

    def copy(self, path: str) -> str:
        return self._write("copy.mp4", Path(path).read_bytes())

    def spoil(self, path: str, what: str) -> None:
        """Have a file vanish, or change."""
        Path(path).unlink() if what == "vanishes" else Path(path).write_bytes(b"x" * 3_000_000)

    def _write(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@asynccontextmanager
async def at_work(folder: Path, **options: Any) -> AsyncIterator[tuple[Stage, Clips]]:
    async with staged(folder, **options) as stage:
        clips = folder / "clips"
        clips.mkdir()
        async with aiohttp.ClientSession() as session:
            media = [await (await session.get(f"{stage.base}/media/{n}")).read() for n in ("short.mp4", "short.wav")]
        yield stage, Clips(clips, *media)


def local(number: int, account: str = "sync", **over: Any) -> viseme.Job:
    return viseme.Job(**{"account": account, "key": f"job-{number:05d}", **over})


def stored(sandbox: Sandbox, vendor: str = "sync") -> list[str]:
    """The digests of what was put into a vendor's storage, whole."""
    return [row["sha256"] for row in sandbox.log(vendor, "store") if row["sha256"]]


async def ran(stage: Stage, jobs: list[viseme.Job], *accounts: viseme.Account, **options: Any) -> list[Event]:
    scheduler = stage.scheduler(*(accounts or (stage.account("sync"),)), **options)
    async with asyncio.timeout(100), scheduler, scheduler.run(jobs) as run:
        return await drained(run)


def ends(events: list[Event]) -> dict[str, Event]:
    return {event.key: event for event in events if event.last}


# -- what is handed over -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["sync", "jogg", "aimlapi"])
async def test_a_job_of_local_files_succeeds_with_the_very_bytes(vendor: str, tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        job = local(1, vendor, video=clips.talk(), audio=clips.speech())
        events = await ran(stage, [job], stage.account(vendor))
        books = await stage.books()
        assert books.states() == {"succeeded": 1}
        assert [event.type for event in events if event.type != "progress"] == [
            "queued", "preparing", "creating", "created", "fetching", "succeeded",
        ]  # fmt: skip
        if vendor == "aimlapi":
            assert stored(stage.sandbox, vendor) == []
        else:
            assert stored(stage.sandbox, vendor) == [digest(clips.talk()), digest(clips.speech())]
            told = [event.data for event in events if event.type == "progress" and "uploading" in event.data["status"]]
            assert {data["status"] for data in told} == {"uploading video", "uploading audio"}
            assert all(data["queue_position"] is None and 0 < data["progress"] <= 100 for data in told)
            # Neither the key nor anything else of ours goes to the storage.
            assert {row["key_digest"] for row in stage.sandbox.log(vendor, "store")} == {None}
        check_files(stage, books)
        check_bill(stage, books, vendor)
        check_events(books)


async def test_one_video_in_fifty_languages_is_uploaded_once(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        talk = clips.talk()
        jobs = [local(n, video=talk, language=language) for n, language in enumerate(LANGUAGES)]
        await ran(stage, jobs)
        assert stored(stage.sandbox) == [digest(talk)]
        assert len(stage.sandbox.log("sync", "upload")) == 1
        assert len(stage.posts("sync")) == stage.creates("sync") == 50
        assert (await stage.books()).states() == {"succeeded": 50}


@pytest.mark.parametrize("vendor", ["sync", "jogg"])
async def test_one_video_with_many_voices_is_uploaded_once_and_each_voice_once(vendor: str, tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        talk, voices = clips.talk(), [clips.speech(n) for n in range(20)]
        jobs = [local(n, vendor, video=talk, audio=voice) for n, voice in enumerate(voices)]
        await ran(stage, jobs, stage.account(vendor, concurrency=3))
        assert sorted(stored(stage.sandbox, vendor)) == sorted(map(digest, [talk, *voices]))
        assert stage.creates(vendor) == 20
        books = await stage.books()
        assert books.states() == {"succeeded": 20}
        check_events(books)


async def test_copies_of_a_file_are_one_content_and_a_video_that_is_also_the_audio_is_two_assets(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as (stage, clips):
        talk, copy = clips.talk(), clips.copy(clips.talk())
        await ran(stage, [local(n, video=path, language="es") for n, path in enumerate((talk, copy))])
        assert len(stored(stage.sandbox)) == 1
        await ran(stage, [local(7, video=talk, audio=talk)])
        assert len(stored(stage.sandbox)) == 2
        assert (await stage.books()).states() == {"succeeded": 3}


async def test_a_later_run_finds_what_an_earlier_one_handed_over(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        talk, speech = clips.talk(), clips.speech()
        await ran(stage, [local(1, video=talk, audio=speech)])
        events = await ran(stage, [local(2, video=talk, audio=speech), local(3, video=talk, language="es")])
        assert len(stored(stage.sandbox)) == 2
        assert {event.type for event in ends(events).values()} == {"succeeded"}
        assert (await stage.books()).states() == {"succeeded": 3}


async def test_an_asset_that_the_vendor_lost_is_handed_over_anew_and_nothing_fails(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        talk = clips.talk()
        await ran(stage, [local(1, video=talk, language="es")])
        stage.sandbox._vendors["sync"].assets.forget()  # type: ignore[attr-defined]
        await ran(stage, [local(n, video=talk, language=LANGUAGES[n]) for n in range(2, 8)])
        assert len(stored(stage.sandbox)) == 2
        books = await stage.books()
        assert books.states() == {"succeeded": 7}
        check_events(books)


async def test_small_files_may_go_with_the_create_itself(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        job = local(1, video=clips.talk(), audio=clips.speech())
        await ran(stage, [job], stage.account("sync", multipart_below="1MiB"))
        assert stored(stage.sandbox) == []
        (post,) = stage.posts("sync")
        received = {name: part["sha256"] for name, part in post["received"].items()}
        assert received == {"video": digest(clips.talk()), "audio": digest(clips.speech())}
        assert post["reference"]
        assert (await stage.books()).states() == {"succeeded": 1}


async def test_uploads_overlap_with_jobs_that_hold_every_seat(tmp_path: Path) -> None:
    async with at_work(tmp_path, settings={"sync": {"queue_seconds": 2000}}) as (stage, clips):
        jobs = [local(n, video=clips.talk(n), language="es") for n in range(4)]
        running = asyncio.create_task(ran(stage, jobs, stage.account("sync", concurrency=1)))
        await until(lambda: len(stored(stage.sandbox)) == 4 and stage.creates("sync"))
        assert stage.creates("sync") == 1
        stage.sandbox.configure("sync", queue_seconds=1)
        stage.clock.skip(2000)
        await running
        assert (await stage.books()).states() == {"succeeded": 4}


async def test_the_upload_rate_is_kept(tmp_path: Path) -> None:
    async with at_work(tmp_path, settings={"sync": {"upload": "5/s"}}, speed=10.0) as (stage, clips):
        jobs = [local(n, video=clips.talk(n), language="es") for n in range(25)]
        rates = {"create": "100000/s", "read": "100000/s", "upload": "5/s"}
        await ran(stage, jobs, stage.account("sync", rates=rates))
        assert [row["status"] for row in stage.sandbox.log("sync", "upload")] == [201] * 25
        assert stage.bill("sync")["throttled_by"]["upload"] == 0
        assert (await stage.books()).states() == {"succeeded": 25}


async def test_the_command_takes_paths_relative_to_the_manifest_and_tells_of_the_upload(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        (tmp_path / "clips").mkdir()
        async with aiohttp.ClientSession() as session, session.get(f"{at.address}/media/short.mp4") as reply:
            Clips(tmp_path / "clips", await reply.read(), b"").talk(1)
        manifest = at.write(at.row(1, video="clips/talk-1.mp4"), at.row(2, video="clips/talk-1.mp4"))
        done = await at.viseme("run", manifest, "--events", "-")
        assert done.status == 0, done.err
        events = [json.loads(line) for line in done.out.splitlines()]
        told = [e for e in events if e["type"] == "progress" and e["status"] == "uploading video"]
        assert told
        assert {"progress", "queue_position"} <= set(told[0])
        assert len(stored(at.sandbox)) == 1
        assert "2 succeeded" in done.err


@pytest.mark.parametrize("shared", [True, False])
async def test_jobs_of_local_files_are_created_together_too(
    shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "_LINGER", 30.0)  # longer than a slow machine needs from one job to the next
    quick = {"batch_seconds": 20, "batch_pending_seconds": 5, "batch_created_seconds": 5}
    async with at_work(tmp_path, settings={"sync": quick}) as (stage, clips):
        jobs = [local(n, video=clips.talk(0 if shared else n), language=LANGUAGES[n]) for n in range(24)]
        await ran(stage, jobs, stage.account("sync", mode="batch", multipart_below="1MiB"))
        assert len(stored(stage.sandbox)) == (1 if shared else 24)
        assert stage.bill("sync")["batches"]["records"] == 24
        assert stage.creates("sync") == 24
        books = await stage.books()
        assert books.states() == {"succeeded": 24}
        check_events(books)


# -- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["sync", "jogg"])
@pytest.mark.parametrize(
    ("fault", "route"),
    [
        ("server_error", "upload"),
        ("lost_reply", "upload"),
        ("html", "upload"),
        ("too_many", "upload"),
        ("server_error", "store"),
        ("reset_before", "store"),
        ("reset_body", "store"),
        ("lost_reply", "store"),
        ("expired_link", "store"),
        ("html", "store"),
    ],
)
async def test_trouble_on_the_way_is_got_over_and_each_job_is_created_once(
    fault: str, route: str, vendor: str, tmp_path: Path
) -> None:
    async with at_work(tmp_path) as (stage, clips):
        stage.sandbox.inject(fault, vendor=vendor, route=route, times=2 if fault != "expired_link" else 1)
        jobs = [local(n, vendor, video=clips.talk(), audio=clips.speech(n)) for n in range(3)]
        await ran(stage, jobs, stage.account(vendor))
        books = await stage.books()
        assert books.states() == {"succeeded": 3}
        assert stage.creates(vendor) == 3
        check_events(books)
        check_files(stage, books)


async def test_a_storage_that_is_slow_is_waited_for(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        stage.sandbox.inject("slow", vendor="sync", route="store", seconds=40.0, body=True)
        await ran(stage, [local(1, video=clips.talk(padding=4_000_000), language="es")])
        assert len(stage.sandbox.log("sync", "store")) == 1
        assert (await stage.books()).states() == {"succeeded": 1}


async def test_a_wrong_key_costs_one_request_and_no_upload(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        jobs = [local(n, video=clips.talk(n), language="es") for n in range(20)]
        await ran(stage, jobs, stage.account("sync", api_key="wrong-key"))
        assert len(stage.sandbox.log("sync")) == 1
        books = await stage.books()
        assert books.states() == {"needs_person": 20}
        await ran(stage, jobs)
        assert (await stage.books()).states() == {"succeeded": 20}


@pytest.mark.parametrize("what", ["vanishes", "changes"])
async def test_a_file_that_is_no_longer_what_it_was_fails_its_job_and_no_other(what: str, tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        talk, other = clips.talk(1, padding=3_000_000), clips.talk(2)
        stage.sandbox.inject("slow", vendor="sync", route="upload", seconds=20.0)
        scheduler = stage.scheduler(stage.account("sync"))
        jobs = [local(1, video=talk, language="es"), local(2, video=other, language="es")]
        async with asyncio.timeout(100), scheduler, scheduler.run(jobs) as run:
            events: list[Event] = []
            async for event in run:
                events.append(event)
                if event.type == "preparing" and event.key == "job-00001":
                    await until(lambda: stage.sandbox.log("sync", "upload"))
                    clips.spoil(talk, what)
        last = ends(events)
        assert last["job-00002"].type == "succeeded"
        assert last["job-00001"].type == "failed"
        error = last["job-00001"].data["error"]
        assert error["kind"] == "invalid"
        assert f"video '{talk}' {'vanished' if what == 'vanishes' else 'changed'}" in error["message"]
        assert "run again" in error["message"]
        assert stage.creates("sync") == 1
        assert stored(stage.sandbox) == [digest(other)]


async def test_what_is_no_file_to_send_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        empty, pipe = tmp_path / "empty.mp4", tmp_path / "pipe.mp4"
        empty.touch()
        os.mkfifo(pipe)
        large = clips.talk(padding=5_000_000)
        wrong = {
            "is empty": local(1, video=str(empty), language="es"),
            "cannot be read: it is a folder": local(2, video=str(tmp_path), language="es"),
            "cannot be read: it is a pipe": local(3, video=str(pipe), language="es"),
            "cannot be read: No such file": local(4, video=str(tmp_path / "gone.mp4"), language="es"),
            "host it and give its URL": local(5, "aimlapi", video=large, audio=clips.speech()),
        }
        async with stage.scheduler(stage.account("sync"), stage.account("aimlapi")) as scheduler:
            for words, job in wrong.items():
                with pytest.raises(JobInvalid, match=words):
                    await scheduler.submit(job)
        assert stage.sandbox.log() == []


# -- stops and starts ----------------------------------------------------------------------------------------------


async def test_a_job_that_is_called_off_while_it_is_uploaded_leaves_the_others_their_upload(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        talk = clips.talk(padding=4_000_000)
        async with asyncio.timeout(100), stage.scheduler(stage.account("sync")) as scheduler:
            first = await scheduler.submit(stage.job(99, "sync"))
            await first.result()
            stage.sandbox.inject("slow", vendor="sync", route="store", seconds=2000.0, body=True)
            tasks = [await scheduler.submit(local(n, video=talk, language=LANGUAGES[n])) for n in range(3)]
            await until(lambda: stage.sandbox.log("sync", "store"))
            for task in tasks:
                while (why := await task.why()).state is not State.PREPARING:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                assert why.gate == "upload"
            await tasks[0].cancel()
            stage.clock.skip(2000)
            for task in tasks[1:]:
                await task.result()
        assert (await stage.books()).states() == {"cancelled": 1, "succeeded": 3}
        assert len(stage.sandbox.log("sync", "store")) == 1
        assert stage.creates("sync") == 3


async def test_a_run_that_is_left_while_it_uploads_is_gone_on_with(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        jobs = [local(n, video=clips.talk(padding=4_000_000), language=LANGUAGES[n]) for n in range(5)]
        stage.sandbox.inject("slow", vendor="sync", route="store", seconds=2000.0, body=True)
        async with asyncio.timeout(100), stage.scheduler(stage.account("sync")) as scheduler, scheduler.run(jobs):
            await until(lambda: stage.sandbox.log("sync", "store"))
        books = await stage.books()
        assert books.states() == {Reason.STOPPED: 5}
        stage.clock.skip(2000)
        await ran(stage, jobs)
        books = await stage.books()
        assert books.states() == {"succeeded": 5}
        await until(lambda: all(row["took"] for row in stage.sandbox.log("sync", "store")))
        assert len(stored(stage.sandbox)) == 1
        assert stage.creates("sync") == 5
        check_events(books)


async def kill_between_creates(process: asyncio.subprocess.Process, stage: Stage) -> None:
    """Kill a process while none of its creates is out: JoggAI could not tell what became of such a one.

    An intent that is being written just then is not seen here, and may be found later; its create has not left.
    """
    while True:
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.05)
        if not any(row.state is State.CREATING for row in (await stage.books()).rows.values()):
            break
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.05)
    process.kill()
    await process.communicate()


@pytest.mark.parametrize("vendor", ["sync", "jogg"])
async def test_a_process_that_is_killed_while_it_uploads_is_gone_on_with(vendor: str, tmp_path: Path) -> None:
    async with at_work(tmp_path) as (stage, clips):
        given = [
            {"key": f"k{n}", "account": vendor, "video": clips.talk(n, padding=2_000_000), "audio": clips.speech(n)}
            for n in range(6)
        ]
        told = order(stage, 0, [{"provider": vendor, "on_unknown_fate": "resubmit"}], jobs=given)
        for seen in (1, 4, 8):
            stage.sandbox.inject("slow", vendor=vendor, route="store", seconds=5.0, body=True)
            process = await start(told)
            await until(lambda seen=seen: len(stage.sandbox.log(vendor, "store")) >= seen)
            await kill_between_creates(process, stage)
        process = await start(told)
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        books = await stage.books()
        assert books.states() == {"succeeded": 6}
        assert stage.creates(vendor) == 6
        check_bill(stage, books, vendor)
        check_events(books)
        check_files(stage, books)
