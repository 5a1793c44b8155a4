"""Rask's stand-in: the workflow from media to lip-sync, its traps, its failures."""

import io
from fractions import Fraction
from typing import Any

import attrs
import av
import pytest
from tests.integration.rask_customer import FULL, LIBRARY, PREVIEW, PROJECTS, RaskCustomer, rask
from tests.integration.sandbox_client import Film

from viseme.sandbox import RaskSettings
from viseme.sandbox.samples import voice_hz
from viseme.sandbox.vendors.rask_dub import FAILURES

SIX = ["check_face_task_status", "lipsync_result_path", "lipsync_task_progress", "lipsync_task_status",
       "tasks_in_lipsync_queue", "video_has_face"]  # fmt: skip


def clip(seconds: int, *, sound: bool = True) -> bytes:
    """A small film of ten frames a second."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as film:
        video = film.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 36, "yuv420p"
        tone = film.add_stream("aac", rate=8000, layout="mono") if sound else None
        for number in range(seconds * 10):
            frame = av.VideoFrame(64, 36, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number % 200]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 10)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        if tone is not None:
            quiet = av.AudioFrame("s16", "mono", 1024)
            quiet.planes[0].update(bytes(2048))
            quiet.sample_rate, quiet.pts = 8000, 0
            film.mux([*tone.encode(quiet), *tone.encode(None)])
    return target.getvalue()


async def test_a_linked_video_is_dubbed_checked_and_lip_synced() -> None:
    async with rask() as client:
        media = await client.good("GET", f"{LIBRARY}/{await client.linked('sample.mp4')}")
        assert (media["status"], media["kind"], media["name"]) == ("ready", "video", "sample.mp4")
        meta = media["meta"]
        assert (meta["duration_seconds"], meta["video_codec_name"], meta["audio_codec_name"]) == (4.0, "h264", "aac")
        assert (meta["video_frame_width"], meta["video_frame_rate"], meta["audio_layout"]) == (320, 25.0, "mono")
        assert (await client.base.get(media["preview"]["url"]))[1].startswith(b"\xff\xd8")

        made = await client.good("POST", PROJECTS, json={"video_id": media["id"], "dst_lang": "de-de", "name": "one"})
        assert (made["status"], made["translated_video"], made["source_type"]) == ("created", None, "any")
        assert (made["name"], made["dst_lang"], made["src_lang"], made["num_speakers"]) == ("one", "de-de", None, None)
        told = await client.dubbed(made["id"])
        assert (told["status"], told["src_lang"], told["num_speakers"]) == ("merging_done", "en", 1)
        assert told["status_updated_at"] > made["status_updated_at"] >= made["created_at"]
        dub = Film.open((await client.base.get(told["translated_video"]))[1])
        assert dub.video_seconds == pytest.approx(4.0, abs=0.05)
        assert dub.pitch() == pytest.approx(voice_hz(sum(b"de-de")), rel=0.03)

        while not (face := await client.lipsync(made["id"]))["video_has_face"]:
            await client.passing()
        assert sorted(face) == SIX
        assert face["check_face_task_status"] == "done"
        assert [value for name, value in face.items() if "lipsync" in name] == [None] * 4
        status, begun = await client.run(made["id"])
        assert (status, begun) == (200, {"lipsync_task_status": "started", "tasks_in_lipsync_queue": 3})
        done = await client.synced(made["id"])
        assert (done["lipsync_task_status"], done["lipsync_task_progress"]) == ("done", 100)
        _, data, headers = await client.base.get(done["lipsync_result_path"])
        assert headers["Content-Type"] == "video/mp4"
        assert Film.open(data).video_seconds == pytest.approx(4.0, abs=0.05)

        bill = client.bill()
        assert (bill["creates"], bill["projects"], bill["duplicates"], bill["delivered"]) == (1, 1, 0, 1)
        assert (bill["credits"], bill["dub_minutes"], bill["lipsync_minutes"], bill["currency"]) == (2, 1, 1, "minutes")
        assert (bill["tokens"], bill["charged_runs"], bill["dubs_delivered"], bill["dubs_peak"]) == (1, 1, 1, 1)
        assert (bill["succeeded"], bill["peak"]["seats"], bill["open"]) == (1, 1, 0)
        (row,) = client.sandbox.log("rask", "create")
        assert (row["job"], row["received"]) == (made["id"], FULL)
        (result,) = client.sandbox.results("rask")
        assert (result["job"], result["deliveries"], result["inputs"]["mode"]) == (made["id"], 1, "full")
        assert result["sha256"] == client.sandbox.log("rask", "result")[-1]["sha256"]


async def test_an_uploaded_video_is_lip_synced_for_a_preview_first_and_then_in_full() -> None:
    async with rask(settings={"preview_seconds": 2.0}) as client:
        film = clip(3)
        status, media = await client.sent(film)
        assert (status, media["status"], media["name"], media["meta"]) == (200, "processing", "clip.mp4", {})
        await client.media_ended(media["id"])
        made = await client.good("POST", PROJECTS, json={"video_id": media["id"], "dst_lang": "es-es"})
        assert (made["source_type"], made["name"]) == ("local", "clip.mp4")
        assert (await client.base.get(made["original_video"]))[1] == film
        assert (await client.dubbed(made["id"]))["duration"] == 3.0
        client.clock.advance(10)
        assert (await client.run(made["id"], PREVIEW))[0] == 200
        short = (await client.synced(made["id"]))["lipsync_result_path"]
        assert Film.open((await client.base.get(short))[1]).video_seconds == pytest.approx(2.0)
        assert (await client.run(made["id"]))[0] == 200
        client.clock.advance(100)
        await client.sandbox.settled()
        full = (await client.synced(made["id"]))["lipsync_result_path"]
        assert Film.open((await client.base.get(full))[1]).video_seconds == pytest.approx(3.0)
        bill = client.bill()
        assert (bill["dub_minutes"], bill["lipsync_minutes"], bill["free_minutes"]) == (1, 1, 1)
        assert (bill["creates"], bill["previews"], bill["delivered"], bill["duplicates"]) == (1, 1, 2, 0)
        assert [row["job"] for row in client.sandbox.results("rask")] == [made["id"], f"{made['id']}.2"]
        credits = await client.good("GET", "/rask/v2/credits")
        assert credits == {"minutes": {"total": 1000, "used": 2}, "video": {"total": 1000, "used": 1},
                           "lipsync_free_minutes": {"total": 1, "used": 1}}  # fmt: skip


async def test_a_video_of_61_seconds_costs_two_minutes_and_its_preview_one() -> None:
    assert RaskSettings().preview_seconds == 60.0
    async with rask(fixed_size=20_000, fixed_seconds=0.2) as client:
        studio = client.sandbox._studio  # a long film would take seconds to draw
        studio.fixed = attrs.evolve(studio.fixed, seconds=61.0)
        id = await client.ready()
        for flags in (PREVIEW, FULL):
            assert (await client.run(id, flags))[0] == 200
            client.clock.advance(200)
        bill = client.bill()
        assert (bill["dub_minutes"], bill["lipsync_minutes"], bill["free_minutes"]) == (2, 2, 1)


async def test_the_dub_walks_through_the_documented_statuses() -> None:
    async with rask() as client:
        id = await client.project()
        seen: list[str] = []
        times: list[str] = []
        while not seen or seen[-1] != "merging_done":
            told = await client.look(id)
            assert (told["translated_video"] is not None) == (told["status"] == "merging_done")
            if told["status"] not in seen:
                seen.append(told["status"])
                times.append(told["status_updated_at"])
            await client.passing(0.5)
        assert seen[:5] == ["created", "uploading", "uploaded", "transcription_started", "transcription_done"]
        assert len(seen) == 21
        assert times == sorted(set(times))


@pytest.mark.parametrize("status", sorted(FAILURES))
async def test_a_dub_can_fail_in_every_documented_way(status: str) -> None:
    async with rask(fixed_size=20_000) as client:
        client.sandbox.inject("job_failed", vendor="rask", route="project", status=status)
        ordered = await client.dubbed(await client.project())
        client.sandbox.configure("rask", dub_failure=status)
        set_so = await client.dubbed(await client.project(name="two"))
        for told in (ordered, set_so):
            assert (told["status"], told["translated_video"]) == (status, None)
            assert (await client.run(told["id"]))[0] == 400
        bill = client.bill()
        assert (bill["dub_failures"], bill["dub_minutes"], bill["dubs_open"]) == (2, 2, 0)


async def test_a_video_without_sound_ends_in_no_audio_and_no_video_is_no_project() -> None:
    async with rask() as client:
        _, mute = await client.sent(clip(1, sound=False))
        _, junk = await client.sent(b"junk")
        for media in (mute, junk):
            await client.media_ended(media["id"])
        made = await client.good("POST", PROJECTS, json={"video_id": mute["id"], "dst_lang": "fr-fr"})
        assert (await client.dubbed(made["id"]))["status"] == "no_audio"
        assert (await client.good("GET", f"{LIBRARY}/{junk['id']}"))["status"] == "failed"
        assert (await client.send("POST", PROJECTS, json={"video_id": junk["id"], "dst_lang": "fr-fr"}))[0] == 400
        lost = await client.linked("no-such.mp4")
        assert (await client.good("GET", f"{LIBRARY}/{lost}"))["status"] == "failed"
        client.sandbox.inject("job_failed", vendor="rask", route="link")
        assert (await client.good("GET", f"{LIBRARY}/{await client.linked()}"))["status"] == "failed"


async def test_sounds_and_pictures_are_media_and_no_projects() -> None:
    async with rask() as client:
        for file, kind, known in (
            ("short.wav", "audio", {"audio_rate": 16_000, "audio_channels": 1, "duration_seconds": 1.5}),
            ("face.jpg", "image", {"image_width": 320, "image_height": 320}),
        ):
            told = await client.good("GET", f"{LIBRARY}/{await client.linked(file, name='mine')}")
            assert (told["status"], told["kind"], told["name"], told["preview"]) == ("ready", kind, "mine", None)
            assert known.items() <= told["meta"].items()
            body = {"video_id": told["id"], "dst_lang": "de-de"}
            assert (await client.send("POST", PROJECTS, json=body))[0] == 400
            called = await client.linked(file, kind="video")
            assert (await client.good("GET", f"{LIBRARY}/{called}"))["status"] == "failed"


async def test_minutes_of_a_failed_dub_are_given_back_where_so_set() -> None:
    async with rask(fixed_size=20_000, settings={"dub_failure": "no_words"}) as client:
        for refund, minutes in ((False, 1), (True, 1)):
            client.sandbox.configure("rask", refund_failed=refund)
            assert (await client.dubbed(await client.project(name=str(refund))))["status"] == "no_words"
            assert (client.bill()["credits"], client.bill()["dub_minutes"]) == (minutes, minutes)


async def edited(client: RaskCustomer, id: str, count: int = 1) -> None:
    """Changes segments and waits until they are updated."""
    path = f"{PROJECTS}/{id}/transcription"
    segments = (await client.good("GET", path))["segments"][:count]
    body = {"segments": [{"id": each["id"], "dst": {"text": "Neu", "lang": "de-de"}} for each in segments]}
    assert (await client.good("PATCH", f"{path}/segments", json=body))["segments"][0]["status"] == "processing"
    while (await client.good("GET", path))["segments"][0]["status"] != "updated":
        await client.passing()


@pytest.mark.parametrize("stale", [True, False])
async def test_after_generate_the_old_dub_may_stay_in_sight(stale: bool) -> None:
    async with rask(settings={} if stale else {"stale_dub_seconds": 0.0}) as client:
        id = await client.ready()
        old = await client.look(id)
        await edited(client, id)
        assert (await client.look(id))["status"] == "transcript_edited"
        answer = await client.good("POST", f"{PROJECTS}/{id}/generate")
        seen = await client.look(id)
        assert answer["status"] == seen["status"] == ("merging_done" if stale else "voice_update_started")
        assert (seen["status_updated_at"] == old["status_updated_at"]) is stale
        assert (await client.run(id))[0] == 400
        await client.passing(10)
        assert (await client.look(id))["status"] in ("voice_update_started", "voice_update_done")
        new = await client.dubbed(id)
        assert new["status_updated_at"] > old["status_updated_at"]
        assert path_of(new["translated_video"]) != path_of(old["translated_video"])
        assert (client.bill()["generates"], client.bill()["dub_minutes"]) == (1, 2)


def path_of(url: str) -> str:
    return url.partition("?")[0]


@pytest.mark.parametrize("stale", [True, False])
async def test_after_another_run_the_old_result_may_stay_in_sight(stale: bool) -> None:
    async with rask(settings={} if stale else {"stale_lipsync_seconds": 0.0}) as client:
        id = await client.ready()
        await client.run(id, PREVIEW)
        old = await client.synced(id)
        assert (await client.run(id))[1]["lipsync_task_status"] == "started"
        seen = await client.lipsync(id)
        if stale:
            assert (seen["lipsync_task_status"], seen["lipsync_task_progress"]) == ("done", 100)
            assert path_of(seen["lipsync_result_path"]) == path_of(old["lipsync_result_path"])
            client.clock.advance(8)
            seen = await client.lipsync(id)
        assert (seen["lipsync_task_status"], seen["lipsync_result_path"]) == ("started", None)
        await client.sandbox.settled()
        new = await client.synced(id)
        assert path_of(new["lipsync_result_path"]) != path_of(old["lipsync_result_path"])


async def test_a_new_dub_makes_the_lip_sync_outdated_and_another_one_is_free() -> None:
    async with rask() as client:
        id = await client.ready()
        await client.run(id)
        await client.synced(id)
        assert (await client.run(id))[0] == 400
        await edited(client, id)
        await client.good("POST", f"{PROJECTS}/{id}/generate")
        assert (await client.lipsync(id))["lipsync_task_status"] == "outdated"
        await client.passing(9)
        await client.dubbed(id)
        face = await client.lipsync(id)
        assert (face["lipsync_task_status"], face["video_has_face"]) == ("outdated", True)
        client.sandbox.configure("rask", outdated=False)
        assert (await client.lipsync(id))["lipsync_task_status"] == "done"
        assert (await client.run(id))[0] == 200
        await client.passing(9)
        assert (await client.synced(id))["lipsync_task_status"] == "done"
        bill = client.bill()
        assert (bill["creates"], bill["lipsync_minutes"], bill["charged_runs"], bill["duplicates"]) == (2, 1, 1, 0)


async def test_a_run_is_queued_then_processed_then_done_and_its_link_may_be_late() -> None:
    async with rask(settings={"late_link_seconds": 3.0}) as client:
        id = await client.ready()
        await client.run(id)
        await client.sandbox.settled()
        ahead, progress = [], []
        while (told := await client.lipsync(id))["lipsync_task_status"] == "started":
            assert told["lipsync_result_path"] is None
            if told["lipsync_task_progress"] is None:
                ahead.append(told["tasks_in_lipsync_queue"])
            else:
                progress.append(told["lipsync_task_progress"])
                assert told["tasks_in_lipsync_queue"] is None
            client.clock.advance(1)
        assert (ahead[0], ahead[-1], len(ahead)) == (3, 1, 20)
        assert ahead == sorted(ahead, reverse=True)
        assert progress == sorted(progress)
        assert (progress[0], len(progress)) == (0, 11)
        assert (told["lipsync_task_status"], told["lipsync_result_path"]) == ("done", None)
        client.clock.advance(3)
        assert (await client.lipsync(id))["lipsync_result_path"] is not None


async def test_a_face_check_may_begin_late_or_only_when_asked_for() -> None:
    async with rask(settings={"face_late_seconds": 30.0}) as client:
        id = await client.project()
        assert (await client.send("PUT", f"{PROJECTS}/{id}/check_face"))[0] == 400
        await client.dubbed(id)

        async def face(project: str = id) -> tuple[str | None, bool | None]:
            told = await client.lipsync(project)
            return told["check_face_task_status"], told["video_has_face"]

        assert await face() == (None, None)
        assert (await client.run(id))[0] == 400
        client.clock.advance(30)
        assert await face() == ("started", None)
        client.clock.advance(6)
        assert await face() == ("done", True)
        assert await client.good("PUT", f"{PROJECTS}/{id}/check_face") == {"check_face_task_status": "done"}

        client.sandbox.configure("rask", face_check="never", face="none")
        other = await client.project(name="other")
        await client.dubbed(other)
        client.clock.advance(1000)
        assert await face(other) == (None, None)
        client.sandbox.inject("job_failed", vendor="rask", route="face")
        for expected in (("failed", None), ("done", False)):
            assert (await client.good("PUT", f"{PROJECTS}/{other}/check_face"))["check_face_task_status"] == "started"
            client.clock.advance(6)
            assert await face(other) == expected
        status, told = await client.run(other)
        assert (status, list(told)) == (400, ["detail"])
        assert client.bill()["creates"] == 0


async def test_a_failed_run_can_be_repeated_and_is_charged_once() -> None:
    async with rask() as client:
        for refund, minutes in ((False, 1), (True, 2)):
            client.sandbox.configure("rask", refund_failed=refund)
            client.sandbox.inject("job_failed", vendor="rask")
            id = await client.ready(dst_lang="fr-fr" if refund else "de-de")
            await client.run(id)
            failed = await client.synced(id)
            assert (failed["lipsync_task_status"], failed["lipsync_result_path"]) == ("failed", None)
            assert (await client.run(id))[0] == 200
            assert (await client.synced(id))["lipsync_task_status"] == "done"
            bill = client.bill()
            assert (bill["lipsync_minutes"], bill["duplicates"], bill["failed"]) == (minutes, 0, minutes)
        assert bill["credits"] == bill["dub_minutes"] + bill["lipsync_minutes"] == 4


@pytest.mark.parametrize(("choice", "minutes"), [("run", 2), ("charge", 3)])
async def test_a_repeated_run_is_a_duplicate_where_it_is_not_refused(choice: Any, minutes: int) -> None:
    async with rask(settings={"on_repeat": choice}, fixed_size=20_000) as client:
        id = await client.ready()
        for _ in range(2):
            assert (await client.run(id))[0] == 200
            client.clock.advance(60)
        assert (client.bill()["creates"], client.bill()["duplicates"], client.bill()["credits"]) == (2, 1, minutes)


async def test_equal_inputs_in_another_project_are_a_duplicate_and_another_language_is_none() -> None:
    async with rask(fixed_size=20_000) as client:
        for lang, dubs, runs in (("de-de", 0, 0), ("fr-fr", 0, 0), ("de-de", 1, 1)):
            await client.run(await client.ready(dst_lang=lang))
            assert (client.bill()["duplicate_projects"], client.bill()["duplicates"]) == (dubs, runs)
        assert (client.bill()["credits"], client.bill()["charged_runs"]) == (6, 3)
