"""Every fault over real HTTP: what the client sees, and what was booked nevertheless."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from tests.integration.sandbox_client import BEARER, KEY, Customer, customer

VENDORS = ["sync", "jogg", "aimlapi"]


async def create(client: Customer, vendor: str) -> tuple[int, str, bytes]:
    """A create without retries: status, content type and body; faults of the connection are raised."""
    body: dict[str, Any] = {
        "sync": client.generate(),
        "jogg": {"video_url": client.media("short.mp4"), "audio_url": client.media("short.wav")},
        "aimlapi": {"model": "pixverse/lip-sync", "video_url": client.media("short.mp4"),
                    "audio_url": client.media("short.wav")},
    }[vendor]  # fmt: skip
    path = {"sync": "/v2/generate", "jogg": "/v2/create_lip_sync_video", "aimlapi": "/v2/video/generations"}[vendor]
    headers = BEARER if vendor == "aimlapi" else KEY
    async with client.http.post(f"{client.address}/{vendor}{path}", json=body, headers=headers) as reply:
        return reply.status, reply.content_type, await reply.read()


def booked(client: Customer, vendor: str) -> int:
    return client.sandbox.bill()[vendor]["creates"]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_lost_reply_was_booked_and_not_a_byte_came(vendor: str) -> None:
    async with customer() as client:
        client.sandbox.inject("lost_reply", vendor=vendor, route="create")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await create(client, vendor)
        assert booked(client, vendor) == 1
        row = client.sandbox.log(vendor, "create")[-1]
        assert (row["fault"], row["status"], row["job"] is not None) == ("lost_reply", None, True)
        assert (await create(client, vendor))[0] in (200, 201)
        assert client.sandbox.bill()[vendor]["duplicates"] == 1


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_reset_before_the_work_booked_nothing(vendor: str) -> None:
    async with customer() as client:
        client.sandbox.inject("reset_before", vendor=vendor, route="create")
        with pytest.raises(aiohttp.ClientOSError):
            await create(client, vendor)
        assert booked(client, vendor) == 0


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(("fault", "count"), [("server_error", 0), ("server_error_booked", 1)])
async def test_a_server_error_may_or_may_not_have_booked(vendor: str, fault: str, count: int) -> None:
    async with customer(settings={"jogg": {"errors_http_200": False}}) as client:
        for status in (500, 502, 503):
            client.sandbox.reset()
            client.sandbox.inject(fault, vendor=vendor, route="create", status=status)
            assert (await create(client, vendor))[0] == status
            assert booked(client, vendor) == count


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_429_can_come_without_a_reason_in_both_flavours(vendor: str) -> None:
    async with customer(settings={"jogg": {"throttle_http_200": False}}) as client:
        for flavour in ("rate", "seats"):
            client.sandbox.inject("too_many", vendor=vendor, route="create", flavour=flavour)
            status, _, body = await create(client, vendor)
            assert status == 429
            if vendor == "sync":
                code = b"rate_limit_exceeded" if flavour == "rate" else b"concurrency_limit_reached"
                assert code in body
        assert booked(client, vendor) == 0


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_proxys_page_hides_a_booked_create(vendor: str) -> None:
    async with customer() as client:
        client.sandbox.inject("html", vendor=vendor, route="create")
        status, kind, body = await create(client, vendor)
        assert (status, kind, body[:9].lower()) == (200, "text/html", b"<!doctype")
        assert booked(client, vendor) == 1


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_truncated_reply_was_booked(vendor: str) -> None:
    async with customer() as client:
        client.sandbox.inject("truncated", vendor=vendor, route="create")
        with pytest.raises(aiohttp.ClientPayloadError):
            await create(client, vendor)
        assert booked(client, vendor) == 1


async def test_a_slow_reply_is_late_in_vendor_seconds() -> None:
    async with customer() as client:
        client.sandbox.inject("slow", vendor="sync", route="create", seconds=20)
        asking = asyncio.create_task(create(client, "sync"))
        while not booked(client, "sync"):  # noqa: ASYNC110 - it comes over a socket
            await asyncio.sleep(0.001)
        client.clock.advance(19)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not asking.done()
        client.clock.advance(1)
        assert (await asking)[0] == 201
        assert client.sandbox.log("sync", "create")[0]["took"] == 20


async def test_a_refusal_can_be_ordered() -> None:
    async with customer() as client:
        client.sandbox.inject("refused", vendor="sync", route="list", status=405)
        assert (await client.send("GET", "/sync/v2/generations", headers=KEY))[0] == 405
        assert (await client.send("GET", "/sync/v2/generations", headers=KEY))[0] == 200


async def test_polls_show_an_unknown_status_for_a_while_and_then_go_on() -> None:
    async with customer() as client:
        made = [(await create(client, vendor))[2] for vendor in VENDORS]
        assert all(made)
        client.sandbox.inject("unknown_status", vendor="sync", value="ENHANCING", times=1)
        client.sandbox.inject("unknown_status", vendor="jogg", times=1)
        client.sandbox.inject("unknown_status", vendor="aimlapi", times=1)
        rows = {vendor: client.sandbox.log(vendor, "create")[0]["job"] for vendor in VENDORS}
        sync = await client.send("GET", f"/sync/v2/generate/{rows['sync']}", headers=KEY)
        jogg = await client.send("GET", f"/jogg/v2/lip_sync_video/{rows['jogg']}", headers=KEY)
        query = {"generation_id": rows["aimlapi"]}
        aiml = await client.send("GET", "/aimlapi/v2/video/generations", params=query, headers=BEARER)
        assert sync[1]["status"] == "ENHANCING"
        assert (jogg[1]["data"]["status"], aiml[1]["status"]) == ("reviewing", "dreaming")
        assert (await client.ended_sync(rows["sync"]))["status"] == "COMPLETED"
        assert (await client.ended_jogg(rows["jogg"]))["status"] == "success"
        assert (await client.ended_aiml(rows["aimlapi"]))["status"] in ("completed", "succeeded")


async def test_a_job_can_be_doomed_with_a_documented_code() -> None:
    async with customer() as client:
        dooms = (("FAILED", "generation_pipeline_failed"), ("REJECTED", "generation_plan_duration_exceeded"))
        for status, code in dooms:
            client.sandbox.inject("job_failed", vendor="sync", code=code, status=status)
        for status, code in dooms:
            told = await client.ended_sync((await client.create_sync())[1]["id"])
            assert (told["status"], told["errorCode"], told["error_code"]) == (status, code, code)
            assert told["outputUrl"] is None
        bill = client.sandbox.bill()["sync"]
        assert (bill["failed"], bill["usd"], bill["open"]) == (2, 0, 0)


async def result(client: Customer) -> tuple[str, str, bytes]:
    _, told = await client.create_sync()
    url = (await client.ended_sync(told["id"]))["outputUrl"]
    return told["id"], url, (await client.get(url))[1]


@pytest.mark.parametrize("fault", ["reset_body", "truncated"])
async def test_a_broken_download_can_be_taken_up_where_it_ended(fault: str) -> None:
    async with customer() as client:
        _, url, whole = await result(client)
        client.sandbox.inject(fault, route="result")
        got = bytearray()

        async def fetch() -> None:
            async with client.http.get(url) as reply:
                assert reply.headers["Content-Length"] == str(len(whole))
                async for chunk in reply.content.iter_any():
                    got.extend(chunk)

        with pytest.raises(aiohttp.ClientError):
            await fetch()
        assert 0 < len(got) < len(whole)
        status, rest, _ = await client.get(url, Range=f"bytes={len(got)}-")
        assert (status, bytes(got) + rest == whole) == (206, True)


async def test_a_short_download_looks_whole_by_its_length() -> None:
    async with customer() as client:
        _, url, whole = await result(client)
        client.sandbox.inject("short")
        status, data, headers = await client.get(url)
        assert (status, headers["Content-Length"]) == (200, str(len(data)))
        assert len(data) == len(whole) // 2
        assert client.sandbox.log("sync", "result")[-1]["sha256"] is None


async def test_a_link_can_end_early_and_a_poll_gives_a_fresh_one() -> None:
    async with customer() as client:
        id, url, whole = await result(client)
        client.sandbox.inject("expired_link")
        assert (await client.get(url))[0] == 403
        assert (await client.get(url))[0] == 403
        fresh = (await client.ended_sync(id))["outputUrl"]
        assert (await client.get(fresh))[:2] == (200, whole)


async def test_a_range_may_be_ignored_and_a_page_may_stand_for_the_file() -> None:
    async with customer() as client:
        _, url, whole = await result(client)
        client.sandbox.inject("range_ignored")
        assert (await client.get(url, Range="bytes=5-"))[:2] == (200, whole)
        client.sandbox.inject("html", route="result")
        status, page, headers = await client.get(url, Range="bytes=5-")
        assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/html")
        assert page != whole


async def test_the_store_answers_in_its_own_way_also_where_the_api_hides_errors_under_200() -> None:
    async with customer() as client:
        told = await client.ended_jogg((await client.create_jogg())["data"]["task_id"])
        url = told["data"]["result_url"]
        for order, expected in (({"fault": "server_error"}, 503), ({"fault": "refused", "status": 410}, 410)):
            client.sandbox.inject(**order, route="result")
            status, _, headers = await client.get(url)
            assert (status, headers["Content-Type"].split(";")[0]) == (expected, "application/xml")
        assert (await client.get(url))[0] == 200


async def test_a_file_made_anew_has_another_tag_and_if_range_notices() -> None:
    async with customer() as client:
        _, url, whole = await result(client)
        etag = (await client.get(url))[2]["ETag"]
        client.sandbox.inject("etag_changed")
        status, other, headers = await client.get(url, Range="bytes=5-", **{"If-Range": etag})
        assert (status, headers["ETag"] != etag, other != whole) == (200, True, True)
        assert client.sandbox.results()[0]["sha256"] == client.sandbox.log("sync", "result")[-1]["sha256"]


async def test_a_slow_download_pauses_half_way_and_is_complete() -> None:
    async with customer(speed=100) as client:
        _, url, whole = await result(client)
        client.sandbox.inject("slow", route="result", seconds=20)
        begin = time.monotonic()
        assert (await client.get(url))[:2] == (200, whole)
        assert time.monotonic() - begin >= 0.2


async def test_a_hostile_house_still_delivers_to_a_stubborn_customer() -> None:
    async with customer(faults="hostile", seed=5, speed=2000, settings={"sync": {"concurrency": None}}) as client:

        async def stubborn(number: int) -> bytes:
            while True:
                try:
                    status, told = await client.create_sync(headers={"Idempotency-Key": f"job-{number}"})
                    if status != 201 or not isinstance(told, dict):
                        continue
                    while True:
                        _, now = await client.send("GET", f"/sync/v2/generate/{told['id']}", headers=KEY)
                        if isinstance(now, dict) and now.get("status") in ("FAILED", "REJECTED"):
                            return b""
                        if isinstance(now, dict) and now.get("status") == "COMPLETED":
                            status, data, headers = await client.get(now["outputUrl"])
                            if status == 200 and headers["Content-Type"] == "video/mp4":
                                return data
                except (aiohttp.ClientError, ValueError):
                    continue
                finally:
                    await asyncio.sleep(0.01)

        films = await asyncio.wait_for(asyncio.gather(*(stubborn(number) for number in range(30))), 100)
        bill = client.sandbox.bill()["sync"]
        assert bill["creates"] == 30
        assert bill["delivered"] == sum(bool(film) for film in films) == 30 - bill["failed"]
        assert len({row["fault"] for row in client.sandbox.log()}) > 5
