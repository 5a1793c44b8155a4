"""Turns queued tasks into jobs at the vendor: one create each, its intent on disk before the request leaves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from viseme.attempts import Intent, Seat, TaskRow
from viseme.engine.admission.desk import Desk, Stop
from viseme.engine.lifecycle.advance import ACCOUNT_TROUBLE, BACK_IN_LINE
from viseme.engine.lifecycle.book import Book, Hold
from viseme.engine.lifecycle.signals import Called, Intended, Lost, Parks, Taken, Turned
from viseme.engine.world import World
from viseme.errors import Kind
from viseme.ledger.base import Ledger, Rank
from viseme.providers.base import Accepted, Refused, Request, Safety, Verdict
from viseme.results import Reason, State

__all__ = ["Creator"]

_PAGE = 64
_FIRST: Rank = (-(2**63), 0)
_UNREACHABLE = 600.0
"""An account that cannot be reached for so many seconds is given up for this run."""


class _Withdrawn(Exception):
    """The task was called off, or the run stopped, before its create left."""


@define(eq=False)
class _Out:
    """One create under way: ``scope`` ends it while nothing has left, ``shield`` guards it from then on."""

    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    shield: anyio.CancelScope = field(factory=anyio.CancelScope)

    def withdraw(self, deadline: float) -> None:
        """End it now, or, where its request may have left, at the deadline."""
        self.shield.deadline = min(self.shield.deadline, deadline)
        self.scope.cancel()


@define(eq=False)
class Creator:
    """Begins creates for one account, in order of priority, as seats, width and pauses allow.

    Attributes:
        first_run: tasks of older runs are left alone.
        grace: how long a create that may have left is waited for when the run stops.
        called_off: ids of tasks that the user called off while they were held here.
        notice: called with a sentence that the user should read.
        keep_waiting: leave jobs in line while their account is in trouble, instead of parking them.
    """

    world: World
    ledger: Ledger
    book: Book
    desk: Desk
    first_run: int
    called_off: set[str]
    notice: Callable[[str], None]
    grace: float = 10.0
    keep_waiting: bool = False
    _wake: asyncio.Event = field(factory=asyncio.Event)
    _out: dict[str, _Out] = field(factory=dict[str, _Out])
    _drained: asyncio.Event = field(factory=asyncio.Event)
    _line: deque[TaskRow] = field(factory=deque[TaskRow])
    _more: bool = True
    _after: Rank | None = None
    """How far the line was read."""
    _unseen: Rank | None = None
    """The first of those that arrived since the line was last read on."""
    _stopping: bool = False
    _unreached: float | None = None
    _greeted: bool = False
    _opened: set[str] = field(factory=set[str])
    """Seats that the ledger knows of; the others are given back when their create comes to nothing."""

    def __attrs_post_init__(self) -> None:
        self.desk.on_change(self._wake.set)
        self.desk.pool.seats.on_change(self._wake.set)

    # -- the line --------------------------------------------------------------------------------------------------

    def arrived(self, rank: Rank | None = None) -> None:
        """A queued task was added, or came back, with this rank (None: any)."""
        if rank is None or (self._after is not None and rank <= self._after):
            self._after = None
            self._line.clear()
        first = _FIRST if rank is None else rank
        self._unseen = first if self._unseen is None else min(self._unseen, first)
        self._more = True
        if self.desk.worth_another_try():
            self.desk.reopen()
        self._wake.set()

    def stop(self) -> None:
        """Begin no more; what may have left is waited for up to the grace time, the rest goes back in line."""
        self._stopping = True
        self._wake.set()
        for task in self._out:
            self.withdraw(task)

    async def drained(self) -> None:
        """Wait until no create is under way."""
        while self._out:
            self._drained.clear()
            await self._drained.wait()

    def has(self, task: str) -> bool:
        """Whether a task's create is under way."""
        return task in self._out

    def hurry(self) -> None:
        """Wait for nothing more."""
        for out in self._out.values():
            out.withdraw(self.world.monotonic())

    def withdraw(self, task: str) -> None:
        """A task was called off: if its create has not left, it will not; if it may have, its reply is waited for."""
        if task in self._out:
            self._out[task].withdraw(self.world.monotonic() + self.grace)

    async def run(self, group: TaskGroup) -> None:
        """Begin creates until stopped."""
        while not self._stopping:
            row = await self._next()
            if row is None:
                await self._wake.wait()
                self._wake.clear()
                continue
            self.desk.creating += 1
            self.desk.pool.seats.take(_seat_name(row))
            self._out[row.id] = _Out()
            group.start_soon(self._create, row, self._out[row.id])

    async def _next(self) -> TaskRow | None:
        """The next task that may be created now. Parks the line where the account is stopped."""
        stop = self.desk.stopped
        if stop is not None and not self.keep_waiting:
            await self._park_line(stop)
            return None
        if not self.desk.may_create():
            return None
        if not self._line and self._more:
            await self._read_line()
        if self._line and not self._greeted:
            await self._greet()
        return self._line.popleft() if self._line and self.desk.may_create() else None

    async def _greet(self) -> None:
        """The provider's harmless request before the first job, where it has one."""
        self._greeted = True
        try:
            told = await self.desk.courier.run(self.desk.provider.start(), tries=1)
        except Refused as refusal:
            if refusal.verdict.kind in ACCOUNT_TROUBLE:
                self._stop_account(ACCOUNT_TROUBLE[refusal.verdict.kind], refusal.verdict)
        else:
            if told:
                self.notice(told)

    async def _read_line(self) -> None:
        self._more, self._unseen, after = False, None, self._after
        rows = await self.ledger.queued(self.desk.name, self.first_run, after, _PAGE)
        if rows:
            after = rank_of(rows[-1])
        if self._unseen is not None and after is not None and self._unseen <= after:
            self._after = None  # it came into what was being read, perhaps too late to be seen there
            return
        self._after = after
        self._more = self._more or len(rows) == _PAGE
        self._line = deque(row for row in rows if row.id not in self._out)

    async def _park_line(self, stop: Stop) -> None:
        self._line.clear()
        while rows := await self.ledger.queued(self.desk.name, self.first_run, None, 500):
            idle = [row.id for row in rows if row.id not in self._out]
            parked, _ = await self.book.write_idle(idle, Parks(stop.reason, stop.failure), where=_in_line)
            if not parked:
                return

    # -- one create ------------------------------------------------------------------------------------------------

    async def _create(self, row: TaskRow, out: _Out) -> None:
        seat = _seat_name(row)
        try:
            with out.scope:
                async with self.book.hold(row.id) as hold:
                    if hold.row.state is State.QUEUED and not hold.row.parked and not self._stopping:
                        await self._attempt(hold, out.shield)
        finally:
            self.desk.creating -= 1
            del self._out[row.id]
            self._drained.set()
            self.called_off.discard(row.id)
            if seat in self._opened:
                self._opened.discard(seat)
            else:
                self.desk.pool.seats.give_back(seat)
            self._wake.set()

    async def _attempt(self, hold: Hold, shield: anyio.CancelScope) -> None:
        stage = hold.row.stage or self.desk.provider.stages(hold.row.job)[0]
        intent = _intent(self.desk, hold.row, stage, self.world.new_id())

        async def leave(_: Request) -> None:
            if self._stopping or hold.row.id in self.called_off:
                raise _Withdrawn
            shield.shield = True
            now = self.world.now()
            sent = evolve(intent, at=now)
            seat = Seat(
                id=f"{sent.task}:{sent.attempt}",
                pool=self.desk.pool.name,
                account=self.desk.name,
                task=sent.task,
                opened=now,
                until=now + self.desk.seat_ttl,
            )
            await hold.take(Intended(sent, seat))
            self._opened.add(seat.id)

        with shield:
            await self._send(hold, intent, leave)

    async def _send(self, hold: Hold, intent: Intent, leave: Callable[[Request], Awaitable[None]]) -> None:
        flow = self.desk.provider.create(hold.row.job, intent, hold.row.handles)
        try:
            accepted = await self.desk.courier.run(flow, before=leave, priority=hold.row.job.priority)
        except _Withdrawn:
            if hold.row.id in self.called_off:
                await hold.take(Called(None))
        except Refused as refusal:
            await self._refused(hold, refusal.verdict)
        else:
            await self._accepted(hold, accepted)

    async def _accepted(self, hold: Hold, accepted: Accepted) -> None:
        await hold.take(Taken(accepted))
        self._unreached = None
        self.desk.opened()

    async def _refused(self, hold: Hold, verdict: Verdict) -> None:
        if verdict.kind is Kind.FATE_UNKNOWN and hold.row.state is State.CREATING:
            if verdict.handle is not None:
                await self._accepted(hold, Accepted(handle=verdict.handle))
            else:
                await hold.take(Lost(verdict))
            return
        self._note(verdict)
        await hold.take(Turned(verdict, self.keep_waiting))
        trouble = ACCOUNT_TROUBLE.get(verdict.kind)
        if trouble is not None:
            self._stop_account(trouble, verdict)

    def _stop_account(self, reason: Reason, verdict: Verdict) -> None:
        self.desk.stop(reason, verdict)
        if self.keep_waiting:
            self.desk.probe_later()

    def _note(self, verdict: Verdict) -> None:
        """What a refusal means for the account's further creates."""
        if verdict.kind not in BACK_IN_LINE:
            return
        self.desk.refused(verdict)
        if verdict.kind is not Kind.TRANSIENT:
            self._unreached = None
            return
        now = self.world.monotonic()
        self._unreached = self._unreached if self._unreached is not None else now
        if now - self._unreached > _UNREACHABLE:
            self._unreached = None
            self._stop_account(Reason.NEEDS_PERSON, verdict)


def _in_line(row: TaskRow) -> bool:
    return row.state is State.QUEUED and not row.parked


def rank_of(row: TaskRow) -> Rank:
    """A task's place in its account's line."""
    return -row.job.priority, row.order


def _seat_name(row: TaskRow) -> str:
    """The seat that the task's next create takes: a stage after the first goes on in the attempt's seat."""
    return row.seat if row.stage and row.handles else f"{row.id}:{row.attempt + 1}"


def _intent(desk: Desk, row: TaskRow, stage: str, name: str) -> Intent:
    model = desk.provider.model(row.job)
    return Intent(
        id=name,
        task=row.id,
        account=desk.name,
        model=model.name,
        endpoint=desk.provider.base,
        attempt=row.attempt if row.stage and row.handles else row.attempt + 1,
        stage=stage,
        key=f"viseme-{name}",
        at=0.0,
        digest=row.digest,
    )


def replays(desk: Desk, intent: Intent, now: float) -> bool:
    """Whether the vendor still remembers the intent's key."""
    sheet = desk.provider.sheet
    return sheet.safety is Safety.REPLAY and now - intent.at < sheet.replay_lifetime
