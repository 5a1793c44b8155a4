"""Results behind links that end, served with ranges and entity tags."""

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.integration.sandbox_client import KEY, Customer, customer

from viseme.sandbox import Sandbox


async def finished(client: Customer) -> tuple[str, bytes, str]:
    """A finished job's link, bytes and ETag."""
    _, told = await client.create_sync()
    url = (await client.ended_sync(told["id"]))["outputUrl"]
    status, data, headers = await client.get(url)
    assert status == 200
    return url, data, headers["ETag"]


async def test_ranges_are_served_as_an_object_store_serves_them() -> None:
    async with customer() as client:
        url, data, etag = await finished(client)
        size = len(data)
        cases = {
            "bytes=0-": (206, data), "bytes=100-199": (206, data[100:200]), f"bytes={size - 5}-": (206, data[-5:]),
            "bytes=-7": (206, data[-7:]), f"bytes=10-{size + 99}": (206, data[10:]), "bytes=0-0": (206, data[:1]),
            f"bytes=-{size + 5}": (206, data), "bytes=5-2": (416, b""), f"bytes={size}-": (416, b""),
            "bytes=-0": (416, b""), "bytes=0-1,5-6": (200, data), "bytes=x-": (200, data), "items=0-1": (200, data),
        }  # fmt: skip
        for asked, (status, body) in cases.items():
            got, part, headers = await client.get(url, Range=asked)
            assert (got, part) == (status, body), asked
            if status == 416:
                assert headers["Content-Range"] == f"bytes */{size}"
            elif status == 206:
                begin = data.index(part) if len(part) > 1 else 0
                assert headers["Content-Range"] == f"bytes {begin}-{begin + len(part) - 1}/{size}"
            assert headers["ETag"] == etag


async def test_if_range_gives_the_rest_only_of_the_same_file() -> None:
    async with customer() as client:
        url, data, etag = await finished(client)
        assert (await client.get(url, Range="bytes=50-", **{"If-Range": etag}))[:2] == (206, data[50:])
        assert (await client.get(url, Range="bytes=50-", **{"If-Range": '"other"'}))[:2] == (200, data)
        assert (await client.get(url, **{"If-None-Match": etag}))[0] == 304
        async with client.http.head(url) as head:
            assert (head.status, head.headers["Content-Length"], head.headers["ETag"]) == (200, str(len(data)), etag)


async def test_a_link_ends_after_its_lifetime_and_a_poll_gives_a_fresh_one() -> None:
    async with customer(settings={"sync": {"link_seconds": 60.0}, "jogg": {"link_seconds": 60.0}}) as client:
        url, data, _ = await finished(client)
        made = await client.create_jogg()
        jogg = await client.ended_jogg(made["data"]["task_id"])
        client.clock.advance(61)
        status, body, headers = await client.get(url)
        assert (status, headers["Content-Type"].split(";")[0]) == (403, "application/xml")
        assert b"Request has expired" in body
        assert (await client.get(jogg["data"]["result_url"]))[0] == 404
        job = client.sandbox.results("sync")[0]["job"]
        fresh = (await client.ended_sync(job))["outputUrl"]
        assert fresh != url
        assert (await client.get(fresh))[1] == data


async def test_links_cannot_be_forged_or_stretched() -> None:
    async with customer() as client:
        url, _, _ = await finished(client)
        head, _, grant = url.partition("X-Amz-Signature=")
        until, _, rest = grant.partition("-")
        stretched = f"{head}X-Amz-Signature={float(until) + 1:.3f}-{rest}"
        for forged in (head, head + "X-Amz-Signature=", stretched, url + "0"):
            assert (await client.get(forged))[0] == 403


async def test_a_result_is_not_there_before_its_time() -> None:
    async with customer() as client:
        await client.create_sync()
        assert client.sandbox.results() == []


async def test_deliveries_are_counted_whole_also_when_they_come_in_pieces() -> None:
    async with customer() as client:
        _, told = await client.create_sync()
        url = (await client.ended_sync(told["id"]))["outputUrl"]
        size = client.sandbox.results()[0]["bytes"]
        assert (await client.get(url, Range=f"bytes=0-{size // 2}"))[0] == 206
        assert client.sandbox.bill()["sync"]["delivered"] == 0
        assert (await client.get(url, Range=f"bytes={size // 2 + 1}-"))[0] == 206
        assert client.sandbox.bill()["sync"]["delivered"] == 1
        assert (await client.get(url))[0] == 200
        assert client.sandbox.bill()["sync"]["delivered"] == 1
        assert client.sandbox.results()[0]["deliveries"] == 2


async def test_the_log_says_what_was_sent_and_who_sent_a_key_along() -> None:
    async with customer() as client:
        url, data, _ = await finished(client)
        await client.get(url, Range="bytes=0-9", **KEY)
        first, second = client.sandbox.log("sync", "result")
        assert first["sha256"] == client.sandbox.results()[0]["sha256"]
        assert (first["bytes"], first["status"]) == (len(data), 200)
        assert (first["key_digest"], first["authorised"]) == (None, False)
        assert (second["bytes"], second["status"], second["headers"]["range"]) == (10, 206, "bytes=0-9")
        assert second["key_digest"] is not None
        assert second["authorised"]


@pytest.mark.parametrize("size", [100_000, 2_000_000])
async def test_fixed_results_have_the_chosen_size_and_cost_no_media_work(size: int) -> None:
    settings = {"sync": {"queue_seconds": 0.0, "pace": 0.0}}
    async with customer(fixed_size=size, settings=settings) as client:
        status, told = await client.create_sync("no-such.mp4", "no-such.wav")
        assert (status, told["status"]) == (201, "COMPLETED")
        _, data, _ = await client.get(told["outputUrl"])
        assert size <= len(data) < size + 200
        assert data[4:8] == b"ftyp"


async def test_backstage_tells_and_takes_orders_over_http() -> None:
    async with customer() as client:
        assert (await client.send("GET", "/_sandbox/health"))[1]["ok"]
        orders = [{"fault": "server_error", "vendor": "sync", "route": "create", "status": 500}]
        assert (await client.send("POST", "/_sandbox/faults", json=orders))[0] == 200
        assert (await client.create_sync())[0] == 500
        await client.send("POST", "/_sandbox/settings", json={"sync": {"concurrency": 0, "create": "5/s"}})
        assert (await client.create_sync())[0] == 429
        for path, wrong in (
            ("faults", [{"fault": "odd"}]), ("faults", 5), ("settings", {"sync": {"odd": 1}}),
            ("settings", {"nobody": {}}), ("settings", {"sync": {"create": "odd"}}), ("settings", []),
        ):  # fmt: skip
            assert (await client.send("POST", f"/_sandbox/{path}", json=wrong))[0] == 400, wrong
        rows = (await client.send("GET", "/_sandbox/log?vendor=sync&route=create"))[1]
        assert [row["status"] for row in rows] == [500, 429]
        assert (await client.send("POST", "/_sandbox/reset"))[0] == 200
        assert (await client.send("GET", "/_sandbox/log"))[1] == []
        assert (await client.send("GET", "/_sandbox/bill"))[1]["sync"]["throttled"] == 0


async def test_unknown_paths_are_refused_in_each_vendors_way_and_logged() -> None:
    async with customer() as client:
        assert (await client.send("GET", "/sync/v1/lipsync"))[1]["error"] == "Not Found"
        assert (await client.send("POST", "/jogg/v1/anything"))[0] == 404
        assert (await client.send("PUT", "/aimlapi/v2/video/generations"))[1]["statusCode"] == 404
        assert [row["route"] for row in client.sandbox.log()] == ["unknown"] * 3


async def test_the_sandbox_leaves_no_folder_behind() -> None:
    async with customer() as client:
        await finished(client)
        folder = client.sandbox.folder
        assert folder.exists()
    assert not folder.exists()


async def test_a_client_that_leaves_in_the_middle_disturbs_nobody() -> None:
    async with customer(fixed_size=20_000_000, settings={"sync": {"queue_seconds": 0.0}}) as client:
        _, told = await client.create_sync()
        url = (await client.ended_sync(told["id"]))["outputUrl"]
        async with aiohttp.ClientSession() as http, http.get(url) as reply:
            await reply.content.read(1000)
        assert (await client.get(url, Range="bytes=0-3"))[0] == 206
        assert client.sandbox.bill()["sync"]["delivered"] == 0


async def test_jobs_may_be_invisible_at_first_and_large_bodies_refused() -> None:
    settings = {"visible_seconds": 30.0, "max_body": 2000}
    async with customer(settings=dict.fromkeys(("sync", "jogg", "aimlapi"), settings)) as client:
        status, told = await client.create_sync()
        path = f"/sync/v2/generate/{told['id']}"
        assert (status, (await client.send("GET", path, headers=KEY))[0]) == (201, 404)
        assert (await client.send("GET", f"/sync/v2/generations?ids={told['id']}", headers=KEY))[1] == []
        client.clock.advance(31)
        assert (await client.send("GET", path, headers=KEY))[0] == 200
        assert (await client.create_sync(outputFileName="x" * 2000))[0] == 413


async def test_the_app_can_be_embedded_in_a_server_of_ones_own() -> None:
    sandbox = Sandbox(speed=600)
    async with TestClient(TestServer(sandbox.app)) as client:
        body = {
            "video_url": str(client.make_url("/media/short.mp4")),
            "audio_url": str(client.make_url("/media/short.wav")),
        }
        async with client.post("/jogg/v2/create_lip_sync_video", json=body, headers=KEY) as reply:
            assert (await reply.json())["code"] == 0
    assert sandbox.bill()["jogg"]["creates"] == 1


async def test_time_can_be_moved_by_hand() -> None:
    async with customer() as client:
        _, told = await client.create_sync()
        path = f"/sync/v2/generate/{told['id']}"
        await client.sandbox.settled()
        seen: list[str] = []
        for _ in range(3):
            seen.append((await client.send("GET", path, headers=KEY))[1]["status"])
            client.clock.advance(11)
        assert seen == ["PENDING", "PROCESSING", "COMPLETED"]
