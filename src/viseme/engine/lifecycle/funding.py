"""Which queued task may be bought next: the line, as far as budgets allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.engine.admission.desk import Desk
from viseme.engine.lifecycle.book import Book
from viseme.engine.lifecycle.line import Line, stands_in_line
from viseme.engine.lifecycle.signals import Parks
from viseme.engine.money.cashier import Cashier
from viseme.engine.money.purse import Room
from viseme.engine.world import Timer, World
from viseme.errors import JobInvalid
from viseme.failures import Failure, Kind
from viseme.results import Reason

__all__ = ["Funding"]

_LOT = 256


@define(eq=False, repr=False)
class Funding:
    """Stands between an account's line and its creates.

    A task that does not fit the budget waits at the head of the line while what is set aside for jobs under way may
    come back. Where nothing can, it is parked, and a later run with more budget, or on another day, goes on with it.

    Attributes:
        keep_waiting: leave it in line for the next day's budget, instead of parking it.
        wake: called when a create may have become possible.
    """

    world: World
    book: Book
    desk: Desk
    cashier: Cashier
    line: Line
    keep_waiting: bool
    wake: Callable[[], None]
    _alarm: Timer | None = None
    _due: float = field(default=0.0)

    def __attrs_post_init__(self) -> None:
        self.cashier.on_change(self.desk.name, self.wake)

    async def next(self) -> TaskRow | None:
        """The task whose create may begin now, taken out of the line, what it may cost set aside; None if none may."""
        if not self.cashier.till.limited:
            return await self.line.next()
        broke: list[tuple[TaskRow, str]] = []
        self.desk.broke = None
        while (row := await self.line.next()) is not None:
            if self.line.free(row):
                break
            try:
                room, why, hopeless = await self.cashier.admit(row, self.desk.name)
            except JobInvalid:
                break  # whoever creates it says so of the task
            if room is Room.FITS:
                break
            if room is Room.WAITS or (self.keep_waiting and not hopeless):
                self._wait(row, why)
                row = None
                break
            broke.append((row, why))
            if len(broke) == _LOT:
                await self._park(broke)
                broke = []
        if broke:
            await self._park(broke)
        return row

    def _wait(self, row: TaskRow, why: str) -> None:
        self.line.put_back(row)
        until = self.cashier.fresh(self.desk.name)
        self.desk.broke = (why, until)
        if until is not None and until != self._due:
            if self._alarm is not None:
                self._alarm.cancel()
            self._due = until
            self._alarm = self.world.call_at(self.world.monotonic() + until - self.world.now(), self.wake)

    async def _park(self, broke: Sequence[tuple[TaskRow, str]]) -> None:
        """Park tasks that nothing in this run can pay for."""
        in_line = partial(stands_in_line, self.desk)
        reasons: dict[str, list[str]] = {}
        for row, why in broke:
            reasons.setdefault(why, []).append(row.id)
        for why, tasks in reasons.items():
            parks = Parks(Reason.BUDGET, Failure(kind=Kind.BUDGET, message=why))
            _, busy = await self.book.write_idle(tasks, parks, where=in_line)
            await self.book.write_busy(busy, parks, where=in_line)
