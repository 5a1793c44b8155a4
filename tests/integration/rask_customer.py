"""What a customer of Rask would write by hand, for the tests of its stand-in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
from tests.integration.sandbox_client import Customer, customer

from viseme.sandbox import ManualClock

TOKEN = "/rask/oauth2/token"
LIBRARY = "/rask/api/library/v1/media"
PROJECTS = "/rask/v2/projects"
FULL = {"is_multiple_speakers": True, "is_free_lipsync": False}
PREVIEW = {"is_multiple_speakers": True, "is_free_lipsync": True}
SETTLED = ("done", "failed", "outdated")


class LostReply(Exception):
    """The connection ended without a reply; aiohttp would send a PUT once more, on a fresh connection too."""


@attrs.define
class RaskCustomer:
    """A session with a token. Where the sandbox's clock is moved by hand, waiting moves it on."""

    base: Customer
    token: str = ""

    @property
    def sandbox(self) -> Any:
        return self.base.sandbox

    @property
    def clock(self) -> ManualClock:
        return self.base.clock

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def send(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        return await self.base.send(method, path, headers=self.headers, **options)

    async def good(self, method: str, path: str, **options: Any) -> Any:
        status, told = await self.send(method, path, **options)
        assert status == 200, told
        return told

    async def once(self, method: str, path: str, body: dict[str, Any]) -> int | type[Exception]:
        """Sends a request that is not sent again by itself; returns the status, or how the connection ended."""
        seen: list[type[Exception]] = []

        async def lost(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            try:
                return await handler(request)
            except aiohttp.ClientError as error:
                seen.append(type(error))
                raise LostReply from error

        try:
            async with self.base.http.request(
                method, self.base.address + path, json=body, headers=self.headers, middlewares=(lost,)
            ) as reply:
                await reply.read()
                return reply.status
        except LostReply:
            return seen[0]
        except aiohttp.ClientError as error:
            return type(error)

    async def new_token(self, id: str = "sandbox") -> str:
        form = {"grant_type": "client_credentials", "client_id": id, "client_secret": id}
        _, told = await self.base.send("POST", TOKEN, data=form)
        self.token = told["access_token"]
        return self.token

    async def passing(self, seconds: float = 1.0) -> None:
        """Lets time go by: the clock's, or a moment of everybody's."""
        await self.base.passing(seconds)

    async def linked(self, file: str = "short.mp4", **more: Any) -> str:
        told = await self.good("POST", f"{LIBRARY}/link", json={"link": self.base.media(file), **more})
        return await self.media_ended(told["id"])

    async def sent(self, data: bytes, name: str = "clip.mp4", kind: str = "video", part: str = "data") -> Any:
        form = aiohttp.FormData()
        form.add_field(part, data, filename=name, content_type="video/mp4")
        return await self.send("POST", LIBRARY, data=form, params={"kind": kind})

    async def media_ended(self, id: str) -> str:
        while (await self.good("GET", f"{LIBRARY}/{id}"))["status"] == "processing":
            await self.passing()
        return id

    async def project(self, video: str = "short.mp4", **more: Any) -> str:
        """A project over a linked video; returns its id at once."""
        body = {"video_id": await self.linked(video), "dst_lang": "de-de", **more}
        return (await self.good("POST", PROJECTS, json=body))["id"]

    async def look(self, id: str) -> dict[str, Any]:
        return await self.good("GET", f"{PROJECTS}/{id}")

    async def dubbed(self, id: str) -> dict[str, Any]:
        """The project once it has ended, well or not."""
        while True:
            told = await self.look(id)
            if not told["status"].endswith(("_started", "_done", "created", "uploading", "uploaded")):
                return told
            if told["status"] == "merging_done":
                return told
            await self.passing()

    async def lipsync(self, id: str) -> dict[str, Any]:
        return await self.good("GET", f"{PROJECTS}/{id}/lipsync")

    async def ready(self, video: str = "short.mp4", **more: Any) -> str:
        """A project that is dubbed and whose face was found."""
        id = await self.project(video, **more)
        assert (await self.dubbed(id))["status"] == "merging_done"
        while (await self.lipsync(id))["check_face_task_status"] != "done":
            await self.passing()
        return id

    async def run(self, id: str, flags: dict[str, Any] = FULL) -> tuple[int, Any]:
        return await self.send("PUT", f"{PROJECTS}/{id}/lipsync", json=flags)

    async def synced(self, id: str) -> dict[str, Any]:
        while (told := await self.lipsync(id))["lipsync_task_status"] not in SETTLED:
            await self.passing()
        return told

    def bill(self, account: str = "rask") -> dict[str, Any]:
        return self.sandbox.bill()[account]


@asynccontextmanager
async def rask(*, settings: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Any]:
    """A sandbox, whose clock is the test's unless a speed is given, and its customer with a token."""
    given = {"settings": {"rask": {"all": None, **(settings or {})}}, "fixed_seconds": 0.2}
    async with customer(**{**given, **options}) as base:
        client = RaskCustomer(base)
        await client.new_token()
        yield client
