"""Events on their way from the engine to readers, in memory and through the ledger."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from attrs import define, evolve, field

from viseme.attempts import TaskRow
from viseme.engine.core import Core
from viseme.engine.intake import Intake
from viseme.engine.journal import Journal
from viseme.engine.run import Run
from viseme.engine.runs import Runs
from viseme.engine.world import real_world
from viseme.events import Event, EventType
from viseme.jobs import Job
from viseme.ledger.base import Change, Ledger
from viseme.ledger.sqlite import SqliteLedger

__all__ = ["alternating", "in_memory", "through_the_ledger"]

_GROUP = 16
"""Events that become durable together, as where some hundred jobs are under way."""
_TASKS = 1000
_SLOW = 0.01
"""A slow reader waits so many seconds over each event."""


@define(eq=False)
class _Shelf:
    """The older events, as a ledger in memory would have them: each is made anew when it is read.

    Attributes:
        pages: how often it was read.
    """

    last_order: int = 0
    pages: int = 0

    async def next_run(self) -> int:
        return 1

    async def events(self, after: int, limit: int, *, run: int | None = None) -> list[Event]:
        self.pages += 1
        return [_event(order) for order in range(after + 1, min(after + limit, self.last_order) + 1)]


@define(eq=False)
class _Core:
    """What a run needs of the engine to be read."""

    ledger: Any
    runs: Runs = field(factory=Runs)
    journal: Journal = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.journal = Journal(cast("Ledger", self.ledger))


def _event(order: int) -> Event:
    name = f"task-{order % _TASKS}"
    return Event(seq=order, task=name, key=name, type=EventType.CREATED, at=1.8e9, data=_DATA, run=1, order=order)


_DATA = {"account": "sync", "handle": {"id": "f1"}, "stage": "generate"}


# -- in memory -------------------------------------------------------------------------------------------------------


async def in_memory(count: int, quick: int, slow: int) -> float:
    """Seconds of CPU per event that is published to readers.

    Args:
        quick: how many readers take each event at once.
        slow: how many do not.
    """
    return await _publish(count, quick, slow) / count


async def alternating(count: int, pairs: int) -> dict[str, list[float]]:
    """The same to one quick reader, again and again, by turns ``with`` a slow reader beside it and ``without``."""
    taken: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(pairs):
        for name in ("with", "without") if number % 2 else ("without", "with"):
            gc.collect()
            taken[name].append(await _publish(count, 1, int(name == "with")) / count)
    return taken


async def _publish(count: int, quick: int, slow: int) -> float:
    """Seconds of CPU from the first event until the quick readers have the last."""
    shelf = _Shelf()
    core = _Core(shelf)
    runs = [await _opened(core) for _ in range(quick + slow)]
    readers = [asyncio.create_task(_read(run)) for run in runs[:quick]]
    laggards = [asyncio.create_task(_read(run, _SLOW)) for run in runs[quick:]]
    asyncio.get_running_loop().call_later(3600, gc.collect)  # as in the engine, where a timer always waits
    await asyncio.sleep(0)
    began = time.process_time()
    for first in range(1, count + 1, _GROUP):
        group = [_event(order) for order in range(first, min(first + _GROUP, count + 1))]
        shelf.last_order = first + len(group) - 1
        core.journal.publish(group)
        await asyncio.sleep(0)
    _finish(runs[:quick], core)
    read = await asyncio.gather(*readers)
    took = time.process_time() - began
    assert all(one == count for one in read), read
    _finish(runs[quick:], core)
    for laggard in laggards:
        laggard.cancel()
    await asyncio.gather(*laggards, return_exceptions=True)
    return took


async def _opened(core: _Core) -> Run:
    """A run that nothing is fed to, with one job that has not ended."""
    run = Run(cast("Core", core), cast("Intake", None), [], _spawned)
    run.tally.total = 1
    return await run.__aenter__()


def _spawned(work: Callable[[], Awaitable[None]]) -> None:
    """The feed has nothing to do here but to say so."""
    _feeds.append(asyncio.ensure_future(work()))


_feeds: list[asyncio.Future[None]] = []


def _finish(runs: Sequence[Run], core: _Core) -> None:
    for run in runs:
        run.tally.succeeded = 1
    core.journal.nudge()


async def _read(run: Run, pause: float = 0.0) -> int:
    count = 0
    async for _ in run:
        count += 1
        if pause:
            await asyncio.sleep(pause)
    return count


# -- through the ledger ----------------------------------------------------------------------------------------------


async def through_the_ledger(count: int, path: str) -> float:
    """Seconds of CPU per event that is committed at full sync, four in a step, and read by one reader."""
    world = real_world()
    async with SqliteLedger(path, blocking=world.blocking) as ledger:
        core = _Core(ledger)
        rows = await ledger.add([_row(number) for number in range(_TASKS)])
        ledger.listener = core.journal.publish
        core.journal.floor = ledger.last_order
        run = await _opened(core)
        reader = asyncio.create_task(_read(run))
        began = time.process_time()
        await asyncio.gather(*(_steps(ledger, row, count // _TASKS // 4, run.number) for row in rows))
        _finish([run], core)
        read = await reader
        took = time.process_time() - began
    assert read == count, (read, count)
    return took / count


async def _steps(ledger: Ledger, row: TaskRow, count: int, run: int) -> None:
    row = evolve(row, run=run)
    for _ in range(count):
        events = tuple(
            Event(seq=row.seq + ahead, task=row.id, key=row.key, type=EventType.CREATED, at=1.8e9, data=_DATA, run=run)
            for ahead in range(1, 5)
        )
        row = evolve(row, seq=row.seq + 4)
        await ledger.commit(Change(row=row, events=events))


def _row(number: int) -> TaskRow:
    job = Job(video=f"https://media.example/{number}.mp4", audio=f"https://media.example/{number}.wav")
    return TaskRow(id=f"task-{number}", key=f"key-{number}", job=job, digest="d" * 64, account="sync", run=1)
