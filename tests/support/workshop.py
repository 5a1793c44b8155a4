"""A vendor in memory whose jobs pass four stages, and the engine that works for it in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, field
from tests.support.house import BASE, House
from tests.support.virtual import Served, Simulation, simulated_world

import viseme
from viseme import Account, Job, Scheduler
from viseme.attempts import Handle, Intent
from viseme.engine.transport import Line, Wire
from viseme.failures import Kind
from viseme.ledger.memory import MemoryLedger
from viseme.providers.base import (
    Accepted,
    Finding,
    Flow,
    Found,
    Model,
    Observation,
    Outcome,
    Reply,
    Request,
    Role,
    Safety,
    Save,
    Seen,
    Sheet,
    Undecided,
    Verdict,
)
from viseme.results import Artifact, Reason

__all__ = ["Books", "Staged", "Workshop", "job", "opened", "run_all"]

CLIP = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00" + b"\x00\x00\x00\x08moov" + b"\x00\x00\x01\x00mdat" + bytes(248)


class Staged(House):
    """``media`` and ``check`` cost nothing, ``dub`` and ``lipsync`` do; options: stages, project, version."""

    name = "house"
    sheet = Sheet(
        base_url=BASE,
        models={"m": Model(name="m")},
        rates={},
        concurrency=2,
        safety=Safety.CORRELATE,
        first=1.0,
        every=2.0,
        free_stages=frozenset({"media", "check"}),
    )

    def options(self, job: Job) -> Any:
        return job.options

    def stages(self, job: Job) -> tuple[str, ...]:
        return tuple(job.options.get("stages", ("media", "dub", "check", "lipsync")))

    def exclusive(self, job: Job) -> str | None:
        return job.options.get("project")

    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        if intent.stage == "check":
            return Accepted(handle={"id": handles["dub"]["id"], "kind": "check", "since": intent.at})
        paid = intent.stage not in self.sheet.free_stages
        claim = ""
        if paid:
            yield Save({"before": f"{intent.stage} of {job.key}"})
        if intent.stage == "lipsync" and "version" in job.options:
            claim = f"{job.options['project']}@{job.options['version']}"
        body = {"stage": intent.stage, "job": job.key, "project": job.options.get("project"), "key": intent.key}
        reply = yield Request(
            method="POST",
            url=f"{self.base}/create",
            role=Role.PAID if paid else Role.SAFE,
            classes=("create", "post", "all"),
            json=body,
            claim=claim,
        )
        return Accepted(handle={"id": reply.object()["id"], "kind": intent.stage})

    def poll(self, handle: Handle, hold: float = 0.0, now: float = 0.0) -> Flow[Observation]:
        if handle["kind"] == "check":
            done = now - handle["since"] >= 5
            return Observation(seen=Seen.SUCCEEDED if done else Seen.RUNNING, status="check")
        reply = yield Request(method="GET", url=f"{self.base}/jobs/{handle['id']}", classes=("read", "all"))
        said = reply.object()
        outputs = tuple(Artifact(url=url, role=role) for role, url in said.get("outputs", {}).items())
        return Observation(
            seen=Seen(said["s"]),
            status=said["s"],
            outputs=outputs,
            handle={**handle, **said["handle"]} if "handle" in said else None,
            park=Reason(said["park"]) if "park" in said else None,
            verdict=Verdict(kind=Kind.JOB_FAILED, message="so says the house") if said.get("park") else None,
        )

    def reconcile(self, job: Job, intent: Intent, now: float = 0.0) -> Flow[Finding]:
        reply = yield Request(method="GET", url=f"{self.base}/find/{intent.key}", classes=("read", "all"))
        name = reply.object().get("id")
        saved = str((intent.saved or {}).get("before"))
        return Found(handle={"id": name, "kind": intent.stage, "saved": saved}) if name else Undecided(message="no")


@define
class Workshop:
    """The vendor: each job takes ten seconds.

    Attributes:
        creates: stage and job of each create that was carried out, in order.
        most: the most paid jobs that were under way at once, from a job's first paid create to its last stage's end.
        reply: may answer a create in the vendor's stead, by stage, job and how often it came; ``None`` to go on.
        look: may answer a look, by stage, job and how often it came.
    """

    simulation: Simulation
    creates: list[tuple[str, str]] = field(factory=list[tuple[str, str]])
    jobs: dict[str, dict[str, Any]] = field(factory=dict[str, dict[str, Any]])
    most: int = 0
    busy: set[str] = field(factory=set[str])
    reply: Callable[[str, str, int], Outcome | None] = lambda stage, job, times: None
    look: Callable[[str, str, int], dict[str, Any] | None] = lambda stage, job, times: None
    last: str = "lipsync"
    _ids: Any = field(factory=itertools.count)
    _times: dict[tuple[str, ...], int] = field(factory=dict[tuple[str, ...], int])

    def __attrs_post_init__(self) -> None:
        self.simulation.network.answer = self.answer
        self.simulation.network.serve = lambda url, headers: Served(
            200, {"content-length": str(len(CLIP)), "content-type": "video/mp4"}, [CLIP]
        )

    def _count(self, *name: str) -> int:
        self._times[name] = self._times.get(name, 0) + 1
        return self._times[name]

    async def answer(self, line: Line, wire: Wire) -> Outcome:
        path = wire.url.removeprefix(BASE)
        if path == "/create":
            assert isinstance(wire.body, bytes)
            return self._create(json.loads(wire.body))
        if path.startswith("/find/"):
            found = next((name for name, made in self.jobs.items() if made["key"] == path[6:]), None)
            return _json({"id": found})
        return _json(self._look(path.rpartition("/")[2]))

    def _create(self, asked: dict[str, Any]) -> Outcome:
        stage, name = asked["stage"], asked["job"]
        told = self.reply(stage, name, self._count("create", stage, name))
        if isinstance(told, Reply):
            return told
        number = f"{stage}-{next(self._ids)}"
        self.creates.append((stage, name))
        self.jobs[number] = {**asked, "at": asyncio.get_running_loop().time()}
        if stage not in Staged.sheet.free_stages:
            self.busy.add(name)
            self.most = max(self.most, len(self.busy))
        return _json({"id": number}) if told is None else told

    def _look(self, number: str) -> dict[str, Any]:
        made = self.jobs[number]
        stage, name = made["stage"], made["job"]
        told = self.look(stage, name, self._count("look", stage, name))
        if told is not None:
            return told
        if asyncio.get_running_loop().time() - made["at"] < 10:
            return {"s": "running"}
        if stage == self.last:
            self.busy.discard(name)
            return {"s": "succeeded", "outputs": {"video": f"https://cdn.example/{number}.mp4"}}
        return {"s": "succeeded"}


def _json(value: object) -> Reply:
    return Reply(status=200, body=json.dumps(value).encode())


Books = list[viseme.Event]


@asynccontextmanager
async def opened(
    patch: pytest.MonkeyPatch, *, ledger: MemoryLedger | None = None, simulation: Simulation | None = None, **more: Any
) -> AsyncIterator[tuple[Scheduler, Workshop]]:
    """A scheduler over the workshop."""
    patch.setattr("viseme.engine.scheduler.adapter", Staged)
    simulation = simulation or simulated_world()
    workshop = Workshop(simulation)
    account = Account("house", api_key="secret", **more)
    async with Scheduler([account], ledger=ledger or MemoryLedger(), world=simulation.world) as scheduler:
        yield scheduler, workshop


def job(number: int, **options: Any) -> Job:
    """A job of its own."""
    audio = "https://m.example/a.wav"
    return Job(video=f"https://m.example/{number}.mp4", audio=audio, key=f"j{number}", options=options)


async def run_all(scheduler: Scheduler, jobs: Iterable[Job]) -> tuple[viseme.Tally, Books]:
    """Run jobs to their end."""
    async with scheduler.run(jobs) as run:
        events = [event async for event in run]
        return run.tally, events
