"""Speech at Sync's stand-in, and what else a create can be asked beforehand."""

import asyncio
import io
import wave
from typing import Any

import pytest
from tests.integration.sandbox_client import KEY, Customer, customer

from viseme.sandbox import ManualClock

SCRIPT = "One two three four five six seven"
BODY = {"script": SCRIPT, "voiceId": "aria", "provider": "elevenlabs"}


async def post(client: Customer, path: str, body: Any = BODY, **headers: str) -> tuple[int, Any]:
    return await client.send("POST", f"/sync/v2/{path}", json=body, headers=KEY | headers)


async def test_a_text_is_spoken_at_once_and_can_be_used_as_an_audio() -> None:
    async with customer() as client:
        status, told = await post(client, "tts")
        assert status == 200
        _, data, _ = await client.get(told["url"])
        with wave.open(io.BytesIO(data)) as sound:
            assert sound.getnframes() / sound.getframerate() == pytest.approx(told["duration"], abs=0.01)
        items = [{"type": "video", "url": client.media("short.mp4")}, {"type": "audio", "url": told["url"]}]
        _, made = await post(client, "generate", {"model": "lipsync-2", "input": items})
        assert (await client.ended_sync(made["id"]))["outputDuration"] == pytest.approx(told["duration"], abs=0.1)


async def test_a_speech_job_is_pending_then_processing_then_a_success() -> None:
    async with customer(clock=(clock := ManualClock())) as client:
        async with client.http.post(f"{client.address}/sync/v2/tts/jobs", json=BODY, headers=KEY) as reply:
            told = await reply.json()
            assert (reply.status, reply.headers["Location"]) == (202, f"/v2/tts/jobs/{told['id']}")
        seen: list[tuple[str, str | None, bool]] = []
        for _ in range(3):
            url = f"{client.address}/sync/v2/tts/jobs/{told['id']}"
            async with client.http.get(url, headers=KEY) as reply:
                told = await reply.json()
                seen.append((told["status"], reply.headers.get("Retry-After"), told["url"] is not None))
            clock.advance(3.5)
        assert seen == [("PENDING", "3", False), ("PROCESSING", "3", False), ("SUCCESS", None, True)]


async def test_a_key_stands_for_one_speech_job() -> None:
    async with customer() as client:
        first = await post(client, "tts/jobs", **{"Idempotency-Key": "a"})
        twice = await asyncio.gather(*(post(client, "tts/jobs", **{"Idempotency-Key": "b"}) for _ in range(2)))
        assert twice[0][1]["id"] == twice[1][1]["id"] != first[1]["id"]
        again = await post(client, "tts/jobs", **{"Idempotency-Key": "a"})
        assert (again[0], again[1]["id"]) == (202, first[1]["id"])
        assert (await post(client, "tts/jobs", BODY | {"script": "x"}, **{"Idempotency-Key": "a"}))[0] == 409
        assert (await post(client, "tts/jobs", **{"Idempotency-Key": "a" * 129}))[0] == 400
        assert (await post(client, "tts/jobs"))[1]["id"] != first[1]["id"]


async def test_speech_can_be_refused_fail_or_be_too_frequent() -> None:
    settings = {"sync": {"tts": "6/min", "tts_jobs": "2/min"}}
    async with customer(settings=settings, clock=(clock := ManualClock())) as client:
        for wrong in ({"script": ""}, {"script": "x" * 5001}, {"voiceId": None}, {"provider": "x"}, {"stability": 2}):
            assert (await post(client, "tts", BODY | wrong))[0] == 400, wrong
        assert [(await post(client, "tts"))[0] for _ in range(2)] == [200, 429]
        client.sandbox.inject("job_failed", vendor="sync", route="tts_job")
        _, told = await post(client, "tts/jobs")
        clock.advance(7)
        _, told = await client.send("GET", f"/sync/v2/tts/jobs/{told['id']}", headers=KEY)
        assert (told["status"], told["url"], bool(told["error"])) == ("FAILED", None, True)
        client.sandbox.configure("sync", speech_jobs=False)
        assert (await post(client, "tts/jobs"))[0] == 503
        assert (await post(client, "tts/jobs"))[0] == 429
        assert (await client.send("GET", "/sync/v2/tts/jobs/none", headers=KEY))[0] == 404
        assert len((await client.send("GET", "/sync/v2/voices", headers=KEY))[1]) == 4


async def test_an_estimate_can_be_unavailable() -> None:
    async with customer() as client:
        code = "cost_estimate_unavailable"
        client.sandbox.inject("refused", vendor="sync", route="estimate", status=422, code=code)
        status, told = await post(client, "generations/estimate", {"model": "lipsync-2", "duration": 3})
        assert (status, told["errorCode"]) == (422, code)
        assert (await post(client, "generations/estimate", {"model": "lipsync-2", "duration": 3}))[0] == 200
