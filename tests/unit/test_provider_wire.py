"""The adapters over the real transport and courier: what stands in the request that leaves, and what replies become."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import pytest
from attrs import frozen
from tests.support.wire import Arrived, Counter, Visit, answer, serving
from tests.unit import rask_replies
from tests.unit.flows import AUDIO, KEY, VIDEO, intent

from viseme.attempts import Handle
from viseme.config import Account
from viseme.engine import transport as transport_module
from viseme.engine.admission.limits import Rates
from viseme.engine.courier import Courier
from viseme.engine.transport import AioTransport
from viseme.engine.world import real_world
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers import find
from viseme.providers.base import Accepted, Observation, Provider, Refused, Seen

ID = "3f1c3f0e-6a3e-4ad0-9d43-0f0a5b6f7d11"
FILM = "https://cdn.example/film.mp4"
SECRET = "top-secret-key"


@frozen(kw_only=True)
class Vendor:
    """One vendor's words.

    Attributes:
        create: where the paid request goes; ``sent`` is its body, ``signed`` the header that bears the key.
        taken: the reply to it; ``refused`` one that says no, with what it means.
        look: where a look goes, and what it shows of a job that is done.
    """

    create: str
    sent: dict[str, Any]
    signed: tuple[str, str]
    taken: tuple[int, Any]
    refused: tuple[int, Any, Kind]
    look: str
    done: Any
    handle: Handle
    stage: str = "lipsync"
    handles: Mapping[str, Handle] = MappingProxyType({})
    settings: Mapping[str, Any] = MappingProxyType({"api_key": SECRET})
    given: Mapping[str, Any] = MappingProxyType({"video": VIDEO, "audio": AUDIO})


VENDORS = {
    "sync": Vendor(
        create="/v2/generate",
        sent={
            "model": "lipsync-2",
            "input": [{"type": "video", "url": VIDEO}, {"type": "audio", "url": AUDIO}],
        },
        signed=("x-api-key", SECRET),
        taken=(201, {"id": ID, "status": "PENDING"}),
        refused=(400, {"errorCode": "generation_unsupported_model", "message": "no such model"}, Kind.INVALID),
        look=f"/v2/generate/{ID}",
        done={"id": ID, "status": "COMPLETED", "outputUrl": FILM},
        handle={"id": ID},
    ),
    "jogg": Vendor(
        create="/v2/create_lip_sync_video",
        sent={"video_url": VIDEO, "audio_url": AUDIO, "playback_type": "normal"},
        signed=("x-api-key", SECRET),
        taken=(200, {"code": 0, "data": {"task_id": ID, "status": "pending"}}),
        refused=(200, {"code": 18020, "msg": "Insufficient credit"}, Kind.NO_CREDIT),
        look=f"/v2/lip_sync_video/{ID}",
        done={"code": 0, "data": {"task_id": ID, "status": "success", "data": {"result_url": FILM}}},
        handle={"id": ID},
    ),
    "aimlapi": Vendor(
        create="/v2/video/generations",
        sent={"video_url": VIDEO, "audio_url": AUDIO},
        signed=("Authorization", f"Bearer {SECRET}"),
        taken=(201, {"id": ID, "status": "queued"}),
        refused=(403, {"message": "You have run out of credits"}, Kind.NO_CREDIT),
        look="/v2/video/generations",
        done={"id": ID, "status": "completed", "video": {"url": FILM}},
        handle={"id": ID},
    ),
    "rask": Vendor(
        create="/v2/projects",
        sent={"video_id": rask_replies.MEDIA, "dst_lang": "es", "name": KEY},
        signed=("Authorization", "Bearer a-token"),
        taken=(201, rask_replies.project("created")),
        refused=(422, {"detail": "dst_lang is not supported"}, Kind.INVALID),
        look=f"/v2/projects/{rask_replies.PROJECT}",
        done=rask_replies.project(),
        handle={"id": rask_replies.PROJECT, "stage": "project"},
        stage="project",
        handles={"media": {"id": rask_replies.MEDIA}},
        settings={"client_id": "id", "client_secret": SECRET, "allow_paid": True},
        given={"video": VIDEO, "language": "es"},
    ),
}
vendors = pytest.mark.parametrize("name", VENDORS)


Says = Callable[[Visit], Awaitable[None]]


def says(status: int, body: Any, content_type: str = "application/json") -> Says:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    async def say(visit: Visit) -> None:
        await visit.write(answer(data, status=f"{status} Such", content_type=content_type))

    return say


async def drops(visit: Visit) -> None:
    visit.drop()


async def hangs_up(visit: Visit) -> None:
    visit.writer.close()


async def never(visit: Visit) -> None:
    await asyncio.Event().wait()


@frozen
class Carried:
    """A vendor's adapter with its courier, over real connections to a server that says one thing, and gives tokens."""

    name: str
    server: Counter

    @property
    def vendor(self) -> Vendor:
        return VENDORS[self.name]

    async def create(self, base: str | None = None) -> Accepted:
        vendor = self.vendor
        job = Job(**vendor.given)
        return await self._run(lambda ours: ours.create(job, intent(stage=vendor.stage), vendor.handles), base)

    async def look(self) -> Observation:
        return await self._run(lambda ours: ours.poll(self.vendor.handle))

    async def _run(self, flow: Any, base: str | None = None) -> Any:
        settings = dict(self.vendor.settings)
        if self.name == "rask":
            settings["token_url"] = f"{self.server.base}/token"
        account = Account(self.name, base_url=base or self.server.base, allow_private_hosts=True, **settings)
        ours: Provider = find(self.name)(account)
        world = real_world()
        rates = Rates(world.monotonic, world.call_at)
        async with AioTransport() as transport:
            courier = Courier(world, transport, ours, rates, lambda classes, verdict: None)
            try:
                return await courier.run(flow(ours), tries=1)
            finally:
                world.close()

    async def refused(self, base: str | None = None) -> Any:
        with pytest.raises(Refused) as caught:
            await self.create(base)
        return caught.value.verdict

    def calls(self, method: str, path: str) -> list[Arrived]:
        return [request for request in self.server.arrived if request.line == f"{method} {path} HTTP/1.1"]


@asynccontextmanager
async def carried(name: str, say: Says) -> AsyncIterator[Carried]:
    async def script(visit: Visit, request: Arrived) -> None:
        token = says(200, {"access_token": "a-token", "expires_in": 3600})
        await (token if " /token " in request.line else say)(visit)

    async with serving(script) as server:
        yield Carried(name, server)


@vendors
async def test_a_create_leaves_once_signed_and_as_the_vendor_wants_it(name: str) -> None:
    async with carried(name, says(*VENDORS[name].taken)) as one:
        accepted = await one.create()
        assert accepted.handle["id"] == one.vendor.handle["id"]
        assert accepted.observation is not None
        assert accepted.observation.seen is Seen.QUEUED
        (call,) = one.calls("POST", one.vendor.create)
        header, value = one.vendor.signed
        assert call.headers[header.lower()] == value
        assert call.headers["content-type"] == "application/json"
        assert json.loads(call.body).items() >= one.vendor.sent.items()


@vendors
async def test_a_look_finds_what_there_is_to_fetch(name: str) -> None:
    async with carried(name, says(200, VENDORS[name].done)) as one:
        seen = await one.look()
        assert seen.seen is Seen.SUCCEEDED
        assert [output.url for output in seen.outputs] == ([] if name == "rask" else [FILM])
        assert one.server.arrived[-1].line.split()[1].split("?")[0] == one.vendor.look


@vendors
async def test_a_refusal_has_its_meaning_and_shows_no_key(name: str) -> None:
    status, body, kind = VENDORS[name].refused
    async with carried(name, says(status, {**body, "request": {"key": VENDORS[name].signed[1]}})) as one:
        verdict = await one.refused()
        assert verdict.kind is kind
        assert SECRET not in verdict.message
        assert len(one.calls("POST", one.vendor.create)) == 1


@vendors
@pytest.mark.parametrize("lost", [drops, hangs_up, never])
async def test_a_lost_reply_leaves_the_fate_open_and_is_not_sent_again(
    name: str, lost: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lost is never:
        monkeypatch.setattr(transport_module, "_REPLY", 0.2)
    async with carried(name, lost) as one:
        assert (await one.refused()).kind is Kind.FATE_UNKNOWN
        assert len(one.calls("POST", one.vendor.create)) == 1


@vendors
async def test_a_create_that_never_left_has_no_fate(name: str, unused_tcp_port: int) -> None:
    async with carried(name, drops) as one:
        assert (await one.refused(f"http://127.0.0.1:{unused_tcp_port}")).kind is Kind.TRANSIENT
        assert not one.calls("POST", one.vendor.create)


@vendors
async def test_a_page_that_answers_a_create_leaves_the_fate_open(name: str) -> None:
    async with carried(name, says(200, "<!doctype html><html>welcome</html>", "text/html")) as one:
        assert (await one.refused()).kind is Kind.FATE_UNKNOWN
