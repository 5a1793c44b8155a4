"""What may be paid for once only over all tasks of an account: whoever comes second takes what the first one bought."""

from __future__ import annotations

from attrs import define

from viseme.attempts import Handle, TaskRow
from viseme.engine.admission.desk import Desk
from viseme.engine.lifecycle.book import Book, Hold
from viseme.engine.lifecycle.signals import Parks, Taken
from viseme.failures import Failure, Kind
from viseme.ledger.base import Ledger
from viseme.providers.base import Accepted
from viseme.results import ENDED, UNSETTLED, Reason

__all__ = ["Claimed", "Claims"]


class Claimed(Exception):
    """Another task, ``key``, has paid for the same: its ``handle``, or None where the fate of its create is unknown."""

    def __init__(self, key: str, handle: Handle | None) -> None:
        super().__init__(key)
        self.key = key
        self.handle = handle


@define(eq=False, repr=False)
class Claims:
    """The claims of one account's creates."""

    ledger: Ledger
    book: Book
    desk: Desk

    async def heed(self, row: TaskRow, stage: str, claim: str) -> None:
        """Pay for nothing that another task has paid for, or may have.

        Raises:
            Claimed: one has.
        """
        owner = await self.ledger.adopted(self.desk.name, claim)
        if owner is None or owner == row.id:
            return
        other = await self.book.look(owner)
        if other.intent is not None and other.intent.claim == claim:
            if other.handle is not None:
                raise Claimed(other.key, other.handle)
            refused = other.failure is not None and other.failure.kind is not Kind.FATE_UNKNOWN
            if other.state in UNSETTLED or (other.state in ENDED and not refused):
                raise Claimed(other.key, None)
        elif stage in other.handles:
            raise Claimed(other.key, other.handles[stage])

    async def settle(self, hold: Hold, stage: str, claimed: Claimed, own: Handle) -> None:
        """Take what the other task has; where nobody knows whether it has it, wait for a person.

        Args:
            own: what the task's own flow saved before its request.
        """
        if claimed.handle is not None:
            handle = self.desk.provider.inherit(own, claimed.handle)
            await hold.take(Taken(Accepted(handle=handle), stage))
            return
        message = f"the job {claimed.key!r} may have started the same already; settle that one (viseme reconcile) first"
        await hold.take(Parks(Reason.FATE_UNKNOWN, Failure(kind=Kind.FATE_UNKNOWN, message=message)))
