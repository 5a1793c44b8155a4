"""JoggAI's stand-in against its sheet."""

import asyncio
from typing import Any

import pytest
from tests.integration.sandbox_client import KEY, Customer, customer

CREATE = "/jogg/v2/create_lip_sync_video"


@pytest.mark.parametrize("prefix", ["/v2", "/open/v2"])
async def test_both_prefixes_serve_the_same_account(prefix: str) -> None:
    async with customer() as client:
        body = {"video_url": client.media("short.mp4"), "audio_url": client.media("short.wav")}
        status, made = await client.send("POST", f"/jogg{prefix}/create_lip_sync_video", json=body, headers=KEY)
        assert (status, made["code"], made["data"]["status"]) == (200, 0, "pending")
        told = await client.ended_jogg(made["data"]["task_id"])
        assert (told["status"], told["error"]) == ("success", None)
        assert told["completed_at"] >= told["created_at"]
        assert (await client.send("GET", f"/jogg{prefix}/user/whoami", headers=KEY))[1]["code"] == 0


async def test_a_prefix_can_be_switched_off() -> None:
    async with customer(settings={"jogg": {"prefixes": ("/v2",)}}) as client:
        assert (await client.send("GET", "/jogg/open/v2/user/whoami", headers=KEY))[0] == 404
        assert (await client.send("GET", "/jogg/v2/user/whoami", headers=KEY))[0] == 200


async def refused(client: Customer, **options: Any) -> tuple[int, int]:
    status, told = await client.send("POST", CREATE, headers=KEY, **options)
    assert told["data"] is None
    return status, told["code"]


@pytest.mark.parametrize("under_200", [True, False])
async def test_the_envelope_carries_the_code_whatever_the_http_status_says(under_200: bool) -> None:
    async with customer(settings={"jogg": {"errors_http_200": under_200}}) as client:

        def expected(status: int, code: int) -> tuple[int, int]:
            return (200 if under_200 else status), code

        good = {"video_url": client.media("short.mp4"), "audio_url": client.media("short.wav")}
        for body in ({}, {**good, "audio_url": "x"}, {**good, "playback_type": "odd"}):
            assert await refused(client, json=body) == expected(400, 40000)
        assert await refused(client, data=b"[") == expected(400, 40000)
        status, told = await client.send("POST", CREATE, json=good, headers={"x-api-key": "no"})
        assert (status, told["code"]) == expected(401, 10105)
        status, told = await client.send("GET", "/jogg/v2/lip_sync_video/none", headers=KEY)
        assert (status, told["code"]) == expected(404, 10104)
        client.sandbox.configure("jogg", credits=0.0)
        assert await refused(client, json=good) == expected(402, 18020)
        assert client.sandbox.bill()["jogg"]["creates"] == 0


async def test_only_posts_are_counted_and_the_twenty_first_is_too_many() -> None:
    async with customer() as client:
        for _ in range(30):
            assert (await client.send("GET", "/jogg/v2/user/whoami", headers=KEY))[1]["code"] == 0
        codes = [(await client.create_jogg())["code"] for _ in range(22)]
        assert codes == [0] * 20 + [429] * 2
        bill = client.sandbox.bill()["jogg"]
        assert (bill["peak"]["post"], bill["peak"]["post_arrived"], bill["throttled"]) == (20, 22, 2)


async def test_a_429_is_dressed_as_the_settings_say() -> None:
    settings = {"post": "0/min", "throttle_http_200": False, "retry_after_header": True, "retry_after_data": True}
    async with (
        customer(settings={"jogg": settings}) as client,
        client.http.post(client.address + CREATE, json={}, headers=KEY) as reply,
    ):
        told = await reply.json()
        assert (reply.status, told["code"]) == (429, 429)
        assert int(reply.headers["Retry-After"]) == told["data"]["retryAfter"] == 60


async def test_a_task_limit_is_code_429_when_set() -> None:
    async with customer(settings={"jogg": {"concurrency": 2}}) as client:
        assert [(await client.create_jogg())["code"] for _ in range(3)] == [0, 0, 429]
        assert client.sandbox.bill()["jogg"]["throttled_by"] == {"post": 0, "seats": 1}


async def test_the_lookup_finds_the_newest_task_with_exactly_these_inputs() -> None:
    async with customer() as client:
        await client.create_jogg()
        second = (await client.create_jogg())["data"]["task_id"]
        query = {"video_url": client.media("short.mp4"), "audio_url": client.media("short.wav")}

        async def look(**more: str) -> Any:
            return (await client.send("GET", "/jogg/v2/lip_sync_video", params=query | more, headers=KEY))[1]

        assert (await look())["data"]["task_id"] == second
        assert (await look(playback_type="normal"))["data"]["task_id"] == second
        assert (await look(playback_type="normal_reverse"))["code"] == 17003
        assert (await look(audio_url=client.media("short.wav?")))["code"] == 17003
        client.sandbox.configure("jogg", lookup=False)
        assert (await client.send("GET", "/jogg/v2/lip_sync_video", params=query, headers=KEY))[0] == 404


async def test_credits_follow_the_output_length_and_round_up_per_job() -> None:
    async with customer() as client:
        created = [await client.create_jogg(audio=name) for name in ("audio-1.5.wav", "audio-2.6.wav")]
        await asyncio.gather(*(client.ended_jogg(told["data"]["task_id"]) for told in created))
        assert client.sandbox.bill()["jogg"]["credits"] == pytest.approx(0.02 + 0.03)
        _, quota = await client.send("GET", "/jogg/v2/user/remaining_quota", headers=KEY)
        assert quota["data"]["remaining_quota"] == pytest.approx(999.95)
        assert client.sandbox.bill()["jogg"]["duplicates"] == 0


async def test_a_failed_task_is_a_normal_reply_and_costs_unless_refunds_are_on() -> None:
    async with customer() as client:
        for refund, spent in ((False, 0.02), (True, 0.02)):
            client.sandbox.configure("jogg", refund_failed=refund)
            client.sandbox.inject("job_failed", vendor="jogg", message="broken")
            told = await client.ended_jogg((await client.create_jogg())["data"]["task_id"])
            assert (told["status"], told["data"], told["error"]) == ("failed", None, {"message": "broken"})
            assert client.sandbox.bill()["jogg"]["credits"] == pytest.approx(spent)


async def test_unreachable_audio_fails_with_the_sentence_of_the_sheet() -> None:
    async with customer() as client:
        made = await client.create_jogg(audio_url="http://127.0.0.1:9/a.wav")
        told = await client.ended_jogg(made["data"]["task_id"])
        assert told["error"]["message"] == "consume retry limit reached: audio duration fetch failed"
        assert client.sandbox.bill()["jogg"]["credits"] == 0


async def test_files_are_uploaded_to_a_signed_link() -> None:
    async with customer() as client:
        _, video, _ = await client.get(client.media("short.mp4"))
        body = {"filename": "a.mp4", "content_type": "video/mp4", "file_size": len(video)}
        _, told = await client.send("POST", "/jogg/v2/upload/asset", json=body, headers=KEY)
        async with client.http.put(told["data"]["sign_url"], data=video, headers={"Content-Type": "video/mp4"}) as put:
            assert put.status == 200
        made = await client.create_jogg(video_url=told["data"]["asset_url"])
        assert (await client.ended_jogg(made["data"]["task_id"]))["status"] == "success"
        unsigned = told["data"]["asset_url"]
        async with client.http.put(unsigned, data=video, headers={"Content-Type": "video/mp4"}) as put:
            assert put.status == 403


async def test_webhook_endpoints_are_kept_and_no_lip_sync_event_is_listed() -> None:
    async with customer() as client:
        body = {"url": "https://x.test/hook", "events": ["generated_video_success"], "status": "enabled"}
        _, hook = await client.send("POST", "/jogg/v2/endpoint", json=body, headers=KEY)
        id = hook["data"]["endpoint_id"]
        _, changed = await client.send("PUT", f"/jogg/v2/endpoint/{id}", json={**body, "events": []}, headers=KEY)
        assert (changed["data"]["events"], changed["data"]["secret"]) == ([], hook["data"]["secret"])
        assert len((await client.send("GET", "/jogg/v2/endpoints", headers=KEY))[1]["data"]["endpoints"]) == 1
        assert (await client.send("DELETE", f"/jogg/v2/endpoint/{id}", headers=KEY))[1]["code"] == 0
        assert (await client.send("DELETE", f"/jogg/v2/endpoint/{id}", headers=KEY))[1]["code"] == 10104
        _, events = await client.send("GET", "/jogg/v2/events", headers=KEY)
        assert not any("lip" in name for name in events["data"]["events"])
