"""The adapters over the real transport and courier: what stands in the request that leaves, and what replies become."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses
from attrs import frozen
from tests.support.answers import answers
from tests.support.virtual import simulated_world, virtually
from tests.unit import rask_replies
from tests.unit.flows import AUDIO, KEY, VIDEO, intent
from yarl import URL

from viseme.attempts import Handle
from viseme.config import Account
from viseme.engine.admission.limits import Rates
from viseme.engine.courier import Courier
from viseme.engine.transport import AioTransport
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
        create="https://api.sync.so/v2/generate",
        sent={
            "model": "lipsync-2",
            "input": [{"type": "video", "url": VIDEO}, {"type": "audio", "url": AUDIO}],
        },
        signed=("x-api-key", SECRET),
        taken=(201, {"id": ID, "status": "PENDING"}),
        refused=(400, {"errorCode": "generation_unsupported_model", "message": "no such model"}, Kind.INVALID),
        look=f"https://api.sync.so/v2/generate/{ID}",
        done={"id": ID, "status": "COMPLETED", "outputUrl": FILM},
        handle={"id": ID},
    ),
    "jogg": Vendor(
        create="https://api.jogg.ai/v2/create_lip_sync_video",
        sent={"video_url": VIDEO, "audio_url": AUDIO, "playback_type": "normal"},
        signed=("x-api-key", SECRET),
        taken=(200, {"code": 0, "data": {"task_id": ID, "status": "pending"}}),
        refused=(200, {"code": 18020, "msg": "Insufficient credit"}, Kind.NO_CREDIT),
        look=f"https://api.jogg.ai/v2/lip_sync_video/{ID}",
        done={"code": 0, "data": {"task_id": ID, "status": "success", "data": {"result_url": FILM}}},
        handle={"id": ID},
    ),
    "aimlapi": Vendor(
        create="https://api.aimlapi.com/v2/video/generations",
        sent={"video_url": VIDEO, "audio_url": AUDIO},
        signed=("Authorization", f"Bearer {SECRET}"),
        taken=(201, {"id": ID, "status": "queued"}),
        refused=(403, {"message": "You have run out of credits"}, Kind.NO_CREDIT),
        look="https://api.aimlapi.com/v2/video/generations",
        done={"id": ID, "status": "completed", "video": {"url": FILM}},
        handle={"id": ID},
    ),
    "rask": Vendor(
        create="https://api.rask.ai/v2/projects",
        sent={"video_id": rask_replies.MEDIA, "dst_lang": "es", "name": KEY},
        signed=("Authorization", "Bearer a-token"),
        taken=(201, rask_replies.project("created")),
        refused=(422, {"detail": "dst_lang is not supported"}, Kind.INVALID),
        look=f"https://api.rask.ai/v2/projects/{rask_replies.PROJECT}",
        done=rask_replies.project(),
        handle={"id": rask_replies.PROJECT, "stage": "project"},
        stage="project",
        handles={"media": {"id": rask_replies.MEDIA}},
        settings={"client_id": "id", "client_secret": SECRET, "allow_paid": True},
        given={"video": VIDEO, "language": "es"},
    ),
}
vendors = pytest.mark.parametrize("name", VENDORS)


@pytest.fixture
def net() -> Iterator[aioresponses]:
    with answers() as mocked:
        yield mocked


@frozen
class Carried:
    """A vendor's adapter with its courier, over a network that answers what it is told."""

    name: str
    net: aioresponses

    @property
    def vendor(self) -> Vendor:
        return VENDORS[self.name]

    async def create(self) -> Accepted:
        vendor = self.vendor
        return await self._run(
            lambda ours: ours.create(Job(**vendor.given), intent(stage=vendor.stage), vendor.handles)
        )

    async def look(self) -> Observation:
        return await self._run(lambda ours: ours.poll(self.vendor.handle))

    async def _run(self, flow: Any) -> Any:
        ours: Provider = find(self.name)(Account(self.name, **self.vendor.settings))
        if self.name == "rask":
            self.net.post(ours.settings.token_url, payload={"access_token": "a-token", "expires_in": 3600})
        world = simulated_world().world
        rates = Rates(world.monotonic, world.call_at)
        async with AioTransport() as transport:
            courier = Courier(world, transport, ours, rates, lambda classes, verdict: None)
            return await courier.run(flow(ours), tries=1)

    async def refused(self) -> Any:
        with pytest.raises(Refused) as caught:
            await self.create()
        return caught.value.verdict

    def calls(self, method: str, url: str) -> list[Any]:
        return self.net.requests.get((method, URL(url)), [])


@vendors
@virtually
async def test_a_create_leaves_once_signed_and_as_the_vendor_wants_it(name: str, net: aioresponses) -> None:
    one = Carried(name, net)
    status, body = one.vendor.taken
    net.post(one.vendor.create, status=status, payload=body)
    accepted = await one.create()
    assert accepted.handle["id"] == one.vendor.handle["id"]
    assert accepted.observation is not None
    assert accepted.observation.seen is Seen.QUEUED
    (call,) = one.calls("POST", one.vendor.create)
    header, value = one.vendor.signed
    assert call.kwargs["headers"][header] == value
    assert json.loads(call.kwargs["data"]).items() >= one.vendor.sent.items()
    assert call.kwargs["allow_redirects"] is False


@vendors
@virtually
async def test_a_look_finds_what_there_is_to_fetch(name: str, net: aioresponses) -> None:
    one = Carried(name, net)
    net.get(re.compile(rf"{re.escape(one.vendor.look)}(\?.*)?$"), payload=one.vendor.done)
    seen = await one.look()
    assert seen.seen is Seen.SUCCEEDED
    assert [output.url for output in seen.outputs] == ([] if name == "rask" else [FILM])


@vendors
@virtually
async def test_a_refusal_has_its_meaning_and_shows_no_key(name: str, net: aioresponses) -> None:
    one = Carried(name, net)
    status, body, kind = one.vendor.refused
    net.post(one.vendor.create, status=status, payload={**body, "request": {"key": one.vendor.signed[1]}})
    verdict = await one.refused()
    assert verdict.kind is kind
    assert SECRET not in verdict.message
    assert len(one.calls("POST", one.vendor.create)) == 1


@vendors
@pytest.mark.parametrize(
    "lost", [aiohttp.ServerDisconnectedError(), aiohttp.ClientOSError(104, "reset"), TimeoutError()]
)
@virtually
async def test_a_lost_reply_leaves_the_fate_open_and_is_not_sent_again(
    name: str, lost: Exception, net: aioresponses
) -> None:
    one = Carried(name, net)
    net.post(one.vendor.create, exception=lost, repeat=True)
    assert (await one.refused()).kind is Kind.FATE_UNKNOWN
    assert len(one.calls("POST", one.vendor.create)) == 1


@vendors
@virtually
async def test_a_create_that_never_left_has_no_fate(name: str, net: aioresponses) -> None:
    one = Carried(name, net)
    net.post(one.vendor.create, exception=aiohttp.ConnectionTimeoutError(), repeat=True)
    assert (await one.refused()).kind is Kind.TRANSIENT


@vendors
@virtually
async def test_a_page_that_answers_a_create_leaves_the_fate_open(name: str, net: aioresponses) -> None:
    one = Carried(name, net)
    net.post(one.vendor.create, status=200, body="<!doctype html><html>welcome</html>", content_type="text/html")
    assert (await one.refused()).kind is Kind.FATE_UNKNOWN
