"""The scheduler: opens the engine, takes jobs, and closes it so that nothing that was paid for is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from attrs import define

from viseme.attempts import TaskRow
from viseme.config import Account, Downloads, Mode
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.core import Again, Core
from viseme.engine.downloads.fetching import Fetcher
from viseme.engine.housekeeping import Housekeeping
from viseme.engine.intake import Intake
from viseme.engine.journal import Journal
from viseme.engine.lifecycle.adopting import Adopter
from viseme.engine.money.cashier import Cashier
from viseme.engine.money.estimating import Estimator
from viseme.engine.money.pricing import priced
from viseme.engine.money.till import Till, day_of, parsed
from viseme.engine.office import Office, open_office
from viseme.engine.preflight.inspector import Inspector
from viseme.engine.preflight.screening import NO_PYAV, Screening, refusal
from viseme.engine.preflight.sieve import Sieve
from viseme.engine.results_file import ResultsFile
from viseme.engine.run import Jobs, Run, other_inputs
from viseme.engine.task import Task
from viseme.engine.transport import Transport
from viseme.engine.uncut import uncut
from viseme.engine.uploads.files import Digests
from viseme.engine.world import World, real_world
from viseme.errors import ConfigError, JobInvalid, SchedulerClosed, VisemeError, quote
from viseme.jobs import Job
from viseme.ledger.base import Ledger, Order
from viseme.ledger.sqlite import SqliteLedger
from viseme.money import Budget, Quote
from viseme.providers import adapter
from viseme.providers.base import Provider

__all__ = ["Scheduler"]

_REMEMBERED = 1000
"""Creates of earlier runs from which an account learns how long jobs take."""


@define(eq=False)
class _Open:
    """What exists while the scheduler is open."""

    world: World
    core: Core
    intake: Intake
    group: TaskGroup
    run: int
    inspector: Inspector


class Scheduler:
    """Drives lip-sync jobs over the given accounts. Use as an async context manager.

    Args:
        accounts: where jobs may run; their limits are kept over all jobs of this scheduler.
        output: the folder that results go to.
        ledger: path of the ledger, or a ledger; default: ``viseme.db`` in the output folder.
        default_account: the account of jobs that name none.
        downloads: how results are fetched.
        grace: how long a create whose request may have left is waited for when the scheduler stops, seconds.
        wait: keep jobs in line while their account has no credit or its key is refused, instead of parking them.
        notice: called with sentences that the user should read once.
        preflight: look at the media of each job before it is first created: what is certainly wrong (a link that leads
            nowhere, a page instead of a medium, no sound, beyond a documented limit) makes the job invalid, what may
            be wrong is a warning.
        budget: how much may be spent over the whole ledger, earlier runs counted: ``"25usd"``, ``"500 credits/day"``;
            besides what accounts state. Jobs beyond it park, and a later run goes on with them.
        world: clocks, files and network; a simulation passes its own.

    Raises:
        ConfigError: an account, its provider or a setting is unknown or wrong.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        *,
        output: str | os.PathLike[str] = "out",
        ledger: str | os.PathLike[str] | Ledger | None = None,
        default_account: str | None = None,
        downloads: Downloads | None = None,
        grace: float = 10.0,
        wait: bool = False,
        notice: Callable[[str], None] | None = None,
        preflight: bool = False,
        budget: str | Budget | None = None,
        world: World | None = None,
    ) -> None:
        self._providers = _providers(tuple(accounts))
        if default_account is not None and default_account not in self._providers:
            known = ", ".join(self._providers)
            raise ConfigError(f"default_account {default_account!r} is not configured; configured are {known}")
        self._output: str = os.fspath(output)
        self._ledger = ledger
        self._default = default_account
        self._downloads = downloads or Downloads()
        self._grace = grace
        self._wait = wait
        self._notice: Callable[[str], None] = notice or _ignore
        self._preflight = preflight
        self._told_of_pyav = False
        self._budget = parsed(budget)
        self._world = world
        self._open: _Open | None = None
        self._root: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._error: BaseException | None = None

    # -- opening and closing -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._root is not None:
            raise VisemeError("a scheduler is opened once; make another")
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._root = asyncio.create_task(self._main(ready), name="viseme scheduler")
        try:
            await asyncio.wait([ready, self._root], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._stop.set()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self._root])
            raise
        if not ready.done():
            ready.cancel()
            await self._root
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._root is not None:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self._root])
            if not self._root.cancelled() and (failure := self._root.exception()) is not None and kind is None:
                raise failure

    def stop(self) -> None:
        """Begin nothing more; creates that have left are waited for up to ``grace``.

        What is open goes on until the block is left, which parks it.
        """
        if self._open is not None:
            for office in self._open.core.offices.values():
                office.stop()
            self._open.core.fetcher.stop()

    def hurry(self) -> None:
        """Stop without waiting for the replies of creates that have left; the next run settles them."""
        self._stop.set()
        if self._open is not None:
            for office in self._open.core.offices.values():
                office.creator.hurry()

    async def _main(self, ready: asyncio.Future[None]) -> None:
        """The root task: everything that the scheduler does runs below it."""
        try:
            async with AsyncExitStack() as stack:
                await self._run(stack, ready)
        except BaseExceptionGroup as group:
            self._error = _first(group)
            raise self._error from None
        except Exception as error:
            self._error = error
            raise
        finally:
            self._shut()

    def _shut(self) -> None:
        """From now on nothing more is taken, and nothing more will happen."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.core.journal.close(self._error or SchedulerClosed("the scheduler was closed"))

    async def _run(self, stack: AsyncExitStack, ready: asyncio.Future[None]) -> None:
        world = self._world or real_world()
        stack.callback(world.close)
        self._output = await world.blocking(lambda: os.path.abspath(self._output))
        await world.blocking(lambda: world.disk.make_folder(self._output))
        ledger: Ledger = await world.blocking(lambda: self._ledger_for(world))
        below: str = await world.blocking(self._ledger_below)
        transport = await stack.enter_async_context(world.connect())
        await stack.enter_async_context(ledger)
        results = ResultsFile(world, os.path.join(self._output, "results.jsonl"))
        await results.open()
        stack.push_async_callback(results.close)
        journal = Journal(ledger, floor=ledger.last_order)
        ledger.listener = journal.publish
        inspector = Inspector(world, transport)
        cashier = self._cashier(world, inspector)
        present = {name: provider.account.pool for name, provider in self._providers.items()}
        for sentence in cashier.till.load(await ledger.spending(), present, day_of(world.now())):
            self._notice(sentence)
        core = Core(world, ledger, journal, results, cashier=cashier)
        async with anyio.create_task_group() as group:
            writer = anyio.CancelScope()
            group.start_soon(_within, writer, ledger.serve)
            number = await ledger.next_run()
            core.fetcher = Fetcher(
                world, core.book, transport, self._downloads, self._output, group, self._private, self._notice
            )
            self._open_offices(core, transport, group, number)
            await _recall_rates(core)
            await _recall_durations(core)
            await core.restore_seats()
            house = Housekeeping(core, self._notice)
            errands = anyio.CancelScope()
            group.start_soon(_within, errands, lambda: _errands(house))
            intake = Intake(world, self._providers, self._default, _finder(ledger), below)
            self._open = _Open(world, core, intake, group, number, inspector)
            core.open_run(_Session(number))
            ready.set_result(None)
            await self._stop.wait()
            with anyio.CancelScope(shield=True):
                await self._close(core, house, number)
            self._shut()
            writer.cancel()
            group.cancel_scope.cancel()

    def _open_offices(self, core: Core, transport: Transport, group: TaskGroup, number: int) -> None:
        pools = pools_of(core.world, list(self._providers.values()))
        offices: dict[str, Office] = {}
        digests = Digests(core.world)
        adopters = self._adopters(core)
        for name, provider in self._providers.items():
            desk = Desk(core.world, provider.account, provider, pools[provider.account.pool], transport)
            offices[name] = open_office(
                desk,
                ledger=core.ledger,
                book=core.book,
                digests=digests,
                group=group,
                first_run=number,
                called_off=core.called_off,
                cashier=core.cashier,
                grace=self._grace,
                adopter=adopters[provider.name],
                keep_waiting=self._wait,
                notice=self._notice,
            )
        core.offices = offices
        core.cashier.estimator.desks = {name: office.desk for name, office in offices.items()}

    def _adopters(self, core: Core) -> dict[str, Adopter]:
        """One per provider: accounts of one provider may be one at the vendor."""
        kinds = {provider.name for provider in self._providers.values()}
        accounts = {kind: [name for name, one in self._providers.items() if one.name == kind] for kind in kinds}
        return {kind: Adopter(core.ledger, core.book, accounts[kind]) for kind in kinds}

    def _cashier(self, world: World, inspector: Inspector) -> Cashier:
        accounts = [provider.account for provider in self._providers.values()]
        pools = {account.name: account.pool for account in accounts}
        return Cashier(world, Till.of(accounts, self._budget), Estimator({}, inspector), pools)

    async def _close(self, core: Core, house: Housekeeping, number: int) -> None:
        """Create nothing more, wait for what may have left, park what is open."""
        for office in core.offices.values():
            office.stop()
        core.fetcher.stop()
        for office in core.offices.values():
            await office.drained()
        for run in core.live_runs():
            await core.park_run(run)
        await house.show_gates()

    def _ledger_for(self, world: World) -> Ledger:
        if isinstance(self._ledger, Ledger):
            return self._ledger
        return SqliteLedger(self._ledger_path(), blocking=world.blocking)

    def _ledger_path(self) -> str:
        return os.fspath(self._ledger) if self._ledger is not None else os.path.join(self._output, "viseme.db")  # type: ignore[arg-type]

    def _ledger_below(self) -> str:
        """The ledger's path below the output folder, empty if it lies elsewhere."""
        if isinstance(self._ledger, Ledger):
            return ""
        below = os.path.relpath(os.path.abspath(self._ledger_path()), self._output)
        return "" if below.startswith(os.pardir) else below.replace(os.sep, "/")

    def _private(self, account: str) -> bool:
        return self._providers[account].account.allow_private_hosts

    def _engine(self) -> _Open:
        if self._open is None or self._stop.is_set():
            if self._error is not None:
                raise self._error
            raise SchedulerClosed("the scheduler is not open; use it inside async with Scheduler(...) as scheduler")
        return self._open

    # -- jobs --------------------------------------------------------------------------------------------------------

    async def submit(self, job: Job) -> Task:
        """Take a job; returns once it is in the ledger, and never waits for a seat.

        A key that the ledger knows is the same task: an open one goes on, an ended one tells its last event once more.

        Raises:
            JobInvalid: the job cannot be run as it stands, or its key belongs to a job with other inputs.
        """
        engine = self._engine()
        row = await engine.intake.row(job, engine.run)
        if self._preflight:
            await self._inspect(engine, row)
        (row,) = await priced(engine.core.cashier, engine.core.ledger, [row])
        if isinstance(row, JobInvalid):
            raise row
        kept = await uncut(_add(engine.core, row))
        if kept.digest != row.digest:
            raise other_inputs(row)
        if kept.id != row.id:
            await engine.core.take_up(kept.id, engine.run, Again())
        return Task(kept.id, kept.key, engine.core)

    async def estimate(self, job: Job) -> Quote:
        """What one attempt of a job costs at most, at the first account that would run it; nothing is bought.

        Its media are measured, and the vendor is asked where it has an estimate.

        Raises:
            JobInvalid: the job cannot be run as it stands.
        """
        engine = self._engine()
        row = await engine.intake.row(job, engine.run)
        return await engine.core.cashier.estimator.quote(job, row.account)

    async def _inspect(self, engine: _Open, row: TaskRow) -> None:
        """Refuse a new task whose media are certainly no good, and tell what may be wrong with them."""
        sieve = self._sieve(engine)
        wrong = refusal((await sieve.certain([(row, None)])).get(row.id, ()))
        if wrong is not None:
            raise wrong
        for problem in sieve.warnings:
            self._notice(problem.message)

    def _sieve(self, engine: _Open) -> Sieve:
        if not engine.inspector.measuring and not self._told_of_pyav:
            self._told_of_pyav = True
            self._notice(NO_PYAV)
        return Sieve(engine.core.ledger, Screening(engine.inspector, self._providers))

    async def task(self, key: str) -> Task | None:
        """The task of a key, if the ledger has one."""
        engine = self._engine()
        rows = await engine.core.ledger.by_keys([key])
        return Task(rows[0].id, rows[0].key, engine.core) if rows else None

    async def obey(self, order: Order) -> list[str]:
        """Carry out an order on tasks of the ledger, whichever run they belong to; nothing is created by it.

        Returns:
            sentences on what could not be done.
        """
        return await self._engine().core.obey([order])

    def set_limits(
        self, account: str, *, concurrency: int | None = None, rates: Mapping[str, Any] | None = None
    ) -> None:
        """Change an account's limits while it works; what is under way keeps its places.

        Args:
            account: its name. Accounts of one pool share limits, so this changes them all.
            concurrency: seats; jobs beyond them run on, none is begun until enough have ended.
            rates: by class, as in :class:`viseme.Account`; classes that are not named stay as they are.

        Raises:
            ConfigError: there is no such account, or a limit makes no sense.
        """
        office = self._engine().core.offices.get(account)
        if office is None:
            known = ", ".join(self._providers)
            raise ConfigError(f"account {quote(account)!r} is not configured; configured are {known}")
        stated = Account(office.desk.account.provider, concurrency=concurrency, rates=rates)
        office.desk.pool.rates.configure(stated.rates)
        if stated.concurrency is not None:
            office.desk.pool.seats.set_limit(stated.concurrency)
        office.desk.changed()

    def run(
        self,
        jobs: Jobs,
        *,
        whole: bool = False,
        skip_invalid: bool = False,
        retry_failed: bool = False,
        redo: Sequence[str] = (),
        raise_on_error: bool = False,
        mode: Mode | None = None,
        preflight: bool | None = None,
    ) -> Run:
        """A batch of jobs, from any iterable or async iterable, which is read as fast as jobs can be written down.

        Args:
            whole: read the whole source before the first create, and refuse all of it if one job is bad.
            skip_invalid: leave bad jobs out, noted in ``run.problems``.
            retry_failed: create jobs anew that an earlier run saw fail.
            redo: keys to create, and pay for, anew whatever became of them.
            raise_on_error: raise the failures of jobs as an ExceptionGroup at the end.
            mode: ``batch`` or ``single``, over what the jobs' accounts say.
            preflight: look at the media first, as the scheduler's ``preflight`` says (the default: what it says). The
                warnings are in ``run.warnings``.
        """
        engine = self._engine()
        looking = self._preflight if preflight is None else preflight
        return Run(
            engine.core,
            engine.intake,
            jobs,
            engine.group.start_soon,
            again=Again(retry_failed, frozenset(redo)),
            whole=whole,
            skip_invalid=skip_invalid,
            raise_on_error=raise_on_error,
            mode=mode,
            sieve=self._sieve(engine) if looking else None,
        )

    def resume(self) -> Run:
        """All open tasks of the ledger as one batch: what an earlier run left goes on."""
        engine = self._engine()
        return Run(engine.core, engine.intake, None, engine.group.start_soon)


def _finder(ledger: Ledger) -> Callable[[str], Awaitable[TaskRow | None]]:
    async def find(key: str) -> TaskRow | None:
        rows = await ledger.by_keys([key])
        return rows[0] if rows else None

    return find


async def _add(core: Core, row: TaskRow) -> TaskRow:
    """Add a task that the ledger does not know, and let it be worked on; returns what the ledger holds."""
    (kept,) = await core.ledger.add([row])
    if kept.id == row.id:
        core.queued([kept])
    return kept


@define
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


def _providers(accounts: tuple[Account, ...]) -> dict[str, Provider]:
    providers: dict[str, Provider] = {}
    for account in accounts:
        if account.name in providers:
            raise ConfigError(f"two accounts are named {account.name!r}; give one of them another name")
        providers[account.name] = adapter(account)
    if not providers:
        raise ConfigError("no account is given; pass at least one")
    return providers


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
        intents = await core.ledger.intents(name, now - longest)
        if intents:
            ends = [clock - max(0.0, now - (intent.ended or now)) for intent in intents]
            rates.remember(("create", "post", "all"), ends)
            read = rates.windows(("read",))
            rates.halve(("read",), max((window.length for window in read), default=0.0))


async def _recall_durations(core: Core) -> None:
    """What earlier runs saw of how long jobs take tells when to look at those of this one."""
    for name, office in core.offices.items():
        for row in await core.ledger.recent(name, _REMEMBERED):
            if row.account == name:
                office.hub.cadence.remember(row)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to show of several that ended the engine together."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error  # pyright: ignore[reportUnknownArgumentType]


def _ignore(_: str) -> None:
    """A notice that nobody reads."""
