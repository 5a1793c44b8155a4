"""Gathers tasks that may wait for others, and creates them together with one paid request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import accumulate

from anyio import CancelScope
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from viseme.attempts import Handle, TaskRow
from viseme.engine.admission.desk import Desk
from viseme.engine.lifecycle.book import Book, Hold
from viseme.engine.lifecycle.line import intent_for, stands_in_line
from viseme.engine.lifecycle.signals import Intended, Lost, Prepared, Singly, Taken, Turned
from viseme.engine.money.cashier import Cashier
from viseme.engine.world import Timer, World
from viseme.failures import Kind
from viseme.providers.base import Batch, Member, Refused, Request, Verdict

__all__ = ["Batcher"]

_OF_NO_ONE = frozenset({Kind.INVALID, Kind.CONTENT_REJECTED, Kind.MEDIA_UNREACHABLE})
"""Refusals of a whole batch that may be any job's fault, or the plan's: alone, each job hears its own."""
_LINGER = 3.0
"""How long after the last arrival further tasks are waited for, seconds."""


class _Withdrawn(Exception):
    """The run stopped, or a task of the batch was called off, before the batch left."""


@define(eq=False, repr=False)
class _Out:
    """A batch under way: ``scope`` ends it while nothing has left, ``shield`` guards it from then on.

    ``begun`` is how many bursts of refusals the desk had seen when it was begun.
    """

    scope: CancelScope = field(factory=CancelScope)
    shield: CancelScope = field(factory=CancelScope)
    left: bool = False
    begun: int = 0

    def withdraw(self, deadline: float) -> None:
        """End it now, or, where its request may have left, at the deadline."""
        self.shield.deadline = min(self.shield.deadline, deadline)
        self.scope.cancel()


@define(eq=False, repr=False)
class Batcher:
    """The batches of one account. A task that waits here is queued in the ledger like any other.

    Attributes:
        called_off: ids of tasks that the user called off.
        refused: told what a refusal means for the account.
        notice: called with a sentence that the user should read.
        media: what the vendor calls a task's media, None where they have to be handed over first; ``wanting`` sees to
            that, and the task comes again.
        coming: whether media of further tasks are on their way, so that more may join soon.
    """

    world: World
    book: Book
    desk: Desk
    cashier: Cashier
    called_off: Collection[str]
    refused: Callable[[Verdict, int], None]
    notice: Callable[[str], None]
    grace: float = 10.0
    keep_waiting: bool = False
    media: Callable[[TaskRow], dict[str, Handle] | None] = field(default=lambda row: row.inputs)
    wanting: Callable[[TaskRow], bool] = field(default=lambda row: False)
    coming: Callable[[], bool] = field(default=lambda: False)
    group: TaskGroup | None = None
    """Set before the first task comes."""
    waiting: dict[str, TaskRow] = field(factory=dict[str, TaskRow], init=False)
    """The tasks that wait for others."""
    sending: dict[str, _Out] = field(factory=dict[str, "_Out"], init=False)
    """The tasks whose batch is under way."""
    _timer: Timer | None = None
    _drained: asyncio.Event = field(factory=asyncio.Event)
    _stopping: bool = False

    @property
    def limits(self) -> Batch | None:
        """What the vendor takes; None where it has no batches."""
        return self.desk.provider.sheet.batch

    def put(self, row: TaskRow) -> None:
        """Have a task wait for others."""
        self.waiting[row.id] = row
        limits = self.limits
        if limits is not None and len(self.waiting) >= limits.most + limits.least:
            self._begin(list(self.waiting.values())[: limits.most])
        self._linger()

    def clear(self) -> None:
        """Forget the tasks that wait; they stay in line."""
        self._drop(list(self.waiting))

    def _drop(self, tasks: Iterable[str]) -> None:
        for task in tasks:
            if self.waiting.pop(task, None) is not None:
                self.cashier.release(task)

    def withdraw(self, task: str) -> None:
        """A task was called off: a batch that has not left goes without it."""
        self._drop([task])
        out = self.sending.get(task)
        if out is not None and not out.left:
            out.scope.cancel()

    def stop(self) -> None:
        """Send no more; the reply to a batch that may have left is waited for up to the grace time."""
        self._stopping = True
        self.clear()
        for out in self.sending.values():
            out.withdraw(self.world.monotonic() + self.grace)

    def hurry(self) -> None:
        """Wait for nothing more."""
        for out in self.sending.values():
            out.withdraw(self.world.monotonic())

    async def drained(self) -> None:
        """Wait until no batch is under way."""
        while self.sending:
            self._drained.clear()
            await self._drained.wait()

    # -- gathering -------------------------------------------------------------------------------------------------

    def _linger(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.world.call_at(self.world.monotonic() + _LINGER, self._gathered)

    def _gathered(self) -> None:
        """Nobody has come for a while: send those who wait, in batches of like size."""
        if self.coming() and not self._stopping:
            self._linger()
            return
        rows, limits = list(self.waiting.values()), self.limits
        if not self._stopping and rows:
            for share in _shares(rows, limits.most if limits else len(rows)):
                self._begin(share)

    def _begin(self, rows: Sequence[TaskRow]) -> None:
        out = _Out()
        for row in rows:
            del self.waiting[row.id]
            self.sending[row.id] = out
        assert self.group is not None
        self.group.start_soon(self._send, rows, out)

    @asynccontextmanager
    async def _held(self, rows: Sequence[TaskRow]) -> AsyncGenerator[list[Hold]]:
        """Hold those of the tasks that still stand in line."""
        async with AsyncExitStack() as stack:
            holds = [await stack.enter_async_context(self.book.hold(row.id)) for row in rows]
            in_line = [hold for hold in holds if stands_in_line(self.desk, hold.row)]
            yield [hold for hold in in_line if hold.row.id not in self.called_off]

    async def _with_media(self, holds: list[Hold]) -> list[Hold]:
        """Those whose media the vendor has; what it calls them is on disk then."""
        ready = [(hold, self.media(hold.row)) for hold in holds]
        news = [(hold, Prepared(found)) for hold, found in ready if found is not None and found != hold.row.inputs]
        await self.book.write_all(news)
        return [hold for hold, found in ready if found is not None or not self.wanting(hold.row)]

    # -- one batch -------------------------------------------------------------------------------------------------

    async def _send(self, rows: Sequence[TaskRow], out: _Out) -> None:
        self.desk.creating += 1
        left: Sequence[TaskRow] = rows
        try:
            with out.scope:
                await self._permitted()
                out.begun = self.desk.bursts
                async with self._held(rows) as holds:
                    ready = await self._with_media(holds)
                    left = await self._create(ready, out)
                    left = [*left, *(hold.row for hold in holds if hold not in ready)]
        finally:
            self.desk.creating -= 1
            for row in rows:
                del self.sending[row.id]
            stay = [] if self._stopping or self.desk.stopped is not None else [row.id for row in left]
            for row in rows:
                if row.id in stay and row.id not in self.called_off:
                    self.put(row)
                else:
                    self.cashier.release(row.id)
            self._drained.set()
            self.desk.changed()

    async def _permitted(self) -> None:
        """Wait out the account's pauses; one that is stopped sends nothing."""
        while self.desk.stopped is None and self.world.monotonic() < self.desk.quiet_until:
            await self.world.sleep(self.desk.quiet_until - self.world.monotonic())

    async def _create(self, holds: list[Hold], out: _Out) -> Sequence[TaskRow]:
        """Create a batch; returns the tasks that did not fit into it."""
        limits = self.limits
        if limits is None or self.desk.stopped is not None or self._stopping:
            return ()
        name, now = self.world.new_id(), self.world.now()
        members = [self._member(hold.row, name, now) for hold in holds]
        fit = _fitting([self.desk.provider.batch_bytes(member) for member in members], limits.bytes)
        if fit < limits.least:
            await self._one_by_one(holds, f"a batch takes {limits.least} jobs at least")
            return ()
        holds, left, members = holds[:fit], [hold.row for hold in holds[fit:]], members[:fit]

        async def leave(_: Request) -> None:
            if self._stopping or any(hold.row.id in self.called_off for hold in holds):
                raise _Withdrawn
            out.shield.shield = out.left = True
            at = self.world.now()
            intents = [evolve(member.intent, at=at) for member in members]
            charges = [self.cashier.charge(hold.row, self.desk.name) for hold in holds]
            sent = [Intended(intent, None, charge) for intent, charge in zip(intents, charges, strict=True)]
            await self.book.write_all(list(zip(holds, sent, strict=True)), patient=False)

        with out.shield:
            try:
                accepted = await self.desk.courier.run(self.desk.provider.create_many(members), before=leave)
            except _Withdrawn:
                return [hold.row for hold in holds] + left
            except Refused as refusal:
                await self._refused(holds, refusal.verdict, out.begun)
            else:
                taken = [(hold, Taken(accepted[m.intent.id])) for hold, m in zip(holds, members, strict=True)]
                await self.book.write_all(taken)
                self.desk.opened()
        return left

    def _member(self, row: TaskRow, name: str, now: float) -> Member:
        intent = evolve(intent_for(self.desk, row, self.world.new_id(), now), batch=name)
        return Member(job=row.job, intent=intent, handles={**row.inputs, **row.handles})

    async def _refused(self, holds: list[Hold], verdict: Verdict, begun: int) -> None:
        if verdict.kind is Kind.FATE_UNKNOWN:
            await self.book.write_all([(hold, Lost(verdict)) for hold in holds])
            return
        if verdict.line is not None and verdict.line <= len(holds):
            to_blame = holds.pop(verdict.line - 1)
            await to_blame.take(Turned(verdict))
            others = f"another job of its batch was refused ({to_blame.row.key}); it goes with the next one"
            verdict = evolve(verdict, kind=Kind.TRANSIENT, message=others)
        elif verdict.kind in _OF_NO_ONE:
            await self._one_by_one(holds, verdict.message)
            return
        else:
            self.refused(verdict, begun)
        await self.book.write_all([(hold, Turned(verdict, self.keep_waiting)) for hold in holds])

    async def _one_by_one(self, holds: Sequence[Hold], why: str) -> None:
        if holds:
            self.notice(f"{self.desk.name}: {why}; {len(holds)} jobs are created one by one")
            await self.book.write_all([(hold, Singly()) for hold in holds])


def _shares(rows: Sequence[TaskRow], most: int) -> Iterator[Sequence[TaskRow]]:
    """The rows in as few lots as possible, of like size."""
    lots = -(-len(rows) // most)
    for number in range(lots):
        yield rows[number * len(rows) // lots : (number + 1) * len(rows) // lots]


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many of these sizes fit, from the first on."""
    return sum(total <= room for total in accumulate(sizes))
