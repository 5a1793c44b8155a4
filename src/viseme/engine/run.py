"""One batch of jobs on its way: fed lazily, told as one stream of events, left early without loss."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

import anyio
from anyio import CancelScope, Semaphore, create_task_group
from attrs import define, evolve, field, frozen

from viseme.attempts import TaskRow
from viseme.engine.core import Again, Core
from viseme.engine.intake import Intake
from viseme.engine.journal import RunCursor
from viseme.engine.lifecycle.advance import last_event
from viseme.engine.money.pricing import priced
from viseme.engine.preflight.screening import refusal
from viseme.engine.preflight.sieve import Sieve
from viseme.engine.sources import each
from viseme.errors import Failure, JobFailed, JobInvalid, Kind, ManifestError, Problem, VisemeError, quote
from viseme.events import Event
from viseme.jobs import Job
from viseme.ledger.base import Count
from viseme.manifest import Row
from viseme.results import Result, State

__all__ = ["Jobs", "Run", "Tally", "Trouble", "other_inputs"]

_BATCH = 256
_PAGE = 128
"""Open tasks that are taken up at a time, each time with a sync to disk; twice as many cost 1.5 MB that stay."""
_LOOKED_AT = 32
"""How many jobs are added at a time, or of a live source at once, where their media are looked at first."""
_AHEAD = 10_000
"""How many jobs are taken from the source before some of them have ended."""

Jobs = Iterable[Job] | AsyncIterable[Job] | Iterable[Row] | AsyncIterable[Row]


@define
class Tally:
    """How a run stands, in tasks. ``replayed`` counts those that an earlier run had ended already."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    parked: int = 0
    replayed: int = 0

    @property
    def ended(self) -> int:
        """Ended or parked."""
        return self.succeeded + self.failed + self.cancelled + self.parked

    def count(self, state: State, by: int = 1) -> None:
        """Count a task that ended or parked."""
        setattr(self, str(state), getattr(self, str(state)) + by)


@frozen(kw_only=True)
class Trouble:
    """Why tasks of an account failed or parked, how many did, and one of them.

    Attributes:
        why: the kind of the failure, or the reason for parking.
        key: of the first task that it happened to.
        message: what was said of that one; empty where there is nothing to say.
    """

    account: str
    state: State
    why: str
    tasks: int
    key: str
    message: str


@define(eq=False)
class Run:
    """A batch under way; ``async with`` it, and iterate if you like.

    Leaving early stops creating and parks what is open: a later run goes on.

    Attributes:
        number: the run's number in the ledger.
        tally: how it stands, over all accounts; ``by_account`` the same for each.
        problems: rows that were left out as invalid.
    """

    core: Core
    intake: Intake
    _jobs: Jobs | None
    _spawn: Callable[..., object]
    _again: Again = field(default=Again(), kw_only=True, alias="again")
    _whole: bool = field(default=False, kw_only=True, alias="whole")
    _skip_invalid: bool = field(default=False, kw_only=True, alias="skip_invalid")
    _raise_on_error: bool = field(default=False, kw_only=True, alias="raise_on_error")
    _mode: str | None = field(default=None, kw_only=True, alias="mode")
    _sieve: Sieve | None = field(default=None, kw_only=True, alias="sieve")
    number: int = 0
    tally: Tally = field(factory=Tally)
    by_account: dict[str, Tally] = field(factory=dict[str, Tally])
    problems: list[Problem] = field(factory=list[Problem])
    _troubles: dict[tuple[str, State, str], Trouble] = field(factory=dict[tuple[str, State, str], Trouble])
    _failures: list[Result] = field(factory=list[Result])
    _fed: bool = False
    _feeding: CancelScope = field(factory=CancelScope)
    _unfed: anyio.Event = field(factory=anyio.Event)
    """Set once nothing more is fed."""
    _error: BaseException | None = None
    _replays: deque[str] = field(factory=deque[str])
    _known: list[tuple[str, str]] = field(factory=list[tuple[str, str]])
    """Tasks that the ledger had already, by account and id."""
    _cursor: RunCursor | None = None
    _left: bool = False

    # -- as a context ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.number = await self.core.ledger.next_run()
        if (broken := self.core.journal.closed) is not None:
            raise broken
        self.core.open_run(self)
        journal = self.core.journal
        self._cursor = RunCursor(journal, self.number, max(self.core.ledger.last_order, journal.floor), journal.end)
        self._spawn(self._feed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feeding.cancel()
        try:
            with CancelScope(shield=True):
                await self._unfed.wait()
                if not self.finished and self.core.journal.closed is None:
                    await self.core.park_run(self.number)
        finally:
            self.core.close_run(self)
            self._left = True
            self.core.journal.nudge()
        if kind is None and self._raise_on_error and self._failures:
            self._raise_failures()

    @property
    def finished(self) -> bool:
        """Whether every job of the run has ended or parked."""
        return self._fed and self.tally.ended >= self.tally.total

    def ended(self, row: TaskRow) -> None:
        """One of its tasks ended or parked."""
        self._count(row)
        self.core.journal.nudge()

    def shared(self, row: TaskRow) -> None:
        """A task that another run drives ended or parked: its last event is told here too."""
        self._replays.append(row.id)
        self.ended(row)

    def reopened(self, row: TaskRow) -> None:
        """One of its tasks that had parked goes on."""
        self.tally.count(State.PARKED, -1)
        self._account(row.account).count(State.PARKED, -1)
        self._note(row, -1)

    def moved(self, row: TaskRow, left: str) -> None:
        """One of its tasks goes on at another account."""
        self._account(left).total -= 1
        self._account(row.account).total += 1

    def _count(self, row: TaskRow) -> None:
        self.tally.count(row.shown)
        self._account(row.account).count(row.shown)
        self._note(row, 1)
        if self._raise_on_error and row.state is State.FAILED:
            self._failures.append(row.result())

    def _note(self, row: TaskRow, by: int) -> None:
        """Remember why a task failed or parked, and one example of each why."""
        failure = row.failure
        why = str(row.parked) if row.parked else str(failure.kind) if failure and row.state is State.FAILED else None
        if why is None:
            return
        name = (row.account, row.shown, why)
        known = self._troubles.get(name)
        if known is None:
            message = failure.message if failure else ""
            known = Trouble(account=row.account, state=row.shown, why=why, tasks=0, key=row.key, message=message)
        self._troubles[name] = evolve(known, tasks=known.tasks + by)

    @property
    def troubles(self) -> list[Trouble]:
        """Why tasks failed or parked, by account."""
        return [trouble for trouble in self._troubles.values() if trouble.tasks > 0]

    @property
    def warnings(self) -> list[Problem]:
        """What the preflight found that may be wrong with media, the first thousand of it; it stops no job."""
        return [] if self._sieve is None else self._sieve.warnings

    @property
    def warned(self) -> int:
        """How many warnings there were in all."""
        return 0 if self._sieve is None else self._sieve.warned

    @property
    def looked_at(self) -> tuple[int, int]:
        """Of how many jobs the preflight has looked at the media, and of how many it shall, as far as known."""
        return (0, 0) if self._sieve is None else (self._sieve.checked, self._sieve.total)

    async def counts(self) -> list[Count]:
        """How many of its tasks stand where, by account, as the ledger has it; a question to the ledger, not free.

        Tasks that an earlier run had ended already are not among them.
        """
        return await self.core.ledger.counts(self.number)

    def _account(self, name: str) -> Tally:
        tally = self.by_account.get(name)
        if tally is None:
            tally = self.by_account[name] = Tally()
        return tally

    def _raise_failures(self) -> None:
        unknown = Failure(kind=Kind.JOB_FAILED, message="failed")
        raise ExceptionGroup(
            f"{len(self._failures)} of {self.tally.total} jobs failed",
            [JobFailed(result.error or unknown, result) for result in self._failures],
        )

    # -- feeding ---------------------------------------------------------------------------------------------------

    async def _feed(self) -> None:
        try:
            with self._feeding:
                if self._jobs is None:
                    await self._feed_open_tasks()
                else:
                    await self._feed_jobs(self._jobs)
                self._fed = True
        except Exception as error:
            self._error = error
        finally:
            with CancelScope(shield=True):
                if self._whole and not self._fed and self.core.journal.closed is None:
                    await self.core.ledger.discard(self.number)
            self._unfed.set()
            self.core.journal.nudge()

    async def _feed_open_tasks(self) -> None:
        after = 0
        while rows := await self.core.book.open_tasks(after, _PAGE):
            after = rows[-1].order
            await self._take_up([(row.account, row.id) for row in rows if row.account in self.core.offices])

    async def _feed_jobs(self, jobs: Jobs) -> None:
        eager = not self._whole and isinstance(jobs, AsyncIterable)
        if eager and self._sieve is not None:
            await self._feed_eagerly(jobs)
            return
        size = _LOOKED_AT if self._sieve is not None and not self._whole else _BATCH
        batch: list[tuple[TaskRow, int | None]] = []
        async for given in each(jobs):
            line, row = await self._row(given)
            if row is not None:
                batch.append((row, line))
            if len(batch) >= size or (batch and eager):
                await self._add(batch)
                batch = []
                await self._keep_back()
        if batch:
            await self._add(batch)
        if self._whole:
            await self._begin()

    async def _feed_eagerly(self, jobs: Jobs) -> None:
        """Add each job of a live source as soon as its media were looked at, some of them at once."""
        places = Semaphore(_LOOKED_AT)

        async def add(row: TaskRow, line: int | None) -> None:
            try:
                await self._add([(row, line)])
            finally:
                places.release()

        try:
            async with create_task_group() as group:
                async for given in each(jobs):
                    line, row = await self._row(given)
                    if row is not None:
                        await places.acquire()
                        group.start_soon(add, row, line)
                        await self._keep_back()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _row(self, given: Job | Row) -> tuple[int | None, TaskRow | None]:
        job, line = (given, None) if isinstance(given, Job) else (given.job, given.line)
        try:
            if job is None:
                raise JobInvalid(given.problem or "the row is empty" if isinstance(given, Row) else "")
            return line, await self.intake.row(job, self.number, self._mode)
        except JobInvalid as error:
            self._refuse(error, line)
            return line, None

    def _refuse(self, error: JobInvalid, line: int | None) -> None:
        """Note a bad row, or, where nobody asked for bad rows to be noted, raise."""
        if not (self._skip_invalid or self._whole):
            raise error
        self.problems.append(Problem(message=str(error), line=line, field=error.field, kind=error.kind))

    async def _sifted(self, batch: list[tuple[TaskRow, int | None]]) -> list[tuple[TaskRow, int | None]]:
        """The batch without the jobs that would certainly fail for their media."""
        if self._sieve is None or (self._whole and not self._skip_invalid):
            return batch
        certain = await self._sieve.certain(batch)
        for row, line in batch:
            error = refusal(certain.get(row.id, ()))
            if error is not None:
                self._refuse(error, line)
        return [(row, line) for row, line in batch if row.id not in certain]

    async def _priced(self, batch: list[tuple[TaskRow, int | None]]) -> list[tuple[TaskRow, int | None]]:
        """The batch with its prices, without the jobs for which a budget could not be kept."""
        kept: list[tuple[TaskRow, int | None]] = []
        found = await priced(self.core.cashier, self.core.ledger, [row for row, _ in batch])
        for (_, line), row in zip(batch, found, strict=True):
            if isinstance(row, JobInvalid):
                self._refuse(row, line)
            else:
                kept.append((row, line))
        return kept

    async def _add(self, batch: list[tuple[TaskRow, int | None]]) -> None:
        batch = await self._priced(await self._sifted(batch))
        stored = await self.core.ledger.add([row for row, _ in batch], held=self._whole)
        known: list[tuple[str, str]] = []
        for (given, line), kept in zip(batch, stored, strict=True):
            if kept.id == given.id:
                self._expect(given.account)
            elif kept.digest != given.digest:
                self._refuse(other_inputs(given), line)
            else:
                known.append((kept.account, kept.id))
        if self._whole:
            self._known += known
            if self._sieve is not None and not self._skip_invalid:
                self._sieve.put_off([(kept, line) for (_, line), kept in zip(batch, stored, strict=True)])
        else:
            self.core.queued(kept for (given, _), kept in zip(batch, stored, strict=True) if kept.id == given.id)
            await self._take_up(known)

    async def _begin(self) -> None:
        """The whole source was read: let its tasks be seen, or refuse it all."""
        if self._sieve is not None:
            self.problems += await self._sieve.rest()
        if self.problems and not self._skip_invalid:
            problems = sorted(self.problems, key=lambda problem: problem.line or 0)
            raise ManifestError(f"{len(problems)} rows cannot be run", problems)
        await self.core.ledger.release(self.number)
        self.core.released()
        await self._take_up(self._known)
        self._known = []

    async def _take_up(self, known: Sequence[tuple[str, str]]) -> None:
        for start in range(0, len(known), _BATCH):
            lot = known[start : start + _BATCH]
            for account, _ in lot:
                self._expect(account)
            for row in await self.core.take_up_all([task for _, task in lot], self.number, self._again):
                self._done(row)

    def _expect(self, account: str) -> None:
        self.tally.total += 1
        self._account(account).total += 1

    def _done(self, row: TaskRow) -> None:
        """A task that needs nothing more: tell its last event once more."""
        self._replays.append(row.id)
        self.tally.replayed += 1
        self._account(row.account).replayed += 1
        self.core.results.add(row.result())
        self.core.on_result()
        self.ended(row)

    async def _keep_back(self) -> None:
        while not self._whole and self.tally.total - self.tally.ended >= _AHEAD:
            await self.core.journal.changed()

    # -- reading ---------------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Event]:
        """Events until the run is finished, or, once it was left, those that are there."""
        return self

    async def __anext__(self) -> Event:
        while True:
            event = await self._next()
            if event is not None:
                return event
            broken = self.core.journal.closed or self._error
            if broken is not None:
                raise broken
            if (self.finished or self._left) and not self._replays:
                raise StopAsyncIteration
            await self.core.journal.changed()

    async def _next(self) -> Event | None:
        if self._cursor is None:
            raise VisemeError("iterate a run inside its async with")
        event = await self._cursor.next()
        if event is None and self._replays:
            return await self._replay(self._replays.popleft())
        return event

    async def _replay(self, task: str) -> Event | None:
        rows = await self.core.ledger.tasks([task])
        if not rows:
            return None
        row = rows[0]
        kind, data = last_event(row)
        at = row.timings.ended or self.core.world.now()
        return Event(seq=row.seq, task=row.id, key=row.key, type=kind, at=at, data=data, run=self.number)

    async def wait(self) -> Tally:
        """Wait until every job has ended or parked, without reading events.

        Raises:
            JobInvalid: a job of the source cannot be run.
            VisemeError: the engine stopped.
        """
        while True:
            broken = self.core.journal.closed or self._error
            if broken is not None:
                raise broken
            if self.finished:
                return self.tally
            await self.core.journal.changed()


def other_inputs(row: TaskRow) -> JobInvalid:
    return JobInvalid(
        f"key {quote(row.key, 60)!r} belongs to a job with other inputs; give this one another key", field="key"
    )
