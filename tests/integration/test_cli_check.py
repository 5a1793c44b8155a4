"""The preflight as scripts see it: what `check` tells, and what `run` refuses before anything is created."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.support.clips import Host, answering, hosting, make_film, make_sound
from tests.support.commands import VENDORS, Desk, desk


def asked(at: Desk) -> int:
    """How many requests have reached a vendor."""
    return sum(len(at.sandbox.log(vendor)) for vendor in VENDORS)


def film(folder: Path, seconds: float = 1.0, **more: bool) -> bytes:
    return make_film(folder / "made.mp4", seconds, faststart=True, **more).read_bytes()


def sound(folder: Path, seconds: float = 1.0) -> bytes:
    return make_sound(folder / "made.wav", seconds).read_bytes()


async def stocked(host: Host, folder: Path) -> None:
    """Put a good film and a good sound on a host."""
    host.put("film.mp4", await asyncio.to_thread(film, folder))
    host.put("sound.wav", await asyncio.to_thread(sound, folder))


def row(at: Desk, host: Host, number: int, **fields: object) -> dict[str, object]:
    media = {"video": f"{host.base}/film.mp4", "audio": f"{host.base}/sound.wav"}
    return at.row(number, **{**media, **fields})


async def test_a_good_manifest_is_told_to_be_good_and_no_vendor_is_asked(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        done = await at.viseme("check", at.write(at.row(1), at.row(2, account="jogg")))
        assert (done.status, done.err) == (0, "")
        assert done.out == "2 rows checked: nothing is wrong\n"
        assert asked(at) == 0


async def test_every_problem_is_told_with_its_row_its_field_and_how_sure_it_is(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, hosting() as host:
        await stocked(host, tmp_path)
        host.put("page", b"<html><body>log in</body></html>")
        host.put("mute.mp4", await asyncio.to_thread(film, tmp_path, sound=False))
        host.put("down.mp4", b"", answering(503))
        manifest = at.write(
            row(at, host, 1),
            row(at, host, 2, video=f"{host.base}/none.mp4?signature=abc"),
            row(at, host, 3, audio=f"{host.base}/page"),
            row(at, host, 4, audio=f"{host.base}/mute.mp4"),
            row(at, host, 5, video=f"{host.base}/down.mp4"),
            row(at, host, 6, video=f"{at.address}/media/video-16.mp4", model="react-1"),
            row(at, host, 7, text="x" * 5001, voice="v", audio=None),
            "{bad",
            row(at, host, 1, video=f"{host.base}/other.mp4"),
        )
        done = await at.viseme("check", manifest)
        assert done.status == 2
        lines = done.out.splitlines()
        assert lines[0].split() == ["line", "key", "field", "verdict", "problem"]
        told = {line.split()[0]: " ".join(line.split()) for line in lines[1:-1]}
        assert told["2"].startswith(f"2 k2 video certain video '{host.base}/none.mp4' answers HTTP 404; give a link")
        assert "3 k3 audio certain" in told["3"]
        assert "is a web page, not the media itself" in told["3"]
        assert "4 k4 audio certain" in told["4"]
        assert "has no audio stream (mp4 with h264)" in told["4"]
        assert "5 k5 video warning" in told["5"]
        assert "cannot be reached from here (HTTP 503)" in told["5"]
        assert "lasts 16.0 s, react-1 takes 15 s; shorten it" in told["6"]
        assert "7 k7 text certain text has 5001 characters, sync takes 5000" in told["7"]
        assert told["8"].startswith("8 - - certain this is not JSON")
        assert "9 k1 key certain key 'k1' is that of line 1" in told["9"]
        assert lines[-1] == "9 rows checked: 7 rows cannot be run, 1 row with warnings"
        assert "abc" not in done.out
        assert asked(at) == 0


async def test_warnings_alone_do_not_make_a_manifest_bad(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, hosting() as host:
        await stocked(host, tmp_path)
        host.put("down.mp4", b"", answering(500))
        done = await at.viseme("check", at.write(row(at, host, 1), row(at, host, 2, video=f"{host.base}/down.mp4")))
        assert done.status == 0
        assert done.out.endswith("2 rows checked: all can be run, 1 row with warnings\n")


async def test_the_check_for_programs(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        manifest = at.write(at.row(1, video=f"{at.address}/media/none.mp4"))
        done = await at.viseme("check", manifest, "--json", "--account", "jogg")
        assert done.status == 2
        told = json.loads(done.out)
        (problem,) = told.pop("problems")
        assert told == {"rows": 1, "bad": 1, "warned": 0}
        assert problem.pop("message").endswith("answers HTTP 404; give a link that leads to the file")
        assert problem == {"line": 1, "field": "video", "key": "k1", "kind": "media_unreachable", "certain": True}


async def test_what_is_no_manifest_cannot_be_checked(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.write(name="none.jsonl")
        for arguments, said in (
            (("none.jsonl",), "none.jsonl holds no jobs"),
            (("missing.jsonl",), "there is no manifest missing.jsonl"),
            (("none.jsonl", "--account", "nobody"), "--account 'nobody' is not configured"),
        ):
            done = await at.viseme("check", *arguments)
            assert (done.status, done.out) == (2, "")
            assert said in done.err


async def test_local_clips_are_checked_too(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        data = await asyncio.to_thread(film, tmp_path)
        for name, content in (("good.mp4", data), ("torn.mp4", data[:-200]), ("text.mp4", b"just some words\n" * 99)):
            await asyncio.to_thread((tmp_path / name).write_bytes, content)
        rows = [at.row(n, video=name) for n, name in enumerate(("good.mp4", "torn.mp4", "text.mp4"), 1)]
        done = await at.viseme("check", at.write(*rows))
        assert done.status == 2
        told = {line.split()[0]: line for line in done.out.splitlines()[1:-1]}
        assert set(told) == {"2", "3"}
        assert f"torn.mp4' is cut off: {len(data) - 200} of at least {len(data)} bytes; give the clip" in told["2"]
        assert "text.mp4' is not media that FFmpeg can read; give the clip itself" in told["3"]
        refused = await at.viseme("run", "jobs.jsonl")
        assert refused.status == 2
        assert "2 rows cannot be run, so nothing was started" in refused.err
        assert asked(at) == 0
        left = await at.viseme("run", "jobs.jsonl", "--skip-invalid")
        assert left.status == 1
        assert "1 job: 1 succeeded" in left.err


async def test_a_run_is_refused_before_its_first_create(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        manifest = at.write(at.row(1), at.row(2, video=f"{at.address}/media/none.mp4"), "[]", at.row(4))
        done = await at.viseme("run", manifest)
        assert done.status == 2
        assert "jobs.jsonl: 2 rows cannot be run, so nothing was started; mend them" in done.err
        assert "\n  line 2: video" in done.err
        assert "answers HTTP 404" in done.err
        assert "\n  line 3: a row must be" in done.err
        assert asked(at) == 0
        mended = at.write(at.row(1), at.row(2), at.row(4))
        assert (await at.viseme("run", mended)).status == 0
        assert at.creates() == 3


async def test_bad_media_can_be_left_out_or_not_looked_at(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        manifest = at.write(at.row(1), at.row(2, video=f"{at.address}/media/none.mp4"), at.row(3))
        done = await at.viseme("run", manifest, "--skip-invalid")
        assert done.status == 1
        assert "viseme: line 2: video" in done.err
        assert "2 jobs: 2 succeeded" in done.err
        assert at.creates() == 2
        blind = await at.viseme("run", manifest, "--no-preflight")
        assert blind.status == 0, "these vendors make a film of anything"
        assert at.creates() == 3


async def test_warnings_stop_nothing_and_are_summed_up(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, hosting() as host:
        await stocked(host, tmp_path)
        shy = [host.put(f"shy-{n}.mp4", host.files["film.mp4"], answering(403)) for n in range(13)]
        rows = [row(at, host, n, video=link) for n, link in enumerate(shy)]
        done = await at.viseme("run", at.write(*rows))
        assert done.status == 0
        told = [line for line in done.err.splitlines() if line.startswith("viseme: warning: line ")]
        assert len(told) == 10
        assert "answers HTTP 403 to a request without credentials; make sure that sync may read it" in told[0]
        assert "viseme: 3 more warnings about media; `viseme check` shows them all" in done.err
        assert "warning" not in (await at.viseme("run", "jobs.jsonl", "--quiet")).err
        assert at.creates() == 13


async def test_each_source_is_looked_at_once_and_never_again_once_its_job_is_done(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, hosting() as host:
        await stocked(host, tmp_path)
        manifest = at.write(*(row(at, host, n, model="lipsync-2", options={"temperature": n / 50}) for n in range(50)))
        assert (await at.viseme("run", manifest)).status == 0
        asked_for = [(verb, name) for verb, name, _ in host.asked]
        assert sorted(asked_for) == [(verb, name) for verb in ("GET", "HEAD") for name in ("film.mp4", "sound.wav")]
        host.files.clear()
        host.asked.clear()
        again = await at.viseme("run", manifest)
        assert again.status == 0
        assert host.asked == []
        assert at.creates() == 50


async def test_of_a_run_that_goes_on_only_what_was_never_created_is_looked_at(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync", slow=True, concurrency=1) as at, hosting() as host:
        await stocked(host, tmp_path)
        host.files["later.mp4"] = host.files["film.mp4"]
        manifest = at.write(row(at, host, 1), row(at, host, 2, video=f"{host.base}/later.mp4"))
        first = await at.start("run", manifest)
        await at.until(lambda: at.creates() == 1)
        first.interrupt()
        assert (await first.finished()).status == 130
        host.files.clear()
        host.asked.clear()
        refused = await at.viseme("run", manifest)
        assert refused.status == 2
        assert "line 2: video" in refused.err
        assert "line 1" not in refused.err
        assert "film.mp4" not in {name for _, name, _ in host.asked}
        at.let_go()
        left = await at.viseme("run", manifest, "--skip-invalid")
        assert left.status == 1
        assert "1 job: 1 succeeded" in left.err
        assert at.creates() == 1


async def test_rows_of_a_live_producer_start_while_others_are_still_looked_at(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync") as at, hosting() as host:
        await stocked(host, tmp_path)
        go = asyncio.Event()

        async def late(request: object, content: bytes) -> object:
            await go.wait()
            return await answering(404)(request, content)  # type: ignore[arg-type]

        running = await at.start("run", "-", "--skip-invalid")
        await running.give(
            row(at, host, 1, video=host.put("late.mp4", b"", late)),  # type: ignore[arg-type]
            row(at, host, 2),
        )
        await at.until(lambda: at.creates() == 1)
        go.set()
        done = await running.finished()
        assert done.status == 1
        assert "line 1: video" in done.err
        assert "1 job: 1 succeeded" in done.err


async def test_an_interruption_while_media_are_looked_at_leaves_nothing_behind(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync") as at, hosting() as host:
        await stocked(host, tmp_path)
        reached = asyncio.Event()

        async def never(request: object, content: bytes) -> object:
            reached.set()
            await asyncio.Event().wait()
            return None

        manifest = at.write(row(at, host, 1, video=host.put("never.mp4", b"", never)), row(at, host, 2))  # type: ignore[arg-type]
        running = await at.start("run", manifest)
        await asyncio.wait_for(reached.wait(), 100)
        running.interrupt()
        done = await running.finished(seconds=8)
        assert done.status == 130
        assert asked(at) == 0
        host.put("never.mp4", host.files["film.mp4"])
        del host.manners["never.mp4"]
        again = await at.viseme("run", manifest)
        assert again.status == 0
        assert "2 jobs: 2 succeeded" in again.err
