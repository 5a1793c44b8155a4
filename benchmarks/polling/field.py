"""Jobs at a vendor in virtual time, looked at by the engine's own hub, looker and cadence."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from math import ceil
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import anyio
from attrs import define, field, frozen
from tests.support.house import account, house
from tests.support.virtual import Simulation, simulated_world, virtual_run

from viseme.attempts import TaskRow
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.crew import Crew
from viseme.engine.lifecycle.book import Book
from viseme.engine.lifecycle.signals import Observed, Signal
from viseme.engine.polling.cadence import Cadence
from viseme.engine.polling.hub import Hub
from viseme.engine.polling.looking import Looker
from viseme.engine.transport import Line, Wire
from viseme.jobs import Job
from viseme.providers.base import Outcome, Reply, Sheet
from viseme.results import State

__all__ = ["Clip", "Done", "Policy", "clips", "play"]

BASE, PACE = 10.0, 4.0
"""Seconds of work: the sheet's lag and pace of Sync's newest model."""
_SHORTEST, _LONGEST = 5.0, 60.0
_JOB = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav")

Policy = Callable[[Sheet], Cadence]


@frozen
class Clip:
    """A job to come: how long its media are, and how long it will take."""

    media: float
    takes: float

    @property
    def median(self) -> float:
        """How long jobs of this length take in the median."""
        return BASE + PACE * self.media


def clips(count: int, sigma: float, seed: int) -> list[Clip]:
    """Jobs with media of 5 to 60 s, that take a lognormal time about ``BASE + PACE * media``."""
    chance = random.Random(seed)
    lengths = [chance.uniform(_SHORTEST, _LONGEST) for _ in range(count)]
    return [Clip(length, (BASE + PACE * length) * chance.lognormvariate(0.0, sigma)) for length in lengths]


@frozen
class Done:
    """What the counted jobs came to.

    Attributes:
        requests: a job; ``delay`` from its end until that was seen, seconds, on average.
        calls: list requests from the first counted create to the last counted end, over the least that finds ends with
            the same mean delay by looking at all jobs in turn.
    """

    requests: float
    delay: float
    calls: float


@define(eq=False)
class _Field:
    """The vendor, the book and whoever creates, in one."""

    world: Simulation
    todo: deque[Clip]
    learning: int
    measured: bool
    hub: Hub = field(init=False)
    ends: dict[str, float] = field(factory=dict[str, float])
    looks: dict[str, int] = field(factory=dict[str, int])
    counted: list[tuple[int, float]] = field(factory=list[tuple[int, float]])
    rows: dict[str, TaskRow] = field(factory=dict[str, TaskRow])
    calls: int = 0
    started: tuple[float, int] = (0.0, 0)
    over: asyncio.Event = field(factory=asyncio.Event)

    def create(self) -> None:
        """The next job is taken by the vendor."""
        if not self.todo:
            return
        clip, now, name = self.todo.popleft(), self.world.world.now(), f"t{len(self.ends)}"
        if len(self.ends) == self.learning:
            self.started = now, self.calls
        self.ends[name], self.looks[name] = now + clip.takes, 0
        self.rows[name] = TaskRow(
            id=name, key=name, job=_JOB, digest="d", account="house", state=State.WAITING, attempt=1,
            stage="lipsync", handle={"id": name}, since=now, began=now, run=1,
            seconds=clip.media if self.measured else None,
        )  # fmt: skip
        self.hub.watch(self.rows[name])

    async def answer(self, _: Line, wire: Wire) -> Outcome:
        """A look, or many in one request."""
        self.calls += 1
        parts = urlsplit(wire.url)
        many = parse_qs(parts.query).get("ids")
        names = many[0].split(",") if many else [parts.path.rsplit("/", 1)[1]]
        now = self.world.world.now()
        said = {name: {"s": "succeeded" if self.ends[name] <= now else "running"} for name in names}
        for name in names:
            self.looks[name] += 1
        return Reply(status=200, body=json.dumps(said if many else said[names[0]]).encode())

    @asynccontextmanager
    async def hold(self, task: str) -> AsyncGenerator[_Held]:
        """The book's part."""
        yield _Held(self, self.rows[task])

    def progress(self, *_: Any) -> None:
        """Nobody reads it."""

    def seen(self, row: TaskRow) -> None:
        """A job's end was seen; the next one is created."""
        if int(row.id[1:]) >= self.learning:
            self.counted.append((self.looks[row.id], self.world.world.now() - self.ends[row.id]))
        del self.rows[row.id]
        self.create()
        if not self.rows:
            self.over.set()


@define(eq=False)
class _Held:
    field: _Field
    row: TaskRow

    async def take(self, signal: Signal) -> None:
        if isinstance(signal, Observed):
            self.field.seen(self.row)


def play(
    todo: Sequence[Clip], policy: Policy, *, flying: int, learning: int = 0, bulk: int = 1, measured: bool = True
) -> Done:
    """Run jobs, so many at a time, and count all but the first ones.

    Args:
        measured: whether the lengths of media are known.
    """
    return virtual_run(lambda: _play(todo, policy, flying, learning, bulk, measured))


async def _play(todo: Sequence[Clip], policy: Policy, flying: int, learning: int, bulk: int, measured: bool) -> Done:
    world = simulated_world()
    provider = house(given=account(), concurrency=flying)
    desk = Desk(world.world, provider.account, provider, pools_of(world.world, [provider])["house"], world.network)
    cadence = policy(provider.sheet)
    one = _Field(world, deque(todo), learning, measured)
    looker = Looker(world.world, cast("Book", one), desk, cadence, print)
    async with anyio.create_task_group() as group:
        one.hub = looker.hub = Hub(world.world, cadence, Crew(group), looker.look, bulk)
        world.network.answer = one.answer
        group.start_soon(looker.hub.run)
        for _ in range(flying):
            one.create()
            await anyio.sleep(2.0)  # creates are spread by their own rate
        await one.over.wait()
        looker.hub.stop()
        group.cancel_scope.cancel()
    looks, delays = zip(*one.counted, strict=True)
    delay = sum(delays) / len(delays)
    began, before = one.started
    least = (world.world.now() - began) / (2 * delay) * ceil(flying / 100)
    return Done(sum(looks) / len(looks), delay, (one.calls - before) / least)
