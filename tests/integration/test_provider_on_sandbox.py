"""The adapters against the sandbox, which was written from the same facts by another hand: no engine in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from tests.unit.flows import intent

from viseme.config import Account
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers import find
from viseme.providers.base import Fault, Flow, Found, Outcome, Provider, Refused, Reply, Request, Seen, Undecided
from viseme.sandbox import Sandbox

pytest.importorskip("av")


class Wire:
    """Carries a flow's requests over real HTTP."""

    def __init__(self, session: aiohttp.ClientSession, sandbox: Sandbox, address: str) -> None:
        self.session, self.sandbox, self.address = session, sandbox, address

    def provider(self, name: str, **settings: Any) -> Provider:
        base = {"base_url": f"{self.address}/{name}", "api_key": "sandbox", "allow_private_hosts": True}
        return find(name)(Account(name, **{**base, **settings}))

    def job(self, **given: Any) -> Job:
        media = {"video": f"{self.address}/media/sample.mp4", "audio": f"{self.address}/media/sample.wav"}
        return Job(**{**media, **given})

    async def run(self, ours: Provider, flow: Flow[Any]) -> Any:
        try:
            step = next(flow)
            while True:
                assert isinstance(step, Request)
                outcome = await self.send(ours, step)
                verdict = ours.verdict(step, outcome)
                if verdict is not None:
                    step = flow.throw(Refused(verdict))
                else:
                    assert not isinstance(outcome, Fault)
                    step = flow.send(outcome)
        except StopIteration as end:
            return end.value

    async def send(self, ours: Provider, request: Request) -> Outcome:
        proof = await self.run(ours, ours.authorize(None, 0.0))
        headers = {**request.headers, **ours.sign(request, proof, 0.0)}
        async with self.session.request(
            request.method, request.url, json=request.json, headers=headers, allow_redirects=False
        ) as answer:
            names = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(status=answer.status, headers=names, body=await answer.read())

    async def create(self, ours: Provider, job: Job, key: str = "viseme-1") -> Any:
        ours.check(job)
        return await self.run(ours, ours.create(job, intent(key=key), {}))

    async def finish(self, ours: Provider, handle: dict[str, Any]) -> Any:
        async with asyncio.timeout(100):
            while True:
                seen = await self.run(ours, ours.poll(handle))
                if seen.seen.terminal:
                    return seen
                await asyncio.sleep(0.02)

    def creates(self, vendor: str) -> int:
        return self.sandbox.bill()[vendor]["creates"]

    async def refused(self, ours: Provider, job: Job, key: str = "viseme-1") -> Any:
        with pytest.raises(Refused) as caught:
            await self.run(ours, ours.create(job, intent(key=key), {}))
        return caught.value.verdict


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    sandbox = Sandbox(speed=300, fixed_size=4096)
    async with sandbox.serve() as address, aiohttp.ClientSession() as session:
        yield Wire(session, sandbox, str(address))


SEGMENTS = {
    "segments": [
        {"start_time": 0, "end_time": 1},
        {"start_time": 1, "end_time": 2, "audio_input": {"ref_id": "b"}, "options_override": {"sync_mode": "loop"}},
    ],
    "audios": [{"ref_id": "b", "text": "Bye", "voice": "EXAVITQu4vr4xnSDxMaL"}],
}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model": "lipsync-2-pro", "options": {"sync_mode": "cut_off", "temperature": 0.3}},
        {"model": "lipsync-1.9.0-beta", "options": {"occlusion_detection_enabled": True}},
        {"model": "react-1", "options": {"prompt": "sad", "model_mode": "head"}},
        {"model": "sync-3", "options": {"active_speaker_detection": {"auto_detect": True}}},
        {"options": {"active_speaker_detection": {"frame_number": 0, "coordinates": [10, 20]}}},
        {"audio": None, "text": "Hello", "voice": "EXAVITQu4vr4xnSDxMaL", "options": {"stability": 0.5}},
        {"audio": None, "language": "de"},
        {"options": SEGMENTS},
        {"options": {"output_file_name": "talk"}},
    ],
)
async def test_sync_takes_every_kind_of_job(wire: Wire, given: dict[str, Any]) -> None:
    ours = wire.provider("sync")
    accepted = await wire.create(ours, wire.job(**given))
    assert accepted.observation.seen is Seen.QUEUED
    seen = await wire.finish(ours, accepted.handle)
    assert seen.seen is Seen.SUCCEEDED, seen
    assert seen.outputs[0].url.startswith("http")
    assert seen.cost.unit == "usd"
    assert wire.creates("sync") == 1


async def test_sync_takes_an_image(wire: Wire) -> None:
    ours = wire.provider("sync")
    accepted = await wire.create(ours, wire.job(video=None, image=f"{wire.address}/media/sample.png"))
    assert (await wire.finish(ours, accepted.handle)).seen is Seen.SUCCEEDED


async def test_sync_replays_a_key_and_never_makes_two(wire: Wire) -> None:
    ours = wire.provider("sync")
    first = await wire.create(ours, wire.job())
    again = await wire.create(ours, wire.job())
    assert first.handle == again.handle
    assert wire.creates("sync") == 1
    other = await wire.refused(ours, wire.job(options={"sync_mode": "loop"}))
    assert other.kind is Kind.FATE_UNKNOWN


async def test_sync_lists_holds_and_estimates(wire: Wire) -> None:
    ours = wire.provider("sync")
    one = (await wire.create(ours, wire.job(), "viseme-1")).handle
    two = (await wire.create(ours, wire.job(), "viseme-2")).handle
    listed = await wire.run(ours, ours.poll_many([one, two, {"id": "00000000-0000-4000-8000-000000000000"}]))
    assert set(listed) == {one["id"], two["id"]}
    held = await wire.run(ours, ours.poll(one, 10.0))
    assert held.hint == 2.0 or held.seen.terminal
    estimate = await wire.run(ours, ours.estimate(wire.job(), 10.0))
    assert 0.4 < estimate.usd < 0.7
    with pytest.raises(Refused) as caught:
        await wire.run(ours, ours.poll({"id": "00000000-0000-4000-8000-000000000000"}))
    assert caught.value.verdict.kind is Kind.NOT_FOUND


async def test_sync_says_when_it_is_full(wire: Wire) -> None:
    ours = wire.provider("sync")
    wire.sandbox.configure("sync", concurrency=1)
    await wire.create(ours, wire.job(), "viseme-1")
    verdict = await wire.refused(ours, wire.job(), "viseme-2")
    assert (verdict.kind, verdict.limit) == (Kind.NO_SEAT, 1)
    assert verdict.retry_after is not None


@pytest.mark.parametrize("prefix", ["/v2", "/open/v2"])
@pytest.mark.parametrize("playback", ["normal", "normal_reverse", "normal_reverse_by_audio"])
async def test_jogg_takes_every_kind_of_job(wire: Wire, prefix: str, playback: str) -> None:
    ours = wire.provider("jogg", path_prefix=prefix)
    assert await wire.run(ours, ours.start()) is None
    accepted = await wire.create(ours, wire.job(options={"playback_type": playback}))
    seen = await wire.finish(ours, accepted.handle)
    assert seen.seen is Seen.SUCCEEDED
    assert [artifact.role for artifact in seen.outputs] == ["video", "cover"]
    assert seen.cost.unit == "credits"


async def test_jogg_says_that_the_prefix_is_wrong_before_anything_is_paid(wire: Wire) -> None:
    wire.sandbox.configure("jogg", prefixes=("/v2",))
    ours = wire.provider("jogg", path_prefix="/open/v2")
    with pytest.raises(Refused, match='path_prefix = "/v2"'):
        await wire.run(ours, ours.start())
    assert wire.creates("jogg") == 0


async def test_jogg_looks_a_lost_create_up(wire: Wire) -> None:
    ours = wire.provider("jogg", lookup=True)
    assert isinstance(await wire.run(ours, ours.reconcile(wire.job(), intent())), Undecided)
    accepted = await wire.create(ours, wire.job())
    found = await wire.run(ours, ours.reconcile(wire.job(), intent()))
    assert isinstance(found, Found)
    assert found.handle == accepted.handle
    assert found.created is not None
    assert (await wire.run(ours, ours.balance())).unit == "credits"


async def test_jogg_says_that_credit_is_gone(wire: Wire) -> None:
    ours = wire.provider("jogg")
    wire.sandbox.configure("jogg", credits=0.0)
    assert (await wire.refused(ours, wire.job())).kind is Kind.NO_CREDIT


@pytest.mark.parametrize("given", [{}, {"audio": None, "text": "Hello", "voice": "Auto"}])
async def test_aimlapi_takes_every_kind_of_job(wire: Wire, given: dict[str, Any]) -> None:
    ours = wire.provider("aimlapi")
    accepted = await wire.create(ours, wire.job(**given))
    assert accepted.observation.cost.usd == 1.0
    seen = await wire.finish(ours, accepted.handle)
    assert seen.seen is Seen.SUCCEEDED
    assert (await wire.run(ours, ours.balance())).unit == "usd"


async def test_aimlapi_looks_a_lost_create_up(wire: Wire) -> None:
    ours = wire.provider("aimlapi")
    assert isinstance(await wire.run(ours, ours.reconcile(wire.job(), intent(key="viseme-1"))), Undecided)
    accepted = await wire.create(ours, wire.job())
    await wire.finish(ours, accepted.handle)
    async with asyncio.timeout(100):
        while True:
            found = await wire.run(ours, ours.reconcile(wire.job(), intent(key="viseme-1")))
            if isinstance(found, Found):
                break
            await asyncio.sleep(0.02)
    assert found.handle == accepted.handle
    assert found.created is not None


async def test_aimlapi_says_that_credit_is_gone(wire: Wire) -> None:
    ours = wire.provider("aimlapi")
    wire.sandbox.configure("aimlapi", credits=0.0)
    assert (await wire.refused(ours, wire.job())).kind is Kind.NO_CREDIT


@pytest.mark.parametrize("name", ["sync", "jogg", "aimlapi"])
async def test_a_wrong_key_is_refused(wire: Wire, name: str) -> None:
    assert (await wire.refused(wire.provider(name, api_key="wrong"), wire.job())).kind is Kind.AUTH
