"""Uploads: each content once, for whoever needs it, for as long as the vendor keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import define, evolve, field
from tests.support.house import BASE, House, account
from tests.support.virtual import EPOCH, MemoryFiles, Served, Simulation, settled, simulated_world, virtually

import viseme
from viseme.attempts import Handle, Intent, TaskRow
from viseme.engine.admission.limits import Rates
from viseme.engine.courier import Courier
from viseme.engine.transport import Line, Wire
from viseme.engine.uploads.files import Digests, content_type, file_part
from viseme.engine.uploads.flights import Flights
from viseme.engine.uploads.uploads import Uploads
from viseme.events import EventType
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.keys import FileStamp, inputs_digest
from viseme.ledger.memory import MemoryLedger
from viseme.providers.base import Accepted, FilePart, Flow, Model, Outcome, Refused, Reply, Request, Role, Uploaded
from viseme.results import Reason, State

TALK, SPEECH = "/in/talk.mp4", "/in/speech.wav"
CLIP = bytes(3_000_000)


class Keeper(House):
    """Takes files with one PUT each; ``lifetime`` is how long it keeps them."""

    sheet = evolve(
        House.sheet, models={"m": Model(name="m", speech=frozenset({"audio", "language"}))}, local_files=True
    )
    lifetime: float | None = None

    def upload(self, job: Job, name: str, source: FilePart | str) -> Flow[Uploaded]:
        assert isinstance(source, FilePart)
        url = f"https://store.example/{source.name}"
        reply = yield Request(method="PUT", url=url, role=Role.FOREIGN, classes=("upload",), body=source)
        return Uploaded(handle={"asset": reply.object()["asset"], "field": name}, lifetime=self.lifetime)

    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        named = {name: handles[name]["asset"] for name in self.handed_over(job)}
        reply = yield Request(
            method="POST", url=f"{self.base}/create", role=Role.PAID, classes=("create",), json=named
        )  # fmt: skip
        return Accepted(handle={"id": reply.object()["id"]})


@define
class Store:
    """The vendor and its storage: what it was sent, and what it shall answer instead."""

    simulation: Simulation
    taken: list[bytes] = field(factory=list[bytes])
    creates: list[bytes] = field(factory=list[bytes])
    gate: asyncio.Event = field(factory=asyncio.Event)
    instead: Callable[[Wire], Outcome | None] = lambda wire: None

    def __attrs_post_init__(self) -> None:
        self.gate.set()
        self.simulation.network.answer = self.answer

    async def answer(self, line: Line, wire: Wire) -> Outcome:
        await self.gate.wait()
        told = self.instead(wire)
        if told is not None:
            return told
        body = self.simulation.network.bodies[-1]
        if wire.method == "PUT":
            self.taken.append(body)
            return Reply(status=200, body=b'{"asset": "a%d"}' % len(self.taken))
        if wire.url.endswith("/create"):
            self.creates.append(body)
            return Reply(status=200, body=b'{"id": "j%d"}' % len(self.creates))
        return Reply(status=200, body=b'{"s": "running"}')


def files() -> MemoryFiles:
    return MemoryFiles(files={TALK: CLIP, "/in/copy.mp4": CLIP, SPEECH: b"speech", "/in/other.mp4": b"other"})


def row(number: int = 1, disk: MemoryFiles | None = None, **given: Any) -> TaskRow:
    job = Job(**{"video": TALK, "language": "es", "key": f"k{number}", **given})
    disk = disk or files()
    stamps = {path: disk.stamp(path) for path in job.sources if path in disk.files}
    digest = inputs_digest(job, "house", stamps)
    return TaskRow(id=f"t{number}", key=f"k{number}", job=job, digest=digest, account="house")


@define
class Desk:
    uploads: Uploads
    store: Store
    ledger: MemoryLedger
    provider: Keeper
    disk: MemoryFiles
    told: list[tuple[str, float]]

    async def obtain(self, wanted: TaskRow) -> dict[str, Handle]:
        return await self.uploads.obtain(wanted, lambda name, percent: self.told.append((name, percent)))


@asynccontextmanager
async def at_desk(ledger: MemoryLedger | None = None, lifetime: float | None = None) -> AsyncIterator[Desk]:
    disk = files()
    simulation = simulated_world(files=disk)
    store, world = Store(simulation), simulation.world
    provider = Keeper(account())
    provider.lifetime = lifetime
    courier = Courier(
        world, simulation.network, provider, Rates(world.monotonic, world.call_at), lambda classes, verdict: None
    )
    async with ledger or MemoryLedger() as opened, anyio.create_task_group() as group:
        uploads = Uploads(world, opened, provider, courier, Digests(world), group)
        yield Desk(uploads, store, opened, provider, disk, [])


# -- once ------------------------------------------------------------------------------------------------------------


@virtually
async def test_fifty_that_need_one_file_at_once_share_one_upload() -> None:
    async with at_desk() as desk:
        desk.store.gate.clear()
        waiting = [asyncio.ensure_future(desk.obtain(row(n))) for n in range(50)]
        await settled()
        desk.store.gate.set()
        found = await asyncio.gather(*waiting)
        assert desk.store.taken == [CLIP]
        assert {handles["video"]["asset"] for handles in found} == {"a1"}


@virtually
async def test_what_is_there_already_is_known_at_once() -> None:
    async with at_desk() as desk:
        first = row(1)
        assert desk.uploads.wanted(first)
        assert desk.uploads.ready(first) is None
        handles = await desk.obtain(first)
        assert desk.uploads.ready(row(2)) == handles
        assert desk.uploads.ready(row(3, video="/in/other.mp4")) is None
        assert desk.uploads.ready(evolve(row(4), inputs=handles)) == handles
        assert await desk.obtain(row(5, video="/in/copy.mp4")) == handles
        assert len(desk.store.taken) == 1
        assert not desk.uploads.wanted(row(6, video="https://m.example/v.mp4"))


@virtually
async def test_a_file_that_is_written_anew_is_another_content() -> None:
    async with at_desk() as desk:
        await desk.obtain(row(1))
        desk.disk.files[TALK], desk.disk.changed[TALK] = b"anew", 5
        later = row(2, desk.disk)
        assert desk.uploads.ready(later) is None
        await desk.obtain(later)
        assert desk.store.taken == [CLIP, b"anew"]
        assert desk.uploads.ready(row(3)) is None  # taken with the file as it was, which nobody can send any more
        with pytest.raises(Refused, match=r"changed since the job was taken") as caught:
            await desk.obtain(row(3))
        assert caught.value.verdict.kind is Kind.INVALID


@virtually
async def test_one_content_as_picture_and_as_speech_is_two_media() -> None:
    async with at_desk() as desk:
        handles = await desk.obtain(row(1, audio=TALK, language=None))
        assert [handles[name]["field"] for name in ("video", "audio")] == ["video", "audio"]
        assert len(desk.store.taken) == 2


@virtually
async def test_a_later_process_finds_it_in_the_ledger_until_it_ends() -> None:
    kept: list[Any] = []
    async with at_desk(lifetime=8 * 3600.0) as desk:
        handles = await desk.obtain(row(1))
        kept.append(await desk.ledger.upload("house", handles["video"]["_digest"]))
    ledger = MemoryLedger()
    async with at_desk(ledger) as desk:
        await ledger.keep_upload(kept[0])
        assert (await desk.obtain(row(2)))["video"]["asset"] == "a1"
        assert desk.store.taken == []
        await asyncio.sleep(7.5 * 3600)  # an hour before its end it counts as gone
        assert desk.uploads.ready(evolve(row(3), inputs=handles)) is None
        assert (await desk.obtain(row(3)))["video"]["asset"] == "a1"
        assert len(desk.store.taken) == 1


@virtually
async def test_what_stands_for_one_job_only_is_kept_for_nobody() -> None:
    async with at_desk(lifetime=0.0) as desk:
        desk.store.gate.clear()
        waiting = [asyncio.ensure_future(desk.obtain(row(n))) for n in range(3)]
        await settled()
        desk.store.gate.set()
        found = await asyncio.gather(*waiting)
        assert sorted(handles["video"]["asset"] for handles in found) == ["a1", "a2", "a3"]
        assert desk.uploads.ready(row(9)) is None
        assert desk.uploads.ready(evolve(row(9), inputs=found[0])) == found[0]


@virtually
async def test_what_the_vendor_lost_is_given_to_nobody_again() -> None:
    async with at_desk() as desk:
        handles = await desk.obtain(row(1))
        assert await desk.uploads.forget(handles)
        assert not await desk.uploads.forget(handles)
        assert desk.uploads.ready(row(2)) is None
        assert desk.uploads.ready(evolve(row(2), inputs=handles)) is None
        assert await desk.ledger.upload("house", handles["video"]["_digest"]) is None
        assert (await desk.obtain(evolve(row(2), inputs=handles)))["video"]["asset"] == "a2"


@virtually
async def test_an_account_at_another_address_is_another_vendor() -> None:
    async with at_desk() as desk:
        await desk.obtain(row(1))
        desk.provider.base = "https://elsewhere.example"
        assert desk.uploads.ready(row(2)) is None


# -- failing and leaving -----------------------------------------------------------------------------------------------


@virtually
async def test_a_refusal_is_everybodys_and_the_next_tries_again() -> None:
    async with at_desk() as desk:
        desk.store.instead = lambda wire: Reply(status=422, body=b'{"kind": "invalid", "message": "no such codec"}')
        waiting = [asyncio.ensure_future(desk.obtain(row(n))) for n in range(3)]
        for one in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(one, Refused)
            assert one.verdict.kind is Kind.INVALID
        assert len(desk.store.simulation.network.sent) == 1
        desk.store.instead = lambda wire: None
        assert await desk.obtain(row(4))


@virtually
async def test_who_leaves_leaves_the_others_their_upload_and_the_last_one_ends_it() -> None:
    async with at_desk() as desk:
        desk.store.gate.clear()
        first, second = [asyncio.ensure_future(desk.obtain(row(n))) for n in range(2)]
        await settled()
        first.cancel()
        await settled()
        assert desk.store.simulation.network.open == 1
        second.cancel()
        await settled()
        assert desk.store.simulation.network.open == 0
        desk.store.gate.set()
        assert await desk.obtain(row(3))
        assert len(desk.store.taken) == 1


@virtually
async def test_one_who_comes_while_the_last_one_leaves_begins_anew() -> None:
    async with anyio.create_task_group() as group:
        flights: Flights[int] = Flights(group)
        begun = 0

        async def work(told: Callable[[float], None]) -> int:
            nonlocal begun
            begun += 1
            await asyncio.sleep(1)
            return begun

        first = asyncio.ensure_future(flights.join("x", work, lambda percent: None))
        await settled()
        first.cancel()
        second = asyncio.ensure_future(flights.join("x", work, lambda percent: None))
        assert await second == 2


@pytest.mark.parametrize("what", ["vanishes", "changes"])
@virtually
async def test_a_file_that_is_spoilt_on_its_way_is_refused_and_kept_for_nobody(what: str) -> None:
    async with at_desk() as desk:

        def spoil(path: str, offset: int) -> None:
            if offset > 1_000_000:
                desk.disk.files.pop(path) if what == "vanishes" else desk.disk.changed.update({path: 9})

        desk.disk.watch = spoil
        with pytest.raises(Refused, match=rf"video '{TALK}' {'vanished' if what == 'vanishes' else 'changed'}"):
            await desk.obtain(row(1))
        assert desk.store.taken == []
        assert desk.uploads.ready(row(2)) is None


@virtually
async def test_progress_is_told_to_all_that_wait_and_not_too_often() -> None:
    async with at_desk() as desk:
        await asyncio.gather(desk.obtain(row(1)), desk.obtain(row(2)))
        assert desk.told[-1] == ("video", 100.0)
        assert len(desk.told) <= 2 * 2  # the pieces took no time: the first, and the last
        assert desk.told[0] == desk.told[1]


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.MP4", "video/mp4"),
        ("a.b.mov", "video/quicktime"),
        ("a.wav", "audio/wav"),
        ("a.m4a", "audio/mp4"),
        ("a.webp", "image/webp"),
        ("a.xyz", "application/octet-stream"),
        ("mp4", "application/octet-stream"),
    ],
)
def test_a_files_type_is_that_of_its_name(name: str, kind: str) -> None:
    assert content_type(f"/in/{name}") == kind


def test_a_name_that_is_no_text_is_told_as_well_as_may_be() -> None:
    assert file_part(FileStamp("/in/\udcff.mp4", 1, 2)).name == "?.mp4"


# -- in the engine -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def at_work(patch: pytest.MonkeyPatch, **more: Any) -> AsyncIterator[tuple[viseme.Scheduler, Store]]:
    patch.setattr("viseme.engine.scheduler.adapter", Keeper)
    simulation = simulated_world(files=files())
    store = Store(simulation)
    simulation.network.serve = lambda url, headers: Served(404)
    async with viseme.Scheduler([account(**more)], ledger=MemoryLedger(), world=simulation.world) as scheduler:
        yield scheduler, store


def running(wire: Wire) -> bool:
    return wire.url.startswith(f"{BASE}/jobs/")


@virtually
async def test_a_storage_that_is_down_is_tried_again_and_again_then_left_to_a_later_run() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with at_work(patch) as (scheduler, store):
            store.instead = lambda wire: Reply(status=503) if wire.method == "PUT" else None
            task = await scheduler.submit(Job(video=TALK, language="es", key="k"))
            async with asyncio.timeout(3600):
                events = [event async for event in task.events()]
            assert events[-1].type is EventType.PARKED
            assert events[-1].data["reason"] == Reason.NEEDS_PERSON
            assert EventType.RETRYING in {event.type for event in events}
            assert 600 < events[-1].at - EPOCH - 1000 < 1200
            assert store.creates == []
            puts = sum(wire.method == "PUT" for _, wire in store.simulation.network.sent)
            assert 10 < puts < 120


@virtually
async def test_media_are_ready_before_a_seat_is_and_only_so_far_ahead() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with at_work(patch, concurrency=1) as (scheduler, store):
            disk = store.simulation.files.files
            for n in range(60):
                disk[f"/in/{n}.mp4"] = b"%d" % n
                await scheduler.submit(Job(video=f"/in/{n}.mp4", language="es", key=f"k{n}"))
            await asyncio.sleep(60)
            assert len(store.creates) == 1
            assert 10 <= len(store.taken) <= 20
            why = await (await scheduler.task("k59")).why()  # type: ignore[union-attr]
            assert (why.state, why.gate) == (State.QUEUED, "upload")


@virtually
async def test_jobs_that_need_no_upload_pass_those_that_wait_for_one() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with at_work(patch, concurrency=4) as (scheduler, store):
            store.instead = lambda wire: Reply(status=503) if wire.method == "PUT" else None
            await scheduler.submit(Job(video=TALK, language="es", key="local"))
            link = await scheduler.submit(Job(video="https://m.example/v.mp4", language="es", key="link"))
            await asyncio.sleep(60)
            assert store.creates == [b"{}"]
            assert (await link.why()).state is State.WAITING
