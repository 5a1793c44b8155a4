"""A scenario run: our process lives, dies and lives again, and when all trouble is over it settles its books."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint
from attrs import define, field
from tests.simulation.books import judge
from tests.simulation.files import Disk, Files, Gone
from tests.simulation.laws import Laws
from tests.simulation.loop import Killed, live
from tests.simulation.network import Call, Host, Network, Transport
from tests.simulation.scenario import Life, Move, Scenario
from tests.simulation.universe import Broken, Universe
from tests.simulation.vendors import VENDORS
from tests.simulation.vendors.base import CDN, STORE, Cdn, Store, Vendor
from tests.support.virtual import DiskAppender

from viseme import Event, Job, Scheduler, VisemeError
from viseme.engine.transport import Line
from viseme.engine.transport import Transport as Carrier
from viseme.engine.world import Appender, World
from viseme.ledger.base import Order
from viseme.ledger.memory import MemoryLedger
from viseme.ledger.memory_disk import MemoryDisk

__all__ = ["Outcome", "run"]

T = TypeVar("T")
_CALM_LIVES = 12
_OVER = {"succeeded", "failed", "cancelled"}
_OUT = "/out"
_VERBS = {"order cancel": "cancel", "order resubmit": "resubmit", "order abandon": "abandon"}


@define(eq=False)
class Outcome:
    """What became of a scenario."""

    universe: Universe
    scenario: Scenario
    laws: Laws
    lives: int = 0
    broken: str | None = None


@define(eq=False)
class _Machine:
    """Everything that outlives our process.

    Attributes:
        told: what our process said to its users, in notices and errors.
    """

    universe: Universe
    scenario: Scenario
    files: Files
    disk: MemoryDisk
    network: Network
    laws: Laws
    cdn: Cdn
    told: list[str] = field(factory=list[str])


def run(scenario: Scenario, *, muted: frozenset[int] = frozenset()) -> Outcome:
    """Run a scenario to its end; a law that breaks is told in the outcome."""
    universe = Universe(scenario.seed, scenario.odds, muted)
    machine = _machine(universe, scenario)
    outcome = Outcome(universe, scenario, machine.laws)
    try:
        for number, life in enumerate(scenario.lives):
            outcome.lives += 1
            _live(machine, life, number)
        universe.calm = True
        universe.note("-- calm")
        for number in range(_CALM_LIVES):
            outcome.lives += 1
            _live(machine, Life(gap=1000.0), len(scenario.lives) + number)
            if number and not _goes_on(machine.disk):
                break
        judge(machine.laws, machine.files, machine.cdn, machine.told)
    except Exception as error:  # a law, or anything that nobody foresaw
        outcome.broken = f"{type(error).__name__}: {error}"
        universe.note("BROKEN", outcome.broken)
        if not isinstance(error, Broken):
            outcome.broken += "\n" + "".join(traceback.format_exception(error)[-6:])
    return outcome


def _goes_on(disk: MemoryDisk) -> bool:
    """Whether another life may settle something."""
    return any(entry.state not in _OVER and entry.parked != "fate_unknown" for entry in disk.tasks.values())


def _machine(universe: Universe, scenario: Scenario) -> _Machine:
    names = [account.name for account in scenario.accounts]
    disk, cdn, store = MemoryDisk(), Cdn(universe), Store(used=bool(scenario.files))
    tasks = _tasks(scenario)
    laws = Laws(
        universe,
        disk,
        tasks,
        secrets={secret: host for name in names for secret, host in VENDORS[name].secrets().items()},
        retries={account.name: account.attempts > 1 or len(names) > 1 for account in scenario.accounts},
        apart=_apart(scenario, tasks),
    )
    vendors = {name: VENDORS[name](universe, laws, cdn, store, scenario.terms[name]) for name in names}
    hosts: dict[str, Host] = {CDN: cdn, STORE: store}
    for vendor in vendors.values():
        hosts |= vendor.hosts()
    files = Files(universe)
    for path, data in scenario.files.items():
        files.put(path, data)

    def watch(line: Line, call: Call) -> None:
        laws.leaves(line, call)
        vendor = hosts.get(call.host)
        inputs = vendor.wants(call) if isinstance(vendor, Vendor) else None
        if inputs is not None:
            laws.goes(line.account, inputs)

    return _Machine(universe, scenario, files, disk, Network(universe, hosts, watch), laws, cdn)


def _tasks(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """The keys of the jobs, by what a vendor tells them apart by."""
    tasks: dict[str, tuple[str, ...]] = {}
    for job in scenario.jobs:
        for name in job.route:
            inputs = VENDORS[name].inputs(job, scenario.files)
            tasks[inputs] = tuple(dict.fromkeys((*tasks.get(inputs, ()), job.key or "")))
    return tasks


def _apart(scenario: Scenario, tasks: dict[str, tuple[str, ...]]) -> frozenset[str]:
    twins = {key for keys in tasks.values() if len(keys) > 1 for key in keys}
    own = {job.key or "" for job in scenario.jobs if len(job.route) > 1 or job.video in scenario.files}
    return frozenset(twins | own)


# -- one life --------------------------------------------------------------------------------------------------------


def _live(machine: _Machine, life: Life, number: int) -> None:
    universe = machine.universe
    machine.laws.begins()
    universe.note("-- life", number, "begins")
    end = "its end"
    try:
        live(universe, lambda: _main(machine, life), kill_at=None if universe.calm else life.kill_at)
    except Killed as killed:
        end = str(killed)
        machine.disk.owner = None
        if end == "power cut":
            machine.files.power_cut()
    universe.note("-- life", number, "came to", end)
    universe.sit_out(life.gap)


async def _main(machine: _Machine, life: Life) -> None:
    universe = machine.universe
    ledger = MemoryLedger(machine.disk, sync=lambda: _sync(universe))
    me = asyncio.current_task()
    try:
        async with (
            Scheduler(
                machine.scenario.accounts,
                output=_OUT,
                ledger=ledger,
                world=_world(machine),
                notice=machine.told.append,
            ) as scheduler,
            anyio.create_task_group() as group,
        ):
            for move in life.moves if not universe.calm else ():
                group.start_soon(_move, machine, scheduler, move, me)
            if life.resumes == "first":
                await _resume(machine, scheduler, life)
            async with anyio.create_task_group() as beside:
                if life.resumes in ("beside", "left"):
                    beside.start_soon(_resume, machine, scheduler, life)
                await (_each(machine, scheduler) if life.reader == "tasks" else _batch(machine, scheduler, life))
            group.cancel_scope.cancel()
    except asyncio.CancelledError:
        universe.note("aborted")
    except Exception as error:
        causes = list(_causes(error))
        if universe.calm or not all(isinstance(cause, (VisemeError, OSError)) for cause in causes):
            raise causes[0] from None
        machine.told += [f"{type(cause).__name__}: {cause}" for cause in causes]
        universe.note("ended by", *machine.told[-len(causes) :])


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    else:
        yield error


async def _resume(machine: _Machine, scheduler: Scheduler, life: Life) -> None:
    """All that is open goes on as one batch, which counts right however it comes to its end."""
    run = scheduler.resume()
    async with run:
        if life.resumes == "left":
            await asyncio.sleep(machine.universe.chance("resume").choice((0.0, 0.05, 0.2, 5.0)))
        else:
            async for event in run:
                _note_event(machine, event)
    machine.laws.counted(run.tally, left=life.resumes == "left")


async def _each(machine: _Machine, scheduler: Scheduler) -> None:
    """Submit the jobs one by one, and follow each by itself."""

    async def follow(job: Job) -> None:
        with suppress(VisemeError):
            task = await scheduler.submit(job)
            async for event in task.events():
                _note_event(machine, event)
            await task.result()

    async with anyio.create_task_group() as group:
        for job in machine.scenario.jobs:
            group.start_soon(follow, job)


def _note_event(machine: _Machine, event: Event) -> None:
    machine.universe.note("event", event.key, event.seq, event.type, event.data.get("reason", ""))


async def _batch(machine: _Machine, scheduler: Scheduler, life: Life) -> None:
    for key in life.redo:
        machine.laws.grants[key] += 1
    if life.retry_failed:
        machine.laws.retrying = True  # also of what fails before this run takes it up
        for entry in machine.disk.tasks.values():
            if entry.state == "failed":
                machine.laws.grants[entry.key] += 1
    run = scheduler.run(machine.scenario.jobs, retry_failed=life.retry_failed, redo=life.redo)
    async with run:
        if life.reader == "none":
            await run.wait()
            return
        async for event in run:
            _note_event(machine, event)
            if life.reader == "slow":
                await asyncio.sleep(machine.universe.chance("reader").uniform(0, 20))


async def _move(machine: _Machine, scheduler: Scheduler, move: Move, main: asyncio.Task[Any] | None) -> None:
    universe = machine.universe
    await asyncio.sleep(move.at)
    universe.note("customer:", move.verb, move.key)
    with suppress(VisemeError):
        match move.verb:
            case "cancel":
                task = await scheduler.task(move.key or "")
                if task is not None:
                    await task.cancel()
            case "order cancel" | "order resubmit" | "order abandon":
                verb: Any = _VERBS[move.verb]
                if verb == "resubmit":
                    machine.laws.grants[move.key or ""] += 1
                machine.disk.ask(Order(verb=verb, key=move.key))
            case "stop":
                scheduler.stop()
                await asyncio.sleep(universe.chance("customer").uniform(0, 30))
                if main is not None:
                    main.cancel()
            case "hurry":
                scheduler.hurry()
            case "leave" | "abort":
                if main is not None:
                    main.cancel()
            case _:
                scheduler.set_limits(machine.scenario.accounts[0].name, concurrency=1)


# -- the world as our process has it ---------------------------------------------------------------------------------


async def _sync(universe: Universe) -> None:
    """A commit of the ledger: may fail, may be late, may be the last thing that happens."""
    universe.peril("before a commit")
    chance = universe.chance("ledger: how")
    await asyncio.sleep(chance.uniform(0, 15) if universe.strike("slow ledger") else chance.uniform(0, 0.02))
    if universe.doomed is not None:
        raise OSError("the process is dead")
    if universe.strike("ledger"):
        raise OSError(28, "No space left on device")
    universe.note("commits")
    universe.peril("after a commit")


def _world(machine: _Machine) -> World:
    universe = machine.universe
    loop = asyncio.get_running_loop()
    chance = universe.chance("world")
    disk = Disk(machine.files)

    async def blocking(function: Any) -> Any:
        await checkpoint()
        with anyio.CancelScope(shield=True):
            await asyncio.sleep(chance.uniform(0, 0.02))
        if universe.doomed is not None:
            raise Gone("the process is dead")
        try:
            return function()
        finally:
            await cancel_shielded_checkpoint()

    async def appender(path: str) -> Appender:
        await checkpoint()
        machine.files.now.setdefault(path, b"")
        return DiskAppender(disk, path)

    def connect() -> AbstractAsyncContextManager[Carrier]:
        @asynccontextmanager
        async def connected() -> AsyncIterator[Carrier]:
            yield Transport(machine.network)

        return connected()

    def now() -> float:
        if universe.strike("clock jump"):
            universe.skew += universe.chance("clock jump: how").uniform(-60.0, 60.0)
            universe.jumped = universe.now
        return universe.wall

    return World(
        monotonic=loop.time,
        now=now,
        sleep=anyio.sleep,
        call_at=loop.call_at,
        random=chance.random,
        new_id=lambda: f"{chance.getrandbits(128):032x}",
        blocking=blocking,
        disk=disk,
        appender=appender,
        connect=connect,
    )
