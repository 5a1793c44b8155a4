"""AI/ML API's stand-in against its sheet."""

import re
from typing import Any

import pytest
from tests.integration.sandbox_client import BEARER, customer

PATH = "/aimlapi/v2/video/generations"
ERROR_FIELDS = {"message", "path", "requestId", "statusCode", "timestamp"}


async def test_ids_come_in_every_shape_and_each_can_be_polled() -> None:
    async with customer(settings={"aimlapi": {"concurrency": None}}) as client:
        ids = [(await client.create_aiml())[1]["id"] for _ in range(14)]
        assert any(id.startswith("-") for id in ids)
        assert any(id.endswith(":pixverse/lip-sync") for id in ids)
        assert any(id.isdigit() for id in ids)
        assert any(id.startswith("cgt-") for id in ids)
        assert any(re.fullmatch(r"[A-Za-z0-9_-]{21}", id) for id in ids)
        ended = [await client.ended_aiml(id) for id in ids]
        assert {told["status"] for told in ended} == {"completed", "succeeded"}
        assert [told["id"] for told in ended] == ids


async def test_a_submit_holds_a_dollar_and_says_so_in_body_and_headers() -> None:
    async with customer() as client:
        body = {"model": "pixverse/lip-sync", "video_url": client.media("short.mp4"),
                "audio_url": client.media("short.wav")}  # fmt: skip
        headers = BEARER | {"X-Client-Request-Id": "job-1:0"}
        async with client.http.post(client.address + PATH, json=body, headers=headers) as reply:
            told = await reply.json()
            assert told | {"id": ""} == {"id": "", "status": "queued", "meta": {"usage": {"credits_used": 2_000_000}}}
            assert reply.headers["x-inference-id"] == told["id"]
            assert reply.headers["x-client-request-id"] == "job-1:0"
            assert reply.headers["x-aimlapi-credits-used"] == "2000000"
            assert reply.headers["x-aimlapi-usd-spent"] == "1"
        ended = await client.ended_aiml(told["id"])
        assert "meta" not in ended
        bill = client.sandbox.bill()["aimlapi"]
        assert (bill["credits"], bill["usd"], bill["creates"]) == (2_000_000, 1.0, 1)
        assert client.sandbox.log("aimlapi", "create")[0]["reference"] == "job-1:0"


async def test_a_job_is_queued_then_generating_then_done() -> None:
    async with customer() as client:
        _, told = await client.create_aiml()
        seen: list[str] = []
        while not seen or seen[-1] not in ("completed", "succeeded"):
            _, now = await client.send("GET", PATH, params={"generation_id": told["id"]}, headers=BEARER)
            seen.append(now["status"])
            await client.passing()
        assert list(dict.fromkeys(seen))[:2] == ["queued", "generating"]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "other"}, {"video_url": None}, {"video_url": 5}, {"video_url": "not a url"}, {"audio_url": None},
        {"lip_sync_tts_content": "hi", "lip_sync_tts_speaker": "Ava"}, {"lip_sync_tts_content": "hi"},
        {"audio_url": None, "lip_sync_tts_content": "hi", "lip_sync_tts_speaker": "Nobody"},
        {"audio_url": None, "lip_sync_tts_content": "x" * 201, "lip_sync_tts_speaker": "Ava"},
    ],
)  # fmt: skip
async def test_bodies_are_validated(changes: dict[str, Any]) -> None:
    async with customer() as client:
        body: dict[str, Any] = {"model": "pixverse/lip-sync", "video_url": client.media("short.mp4"),
                                "audio_url": client.media("short.wav"), **changes}  # fmt: skip
        body = {name: value for name, value in body.items() if value is not None}
        status, told = await client.send("POST", PATH, json=body, headers=BEARER)
        assert (status, told["statusCode"], set(told)) == (400, 400, ERROR_FIELDS)
        assert told["path"] == "/v2/video/generations"


async def test_refusals_have_their_status_and_one_shape() -> None:
    async with customer(settings={"aimlapi": {"create": "4/min", "concurrency": 1}}) as client:
        status, told = await client.send("POST", PATH, json={})
        assert (status, set(told)) == (401, ERROR_FIELDS)
        assert (await client.send("GET", PATH, params={"generation_id": "none"}, headers=BEARER))[0] == 404
        assert (await client.send("GET", PATH, headers=BEARER))[0] == 400
        assert (await client.create_aiml())[0] == 200
        assert (await client.create_aiml())[0] == 429
        client.sandbox.configure("aimlapi", credits=1.0, status_code_text=True)
        status, told = await client.create_aiml()
        assert (status, told["statusCode"]) == (403, "403")
        client.sandbox.configure("aimlapi", credits=None, concurrency=None)
        assert [(await client.create_aiml())[0] for _ in range(2)] == [200, 429]
        assert client.sandbox.bill()["aimlapi"]["throttled_by"] == {"create": 1, "seats": 1, "read": 0}


async def test_a_failed_job_gives_its_hold_back_and_tells_why_in_either_shape() -> None:
    async with customer() as client:
        shapes: list[set[str]] = []
        for code in ("generation_error", "face_detection_error"):
            client.sandbox.inject("job_failed", vendor="aimlapi", code=code)
            told = await client.ended_aiml((await client.create_aiml())[1]["id"])
            assert (told["status"], told["video"]) == ("error", None)
            shapes.append(set(told["error"]))
        assert shapes == [{"name", "message"}, {"detail"}]
        assert client.sandbox.bill()["aimlapi"]["credits"] == 0
        _, left = await client.send("GET", "/aimlapi/v2/billing", headers=BEARER)
        assert left == {"current_balance": 1000.0, "currency": "USD"}


async def test_the_logs_show_a_request_late_with_the_reference_it_came_with() -> None:
    async with customer(settings={"aimlapi": {"log_seconds": 30.0}}) as client:
        _, told = await client.create_aiml(headers={"X-Client-Request-Id": "mine"})
        await client.create_aiml(headers={"X-Client-Request-Id": "bad reference!"})

        async def rows(query: str) -> Any:
            return (await client.send("GET", f"/aimlapi/v2/logs?{query}", headers=BEARER))[1]

        assert (await rows("period=1h"))["data"] == []
        client.clock.advance(35)
        page = await rows("period=1h&model=pixverse/lip-sync&limit=1")
        assert page["pagination"] == {"limit": 1, "offset": 0, "total": 2, "has_more": True}
        assert page["data"][0]["client_request_id"] is None
        second = (await rows("period=1h&limit=1&offset=1"))["data"][0]
        assert (second["client_request_id"], second["inference_id"]) == ("mine", told["id"])
        assert (await rows("period=1h&model=other"))["data"] == []
        assert (await client.send("GET", "/aimlapi/v2/logs?period=1h&limit=101", headers=BEARER))[0] == 400


async def test_running_jobs_may_be_kept_out_of_the_logs() -> None:
    async with customer(settings={"aimlapi": {"log_running": False, "log_seconds": 0.0}}) as client:
        _, told = await client.create_aiml()
        assert (await client.send("GET", "/aimlapi/v2/logs?period=1h", headers=BEARER))[1]["data"] == []
        await client.ended_aiml(told["id"])
        assert len((await client.send("GET", "/aimlapi/v2/logs?period=1h", headers=BEARER))[1]["data"]) == 1


async def test_the_logs_have_a_rate_of_their_own() -> None:
    async with customer(settings={"aimlapi": {"logs": "2/min"}}) as client:
        statuses = [(await client.send("GET", "/aimlapi/v2/logs", headers=BEARER))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await client.send("GET", "/aimlapi/v2/billing", headers=BEARER))[0] == 200


async def test_models_and_money_can_be_read() -> None:
    async with customer() as client:
        query = "/aimlapi/v1/models?id=pixverse/lip-sync&include=pricing"
        _, models = await client.send("GET", query)
        assert models["data"][0]["pricing"][0]["price"] == 1.0
        _, detail = await client.send("GET", "/aimlapi/v2/billing/detail", headers=BEARER)
        assert detail["current_balance"] == 1000.0
        _, old = await client.send("GET", "/aimlapi/v1/billing/balance", headers=BEARER)
        assert (old["balance"], old["lowBalance"]) == (2_000_000_000, False)
