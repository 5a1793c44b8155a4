"""One batch of jobs on its way: fed lazily, told as one stream of events, left early without loss."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import anyio
from anyio import CancelScope
from attrs import define, evolve, field, frozen

from viseme.attempts import TaskRow
from viseme.engine.core import Again, Core
from viseme.engine.feeding import Feeding, Jobs
from viseme.engine.intake import Intake
from viseme.engine.journal import RunCursor
from viseme.engine.lifecycle.advance import last_event
from viseme.engine.preflight.sieve import Sieve
from viseme.errors import JobFailed, VisemeError
from viseme.events import Event
from viseme.failures import Failure, Kind, Problem
from viseme.ledger.base import Count
from viseme.results import Result, State

__all__ = ["Run", "Tally", "Trouble"]

_TROUBLE = frozenset({State.FAILED, State.PARKED})


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


@define(eq=False, repr=False)
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
    _cursor: RunCursor | None = None
    _left: bool = False

    def __repr__(self) -> str:
        return f"<viseme run {self.number}: {self.tally.ended} of {self.tally.total} jobs ended or parked>"

    # -- as a context ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.number = await self.core.ledger.next_run()
        if (broken := self.core.journal.closed) is not None:
            raise broken
        self.core.runs.open(self)
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
            self.core.runs.close(self)
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
        shown = row.shown
        self.tally.count(shown)
        self._account(row.account).count(shown)
        if shown in _TROUBLE:
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
                feeding = self._way_in()
                await (feeding.open_tasks() if self._jobs is None else feeding.jobs(self._jobs))
                self._fed = True
        except Exception as error:
            self._error = error
        finally:
            with CancelScope(shield=True):
                if self._whole and not self._fed and self.core.journal.closed is None:
                    await self.core.ledger.discard(self.number)
            self._unfed.set()
            self.core.journal.nudge()

    def _way_in(self) -> Feeding:
        return Feeding(
            core=self.core,
            intake=self.intake,
            number=self.number,
            again=self._again,
            whole=self._whole,
            skip_invalid=self._skip_invalid,
            mode=self._mode,
            sieve=self._sieve,
            problems=self.problems,
            expect=self._expect,
            done=self._done,
            under_way=lambda: self.tally.total - self.tally.ended,
        )

    def _expect(self, account: str, tasks: int) -> None:
        self.tally.total += tasks
        self._account(account).total += tasks

    def _done(self, row: TaskRow) -> None:
        """A task that needs nothing more: tell its last event once more."""
        self._replays.append(row.id)
        self.tally.replayed += 1
        self._account(row.account).replayed += 1
        self.core.results.add(row)
        self.core.on_result()
        self.ended(row)

    # -- reading ---------------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Event]:
        """Events until the run is finished, or, once it was left, those that are there."""
        return self

    async def __anext__(self) -> Event:
        cursor = self._cursor
        if cursor is None:
            raise VisemeError("iterate a run inside its async with")
        if cursor.ready:
            return cursor.ready.popleft()
        while True:
            event = await cursor.next()
            if event is None and self._replays:
                event = await self._replay(self._replays.popleft())
            if event is not None:
                return event
            broken = self.core.journal.closed or self._error
            if broken is not None:
                raise broken
            if (self.finished or self._left) and not self._replays:
                raise StopAsyncIteration
            await self.core.journal.changed()

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
