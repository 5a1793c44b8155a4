"""Every result is a real film of the right length, and the voice in it is the target audio."""

import base64

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.integration.sandbox_client import BEARER, KEY, Customer, Film, customer

from viseme.sandbox.samples import voice_hz

VIDEO, SHORT, LONG = 2.0, 1.4, 3.1
MODES = [
    ("bounce", SHORT, SHORT), ("bounce", LONG, LONG), ("loop", LONG, LONG), ("loop", SHORT, SHORT),
    ("cut_off", LONG, VIDEO), ("cut_off", SHORT, SHORT), ("silence", SHORT, VIDEO), ("silence", LONG, VIDEO),
    ("remap", LONG, LONG), ("remap", SHORT, SHORT),
]  # fmt: skip


async def film_of(client: Customer, url: str) -> Film:
    status, data, headers = await client.get(url)
    assert (status, headers["Content-Type"]) == (200, "video/mp4")
    return Film.open(data)


async def test_sync_modes_give_the_right_length_and_carry_the_target_audio() -> None:
    async with customer(settings={"sync": {"concurrency": None}}) as client:
        ids: list[tuple[str, str, float, float]] = []
        for mode, audio, expected in MODES:
            more = {"options": {"sync_mode": mode}}
            status, told = await client.create_sync(f"video-{VIDEO}.mp4", f"audio-{audio}-4.wav", **more)
            assert status == 201
            ids.append((mode, told["id"], audio, expected))
        for mode, id, audio, expected in ids:
            told = await client.ended_sync(id)
            assert told["outputDuration"] == pytest.approx(expected, abs=0.1), mode
            film = await film_of(client, told["outputUrl"])
            assert film.seconds == pytest.approx(expected, abs=0.1), mode
            assert film.video_seconds == pytest.approx(expected, abs=0.1), mode
            assert film.frames == pytest.approx(expected * 25, abs=1), mode
            assert film.pitch(0, min(audio, expected)) == pytest.approx(voice_hz(4), rel=0.03), mode
            if mode == "silence" and audio < VIDEO:
                assert film.loudness(audio + 0.1, VIDEO) < 20 < film.loudness(0, audio)


@pytest.mark.parametrize("playback", ["normal", "normal_reverse", "normal_reverse_by_audio"])
async def test_jogg_playback_types_fit_the_video_to_the_audio(playback: str) -> None:
    async with customer() as client:
        created = await client.create_jogg("short.mp4", "audio-2.2-5.wav", playback_type=playback)
        told = await client.ended_jogg(created["data"]["task_id"])
        film = await film_of(client, told["data"]["result_url"])
        assert told["data"]["duration_seconds"] == pytest.approx(2.2, abs=0.1)
        assert film.seconds == pytest.approx(2.2, abs=0.1)
        assert film.pitch() == pytest.approx(voice_hz(5), rel=0.03)
        status, cover, headers = await client.get(told["data"]["cover_url"])
        assert (status, headers["Content-Type"], cover[:2]) == (200, "image/jpeg", b"\xff\xd8")


async def test_aiml_takes_links_data_uris_and_text() -> None:
    async with customer() as client:
        _, wav, _ = await client.get(client.media("audio-1.2-6.wav"))
        data_uri = "data:audio/wav;base64," + base64.b64encode(wav).decode()
        _, by_link = await client.create_aiml(audio="audio-1.2-6.wav")
        _, by_data = await client.create_aiml(audio_url=data_uri)
        for told in (by_link, by_data):
            film = await film_of(client, (await client.ended_aiml(told["id"]))["video"]["url"])
            assert film.seconds == pytest.approx(1.2, abs=0.1)
            assert film.pitch() == pytest.approx(voice_hz(6), rel=0.03)
        body = {
            "model": "pixverse/lip-sync",
            "video_url": client.media("short.mp4"),
            "lip_sync_tts_speaker": "Ava",
            "lip_sync_tts_content": "Good morning to all of you.",
        }
        status, spoken = await client.send("POST", "/aimlapi/v2/video/generations", json=body, headers=BEARER)
        assert status == 200
        assert (await film_of(client, (await client.ended_aiml(spoken["id"]))["video"]["url"])).seconds > 1


async def test_sync_3_makes_a_film_from_an_image() -> None:
    async with customer() as client:
        image, audio = client.media("face.jpg"), client.media("short.wav")
        body = {"model": "sync-3", "input": [{"type": "image", "url": image}, {"type": "audio", "url": audio}]}
        _, told = await client.send("POST", "/sync/v2/generate", json=body, headers=KEY)
        film = await film_of(client, (await client.ended_sync(told["id"]))["outputUrl"])
        assert film.seconds == pytest.approx(1.5, abs=0.1)
        assert film.size == (320, 320)


async def test_sync_takes_files_in_a_form_and_speaks_texts() -> None:
    async with customer() as client:
        form = aiohttp.FormData({"model": "lipsync-2", "options": '{"sync_mode": "cut_off"}'})
        for name, file in (("video", "short.mp4"), ("audio", "short.wav")):
            form.add_field(name, (await client.get(client.media(file)))[1], filename=file)
        status, told = await client.send("POST", "/sync/v2/generate", data=form, headers=KEY)
        assert status == 201
        film = await film_of(client, (await client.ended_sync(told["id"]))["outputUrl"])
        assert film.seconds == pytest.approx(1.0, abs=0.1)
        provider = {"name": "elevenlabs", "voiceId": "v", "script": "x" * 30}
        text = {"type": "text", "provider": provider}
        video = {"type": "video", "url": client.media("short.mp4")}
        _, told = await client.send(
            "POST", "/sync/v2/generate", json={"model": "lipsync-2", "input": [video, text]}, headers=KEY
        )
        assert (await client.ended_sync(told["id"]))["outputDuration"] == pytest.approx(2.0, abs=0.1)


async def test_dubbing_speaks_for_as_long_as_the_video() -> None:
    async with customer() as client:
        body = {
            "model": "lipsync-2",
            "input": [{"type": "video", "url": client.media("short.mp4")}],
            "dubParams": {"providerName": "elevenlabs", "targetLang": "es"},
        }
        _, told = await client.send("POST", "/sync/v2/generate", json=body, headers=KEY)
        assert (await client.ended_sync(told["id"]))["outputDuration"] == pytest.approx(1.0, abs=0.1)


async def test_inputs_are_fetched_over_http_from_elsewhere_and_bad_ones_fail_the_job() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>a preview</html>", content_type="text/html")

    async def noise(request: web.Request) -> web.Response:
        return web.Response(body=b"not media at all" * 100, content_type="video/mp4")

    app = web.Application()
    app.add_routes([web.get("/page", page), web.get("/noise", noise)])
    async with customer() as other, customer() as client, TestServer(app) as elsewhere:
        fetched = {"type": "video", "url": other.media("short.mp4")}, {"type": "audio", "url": other.media("short.wav")}
        cases = [
            (list(fetched), None),
            ([{"type": "video", "url": str(elsewhere.make_url("/none"))}, fetched[1]], "video_inaccessible"),
            ([{"type": "video", "url": str(elsewhere.make_url("/page"))}, fetched[1]], "video_inaccessible"),
            ([{"type": "video", "url": str(elsewhere.make_url("/noise"))}, fetched[1]], "video_invalid"),
            ([fetched[0], {"type": "audio", "url": "http://127.0.0.1:9/a.wav"}], "audio_inaccessible"),
            ([fetched[0], {"type": "audio", "url": other.media("face.jpg")}], "audio_invalid"),
        ]
        for inputs, code in cases:
            _, told = await client.send(
                "POST", "/sync/v2/generate", json={"model": "lipsync-2", "input": inputs}, headers=KEY
            )
            ended = await client.ended_sync(told["id"])
            assert ended["status"] == ("FAILED" if code else "COMPLETED")
            assert ended.get("errorCode") == ended.get("error_code") == (f"generation_input_{code}" if code else None)
        bill = client.sandbox.bill()["sync"]
        assert (bill["succeeded"], bill["failed"]) == (1, 5)
        assert bill["usd"] == pytest.approx(38 * 0.002)


async def test_equal_inputs_are_rendered_once_yet_every_file_is_its_own() -> None:
    async with customer(settings={"sync": {"concurrency": None}}) as client:
        digests: set[str] = set()
        for _ in range(5):
            _, told = await client.create_sync()
            ended = await client.ended_sync(told["id"])
            _, data, _ = await client.get(ended["outputUrl"])
            Film.open(data)
            digests.add(base64.b16encode(data[-80:]).decode())
        rows = client.sandbox.results("sync")
        assert len(digests) == len({row["sha256"] for row in rows}) == 5


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("sample.mp4", "video/mp4"), ("sample.wav", "audio/wav"), ("tall.mp4", "video/mp4"), ("face.jpg", "image/jpeg")],
)
async def test_sample_media_is_served_like_files(name: str, content_type: str) -> None:
    async with customer() as client:
        status, data, headers = await client.get(client.media(name))
        assert (status, headers["Content-Type"], len(data)) == (200, content_type, int(headers["Content-Length"]))
        async with client.http.head(client.media(name)) as head:
            assert (head.status, head.headers["ETag"]) == (200, headers["ETag"])
            assert head.headers["Content-Length"] == str(len(data))
        status, part, headers = await client.get(client.media(name), Range="bytes=10-19")
        assert (status, part, headers["Content-Range"]) == (206, data[10:20], f"bytes 10-19/{len(data)}")


@pytest.mark.parametrize("name", ["other.mp4", "audio-0.wav", "audio-99999.wav", "audio-3.mp4", "..%2Fsample.mp4"])
async def test_there_is_no_media_of_other_names(name: str) -> None:
    async with customer() as client:
        assert (await client.get(client.media(name)))[0] == 404


async def test_segments_keep_the_length_of_the_video_and_give_each_stretch_its_voice() -> None:
    async with customer() as client:
        items = [
            {"type": "video", "url": client.media("video-3.mp4")},
            {"type": "audio", "url": client.media("audio-2-1.wav"), "refId": "one"},
            {"type": "audio", "url": client.media("audio-2-2.wav"), "refId": "two"},
        ]
        segments = [
            {"startTime": 0, "endTime": 1.0, "audioInput": {"refId": "one"}},
            {"startTime": 1.5, "endTime": 3.0, "audioInput": {"refId": "two", "startTime": 0.5, "endTime": 2.0}},
        ]
        body = {"model": "lipsync-2", "input": items, "segments": segments}
        _, told = await client.send("POST", "/sync/v2/generate", json=body, headers=KEY)
        film = await film_of(client, (await client.ended_sync(told["id"]))["outputUrl"])
        assert film.seconds == pytest.approx(3.0, abs=0.1)
        assert film.pitch(0.1, 0.9) == pytest.approx(voice_hz(1), rel=0.03)
        assert film.pitch(1.6, 2.9) == pytest.approx(voice_hz(2), rel=0.03)
        assert film.loudness(1.05, 1.45) < film.loudness(0.1, 0.9) / 5
        for wrong in ({"startTime": 2, "endTime": 1, "audioInput": {"refId": "one"}},
                      {"startTime": 0, "endTime": 1, "audioInput": {"refId": "none"}}):  # fmt: skip
            body["segments"] = [wrong]
            status, told = await client.send("POST", "/sync/v2/generate", json=body, headers=KEY)
            assert (status, told["errorCode"]) == (400, "generation_input_segments_invalid")
