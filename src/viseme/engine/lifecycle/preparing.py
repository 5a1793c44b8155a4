"""Has the media of queued tasks handed over before their creates, ahead of the line and without a seat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

from viseme.attempts import TaskRow
from viseme.engine.admission.desk import Desk
from viseme.engine.lifecycle.book import Book, Hold
from viseme.engine.lifecycle.line import stands_in_line
from viseme.engine.lifecycle.pages import Pages, rank_of
from viseme.engine.lifecycle.refusals import Refusals
from viseme.engine.lifecycle.signals import Parks, Prepared, Prepares, Turned
from viseme.engine.lifecycle.steps import BACK_IN_LINE
from viseme.engine.uploads.uploads import Uploads
from viseme.engine.world import World
from viseme.failures import Kind
from viseme.ledger.base import Ledger, Rank
from viseme.providers.base import Refused, Verdict, failure_of
from viseme.results import Reason, State

__all__ = ["Preparer"]

_AT_ONCE = 8
"""Tasks whose media are under way at one account; one until a first is accepted, so that a wrong key costs one
request."""
_AHEAD = 16
"""So many tasks more than there are seats may stand ready."""
_UNREACHABLE = 600.0
"""A vendor that takes no media for so many seconds is left alone for this run."""


@define(eq=False, repr=False)
class Preparer:
    """Prepares the tasks of one account, in the order of the line.

    Attributes:
        first_run: tasks of older runs are left alone.
        bring: called with a task whose media the vendor has, so that it is created in its turn.
        refusals: draws the conclusions for the account, as for the refusals of its creates.
    """

    world: World
    ledger: Ledger
    book: Book
    desk: Desk
    uploads: Uploads
    first_run: int
    bring: Callable[[TaskRow], None]
    refusals: Refusals
    _wake: asyncio.Event = field(factory=asyncio.Event)
    _drained: asyncio.Event = field(factory=asyncio.Event)
    _front: dict[str, TaskRow] = field(factory=dict[str, TaskRow])
    _pages: Pages = field(init=False)
    _out: dict[str, anyio.CancelScope] = field(factory=dict[str, anyio.CancelScope])
    ahead: set[str] = field(factory=set[str])
    """Brought, and not begun yet."""
    _accepted: bool = False
    _failures: int = 0
    _quiet_until: float = 0.0
    _unreached: float | None = None
    _stopping: bool = False

    def __attrs_post_init__(self) -> None:
        self._pages = Pages(self.ledger.queued, self.desk.name, self.first_run, more=False)
        self.desk.on_change(self._wake.set)

    # -- from outside ----------------------------------------------------------------------------------------------

    def wanted(self, row: TaskRow) -> bool:
        """Whether a task has to wait until its media are handed over; then it is brought once they are."""
        if not self.uploads.wanted(row) or self.uploads.ready(row) is not None:
            return False
        self.ahead.discard(row.id)
        if row.id not in self._out and row.id not in self._front:
            self._read_again(rank_of(row))
        return True

    def waits(self, row: TaskRow) -> bool:
        """Whether a task waits until its media are handed over, asked by whoever only wants to know."""
        return self.uploads.wanted(row) and self.uploads.ready(row) is None

    def busy(self) -> bool:
        """Whether media are on their way."""
        return bool(self._out)

    def arrived(self, rank: Rank | None) -> None:
        """A queued task was added, or came back, with this rank (None: any)."""
        if self._pages.more or self._pages.after is not None:
            self._read_again(rank)

    def follow(self, row: TaskRow) -> None:
        """A task has moved."""
        if row.state is not State.QUEUED or row.parked is not None:
            self.begun(row.id)

    def begun(self, task: str) -> None:
        """A task that was brought does not wait for its create any more."""
        if task in self.ahead:
            self.ahead.discard(task)
            self._wake.set()

    def withdraw(self, task: str) -> None:
        """Break off what is handed over for one task; whoever else needs it still gets it."""
        scope = self._out.get(task)
        if scope is not None:
            scope.cancel()

    def stop(self) -> None:
        """Break off all; a later run hands it over anew."""
        self._stopping = True
        self._wake.set()
        for scope in self._out.values():
            scope.cancel()

    async def drained(self) -> None:
        """Wait until nothing is being handed over."""
        while self._out:
            self._drained.clear()
            await self._drained.wait()

    async def run(self, group: TaskGroup) -> None:
        """Prepare tasks until stopped."""
        while not self._stopping:
            row = await self._next() if self._may() else None
            if row is None:
                await self._wake.wait()
                self._wake.clear()
                continue
            scope = self._out[row.id] = anyio.CancelScope()
            group.start_soon(self._prepare, row.id, scope)

    # -- the line --------------------------------------------------------------------------------------------------

    def _may(self) -> bool:
        opened = self._accepted or self.desk.accepted
        return (
            self.desk.stopped is None
            and self.world.monotonic() >= self._quiet_until
            and len(self._out) < (_AT_ONCE if opened else 1)
            and len(self._out) + len(self.ahead) < self.desk.pool.seats.limit + _AHEAD
        )

    def _read_again(self, rank: Rank | None) -> None:
        if self._pages.arrived(rank):
            self._front.clear()
        self._wake.set()

    async def _next(self) -> TaskRow | None:
        """The next task to prepare; those that need nothing handed over are left to the line, or brought to it."""
        while self._front or self._pages.more:
            if not self._front:
                self._front = {row.id: row for row in await self._pages.read()}
                continue
            row = self._front.pop(next(iter(self._front)))
            if not self.uploads.wanted(row) or row.id in self._out or row.id in self.ahead:
                continue
            if self.uploads.ready(row) is None:
                return row
            self._bring(row)
            if not self._may():
                return None
        return None

    def _bring(self, row: TaskRow) -> None:
        self.ahead.add(row.id)
        self.bring(row)

    # -- one task --------------------------------------------------------------------------------------------------

    async def _prepare(self, task: str, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                async with self.book.hold(task) as hold:
                    if stands_in_line(self.desk, hold.row):
                        await self._hand_over(hold)
        finally:
            del self._out[task]
            self._drained.set()
            self._wake.set()

    async def _hand_over(self, hold: Hold) -> None:
        await hold.take(Prepares())
        try:
            inputs = await self.uploads.obtain(hold.row, partial(self._tell, hold.row))
        except Refused as refusal:
            await self._refused(hold, refusal.verdict)
            return
        self._accepted, self._failures, self._unreached = True, 0, None
        if await hold.take(Prepared(inputs)) is not None:
            self._bring(hold.row)

    def _tell(self, row: TaskRow, name: str, percent: float) -> None:
        data = {"status": f"uploading {name}", "progress": percent, "queue_position": None}
        self.book.progress(row.id, row.key, row.run, row.seq, data)

    async def _refused(self, hold: Hold, verdict: Verdict) -> None:
        if verdict.kind in BACK_IN_LINE:
            if self._rest(verdict):
                await hold.take(Parks(Reason.NEEDS_PERSON, failure_of(verdict)))
                return
            await hold.take(Turned(verdict))
            self._read_again(rank_of(hold.row))
            return
        await hold.take(Turned(verdict, self.refusals.keep_waiting))
        self.refusals.conclude(verdict)

    def _rest(self, verdict: Verdict) -> bool:
        """Wait longer after each failure; True once that has lasted too long."""
        now = self.world.monotonic()
        self._failures += 1
        backoff = min(60.0, 2.0 ** min(self._failures, 10)) * (1 + self.world.random() / 4)
        self._quiet_until = max(self._quiet_until, now + max(backoff, verdict.retry_after or 0.0))
        self.world.call_at(self._quiet_until, self._wake.set)
        if verdict.kind is not Kind.TRANSIENT:
            return False
        self._unreached = self._unreached if self._unreached is not None else now
        return now - self._unreached > _UNREACHABLE
