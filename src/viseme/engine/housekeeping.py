"""What has to be done now and then: orders from outside, gates shown, result lines written, seats given up unheard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from anyio.abc import TaskGroup
from attrs import define, field

from viseme.attempts import Seat
from viseme.engine.core import Core
from viseme.engine.lifecycle.signals import Unheard
from viseme.engine.orders import obey
from viseme.errors import LedgerError
from viseme.ledger.base import Order

__all__ = ["Housekeeping"]

_ORDERS = 0.5
_GATES = 1.0
_SEATS = 30.0
_PAGE = 500
_AGAIN = 5.0


@define(eq=False, repr=False)
class Housekeeping:
    """The engine's regular errands. ``notice`` is called with sentences that the user should read."""

    core: Core
    notice: Callable[[str], None] = field(default=lambda _: None)
    _results: asyncio.Event = field(factory=asyncio.Event)
    _shown: dict[str, Any] = field(factory=dict[str, Any])
    _seats_due: float = 0.0
    """Before this time, UTC seconds, no seat can have grown old: they are many, and are not all read in vain."""

    def start(self, group: TaskGroup) -> None:
        """Set the errands to run in ``group``."""
        self.core.on_result = self._results.set
        group.start_soon(self._write_results)
        group.start_soon(self._take_orders, group)
        group.start_soon(self._show_gates)
        group.start_soon(self._give_up_seats)

    async def _write_results(self) -> None:
        while True:
            await self._results.wait()
            self._results.clear()
            try:
                await self.core.results.write()
            except OSError:  # a full disk; what ends meanwhile is in the ledger all the same
                await self.core.world.sleep(_AGAIN)
                self._results.set()

    async def _take_orders(self, group: TaskGroup) -> None:
        while True:
            await self.core.world.sleep(_ORDERS)
            orders = await self.core.ledger.take_orders()
            if orders:  # one that has to wait for a reply keeps no later one waiting
                group.start_soon(self._obey, orders)

    async def _obey(self, orders: Sequence[Order]) -> None:
        for refused in await obey(self.core, orders):
            self.notice(refused)

    async def _show_gates(self) -> None:
        while True:
            await self.show_gates()
            await self.core.world.sleep(_GATES)

    async def show_gates(self) -> None:
        """Show what each account waits for, if it has changed."""
        figures = {name: office.figures() for name, office in self.core.offices.items()}
        if figures != self._shown:
            self._shown = figures
            now = self.core.world.now()
            try:
                await self.core.ledger.write_gates({name: {**shown, "at": now} for name, shown in figures.items()})
            except LedgerError:
                self._shown = {}

    async def _give_up_seats(self) -> None:
        while True:
            await self.give_up_seats()
            await self.core.world.sleep(_SEATS)

    async def give_up_seats(self) -> None:
        """Give up the seats of jobs that nothing was heard of for a seat's whole life; a look that shows one counts."""
        now = self.core.world.now()
        if now < self._seats_due:
            return
        due = now + min((office.desk.seat_ttl for office in self.core.offices.values()), default=0.0)
        after = ""
        while page := await self.core.ledger.seats(after, _PAGE):
            after = page[-1].id
            seats = [seat for seat in page if seat.account in self.core.offices]
            due = min([due, *(seat.until for seat in seats)])
            for seat in seats:
                if seat.until <= now and not self.core.book.busy(seat.task):  # else something is heard of it just now
                    await self._give_up(seat, now)
        self._seats_due = due

    async def _give_up(self, seat: Seat, now: float) -> None:
        desk, watch = self.core.offices[seat.account].desk, self.core.offices[seat.account].hub.find(seat.task)
        heard = watch is not None and now - watch.heard < desk.seat_ttl
        async with self.core.book.hold(seat.task) as hold:
            if not heard or hold.row.seat != seat.id or hold.row.handle is None:
                await hold.take(Unheard(seat.id))
