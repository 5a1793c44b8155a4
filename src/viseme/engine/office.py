"""All that works for one account: who creates, who reconciles, who looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define

from viseme.attempts import TaskRow
from viseme.engine.admission.desk import CREATES, Desk
from viseme.engine.crew import Crew
from viseme.engine.lifecycle.adopting import Adopter
from viseme.engine.lifecycle.book import Book
from viseme.engine.lifecycle.creating import Creator
from viseme.engine.lifecycle.reconciling import Reconciler
from viseme.engine.money.cashier import Cashier
from viseme.engine.polling.cadence import Cadence
from viseme.engine.polling.hub import Hub
from viseme.engine.polling.looking import Looker
from viseme.engine.task import Why
from viseme.engine.uploads.files import Digests
from viseme.engine.uploads.uploads import Uploads
from viseme.ledger.base import Ledger
from viseme.results import State

__all__ = ["Office", "open_office"]


@define(eq=False, repr=False)
class Office:
    """One account's workers."""

    desk: Desk
    creator: Creator
    reconciler: Reconciler
    hub: Hub

    def stop(self) -> None:
        """Begin nothing more."""
        self.creator.stop()
        self.reconciler.stop()
        self.hub.stop()

    async def drained(self) -> None:
        """Wait until no create is open."""
        await self.creator.drained()
        await self.reconciler.drained()

    def why(self, row: TaskRow) -> Why:
        """What a task of this account waits for."""
        shown, clock = row.shown, self.desk.world
        if shown is State.PARKED:
            message = row.failure.message if row.failure else f"parked: {row.parked}"
            return Why(state=shown, gate="person", until=None, message=message)
        if shown is State.QUEUED and self.creator.has(row.id):
            until = self.desk.pool.rates.wait_until(CREATES)
            utc = None if until is None else clock.now() + until - clock.monotonic()
            message = "has its seat and waits for its place in the rate"
            if until is not None:
                message += f": {self.desk.rate_message()}"
            return Why(state=shown, gate="rate", until=utc, message=message)
        if shown is State.PREPARING:
            message = f"its media are on the way to {self.desk.name}"
            return Why(state=shown, gate="upload", until=None, message=message)
        if shown is State.QUEUED and self.desk.stopped is None and self.creator.preparer.waits(row):
            message = f"its media wait for their turn to be handed to {self.desk.name}"
            return Why(state=shown, gate="upload", until=None, message=message)
        if shown is State.QUEUED:
            return Why(state=shown, **self.desk.gate())
        if shown is State.WAITING:
            watch = self.hub.find(row.id)
            until = None if watch is None else clock.now() + max(0.0, watch.due - clock.monotonic())
            return Why(
                state=shown, gate="poll", until=until, message=f"{self.desk.name} has the job; the next look is due"
            )
        if shown is State.RECONCILING:
            return Why(state=shown, gate="reconcile", until=None, message="finding out what became of its create")
        if shown is State.FETCHING:
            return Why(state=shown, gate="download", until=None, message="its result is on the way to disk")
        return Why(state=shown, gate=None, until=None, message=f"nothing: it is {shown}")

    def figures(self) -> dict[str, Any]:
        """The account's gates, for ``viseme status``."""
        seats, rates = self.desk.pool.seats, self.desk.pool.rates
        return {
            "seats": {"taken": seats.taken, "limit": seats.limit, "stated": seats.stated},
            "creating": self.desk.creating,
            "width": self.desk.width,
            "waiting": len(self.hub),
            "create": self.desk.gate(),
            "rates": {
                name: [{"rate": s.rate, "room": s.room, "waiting": s.waiting, "pace": s.pace} for s in states]
                for name, states in rates.state().items()
            },
        }


def open_office(
    desk: Desk,
    *,
    ledger: Ledger,
    book: Book,
    digests: Digests,
    crew: Crew,
    first_run: int,
    called_off: set[str],
    cashier: Cashier,
    grace: float,
    adopter: Adopter,
    keep_waiting: bool,
    notice: Callable[[str], None],
) -> Office:
    """Put an account's workers together and set them to work."""
    group = crew.group
    world, sheet, polling = desk.world, desk.provider.sheet, desk.account.polling
    cadence = Cadence(sheet, polling, silence=desk.seat_ttl / 2)
    looker = Looker(world, book, desk, cadence, notice, keep_waiting)
    looker.hub = Hub(world, cadence, crew, looker.look, sheet.bulk if sheet.bulk and polling.bulk else 1)
    uploads = Uploads(world, ledger, desk.provider, desk.courier, digests, group)
    creator = Creator(world, ledger, book, desk, first_run, called_off, notice, cashier, uploads, grace, keep_waiting)
    office = Office(desk, creator, Reconciler(world, book, desk, adopter, group, grace, keep_waiting), looker.hub)
    group.start_soon(creator.run, crew)
    group.start_soon(creator.preparer.run, group)
    group.start_soon(looker.hub.run)
    return office
