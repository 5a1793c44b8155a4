"""Group commit: what is handed over while one group is being written makes the next."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

from attrs import frozen

from viseme.attempts import TaskRow, Upload
from viseme.errors import LedgerError
from viseme.events import Event
from viseme.ledger import works
from viseme.ledger.base import Change, Done, Ledger, Order, TakenOver
from viseme.ledger.ending import to_the_end
from viseme.ledger.rows import text
from viseme.ledger.works import Given, Outcome, Work

__all__ = ["GroupLedger", "Statistics"]

T = TypeVar("T")

_Asker = asyncio.Future[Any] | Done
_Handed = tuple[Work, _Asker]
"""A work, and who is told what became of it."""

_CHUNK: Final = 1000
"""Events read at once where a release tells of many."""


@frozen(kw_only=True)
class Statistics:
    """What an owner has written since it opened.

    Attributes:
        groups: transactions, each with one sync to disk.
        works: calls that were written in them.
        failed: calls that could not be written.
        pending: calls that wait for the next group.
    """

    groups: int
    works: int
    failed: int
    pending: int


class GroupLedger(Ledger):
    """The half of a ledger that both kinds share: the pump. A task of its own writes while there is something to write.

    So a commit is written whether or not ``serve`` runs, and no cancelled caller can take a change back or hold up the
    others. ``close`` awaits that task.
    """

    def __init__(self) -> None:
        self._accepting = False
        self._pending: list[_Handed] = []
        self._pump: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._last_order = 0
        self._groups = self._written = self._failed = 0

    # -- what the two kinds do differently ---------------------------------------------------------------------------

    @abstractmethod
    async def _start(self) -> int:
        """Open, and give the order of the newest event. Once begun it runs to its end."""

    @abstractmethod
    async def _stop(self) -> None:
        """Let go of everything, also when something fails."""

    @abstractmethod
    async def _write(self, group: Sequence[Work]) -> Sequence[Outcome]:
        """Write a group durably, with an outcome for each work. Never raises for what a work or the disk does wrong."""

    @property
    @abstractmethod
    def _name(self) -> str:
        """For messages."""

    @property
    @abstractmethod
    def _read_only(self) -> bool: ...

    # -- life --------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        if self._ended is not None:
            raise LedgerError(f"the ledger {self._name} is open already; open it once")
        self._ended = asyncio.get_running_loop().create_future()
        try:
            self._last_order = await to_the_end(self._start())
        except BaseException as error:
            self._ended = None
            if isinstance(error, asyncio.CancelledError):
                await to_the_end(self._stop())
            raise
        self._closing = None
        self._accepting = not self._read_only

    async def serve(self) -> None:
        ended = self._ended
        if ended is None:
            raise LedgerError(f"the ledger {self._name} is not open; use it inside `async with`")
        await asyncio.shield(ended)

    async def close(self) -> None:
        if self._ended is None:
            return
        if self._closing is None:
            self._accepting = False
            self._closing = asyncio.get_running_loop().create_task(self._shut(self._ended), name="viseme ledger: close")
        await to_the_end(_result(self._closing))

    async def _shut(self, ended: asyncio.Future[None]) -> None:
        try:
            while self._pump is not None:
                await asyncio.wait([self._pump])
            await self._stop()
        finally:
            self._ended = None
            if not ended.done():
                ended.set_result(None)

    def statistics(self) -> Statistics:
        """What was written since it opened."""
        return Statistics(groups=self._groups, works=self._written, failed=self._failed, pending=len(self._pending))

    # -- the pump ----------------------------------------------------------------------------------------------------

    def _give(self, work: Work, asker: _Asker) -> None:
        """Give a work to the pump, at once."""
        if not self._accepting:
            if self._read_only:
                raise LedgerError(f"the ledger {self._name} was opened for reading; only its owner writes it")
            raise LedgerError(f"the ledger {self._name} is not open; nothing more can be written, open it again")
        self._pending.append((work, asker))
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._drain(), name="viseme ledger: write")

    def _write_soon(self, work: Work) -> asyncio.Future[Any]:
        """Give a work to the pump; the future tells when it is durable."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._give(work, future)
        return future

    async def _drain(self) -> None:
        group: list[_Handed] = []
        try:
            while self._pending:
                group, self._pending = self._pending, []
                outcomes = await self._attempt([work for work, _ in group])
                await self._tell(outcomes)
                self._resolve(group, outcomes)
                group = []
        finally:
            self._pump = None
            left, self._pending = [*group, *self._pending], []
            for _, asker in left:
                _answer(asker, asyncio.CancelledError())  # only where the event loop itself is being torn down

    async def _attempt(self, group: Sequence[Work]) -> Sequence[Outcome]:
        try:
            return await self._write(group)
        except Exception as error:
            failure = error  # a fault of viseme's own: nobody may be left waiting for it
        sentence = f"the ledger {self._name} could not be written ({failure!r}); please report this"
        return [LedgerError(sentence) for _ in group]

    async def _tell(self, outcomes: Sequence[Outcome]) -> None:
        """Let the listener have the events of a group, in order."""
        told: list[Event] = []
        try:
            for outcome in outcomes:
                if isinstance(outcome, Given):
                    told.extend(outcome.events)
                    if outcome.span is not None:
                        self._hear(told)
                        told = []
                        await self._tell_span(*outcome.span)
            self._hear(told)
        except Exception as error:
            self._break(error)

    async def _tell_span(self, after: int, last: int) -> None:
        while after < last:
            chunk = await self.events(after, min(_CHUNK, last - after))
            self._hear(chunk)
            after = chunk[-1].order or last

    def _hear(self, events: Sequence[Event]) -> None:
        if events:
            self._last_order = events[-1].order or self._last_order
            if self.listener is not None:
                self.listener(events)

    def _break(self, error: Exception) -> None:
        """A listener failed: what was written is durable and its callers are told so; ``serve`` fails."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _resolve(self, group: Sequence[_Handed], outcomes: Sequence[Outcome]) -> None:
        self._groups += 1
        for (_, asker), outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Given):
                self._written += 1
            else:
                self._failed += 1
            _answer(asker, outcome)

    # -- writing -----------------------------------------------------------------------------------------------------

    async def add(self, rows: Sequence[TaskRow], *, held: bool = False) -> list[TaskRow]:
        if not rows:
            return []
        newcomers = tuple([works.newcomer(row) for row in rows])
        return await self._write_soon(works.Add(newcomers=newcomers, held=held))

    async def release(self, run: int) -> None:
        await self._write_soon(works.Release(run))

    async def discard(self, run: int | None = None) -> None:
        await self._write_soon(works.Discard(run))

    async def commit(self, *changes: Change) -> None:
        if changes:
            await self._write_soon(_commit(changes))

    def hand_over(self, changes: Sequence[Change], done: Done) -> None:
        self._give(_commit(changes), done)

    async def take_over(
        self, run: int, after: int, limit: int, *, before: int, accounts: Collection[str], but: Collection[str] = ()
    ) -> TakenOver:
        names, others = text(list(accounts)), text(list(but))
        lot = works.TakeOver(run=run, after=after, limit=limit, before=before, accounts=names, but=others)
        return await self._write_soon(lot)

    async def keep_upload(self, upload: Upload) -> None:
        await self._write_soon(works.keep_upload(upload))

    async def forget_upload(self, account: str, digest: str) -> None:
        await self._write_soon(works.ForgetUpload(account, digest))

    async def next_run(self) -> int:
        return await self._write_soon(works.NextRun())

    async def take_orders(self) -> list[Order]:
        if not await self._has_orders():
            return []
        return await self._write_soon(works.TakeOrders())

    @abstractmethod
    async def _has_orders(self) -> bool: ...

    async def write_gates(self, gates: Mapping[str, Any]) -> None:
        await self._write_soon(works.WriteGates(text(dict(gates))))

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def last_order(self) -> int:
        return self._last_order


def _commit(changes: Sequence[Change]) -> works.Commit:
    return works.Commit([works.step(change) for change in changes])


def _answer(asker: _Asker, outcome: Given | BaseException) -> None:
    if callable(asker):
        asker(None if isinstance(outcome, Given) else outcome)
    elif asker.done():
        pass
    elif isinstance(outcome, Given):
        asker.set_result(outcome.value)
    elif isinstance(outcome, asyncio.CancelledError):
        asker.cancel()
    else:
        asker.set_exception(outcome)


async def _result(task: asyncio.Task[T]) -> T:
    return await asyncio.shield(task)
