"""The scheduler: opens the engine, takes jobs, and closes it so that nothing that was paid for is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import anyio

from viseme.attempts import TaskRow
from viseme.config import Account, Downloads, Mode
from viseme.engine.core import Again, Core
from viseme.engine.feeding import Jobs, other_inputs
from viseme.engine.money.pricing import priced
from viseme.engine.money.till import parsed_budget
from viseme.engine.opening import Engine, Opening
from viseme.engine.orders import obey
from viseme.engine.preflight.screening import NO_PYAV, Screening, refusal
from viseme.engine.preflight.sieve import Sieve
from viseme.engine.run import Run
from viseme.engine.task import Task
from viseme.engine.uncut import uncut
from viseme.engine.world import World
from viseme.errors import ConfigError, JobInvalid, SchedulerClosed, VisemeError, first_of
from viseme.jobs import Job
from viseme.ledger.base import Ledger, Order
from viseme.money import Budget, Quote
from viseme.providers import adapter
from viseme.providers.base import Provider
from viseme.wording import quote

__all__ = ["Scheduler"]


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
        self._notice: Callable[[str], None] = notice or _ignore
        self._opening = Opening(
            providers=self._providers,
            output=os.fspath(output),
            ledger=ledger,
            default_account=default_account,
            downloads=downloads or Downloads(),
            grace=grace,
            keep_waiting=wait,
            budget=parsed_budget(budget),
            notice=self._notice,
            world=world,
        )
        self._preflight = preflight
        self._told_of_pyav = False
        self._open: Engine | None = None
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
            async with self._opening.opened() as self._open:
                ready.set_result(None)
                await self._stop.wait()
        except BaseExceptionGroup as group:
            self._error = first_of(group)
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

    def _engine(self) -> Engine:
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

    async def _inspect(self, engine: Engine, row: TaskRow) -> None:
        """Refuse a new task whose media are certainly no good, and tell what may be wrong with them."""
        sieve = self._sieve(engine)
        wrong = refusal((await sieve.certain([(row, None)])).get(row.id, ()))
        if wrong is not None:
            raise wrong
        for problem in sieve.warnings:
            self._notice(problem.message)

    def _sieve(self, engine: Engine) -> Sieve:
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
        return await obey(self._engine().core, [order])

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


async def _add(core: Core, row: TaskRow) -> TaskRow:
    """Add a task that the ledger does not know, and let it be worked on; returns what the ledger holds."""
    (kept,) = await core.book.add([row])
    if kept.id == row.id:
        core.queued([kept])
    return kept


def _providers(accounts: tuple[Account, ...]) -> dict[str, Provider]:
    providers: dict[str, Provider] = {}
    for account in accounts:
        if account.name in providers:
            raise ConfigError(f"two accounts are named {account.name!r}; give one of them another name")
        providers[account.name] = adapter(account)
    if not providers:
        raise ConfigError("no account is given; pass at least one")
    return providers


def _ignore(_: str) -> None:
    """A notice that nobody reads."""
