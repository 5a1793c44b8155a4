"""Opens the engine, from its ledger to its offices, and closes it so that nothing that was paid for is lost."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from attrs import define

from viseme.attempts import TaskRow
from viseme.config import Downloads
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.core import Core
from viseme.engine.crew import Crew
from viseme.engine.downloads.fetching import Fetcher
from viseme.engine.housekeeping import Housekeeping
from viseme.engine.intake import Intake
from viseme.engine.journal import Journal
from viseme.engine.leftovers import LeftSeats
from viseme.engine.lifecycle.adopting import Adopter
from viseme.engine.money.cashier import Cashier
from viseme.engine.money.estimating import Estimator
from viseme.engine.money.till import Till, day_of
from viseme.engine.office import Office, open_office
from viseme.engine.preflight.inspector import Inspector
from viseme.engine.results_file import ResultsFile
from viseme.engine.transport import Transport
from viseme.engine.uploads.files import Digests
from viseme.engine.world import World, real_world
from viseme.errors import LedgerError, SchedulerClosed
from viseme.jobs import is_run_file
from viseme.ledger.base import Ledger
from viseme.ledger.sqlite import SqliteLedger
from viseme.money import Budget
from viseme.providers.base import Provider
from viseme.wording import quote

__all__ = ["Engine", "Opening"]

_ON_THE_WAY = 5.0
"""A create of a process that was killed may reach the vendor so many seconds later."""
_REMEMBERED = 1000
"""Creates of earlier runs from which an account learns how long jobs take."""


@define(eq=False, repr=False)
class Engine:
    """What exists while it is open.

    Attributes:
        group: in which its work is done.
        run: the number of the tasks that are submitted singly.
    """

    world: World
    core: Core
    intake: Intake
    group: TaskGroup
    run: int
    inspector: Inspector


@define(eq=False, repr=False, kw_only=True)
class Opening:
    """How an engine is to be opened; the words are the scheduler's.

    Attributes:
        providers: the adapters, by their accounts' names.
    """

    providers: Mapping[str, Provider]
    output: str
    ledger: str | os.PathLike[str] | Ledger | None
    default_account: str | None
    downloads: Downloads
    grace: float
    keep_waiting: bool
    budget: Budget | None
    notice: Callable[[str], None]
    world: World | None

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Engine]:
        """The engine, for as long as the context lasts. What is open then is parked."""
        world = self.world or real_world()
        async with AsyncExitStack() as stack:
            stack.callback(world.close)
            self.output = await world.blocking(lambda: os.path.abspath(self.output))
            await world.blocking(lambda: world.disk.make_folder(self.output))
            ledger: Ledger = await world.blocking(lambda: self._ledger_for(world))
            transport = await stack.enter_async_context(world.connect())
            await stack.enter_async_context(ledger)
            results = ResultsFile(world, os.path.join(self.output, "results.jsonl"))
            await results.open()
            stack.push_async_callback(results.close)
            journal = Journal(ledger, floor=ledger.last_order)
            ledger.listener = journal.publish
            inspector = Inspector(world, transport)
            cashier = self._cashier(world, inspector)
            present = {name: provider.account.pool for name, provider in self.providers.items()}
            for sentence in cashier.till.load(await ledger.spending(), present, day_of(world.now())):
                self.notice(sentence)
            core = Core(world, ledger, journal, results, cashier=cashier)
            async with self._working(core, transport, inspector) as engine:
                yield engine

    @asynccontextmanager
    async def _working(self, core: Core, transport: Transport, inspector: Inspector) -> AsyncGenerator[Engine]:
        world, ledger = core.world, core.ledger
        below: str = await world.blocking(self._ledger_below)
        folder: str = await world.blocking(lambda: os.path.realpath(self.output))
        async with anyio.create_task_group() as group:
            writer = anyio.CancelScope()
            group.start_soon(_within, writer, ledger.serve)
            number, crew = await ledger.next_run(), Crew(group)
            core.book.first_run = number
            core.fetcher = Fetcher(
                world, core.book, transport, self.downloads, self.output, crew, self._private, self.notice
            )
            self._open_offices(core, transport, crew, number)
            await _recall_rates(core)
            await _recall_durations(core)
            seats = LeftSeats(core)
            await seats.restore()
            house = Housekeeping(core, self.notice)
            group.start_soon(_errands, house)
            group.start_soon(seats.watch)
            intake = Intake(world, self.providers, self.default_account, _finder(ledger), below, folder)
            core.runs.open(_Session(number))
            yield Engine(world, core, intake, group, number, inspector)
            with anyio.CancelScope(shield=True):
                await self._close(core, house)
            core.journal.close(SchedulerClosed("the scheduler was closed"))
            writer.cancel()
            group.cancel_scope.cancel()

    def _open_offices(self, core: Core, transport: Transport, crew: Crew, number: int) -> None:
        pools = pools_of(core.world, list(self.providers.values()))
        offices: dict[str, Office] = {}
        digests = Digests(core.world)
        adopters = self._adopters(core)
        for name, provider in self.providers.items():
            desk = Desk(core.world, provider.account, provider, pools[provider.account.pool], transport)
            offices[name] = open_office(
                desk,
                ledger=core.ledger,
                book=core.book,
                digests=digests,
                crew=crew,
                first_run=number,
                called_off=core.called_off,
                cashier=core.cashier,
                grace=self.grace,
                adopter=adopters[provider.name],
                keep_waiting=self.keep_waiting,
                notice=self.notice,
            )
        core.offices = offices
        core.cashier.estimator.desks = {name: office.desk for name, office in offices.items()}

    def _adopters(self, core: Core) -> dict[str, Adopter]:
        """One per provider: accounts of one provider may be one at the vendor."""
        kinds = {provider.name for provider in self.providers.values()}
        accounts = {kind: [name for name, one in self.providers.items() if one.name == kind] for kind in kinds}
        return {kind: Adopter(core.ledger, core.book, accounts[kind]) for kind in kinds}

    def _cashier(self, world: World, inspector: Inspector) -> Cashier:
        accounts = [provider.account for provider in self.providers.values()]
        pools = {account.name: account.pool for account in accounts}
        return Cashier(world, Till.of(accounts, self.budget), Estimator({}, inspector), pools)

    async def _close(self, core: Core, house: Housekeeping) -> None:
        """Create nothing more, wait for what may have left, park what is open."""
        for office in core.offices.values():
            office.stop()
        core.fetcher.stop()
        for office in core.offices.values():
            await office.drained()
        for run in core.runs.live():
            await core.park_run(run)
        await house.show_gates()

    def _ledger_for(self, world: World) -> Ledger:
        if isinstance(self.ledger, Ledger):
            return self.ledger
        if is_run_file(self._ledger_below()):
            raise LedgerError(
                f"the ledger {quote(self._ledger_path())} would be written over, as other files of the output folder"
                " have such names; name another file"
            )
        return SqliteLedger(self._ledger_path(), blocking=world.blocking)

    def _ledger_path(self) -> str:
        return os.fspath(self.ledger) if self.ledger is not None else os.path.join(self.output, "viseme.db")  # type: ignore[arg-type]

    def _ledger_below(self) -> str:
        """The ledger's path below the output folder, empty if it lies elsewhere."""
        if isinstance(self.ledger, Ledger):
            return ""
        below = os.path.relpath(os.path.realpath(self._ledger_path()), os.path.realpath(self.output))
        return "" if below.startswith(os.pardir) else below.replace(os.sep, "/")

    def _private(self, account: str) -> bool:
        return self.providers[account].account.allow_private_hosts


def _finder(ledger: Ledger) -> Callable[[str], Awaitable[TaskRow | None]]:
    async def find(key: str) -> TaskRow | None:
        rows = await ledger.by_keys([key])
        return rows[0] if rows else None

    return find


@define(eq=False, repr=False)
class _Session:
    """The tasks that are submitted singly."""

    number: int

    def ended(self, row: object) -> None:
        """Nobody counts them."""

    def shared(self, row: object) -> None:
        """Nobody counts them."""

    def reopened(self, row: object) -> None:
        """Nobody counts them."""

    def moved(self, row: object, left: str) -> None:
        """Nobody counts them."""


async def _within(scope: anyio.CancelScope, function: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await function()


async def _errands(house: Housekeeping) -> None:
    async with anyio.create_task_group() as group:
        house.start(group)


async def _recall_rates(core: Core) -> None:
    """After a restart, creates of the last window count on, and reads start at half their rate."""
    now, clock = core.world.now(), core.world.monotonic()
    for name, office in core.offices.items():
        rates = office.desk.pool.rates
        windows = rates.windows(("create", "post", "all"))
        longest = max((window.length for window in windows), default=0.0)
        if not longest:
            continue
        intents = await core.ledger.intents(name, now - longest - _ON_THE_WAY)
        if intents:
            ends = [clock - max(0.0, now - (intent.ended or now)) + _ON_THE_WAY for intent in intents]
            rates.remember(("create", "post", "all"), ends)
            read = rates.windows(("read",))
            rates.halve(("read",), max((window.length for window in read), default=0.0))


async def _recall_durations(core: Core) -> None:
    """What earlier runs saw of how long jobs take tells when to look at those of this one."""
    for name, office in core.offices.items():
        for row in await core.ledger.recent(name, _REMEMBERED):
            if row.account == name:
                office.hub.cadence.remember(row)
