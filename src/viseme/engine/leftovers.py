"""The seats that earlier runs left open: they count at once, and their jobs are looked at where no run does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from attrs import frozen

from viseme.attempts import Seat
from viseme.engine.core import Core
from viseme.errors import LedgerError

__all__ = ["LeftSeats"]

_PAGE = 500
_PACE = 1.0


@frozen
class LeftSeats:
    """Takes up the seats that the ledger holds open."""

    core: Core

    async def restore(self) -> None:
        """Have them count from now on."""
        after = ""
        while page := await self.core.ledger.seats(after, _PAGE):
            after = page[-1].id
            for seat in page:
                office = self.core.offices.get(seat.account)
                if office is not None:
                    office.desk.pool.seats.restore(seat)

    async def watch(self) -> None:
        """Begin to look at their jobs now and then, a page of them a second.

        Most belong to tasks that a run soon takes up: these are not read in vain.
        """
        after = ""
        with suppress(LedgerError):
            while page := await self.core.ledger.seats(after, _PAGE):
                after = page[-1].id
                await self._watch([seat for seat in page if self._unwatched(seat)])
                await self.core.world.sleep(_PACE)

    async def _watch(self, seats: Sequence[Seat]) -> None:
        by_id = {seat.id: seat for seat in seats}
        for row in await self.core.book.look_at([seat.task for seat in seats]):
            seat = by_id.get(row.seat)
            if seat is not None and row.handle is not None and self._unwatched(seat) and not self.core.runs.driven(row):
                self.core.offices[seat.account].hub.watch(row, background=True)

    def _unwatched(self, seat: Seat) -> bool:
        """Whether a job may still run in a seat, and nobody looks."""
        office = self.core.offices.get(seat.account)
        return office is not None and office.desk.pool.seats.holds(seat.id) and office.hub.find(seat.task) is None
