"""The seats that earlier runs left open: they count at once, and their jobs are looked at where no run does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from attrs import frozen

from viseme.attempts import Seat
from viseme.engine.core import Core
from viseme.errors import LedgerError
from viseme.ledger.base import Ledger

__all__ = ["LeftSeats", "seats_by_page"]

_PAGE = 500
_PACE = 1.0


async def seats_by_page(ledger: Ledger) -> AsyncIterator[list[Seat]]:
    """All open seats, of which there may be a great many, a page at a time."""
    after = ""
    while page := await ledger.seats(after, _PAGE):
        after = page[-1].id
        yield page


@frozen
class LeftSeats:
    """Takes up the seats that the ledger holds open."""

    core: Core

    async def restore(self) -> None:
        """Have them count from now on."""
        async for page in seats_by_page(self.core.ledger):
            for seat in page:
                office = self.core.offices.get(seat.account)
                if office is not None:
                    office.desk.pool.seats.restore(seat)

    async def watch(self) -> None:
        """Begin to look at their jobs now and then, a page of them a second.

        Most belong to tasks that a run soon takes up: these are not read in vain.
        """
        with suppress(LedgerError):
            async for page in seats_by_page(self.core.ledger):
                await self._watch([seat for seat in page if self._unwatched(seat)])
                await self.core.world.sleep(_PACE)

    async def _watch(self, seats: Sequence[Seat]) -> None:
        by_id = {seat.id: seat for seat in seats}
        for row in await self.core.book.look_at([seat.task for seat in seats]):
            seat = by_id.get(row.seat)
            if seat is not None and row.handle is not None and self._unwatched(seat) and not self.core.driven(row):
                self.core.offices[seat.account].hub.watch(row, background=True)

    def _unwatched(self, seat: Seat) -> bool:
        """Whether a job may still run in a seat, and nobody looks."""
        office = self.core.offices.get(seat.account)
        return office is not None and office.desk.pool.seats.holds(seat.id) and office.hub.find(seat.task) is None
