"""Sync's stand-in against its sheet, and against Sync's own client."""

import asyncio
import hashlib
import hmac
import json
import re
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sync import AsyncSync, Audio, GenerationOptions, Sync, Video
from sync.core.api_error import ApiError
from tests.integration.sandbox_client import KEY, Customer, customer


def inputs(client: Customer) -> list[Any]:
    return [Video(url=client.media("short.mp4")), Audio(url=client.media("short.wav"))]


async def test_the_official_client_creates_polls_and_lists() -> None:
    async with customer() as client, httpx.AsyncClient() as http:
        sdk = AsyncSync(base_url=f"{client.address}/sync", api_key="sandbox", httpx_client=http)
        made = [
            await sdk.generations.create(
                model="lipsync-2",
                input=inputs(client),
                options=GenerationOptions(sync_mode="loop"),
                output_file_name=f"clip-{n}",
            )
            for n in range(3)
        ]
        assert {job.status for job in made} == {"PENDING"}
        ended = await client.ended_sync(made[0].id)
        told = await sdk.generations.get(made[0].id)
        assert told.status == ended["status"] == "COMPLETED"
        assert told.output_duration == pytest.approx(1.5, abs=0.1)
        assert re.search(r"/clip-0\.mp4\?", str(told.output_url))
        assert told.options is not None
        assert told.options.sync_mode == "loop"
        await asyncio.gather(*(client.ended_sync(job.id) for job in made))
        listed = await sdk.generations.list(ids=[made[2].id, made[0].id])
        assert [job.id for job in listed] == [made[2].id, made[0].id]
        assert len(await sdk.generations.list(status=["COMPLETED", "FAILED"])) == 3
        assert await sdk.generations.list(status=["PENDING"]) == []
        assert {model.id for model in await sdk.models.list()} >= {"sync-3", "lipsync-2"}
        cost = await sdk.generations.estimate_cost(model="lipsync-2", input=inputs(client))
        assert cost[0].estimated_frame_count == 250


async def test_the_official_blocking_client_works_and_sees_refusals() -> None:
    async with customer() as client:

        def use() -> tuple[str, int, int]:
            base = f"{client.address}/sync"
            with httpx.Client() as http:
                sdk = Sync(base_url=base, api_key="sandbox", httpx_client=http)
                made = sdk.generations.create(model="lipsync-2-pro", input=inputs(client))
                with pytest.raises(ApiError) as wrong_key:
                    Sync(base_url=base, api_key="wrong", httpx_client=http).generations.list()
                with pytest.raises(ApiError) as missing:
                    sdk.generations.get("00000000-0000-0000-0000-000000000000")
            assert missing.value.body.model_extra["errorCode"] == "generation_not_found"
            return made.id, wrong_key.value.status_code or 0, missing.value.status_code or 0

        id, wrong_key, missing = await asyncio.to_thread(use)
        assert (wrong_key, missing) == (401, 404)
        assert (await client.ended_sync(id))["model"] == "lipsync-2-pro"


async def test_the_official_client_uploads_files() -> None:
    async with customer() as client, httpx.AsyncClient() as http:
        _, video, _ = await client.get(client.media("short.mp4"))
        _, audio, _ = await client.get(client.media("short.wav"))
        sdk = AsyncSync(base_url=f"{client.address}/sync", api_key="sandbox", httpx_client=http)
        made = await sdk.generations.create_with_files(model="lipsync-2", video=video, audio=audio)
        assert (await client.ended_sync(made.id))["status"] == "COMPLETED"


async def test_keys_are_missing_or_wrong_in_two_ways() -> None:
    async with customer() as client:
        status, missing = await client.send("GET", "/sync/v2/generations")
        assert (status, missing["error"], missing["statusCode"]) == (401, "Unauthorized", 401)
        status, wrong = await client.send("GET", "/sync/v2/generations", headers={"x-api-key": "nobody"})
        assert (status, wrong) == (401, {"message": "Unauthorized", "statusCode": 401})
        assert (await client.send("GET", "/sync/v2/errors"))[0] == 200
        row = client.sandbox.log("sync", "list")[1]
        assert not row["authorised"]
        assert "nobody" not in json.dumps(client.sandbox.log())


VIDEO, AUDIO = {"type": "video", "url": "http://x.test/v.mp4"}, {"type": "audio", "url": "http://x.test/a.wav"}
IMAGE = {"type": "image", "url": "http://x.test/i.jpg"}


def text(**provider: Any) -> dict[str, Any]:
    return {"type": "text", "provider": {"name": "elevenlabs", "voiceId": "v", "script": "hello", **provider}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"model": "lipsync-9", "input": [VIDEO, AUDIO]}, "generation_unsupported_model"),
        ({"input": [VIDEO, AUDIO]}, "generation_input_validation_failed"),
        ({"model": "lipsync-2"}, "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [AUDIO]}, "generation_video_missing"),
        ({"model": "lipsync-2", "input": [VIDEO]}, "generation_audio_missing"),
        ({"model": "lipsync-2", "input": [VIDEO, VIDEO, AUDIO]}, "generation_input_too_many_visual"),
        ({"model": "lipsync-2", "input": [VIDEO, AUDIO, AUDIO]}, "generation_input_segments_invalid"),
        ({"model": "lipsync-2", "input": [IMAGE, AUDIO]}, "generation_input_validation_failed"),
        ({"model": "sync-3", "input": [IMAGE, AUDIO], "segments": [{}]}, "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO, text(script="x" * 5001)]}, "generation_text_length_exceeded"),
        ({"model": "lipsync-2", "input": [VIDEO, text(stability=2)]}, "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO, text(name="other")]}, "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO, {"type": "audio"}]}, "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO, {"type": "audio", "assetId": "none"}]}, "asset_not_found"),
        ({"model": "lipsync-2", "input": [VIDEO], "dubParams": {}}, "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO], "dubParams": "es"}, "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO], "dubParams": {"targetLang": "es", "providerName": "other"}},
         "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO], "dubParams": {"targetLang": "es", "sourceLang": 7}},
         "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO, AUDIO], "dubParams": {"targetLang": "es"}},
         "generation_input_dub_audio_conflict"),
        ({"model": "lipsync-2", "input": [VIDEO, AUDIO], "options": {"sync_mode": "x"}},
         "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO, AUDIO], "outputFileName": "a/b"},
         "generation_input_validation_failed"),
        ({"model": "lipsync-2", "input": [VIDEO, AUDIO], "webhookUrl": "ftp://x"},
         "generation_input_validation_failed"),
        ({"model": "react-1", "input": [VIDEO, AUDIO], "options": {"temperature": 0.2, "odd": 1}}, None),
    ],
)  # fmt: skip
async def test_a_create_is_refused_for_the_reasons_in_the_sheet(body: dict[str, Any], code: str | None) -> None:
    async with customer() as client:
        status, told = await client.send("POST", "/sync/v2/generate", json=body, headers=KEY)
        if code is None:
            assert status == 201
        else:
            assert (status, told["statusCode"]) == ((404, 404) if code == "asset_not_found" else (400, 400))
            assert told["errorCode"] == code
            assert client.sandbox.bill()["sync"]["creates"] == 0


async def test_a_body_that_is_no_json_object_is_refused() -> None:
    async with customer() as client:
        for data in (b"{", b"[]", b'"x"'):
            assert (await client.send("POST", "/sync/v2/generate", data=data, headers=KEY))[0] == 400


async def test_the_rate_is_an_exact_window_and_says_so_in_one_flavour() -> None:
    async with customer(settings={"sync": {"create": "3/min", "concurrency": None}}) as client:
        answers = await asyncio.gather(*(client.create_sync() for _ in range(5)))
        assert sorted(status for status, _ in answers) == [201, 201, 201, 429, 429]
        refused = next(told for status, told in answers if status == 429)
        assert (refused["errorCode"], refused["error"]) == ("rate_limit_exceeded", "Too Many Requests")
        bill = client.sandbox.bill()["sync"]
        assert (bill["throttled"], bill["throttled_by"]["create"], bill["refused"]) == (2, 2, 0)
        assert (bill["peak"]["create"], bill["peak"]["create_arrived"]) == (3, 5)


async def test_concurrency_is_refused_in_the_other_flavour_and_seats_come_free() -> None:
    async with customer(settings={"sync": {"concurrency": 2}}) as client:
        made = [await client.create_sync() for _ in range(3)]
        assert [status for status, _ in made] == [201, 201, 429]
        assert made[2][1] | {"message": "", "upgradeUrl": ""} == {
            "message": "", "statusCode": 429, "errorCode": "concurrency_limit_reached", "activeGenerations": 2,
            "concurrencyLimit": 2, "retryAfterSeconds": 10, "upgradeUrl": "",
        }  # fmt: skip
        await client.ended_sync(made[0][1]["id"])
        await client.ended_sync(made[1][1]["id"])
        assert (await client.create_sync())[0] == 201
        bill = client.sandbox.bill()["sync"]
        assert (bill["peak"]["seats"], bill["throttled_by"]["seats"]) == (2, 1)


async def test_equal_keys_make_one_job_and_one_charge() -> None:
    async with customer() as client:
        key = {"Idempotency-Key": "order-1"}
        both = await asyncio.gather(client.create_sync(headers=key), client.create_sync(headers=key))
        assert len({told["id"] for _, told in both}) == 1
        assert [status for status, _ in both] == [201, 201]
        client.sandbox.configure("sync", replay_status=200)
        assert (await client.create_sync(headers=key))[0] == 200
        status, told = await client.create_sync("short.mp4", "sample.wav", headers=key)
        assert (status, told["statusCode"]) == (409, 409)
        bill = client.sandbox.bill()["sync"]
        assert (bill["creates"], bill["duplicates"], bill["replays"]) == (1, 0, 2)


async def test_a_key_is_forgotten_after_its_lifetime() -> None:
    async with customer(settings={"sync": {"idempotency_seconds": 30.0}}) as client:
        first = await client.create_sync(headers={"Idempotency-Key": "k"})
        client.clock.advance(31)
        second = await client.create_sync(headers={"Idempotency-Key": "k"})
        assert first[1]["id"] != second[1]["id"]
        assert client.sandbox.bill()["sync"]["duplicates"] == 1


@pytest.mark.parametrize("keys", [[""], ["a b"], ["x" * 129], ["a", "b"], ["é"]])
async def test_malformed_keys_are_refused(keys: list[str]) -> None:
    async with customer() as client:
        headers = [*KEY.items(), *(("Idempotency-Key", key) for key in keys)]
        status, told = await client.send("POST", "/sync/v2/generate", json=client.generate(), headers=headers)
        assert (status, told["errorCode"]) == (400, "INVALID_IDEMPOTENCY_KEY")


@pytest.mark.parametrize("bare", [False, True])
async def test_an_unknown_outcome_is_booked_and_the_key_finds_the_job(bare: bool) -> None:
    async with customer() as client:
        client.sandbox.inject("outcome_unknown", vendor="sync", bare=bare)
        status, told = await client.create_sync(headers={"Idempotency-Key": "k"})
        assert (status, told["errorCode"], "generationId" in told) == (503, "IDEMPOTENCY_OUTCOME_UNKNOWN", not bare)
        _, again = await client.create_sync(headers={"Idempotency-Key": "k"})
        assert bare or again["id"] == told["generationId"]
        assert client.sandbox.bill()["sync"]["creates"] == 1


async def test_a_job_goes_through_its_statuses_with_progress() -> None:
    async with customer(fixed_size=20_000, fixed_seconds=40.0) as client:
        _, told = await client.create_sync()
        seen: list[tuple[str, int]] = []
        while not seen or seen[-1][0] != "COMPLETED":
            path = f"/sync/v2/generate/{told['id']}"
            _, now = await client.send("GET", path, params={"include": "progress"}, headers=KEY)
            seen.append((now["status"], now["progress_percent"]))
            await client.passing(9)
        assert list(dict.fromkeys(status for status, _ in seen)) == ["PENDING", "PROCESSING", "COMPLETED"]
        progress = [percent for _, percent in seen]
        assert progress == sorted(progress)
        assert (progress[0], progress[-1]) == (0, 100)
        assert any(0 < percent < 100 for percent in progress)


async def test_a_long_poll_answers_at_the_end_or_at_its_time_out() -> None:
    async with customer() as client:
        _, told = await client.create_sync("short.mp4", "audio-8.wav")
        await client.sandbox.settled()
        path = f"/sync/v2/generate/{told['id']}"
        assert await held(client, path + "?wait=true&timeout=3") == ("PENDING", 3.0)
        assert await held(client, path + "?wait=true&timeout=10") == ("PROCESSING", 10.0)
        status, took = await held(client, path + "?wait=true&timeout=10")
        assert (status, 0 < took < 10) == ("COMPLETED", True)
        for wrong in ("timeout=0.5", "timeout=11", "timeout=x", "include=progress"):
            query = f"wait=true&{wrong}"
            assert (await client.send("GET", f"{path}?{query}", headers=KEY))[0] == 400


async def held(client: Customer, query: str) -> tuple[str, float]:
    """What a long poll tells, and after how many vendor seconds."""
    known = len(client.sandbox.log("sync", "poll"))
    asking = asyncio.create_task(client.get(f"{client.address}{query}", **KEY))
    while len(client.sandbox.log("sync", "poll")) == known:  # noqa: ASYNC110 - it comes over a socket
        await asyncio.sleep(0.001)
    while not client.sandbox.log("sync", "poll")[-1]["status"]:
        for _ in range(50):  # whoever was woken has its turn before the clock goes on
            await asyncio.sleep(0)
        client.clock.advance(0.5)
    _, body, headers = await asking
    assert (headers["Retry-After"], headers["X-Sync-Wait-Mode"]) == ("2", "long_poll")
    assert query.endswith(f"timeout={headers['X-Sync-Wait-Timeout-Seconds']}")
    return json.loads(body)["status"], client.sandbox.log("sync", "poll")[-1]["took"]


async def test_lists_are_filtered_paged_and_newest_first() -> None:
    async with customer(settings={"sync": {"concurrency": None}}) as client:
        ids: list[str] = []
        for _ in range(5):
            ids.append((await client.create_sync())[1]["id"])
            client.clock.advance(1)
        path = "/sync/v2/generations"

        async def listed(query: str) -> list[str]:
            status, told = await client.send("GET", f"{path}?{query}", headers=KEY)
            assert status == 200
            return [job["id"] for job in told]

        assert await listed("") == ids[::-1]
        assert await listed("limit=2") == ids[:2:-1]
        assert await listed(f"limit=2&cursor={ids[3]}") == [ids[2], ids[1]]
        assert await listed(f"ids={ids[0]},{ids[1]}&ids=unknown") == [ids[1], ids[0]]
        for query in ("limit=0", "limit=101", "limit=x", f"cursor={ids[0]}", "status=NONE", "limit=1&cursor=x"):
            assert (await client.send("GET", f"{path}?{query}", headers=KEY))[0] == 400
        client.sandbox.configure("sync", max_ids=1)
        assert (await client.send("GET", f"{path}?ids={ids[0]},{ids[1]}", headers=KEY))[0] == 400


async def test_a_job_is_deleted_only_after_its_end() -> None:
    async with customer() as client:
        _, told = await client.create_sync()
        path = f"/sync/v2/generations/{told['id']}"
        status, refused = await client.send("DELETE", path, headers=KEY)
        assert (status, refused["errorCode"]) == (409, "generation_not_deletable_while_processing")
        assert (await client.send("GET", path + "/download", headers=KEY))[0] == 404
        ended = await client.ended_sync(told["id"])
        assert (await client.send("GET", path + "/download", headers=KEY))[1] == ended["outputUrl"]
        assert (await client.send("DELETE", path, headers=KEY))[0] == 200
        assert (await client.send("GET", path, headers=KEY))[0] == 404
        assert (await client.get(ended["outputUrl"]))[0] == 404
        assert client.sandbox.bill()["sync"]["succeeded"] == 1


async def test_ids_are_uuids_known_to_this_account() -> None:
    async with customer() as client:
        assert (await client.send("GET", "/sync/v2/generate/abc", headers=KEY))[0] == 400
        _, told = await client.create_sync()
        other = {"x-api-key": "sandbox-second"}
        assert (await client.send("GET", f"/sync/v2/generate/{told['id']}", headers=other))[0] == 404
        assert client.sandbox.bill()["sync-second"]["creates"] == 0


async def test_files_are_uploaded_registered_and_used_by_id_or_link() -> None:
    async with customer() as client:
        _, video, _ = await client.get(client.media("short.mp4"))
        slot = {"fileName": "talk one.mp4", "contentType": "video/mp4", "size": len(video)}
        status, upload = await client.send("POST", "/sync/v2/assets/upload", json=slot, headers=KEY)
        assert (status, upload["expiresIn"]) == (201, 604_800)
        register = {"url": upload["url"], "type": "VIDEO", "name": "talk"}
        assert (await client.send("POST", "/sync/v2/assets", json=register, headers=KEY))[0] == 422
        async with client.http.put(upload["uploadUrl"], data=video, headers={"Content-Type": "text/plain"}) as wrong:
            assert wrong.status == 403
        async with client.http.put(upload["uploadUrl"], data=video, headers={"Content-Type": "video/mp4"}) as put:
            assert put.status == 200
        assert (await client.get(upload["url"]))[1] == video
        status, asset = await client.send("POST", "/sync/v2/assets", json=register, headers=KEY)
        assert (status, asset["inputType"], asset["size"]) == (201, "UPLOAD", len(video))
        for visual in ({"assetId": asset["id"]}, {"url": upload["url"]}):
            items = [{"type": "video", **visual}, {"type": "audio", "url": client.media("short.wav")}]
            body = {"model": "lipsync-2", "input": items}
            _, told = await client.send("POST", "/sync/v2/generate", json=body, headers=KEY)
            assert (await client.ended_sync(told["id"]))["status"] == "COMPLETED"
        _, listed = await client.send("GET", "/sync/v2/assets", headers=KEY)
        assert (listed["totalCount"], listed["items"][0]["id"]) == (1, asset["id"])
        row = client.sandbox.log("sync", "store")[-1]
        assert (row["key_digest"], row["sha256"]) == (None, hashlib.sha256(video).hexdigest())


async def test_estimates_count_frames() -> None:
    async with customer() as client:
        for path in ("/sync/v2/generations/estimate", "/sync/v2/generate/estimate-cost"):
            body = {"model": "lipsync-2", "duration": 10}
            _, told = await client.send("POST", path, json=body, headers=KEY)
            assert told == {"estimatedFrameCount": 300, "estimatedGenerationCost": 0.6, "estimatedCredits": None}
        assert (await client.send("POST", path, json={"model": "lipsync-2", "duration": -1}, headers=KEY))[0] == 400


async def test_an_empty_account_gets_no_job() -> None:
    async with customer(settings={"sync": {"credits": 0.0}}) as client:
        status, told = await client.create_sync()
        assert (status, told["errorCode"]) == (402, "account_payment_required")
        client.sandbox.configure("sync", credits=5.0)
        assert (await client.create_sync())[0] == 201


async def test_media_over_the_plan_length_is_rejected() -> None:
    async with customer(settings={"sync": {"max_seconds": 1.2}}) as client:
        _, told = await client.create_sync()
        ended = await client.ended_sync(told["id"])
        assert (ended["status"], ended["errorCode"]) == ("REJECTED", "generation_plan_duration_exceeded")


async def test_a_webhook_is_posted_at_the_end_and_signed_over_its_raw_body() -> None:
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        heard.put_nowait((request.headers["Sync-Signature"], await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hear)
    async with customer() as client, TestServer(app) as receiver:
        _, told = await client.create_sync(webhookUrl=str(receiver.make_url("/hook")))
        await client.ended_sync(told["id"])
        signature, body = await asyncio.wait_for(heard.get(), 100)
        _, secret = await client.send("GET", "/sync/v2/organizations/webhook/secret", headers=KEY)
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", signature)
    assert found is not None
    expected = hmac.new(secret["secret"].encode(), f"{found[1]}.".encode() + body, hashlib.sha256).hexdigest()
    assert found[2] == expected
    assert (json.loads(body)["id"], json.loads(body)["status"]) == (told["id"], "COMPLETED")
