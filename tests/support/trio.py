"""Sync, JoggAI and AI/ML API in memory, as unhelpful as a test wants them, and the engine before them; virtual time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, field
from tests.support.virtual import Served, Simulation, simulated_world
from tests.support.workshop import CLIP

from viseme import Account, Job, Scheduler
from viseme.attempts import TaskRow
from viseme.engine.transport import Line, Wire
from viseme.ledger.memory import MemoryLedger
from viseme.providers.base import Fault, Outcome, Reply

__all__ = ["AWAY", "LOST", "House", "Vendor", "account", "house", "job", "jogg_says", "reply", "sync_says"]

LOST = Fault(sent=True, message="the connection was reset")
AWAY = Fault(sent=False, message="no route to host")


def reply(body: object, status: int = 200) -> Reply:
    return Reply(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode())


def sync_says(status: int, code: str | None = None, **more: Any) -> Reply:
    return reply({"statusCode": status, "message": "so it is", **({"errorCode": code} if code else {}), **more}, status)


def jogg_says(data: object = None, code: int = 0) -> Reply:
    return reply({"code": code, "msg": "m", "data": data})


@define(eq=False)
class Vendor:
    """One of the three: every job is done ten seconds after it was booked.

    Attributes:
        creates: what is said to each create that arrives, in order; a function is called with the id that was booked,
            None stands for the usual reply. Then the usual reply.
        books: whether each create is booked, in order; then it is.
        finds: what is said to a lookup; None for the usual answer.
        sees: what is said to a single look at a job; None for the usual answer.
        link: where a job's result lies.
        fails: the jobs that end badly.
        keys: that came with the creates, in order, and when they came (``sent_at``).
    """

    simulation: Simulation
    creates: list[Any] = field(factory=list[Any])
    books: list[bool] = field(factory=list[bool])
    finds: Callable[[], Outcome | None] = lambda: None
    keys: list[str] = field(factory=list[str])
    sent_at: list[float] = field(factory=list[float])
    booked: dict[str, dict[str, Any]] = field(factory=dict[str, dict[str, Any]])
    lookups: int = 0
    link: Callable[[str], str] = lambda name: f"https://cdn.example/{name}.mp4"
    sees: Callable[[str], Outcome | None] = lambda name: None
    fails: set[str] = field(factory=set[str])

    async def answer(self, line: Line, wire: Wire) -> Outcome:
        path = urlsplit(wire.url).path
        if path.endswith(("/generate", "/create_lip_sync_video", "/video/generations")) and wire.method == "POST":
            return await self._create(wire)
        if path.endswith(("/lip_sync_video", "/logs")):
            self.lookups += 1
            return self.finds() or self._found(parse_qs(urlsplit(wire.url).query))
        if path.endswith("/whoami"):
            return jogg_says({})
        if path.endswith("/generations") and "generation_id" not in wire.url:
            return self._list(parse_qs(urlsplit(wire.url).query)["ids"][0].split(","))
        return self._look(wire.url)

    async def _create(self, wire: Wire) -> Outcome:
        body = json.loads(wire.body) if isinstance(wire.body, bytes) else None
        key = wire.headers.get("idempotency-key") or wire.headers.get("x-client-request-id") or ""
        self.keys.append(key)
        self.sent_at.append(self.simulation.world.now())
        known = next((name for name, made in self.booked.items() if key and made["key"] == key), None)
        name = known or f"job-{len(self.booked)}"
        if known is None and (self.books.pop(0) if self.books else True):
            self.booked[name] = {"body": body, "key": key, "at": self.simulation.world.now()}
        said = self.creates.pop(0) if self.creates else None
        said = await said(name) if callable(said) else said
        return said or self.taken(name)

    def taken(self, name: str) -> Reply:
        """The usual reply to a create, in the words of all three."""
        return reply({"code": 0, "id": name, "status": "PENDING", "data": {"task_id": name, "status": "pending"}}, 201)

    def _found(self, query: dict[str, list[str]]) -> Outcome:
        if "period" in query:
            rows = [
                {"client_request_id": made["key"], "inference_id": name, "created": made["at"]}
                for name, made in reversed(self.booked.items())
            ]
            return reply({"data": rows})
        for name, made in reversed(self.booked.items()):
            if made["body"]["video_url"] == query["video_url"][0]:
                return jogg_says({"task_id": name, "status": "pending", "created_at": int(made["at"])})
        return jogg_says(code=17003)

    def _look(self, url: str) -> Outcome:
        name = parse_qs(urlsplit(url).query).get("generation_id", [urlsplit(url).path.rpartition("/")[2]])[0]
        return self.sees(name) or reply(self.shown(name))

    def _list(self, names: list[str]) -> Outcome:
        """A list leaves out what a single look would not show."""
        shown = [self.sees(name) or reply(self.shown(name)) for name in names]
        if not any(isinstance(one, Reply) and one.status < 500 for one in shown):
            return shown[0]
        return reply([one.json() for one in shown if isinstance(one, Reply) and one.status == 200])

    def shown(self, name: str) -> dict[str, Any]:
        """A job as it truly is."""
        if name in self.fails:
            return {"code": 0, "data": {"task_id": name, "status": "failed", "error": {"message": "it broke"}}}
        if self.simulation.world.now() < self.booked[name]["at"] + 10:
            return {"code": 0, "id": name, "status": "PENDING", "data": {"task_id": name, "status": "pending"}}
        link = self.link(name)
        inner = {"task_id": name, "status": "success", "data": {"result_url": link}}
        return {
            "code": 0, "id": name, "status": "COMPLETED", "outputUrl": link, "video": {"url": link}, "data": inner,
        }  # fmt: skip


@define(eq=False)
class House:
    """A vendor, and a ledger that several runs share."""

    vendor: Vendor
    ledger: MemoryLedger
    accounts: list[Account]

    def scheduler(self, *accounts: Account, **options: Any) -> Scheduler:
        given = list(accounts) or self.accounts
        return Scheduler(given, ledger=self.ledger, world=self.vendor.simulation.world, **options)

    async def run(self, *jobs: Job, accounts: tuple[Account, ...] = (), **options: Any) -> dict[str, TaskRow]:
        """Run jobs to their end; returns how all of the ledger's stand then."""
        async with self.scheduler(*accounts, **options) as scheduler, scheduler.run(jobs) as run:
            await run.wait()
        return await self.rows()

    async def rows(self) -> dict[str, TaskRow]:
        async with self.ledger:
            return {row.key: row for row in await self.ledger.all_tasks(0, 100)}


@asynccontextmanager
async def house(*providers: str, **settings: Any) -> AsyncIterator[House]:
    simulation = simulated_world()
    vendor = Vendor(simulation)
    simulation.network.answer = vendor.answer
    served = Served(200, {"content-length": str(len(CLIP)), "content-type": "video/mp4"}, [CLIP])
    simulation.network.serve = lambda url, headers: served
    accounts = [account(name, **settings) for name in providers]
    yield House(vendor, MemoryLedger(), accounts)


def account(provider: str, **more: Any) -> Account:
    return Account(provider, **{"api_key": "secret-key", **more})


def job(key: str, video: str = "https://m.example/v.mp4", **more: Any) -> Job:
    return Job(video=video, audio="https://m.example/a.wav", key=key, **more)
