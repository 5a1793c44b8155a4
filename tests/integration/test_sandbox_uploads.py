"""Files that the stand-in vendors are sent: links that end, bodies that break off, the log's account of it, memory."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from tests.integration.rask_customer import LIBRARY, RaskCustomer
from tests.integration.sandbox_client import BEARER, KEY, Customer, customer

from viseme.sandbox import ManualClock

MP4 = {"Content-Type": "video/mp4"}
STATUS = Path("/proc/self/status")


@attrs.frozen
class Sender:
    """A customer that sends files with httpx, which repeats nothing by itself."""

    base: Customer
    http: httpx.AsyncClient

    @property
    def sandbox(self) -> Any:
        return self.base.sandbox

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        return await self.base.send(method, path, headers=KEY, **options)

    async def slot(self, vendor: str, name: str = "talk.mp4") -> tuple[str, str]:
        """The link to put a video to, and the link that it will have."""
        if vendor == "jogg":
            asked = {"filename": name, "content_type": "video/mp4"}
            told = (await self.call("POST", "/jogg/v2/upload/asset", json=asked))[1]["data"]
            return told["sign_url"], told["asset_url"]
        asked = {"fileName": name, "contentType": "video/mp4", "size": 1}
        told = (await self.call("POST", "/sync/v2/assets/upload", json=asked))[1]
        return told["uploadUrl"], told["url"]

    async def put(self, link: str, data: bytes | AsyncIterator[bytes], **headers: str) -> int | None:
        """The status, or None when the connection broke."""
        try:
            return (await self.http.put(link, content=data, headers=MP4 | headers)).status_code
        except httpx.TransportError:
            return None

    async def form(self, path: str, headers: dict[str, str], **options: Any) -> tuple[int | None, Any]:
        try:
            reply = await self.http.post(self.base.address + path, headers=headers, **options)
            return reply.status_code, reply.json()
        except httpx.TransportError:
            return None, None

    async def sample(self, name: str) -> bytes:
        return (await self.base.get(self.base.media(name)))[1]

    def stored(self, vendor: str) -> list[dict[str, Any]]:
        return self.sandbox.log(vendor, "store")


@asynccontextmanager
async def sender(**options: Any) -> AsyncIterator[Sender]:
    async with customer(**options) as client, httpx.AsyncClient(timeout=30) as http:
        yield Sender(client, http)


def both(**settings: Any) -> dict[str, Any]:
    return {"sync": settings, "jogg": settings}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(100):
        while not condition():  # noqa: ASYNC110 - what is waited for happens at the other end of a socket
            await asyncio.sleep(0.005)


async def in_pieces(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


# Links


@pytest.mark.parametrize("vendor", ["sync", "jogg"])
async def test_an_upload_link_ends_after_its_lifetime_or_at_a_fault(vendor: str) -> None:
    async with sender(settings=both(upload_seconds=60.0), clock=(clock := ManualClock())) as client:
        early, _ = await client.slot(vendor)
        client.sandbox.inject("expired_link", vendor=vendor, route="store")
        assert [await client.put(early, b"film"), await client.put(early, b"film")] == [403, 403]
        late, file = await client.slot(vendor)
        clock.advance(61)
        assert await client.put(late, b"film") == 403
        assert (await client.base.get(file))[0] == 404
        link, file = await client.slot(vendor)
        assert await client.put(link, b"film") == 200
        assert (await client.base.get(file))[1] == b"film"


@pytest.mark.parametrize("vendor", ["sync", "jogg"])
async def test_an_upload_link_takes_only_what_it_was_signed_for(vendor: str) -> None:
    async with sender() as client:
        link, file = await client.slot(vendor)
        assert await client.put(link, b"film", **{"Content-Type": "video/quicktime"}) == 403
        assert await client.put(link[:-2], b"film") == 403
        assert await client.put(link.replace("files/", "files/0"), b"film") == 403
        assert (await client.base.get(file))[0] == 404


async def test_an_upload_link_survives_an_awkward_name() -> None:
    async with sender() as client:
        for name in ("talk one.mp4", "sub/folder.mp4", "naïve%20.mp4", "a?b#c.mp4"):
            link, file = await client.slot("sync", name)
            assert await client.put(link, b"film") == 200, name
            assert (await client.base.get(file))[1] == b"film"


async def test_signing_uploads_has_a_rate_of_its_own() -> None:
    async with sender(settings={"sync": {"upload": "3/min", "read": "3/min"}}) as client:
        slot = {"fileName": "a.mp4", "contentType": "video/mp4", "size": 1}
        answers = [await client.call("POST", "/sync/v2/assets/upload", json=slot) for _ in range(4)]
        assert [status for status, _ in answers] == [201, 201, 201, 429]
        assert answers[3][1]["errorCode"] == "rate_limit_exceeded"
        register = {"url": "https://example.com/a.mp4", "type": "VIDEO"}
        assert [(await client.call("POST", "/sync/v2/assets", json=register))[0] for _ in range(4)] == [201] * 4
        assert (await client.call("GET", "/sync/v2/assets"))[0] == 200
        assert client.sandbox.bill()["sync"]["throttled_by"] == {"upload": 1, "read": 0, "seats": 0}


async def test_an_upload_over_the_plans_size_is_refused_when_signed_and_when_registered() -> None:
    async with sender(settings={"sync": {"max_upload": 10}}) as client:
        slot = {"fileName": "a.mp4", "contentType": "video/mp4", "size": 11}
        status, told = await client.call("POST", "/sync/v2/assets/upload", json=slot)
        assert (status, told["errorCode"]) == (422, "file_size_exceeds_plan_limit")
        link, file = await client.slot("sync")
        await client.put(link, b"more than ten")
        status, told = await client.call("POST", "/sync/v2/assets", json={"url": file, "type": "VIDEO"})
        assert (status, told["errorCode"]) == (422, "file_size_exceeds_plan_limit")


async def test_an_asset_that_is_gone_is_unknown_and_its_file_out_of_reach() -> None:
    settings = {"sync": {"asset_seconds": 600.0, "queue_seconds": 0.0, "pace": 0.0}}
    async with sender(settings=settings, clock=(clock := ManualClock())) as client:
        link, file = await client.slot("sync")
        await client.put(link, await client.sample("short.mp4"))
        _, asset = await client.call("POST", "/sync/v2/assets", json={"url": file, "type": "VIDEO"})
        voice = {"type": "audio", "url": client.base.media("short.wav")}

        def using(**video: str) -> dict[str, Any]:
            return {"model": "lipsync-2", "input": [{"type": "video", **video}, voice]}

        _, told = await client.call("POST", "/sync/v2/generate", json=using(assetId=asset["id"]))
        await client.sandbox.settled()
        assert (await client.base.ended_sync(told["id"]))["status"] == "COMPLETED"
        clock.advance(601)
        assert (await client.base.get(file))[0] == 404
        _, told = await client.call("POST", "/sync/v2/generate", json=using(url=file))
        await client.sandbox.settled()
        assert (await client.base.ended_sync(told["id"]))["errorCode"] == "generation_input_video_inaccessible"
        assert (await client.call("DELETE", f"/sync/v2/assets/{asset['id']}"))[0] == 200
        assert (await client.call("GET", f"/sync/v2/assets/{asset['id']}"))[0] == 404
        status, told = await client.call("POST", "/sync/v2/generate", json=using(assetId=asset["id"]))
        assert (status, told["errorCode"]) == (404, "asset_not_found")


# Faults on the way


@pytest.mark.parametrize("vendor", ["sync", "jogg"])
async def test_an_upload_that_is_reset_half_way_leaves_nothing_and_can_be_done_again(vendor: str) -> None:
    film = bytes(4_000_000)
    async with sender() as client:
        link, file = await client.slot(vendor)
        client.sandbox.inject("reset_body", vendor=vendor, route="store")
        assert await client.put(link, film) is None
        assert (await client.base.get(file))[0] == 404
        assert await client.put(link, film) == 200
        assert (await client.base.get(file))[1] == film
        broken, whole = client.stored(vendor)
        assert (broken["status"], broken["sha256"]) == (None, None)
        assert len(film) / 2 <= broken["uploaded"] < len(film)
        assert (whole["status"], whole["uploaded"], whole["sha256"]) == (200, len(film), digest(film))
        assert not [path for path in client.sandbox.folder.glob("upload-*") if path.suffix]


@pytest.mark.parametrize(
    ("fault", "status", "kept"),
    [("server_error", 503, False), ("refused", 503, False), ("reset_before", None, False), ("lost_reply", None, True)],
)
async def test_the_store_can_be_busy_or_lose_its_reply(fault: str, status: int | None, kept: bool) -> None:
    film = bytes(4_000_000)
    async with sender() as client:
        link, file = await client.slot("sync")
        client.sandbox.inject(fault, vendor="sync", route="store")
        assert await client.put(link, film) == status
        assert ((await client.base.get(file))[1] == film) is kept


async def test_a_failed_second_upload_leaves_the_first_as_it_was() -> None:
    async with sender() as client:
        link, file = await client.slot("sync")
        await client.put(link, b"first" * 100_000)
        client.sandbox.inject("reset_body", vendor="sync", route="store")
        assert await client.put(link, b"second" * 100_000) is None
        assert (await client.base.get(file))[1] == b"first" * 100_000


async def test_an_upload_may_be_taken_slowly() -> None:
    size = 64 << 20
    async with sender(clock=(clock := ManualClock())) as client:
        link, _ = await client.slot("sync")
        client.sandbox.inject("slow", vendor="sync", route="store", seconds=3.0, body=True)
        putting = asyncio.create_task(client.put(link, zeros(size), **{"Content-Length": str(size)}))
        await until(lambda: bool(client.stored("sync")) and client.stored("sync")[0]["uploaded"] >= size // 2)
        await asyncio.sleep(0.1)
        assert client.stored("sync")[0]["uploaded"] < size
        assert not putting.done()
        clock.advance(3)
        assert await putting == 200
        assert client.stored("sync")[0]["uploaded"] == size


async def test_a_customer_who_leaves_in_the_middle_leaves_nothing_behind() -> None:
    async with sender() as client:
        link, file = await client.slot("sync")

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield bytes(64 * 1024)
                await asyncio.sleep(0.001)

        def kept() -> bool:
            return bool(list(client.sandbox.folder.glob("upload-*")))

        putting = asyncio.create_task(client.put(link, endless()))
        await until(kept)
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
        await until(lambda: not kept())
        assert (await client.base.get(file))[0] == 404


async def test_a_form_to_rask_that_is_reset_half_way_makes_no_media() -> None:
    film = bytes(4_000_000)
    async with sender() as client:
        token = await RaskCustomer(client.base).new_token()
        bearer = {"Authorization": f"Bearer {token}"}
        files = {"data": ("talk.mp4", film, "video/mp4")}
        client.sandbox.inject("reset_body", vendor="rask", route="upload")
        assert await client.form(LIBRARY, bearer, files=files) == (None, None)
        status, told = await client.form(LIBRARY, bearer, files=files)
        assert (status, told["name"]) == (200, "talk.mp4")
        broken, whole = client.sandbox.log("rask", "upload")
        assert (broken["sha256"], broken["job"]) == (None, None)
        assert 0 < broken["uploaded"] < len(film)
        assert (whole["uploaded"], whole["sha256"], whole["job"]) == (len(film), digest(film), told["id"])


async def test_a_form_to_sync_that_is_reset_half_way_books_nothing() -> None:
    async with sender() as client:
        video, audio = await client.sample("long.mp4"), await client.sample("short.wav")
        files = {"video": ("v.mp4", video, "video/mp4"), "audio": ("a.wav", audio, "audio/wav")}
        client.sandbox.inject("reset_body", vendor="sync", route="create")
        for status, creates in ((None, 0), (201, 1)):
            assert (await client.form("/sync/v2/generate", KEY, data={"model": "lipsync-2"}, files=files))[0] == status
            assert client.sandbox.bill()["sync"]["creates"] == creates
        row = client.sandbox.log("sync", "create")[-1]
        assert row["uploaded"] == len(video) + len(audio)
        assert row["received"] == {
            "video": {"bytes": len(video), "sha256": digest(video)},
            "audio": {"bytes": len(audio), "sha256": digest(audio)},
        }


# Bodies


async def test_nested_values_of_a_form_are_json_texts() -> None:
    async with sender() as client:
        files = {"video": ("v.mp4", await client.sample("short.mp4"), "video/mp4")}
        speech = {"type": "text", "provider": {"name": "elevenlabs", "voiceId": "v", "script": "One two three"}}
        form = {"model": "lipsync-2", "input": json.dumps([speech]), "options": json.dumps({"sync_mode": "loop"})}
        status, told = await client.form("/sync/v2/generate", KEY, data=form, files=files)
        assert (status, told["options"]) == (201, {"sync_mode": "loop"})
        assert (await client.base.ended_sync(told["id"]))["status"] == "COMPLETED"
        for field in ("input", "options", "segments", "dubParams"):
            wrong = {"model": "lipsync-2", field: "{'single': 'quotes'}"}
            assert (await client.form("/sync/v2/generate", KEY, data=wrong, files=files))[0] == 400, field
        dubbed = {"model": "lipsync-2", "dubParams": json.dumps({"providerName": "elevenlabs", "targetLang": "es"})}
        assert (await client.form("/sync/v2/generate", KEY, data=dubbed, files=files))[0] == 201


@pytest.mark.parametrize("told_beforehand", [True, False])
async def test_a_data_uri_over_the_size_is_a_413_whether_its_length_was_told_or_not(told_beforehand: bool) -> None:
    async with sender(settings={"aimlapi": {"max_body": 200_000}}) as client:
        video = await client.sample("short.mp4")
        path = f"{client.base.address}/aimlapi/v2/video/generations"

        async def create(data: bytes) -> int:
            film = "data:video/mp4;base64," + base64.b64encode(data).decode()
            sound = client.base.media("short.wav")
            body = json.dumps({"model": "pixverse/lip-sync", "video_url": film, "audio_url": sound}).encode()
            headers = BEARER | {"Content-Type": "application/json"}
            content = body if told_beforehand else in_pieces(body)
            return (await client.http.post(path, content=content, headers=headers)).status_code

        assert await create(bytes(200_000)) == 413
        assert await create(video) == 200
        assert client.sandbox.bill()["aimlapi"]["creates"] == 1
        row = client.sandbox.log("aimlapi", "create")[-1]
        assert row["received"] == {"video_url": {"bytes": len(video), "sha256": digest(video)}}
        assert row["uploaded"] == len(video)


# Memory


def resident() -> int:
    """The process's memory in MB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", STATUS.read_text())
    assert found is not None
    return int(found[1]) // 1024


async def zeros(size: int) -> AsyncIterator[bytes]:
    piece = bytes(1 << 18)
    for _ in range(size >> 18):
        yield piece


async def form_of(field: str, size: int) -> AsyncIterator[bytes]:
    yield f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="a.mp4"\r\n\r\n'.encode()
    async for piece in zeros(size):
        yield piece
    yield b"\r\n--x--\r\n"


async def put_one(client: Sender, size: int) -> None:
    link, _ = await client.slot("sync")
    assert await client.put(link, zeros(size)) == 200


async def form_to_sync(client: Sender, size: int) -> None:
    headers = KEY | {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await client.form("/sync/v2/generate", headers, content=form_of("video", size)))[0] == 400


async def form_to_rask(client: Sender, size: int) -> None:
    token = await RaskCustomer(client.base).new_token()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=x"}
    assert (await client.form(LIBRARY, headers, content=form_of("data", size)))[0] == 200
    await client.sandbox.settled()


@pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("way", [put_one, form_to_sync, form_to_rask])
async def test_a_large_upload_does_not_sit_in_memory(way: Callable[[Sender, int], Awaitable[None]]) -> None:
    size = 200 << 20
    async with sender() as client:
        await way(client, 1 << 20)
        before, peak = resident(), 0

        async def watch() -> None:
            nonlocal peak
            while True:
                peak = max(peak, resident())
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        await way(client, size)
        watching.cancel()
        assert peak - before < 40, f"{peak - before} MB for an upload of {size >> 20} MB"
        assert max(row["uploaded"] for row in client.sandbox.log()) == size
