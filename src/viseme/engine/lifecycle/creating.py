"""Begins the creates of an account's queued tasks, sees to it that none is lost, and lets the next one follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from attrs import define, field

from viseme.attempts import Handle, TaskRow
from viseme.engine.admission.desk import Desk, Stop
from viseme.engine.crew import Crew
from viseme.engine.lifecycle.batching import Batcher
from viseme.engine.lifecycle.book import Book
from viseme.engine.lifecycle.claims import Claims
from viseme.engine.lifecycle.funding import Funding
from viseme.engine.lifecycle.line import BATCH, Line, seat_of, stage_of, stands_in_line
from viseme.engine.lifecycle.pages import rank_of
from viseme.engine.lifecycle.preparing import Preparer
from viseme.engine.lifecycle.refusals import Refusals
from viseme.engine.lifecycle.sending import Outgoing, Sender
from viseme.engine.lifecycle.signals import Parks, Turned
from viseme.engine.money.cashier import Cashier
from viseme.engine.uploads.uploads import Uploads
from viseme.engine.world import World
from viseme.errors import JobInvalid
from viseme.failures import Failure, Kind
from viseme.ledger.base import Ledger, Rank
from viseme.providers.base import Refused, Verdict
from viseme.results import ENDED, Reason

__all__ = ["Creator"]


@define(eq=False, repr=False)
class Creator:
    """Begins creates for one account, in order of priority, as seats, width and pauses allow.

    Attributes:
        first_run: tasks of older runs are left alone.
        grace: how long a create that may have left is waited for when the run stops.
        called_off: ids of tasks that the user called off while they were held here.
        notice: called with a sentence that the user should read.
        cashier: sets aside what creates may cost.
        uploads: the media that the vendor has.
        keep_waiting: leave jobs in line while their account is in trouble, instead of parking them.
    """

    world: World
    ledger: Ledger
    book: Book
    desk: Desk
    first_run: int
    called_off: set[str]
    notice: Callable[[str], None]
    cashier: Cashier
    uploads: Uploads
    grace: float = 10.0
    keep_waiting: bool = False
    _wake: asyncio.Event = field(factory=asyncio.Event)
    _out: dict[str, Outgoing] = field(factory=dict[str, Outgoing])
    _drained: asyncio.Event = field(factory=asyncio.Event)
    _stopping: bool = False
    _greeted: bool = False
    _shown_out: Stop | None = None
    """The last stop for which the tasks with other accounts were sent there."""
    line: Line = field(init=False)
    funding: Funding = field(init=False)
    preparer: Preparer = field(init=False)
    batcher: Batcher = field(init=False)
    refusals: Refusals = field(init=False)
    sender: Sender = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.refusals = Refusals(self.world, self.desk, self.keep_waiting)
        claims = Claims(self.ledger, self.book, self.desk)
        self.sender = Sender(self.world, self.desk, self.cashier, self.uploads, claims, self.refusals, self.called_off)
        self.batcher = Batcher(
            self.world,
            self.book,
            self.desk,
            self.cashier,
            self.called_off,
            self.refusals.of_batch,
            self.notice,
            self.grace,
            self.keep_waiting,
        )
        self.line = Line(self.book, self.desk, self.first_run, self.has, self._wake.set)
        self.preparer = Preparer(
            self.world,
            self.ledger,
            self.book,
            self.desk,
            self.uploads,
            self.first_run,
            self.line.bring,
            self.refusals,
        )
        self.line.wanting = self.batcher.wanting = self.preparer.wanted
        self.batcher.media = self.uploads.ready
        self.batcher.coming = self.preparer.busy
        self.funding = Funding(
            self.world, self.book, self.desk, self.cashier, self.line, self.keep_waiting, self._wake.set
        )
        self.desk.on_change(self._wake.set)
        self.desk.pool.seats.on_change(self._wake.set)

    # -- from outside ----------------------------------------------------------------------------------------------

    def arrived(self, rank: Rank | None = None) -> None:
        """A queued task came back, with this rank (None: any, and any number of them)."""
        self.line.arrived(rank)
        self._came(rank)

    def added(self, rows: Sequence[TaskRow]) -> None:
        """Queued tasks were added; here they are by rank."""
        self.line.added(rows)
        self._came(rank_of(rows[0]))

    def _came(self, rank: Rank | None) -> None:
        self.preparer.arrived(rank)
        if self.desk.worth_another_try():
            self.desk.reopen()

    def goes_on(self, row: TaskRow) -> None:
        """A task is done with one stage, and the next is to be created."""
        self.line.goes_on(row)

    def follow(self, row: TaskRow) -> None:
        """A task has moved."""
        if self.line.shares or row.id in self.line.ahead:
            self.line.follow(row)
        if row.id in self.preparer.ahead:
            self.preparer.follow(row)
        if row.state in ENDED:
            self.sender.renewed.discard(row.id)
            if row.failure is not None and row.failure.kind is Kind.MEDIA_UNREACHABLE:
                self.uploads.forget_soon(row.inputs)

    def moved_away(self, row: TaskRow) -> None:
        """A task has gone to another account: what was read of the line may show it still, and is read anew."""
        self.line.let_go(row.id)
        self.line.arrived()

    def stop(self) -> None:
        """Begin no more; what may have left is waited for up to the grace time, the rest goes back in line."""
        self._stopping = self.sender.stopping = True
        self._wake.set()
        self.preparer.stop()
        self.batcher.stop()
        for task in self._out:
            self.withdraw(task)

    async def drained(self) -> None:
        """Wait until no create is under way."""
        await self.preparer.drained()
        await self.batcher.drained()
        while self._out:
            self._drained.clear()
            await self._drained.wait()

    def has(self, task: str) -> bool:
        """Whether a task's create is under way."""
        return task in self._out or task in self.batcher.waiting or task in self.batcher.sending

    def hurry(self) -> None:
        """Wait for nothing more."""
        self.batcher.hurry()
        for out in self._out.values():
            out.make()

    def withdraw(self, task: str) -> None:
        """A task was called off: if its create has not left, it will not; if it may have, its reply is waited for."""
        self.preparer.withdraw(task)
        self.batcher.withdraw(task)
        out = self._out.get(task)
        if out is None:
            return
        if out.leaves:
            self.world.call_at(self.world.monotonic() + self.grace, out.make)
        else:
            out.make()

    async def run(self, crew: Crew) -> None:
        """Begin creates until stopped."""
        self.batcher.group = crew.group
        while not self._stopping:
            row = await self._next()
            if row is None:
                await self._wake.wait()
                self._wake.clear()
                continue
            if row.mode == BATCH:
                self.batcher.put(row)
                self.preparer.begun(row.id)
                continue
            self.desk.creating += 1
            seat = None if self.line.free(row) else seat_of(row)
            taken = seat if seat and self.desk.pool.seats.take(seat) else None
            out = self._out[row.id] = Outgoing(row, rank_of(row), taken, self.desk.bursts)
            crew.start_soon(self._create, row.id, out)

    async def _next(self) -> TaskRow | None:
        """The next task that may be created now. Parks the line where the account is stopped."""
        stop = self.desk.stopped
        if stop is not None and not self.keep_waiting:
            self.line.clear()
            self.batcher.clear()
            await self._park_line(stop, self._in_line)
            return None
        if stop is not None and stop.reason is Reason.NO_CREDIT and stop is not self._shown_out:
            self._shown_out = stop
            await self._park_line(stop, self._has_others)  # which sends them there
        if not self.desk.may_begin():
            return None
        if not self._greeted and await self.line.anyone():
            await self._greet()
            if not self.desk.may_begin():
                return None
        row = await self.funding.next()
        while self.line.barred:
            await self._bar(*self.line.barred.pop(0))
        return row

    def _in_line(self, row: TaskRow) -> bool:
        """Whether a task waits here for its turn."""
        return stands_in_line(self.desk, row)

    def _has_others(self, row: TaskRow) -> bool:
        """Whether a task without credit here has another account to go to."""
        return self._in_line(row) and not row.handles and row.leg + 1 < len(row.job.route)

    async def _bar(self, row: TaskRow, key: str) -> None:
        """Park a task whose project another one has, which is parked with its work perhaps under way."""
        message = f"the job {key!r} of the same project is parked, and its order may be under way; settle that first"
        failure = Failure(kind=Kind.FATE_UNKNOWN, message=message)
        await self.book.write_idle([row.id], Parks(Reason.NEEDS_PERSON, failure), where=self._in_line)

    async def _greet(self) -> None:
        """The provider's harmless request before the first job, where it has one."""
        self._greeted = True
        try:
            told = await self.desk.courier.run(self.desk.provider.start(), tries=1)
        except Refused as refusal:
            self.refusals.conclude(refusal.verdict)
        else:
            if told:
                self.notice(told)

    async def _park_line(self, stop: Stop, where: Callable[[TaskRow], bool]) -> None:
        signal = Parks(stop.reason, stop.failure)
        while rows := await self.line.queued():
            parked, busy = await self.book.write_idle([row.id for row in rows], signal, where=where)
            for task in busy:  # whoever brought it into the line is about to let go of it
                if where(await self.book.look(task)):
                    parked += await self.book.write_busy([task], signal, where=where)
            if not parked:
                return

    # -- one create ------------------------------------------------------------------------------------------------

    async def _create(self, task: str, out: Outgoing) -> None:
        try:
            if out.made:
                self._not_begun(out)
                return
            with out:
                async with self.book.hold(task) as hold:
                    try:
                        same = hold.row is out.row or self._unchanged(out, hold.row)
                        media = self._media(hold.row) if same and not self._stopping else None
                        if media is not None:
                            await self.sender.send(hold, out, media)
                    except JobInvalid as error:  # it was taken under a configuration that allowed it
                        await hold.take(Turned(Verdict(kind=Kind.INVALID, message=str(error), blame="job")))
                    finally:
                        if self.line.shares or task in self.line.ahead:
                            self.line.tried(hold.row)
                        out.back = stands_in_line(self.desk, hold.row) and not hold.row.handles
        finally:
            self._over(task, out)

    def _not_begun(self, out: Outgoing) -> None:
        """A create was withdrawn before its hand came to it: the task stands in line as before."""
        if out.row is not None:
            self.line.tried(out.row)
            out.back = not out.row.handles

    def _over(self, task: str, out: Outgoing) -> None:
        """Whatever became of a create: what it did not take with it is free again, and the next may begin."""
        self.desk.creating -= 1
        del self._out[task]
        self.preparer.begun(task)
        if not self._out:
            self._drained.set()
        self.called_off.discard(task)
        self.cashier.release(task)
        if out.seat is not None:
            self.desk.pool.seats.give_back(out.seat)
        if out.back:  # whoever read the line while this was under way passed it over
            self.line.arrived(out.rank)
            self.preparer.arrived(out.rank)
        self._wake.set()

    def _unchanged(self, out: Outgoing, now: TaskRow) -> bool:
        """Whether a task still stands in line for the attempt and stage that it was taken out for, with their seat."""
        before = out.row
        if before is None or not self._in_line(now) or seat_of(now) != seat_of(before):
            return False
        return stage_of(self.desk, now) == stage_of(self.desk, before)

    def _media(self, row: TaskRow) -> dict[str, Handle] | None:
        """What the vendor calls the task's media; None where it has to be handed some first."""
        media = self.uploads.ready(row)
        return row.inputs if media is None and not self.preparer.wanted(row) else media
