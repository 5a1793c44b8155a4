"""The contract of a ledger: the durable record of tasks, intents, handles, seats, charges and events.

One process owns a ledger and writes it; any number may read it, and leave orders for the owner. What ``add`` and
``commit`` were given is durable when they return, and ``hand_over`` calls back then: a crash after that forgets none of
it, a crash before it forgets all of it. A caller that is cancelled takes nothing back: what was handed over is written
all the same.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from attrs import define, field, frozen

from viseme.attempts import Intent, Seat, TaskRow, Upload
from viseme.events import Event
from viseme.money import Charge, Spending
from viseme.results import Reason, State

__all__ = ["UNDER_WAY", "Change", "Count", "Done", "Ledger", "Listener", "Order", "Rank", "TakenOver"]

Listener = Callable[[Sequence[Event]], None]
"""Called with events in their order, once they are durable."""

Done = Callable[[BaseException | None], None]
"""Called with None once what was handed over is durable, else with why it is not."""

Rank = tuple[int, int]
"""A queued task's place: ``(-priority, order)``; lower goes first."""


@define
class Change:
    """What one step of a task writes, all of it or nothing.

    It is not frozen: it goes from the one who makes it to the ledger, and takes along what waited to be written before.

    Attributes:
        row: the task as it stands now.
        was: the task as the ledger has it, where its changer knows that: what the two have in common is not written
            again.
        events: what happened, in order; the ledger gives each its ``order``.
        intent: written or, under the same id, overwritten.
        opens: a seat taken.
        closes: the id of a seat given back.
        charge: written or, under the same id, overwritten.
        refunds: the id of a charge that came to nothing; it is removed.
    """

    row: TaskRow
    was: TaskRow | None = None
    events: tuple[Event, ...] = ()
    intent: Intent | None = None
    opens: Seat | None = None
    closes: str | None = None
    charge: Charge | None = None
    refunds: str | None = None


@frozen(kw_only=True)
class Order:
    """What another process asks of the owner.

    Attributes:
        id: given when it is placed.
        verb: ``cancel``; ``resubmit`` or ``abandon`` for a task whose fate is unknown.
        key: of the task; None means every open task (cancel only).
    """

    verb: Literal["cancel", "resubmit", "abandon"]
    key: str | None = None
    id: int = 0


@frozen(kw_only=True)
class Count:
    """How many tasks of an account stand where."""

    account: str
    state: State
    parked: Reason | None
    tasks: int


UNDER_WAY = frozenset({State.CREATING, State.RECONCILING, State.WAITING, State.FETCHING})
"""Where a task stands as it did when its run died: nothing is decided of it anew when another run goes on with it."""


@frozen(kw_only=True)
class TakenOver:
    """What became of a lot of open tasks that a run was to take over.

    Attributes:
        last: the ``order`` of the lot's last task; None if there was none.
        tasks: how many were taken over, by account.
    """

    last: int | None = None
    tasks: Mapping[str, int] = field(factory=dict[str, int])


class Ledger(ABC):
    """Use as an async context manager: entering becomes the owner (or opens for reading), leaving writes what is left
    and lets go.

    Every method raises LedgerError, with the next step, where the disk refuses; nothing is half written then, and the
    ledger can be used again once the cause has passed.
    """

    listener: Listener | None = None
    """Set by the owner's engine before anything is written."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @abstractmethod
    async def open(self) -> None:
        """Open the ledger, create or migrate it where needed, and become its owner.

        Raises:
            LedgerBusy: another process owns it.
            LedgerError: it is no ledger of viseme's, a newer one, or cannot be read or written.
        """

    @abstractmethod
    async def serve(self) -> None:
        """Last until ``close``; the owner's engine runs it in its task group.

        What is handed over is written, in groups, whether or not this runs; a listener that raises makes this raise.
        """

    @abstractmethod
    async def close(self) -> None:
        """Write what is left, then let go."""

    # -- writing ---------------------------------------------------------------------------------------------------

    @abstractmethod
    async def add(self, rows: Sequence[TaskRow], *, held: bool = False) -> list[TaskRow]:
        """Add tasks whose keys are new, each with its ``queued`` event (``seq`` 1).

        Args:
            held: keep them and their events out of sight of every reading but ``tasks`` and ``by_keys``, and of the
                listener, until ``release``. What is still held when an owner opens the ledger is discarded.

        Returns:
            for each row, in order, the row that the ledger holds under its key: the given one with its ``order`` and
            ``seq`` 1, or an older one as it stands (told by another ``id``). Within one call a repeated key is treated
            like an older row.
        """

    @abstractmethod
    async def release(self, run: int) -> None:
        """Let the held tasks of a run be seen; their events get their orders, and go to the listener, now."""

    @abstractmethod
    async def discard(self, run: int | None = None) -> None:
        """Remove the held tasks of a run (None: of all runs) and their events, as if they had never been added."""

    @abstractmethod
    def hand_over(self, changes: Sequence[Change], done: Done) -> None:
        """Write changes, all or nothing; what is handed over while another group is being written shares one sync.

        A row's names (``id``, ``key``, ``order``) never change; its ``digest`` changes only together with its ``job``.

        Args:
            done: called once, and raises nothing: the changes are durable and the listener has their events, or a task
                of theirs was never added or is still held, or the disk refuses.

        Raises:
            LedgerError: the ledger is not open, or cannot write such values; ``done`` is not called then.
        """

    @abstractmethod
    async def commit(self, *changes: Change) -> None:
        """The same for whoever waits for it.

        Raises:
            LedgerError: what ``hand_over`` raises, or ``done`` is called with.
        """

    @abstractmethod
    async def take_over(
        self, run: int, after: int, limit: int, *, before: int, accounts: Collection[str], but: Collection[str] = ()
    ) -> TakenOver:
        """Of the next ``limit`` open tasks by ``order``, beyond ``after``, let a run have those that dead ones left.

        These are the tasks that are under way and not parked, of runs numbered below ``before``. Nothing but their
        ``run`` changes, all of it or nothing; it is durable on return.

        Args:
            accounts: tasks of others are left alone.
            but: ids of tasks that are left alone too.
        """

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def last_order(self) -> int:
        """The ``order`` of the newest event that is durable and was told to the listener.

        For a reader: as of ``open``, and of the latest ``events``.
        """

    @abstractmethod
    async def next_run(self) -> int:
        """A run number that was never given before (durable), from 1."""

    @abstractmethod
    async def tasks(self, ids: Sequence[str]) -> list[TaskRow]:
        """The tasks with these ids, in no particular order; unknown ids are left out."""

    @abstractmethod
    async def by_keys(self, keys: Sequence[str]) -> list[TaskRow]:
        """The tasks with these keys."""

    @abstractmethod
    async def queued(self, account: str, run: int, after: Rank | None, limit: int) -> list[TaskRow]:
        """Queued tasks of an account, not parked, of runs numbered ``run`` and above, by rank, beyond ``after``."""

    @abstractmethod
    async def open_tasks(
        self, after: int, limit: int, *, account: str | None = None, run: int | None = None
    ) -> list[TaskRow]:
        """Tasks that have not ended, parked ones included, by ``order``, beyond ``after``."""

    @abstractmethod
    async def all_tasks(self, after: int, limit: int) -> list[TaskRow]:
        """Every task by ``order``, beyond ``after``."""

    @abstractmethod
    async def seats(self, after: str = "", limit: int = sys.maxsize) -> list[Seat]:
        """The seats that are open, by id, beyond ``after``."""

    @abstractmethod
    async def intents(self, account: str, since: float) -> list[Intent]:
        """Intents of an account that are open, or ended after ``since`` (UTC seconds); to rebuild the create rates."""

    @abstractmethod
    async def recent(self, account: str, creates: int) -> list[TaskRow]:
        """The tasks of an account's newest ``creates`` that have ended, whatever became of them, oldest first."""

    @abstractmethod
    async def adopted(self, account: str, vendor_id: str) -> str | None:
        """The id of the task that has this vendor id at this account, if one has (whatever became of it)."""

    @abstractmethod
    async def events(self, after: int, limit: int, *, task: str | None = None, run: int | None = None) -> list[Event]:
        """Persisted events by ``order``, beyond ``after``, of one task or one run."""

    @abstractmethod
    async def counts(self, run: int | None = None) -> list[Count]:
        """How many tasks stand where."""

    # -- money and media -------------------------------------------------------------------------------------------

    @abstractmethod
    async def spending(self, since: str = "") -> list[Spending]:
        """The charges summed by account, UTC day, unit and state, of the days from ``since`` (``2026-11-21``) on."""

    @abstractmethod
    async def keep_upload(self, upload: Upload) -> None:
        """Remember that an account's vendor has a medium; durable on return. One of the same digest is replaced."""

    @abstractmethod
    async def upload(self, account: str, digest: str) -> Upload | None:
        """What an account's vendor calls a medium, if it was handed over; also one that has expired."""

    @abstractmethod
    async def forget_upload(self, account: str, digest: str) -> None:
        """The vendor no longer has a medium."""

    # -- what passes between processes -------------------------------------------------------------------------------

    @abstractmethod
    async def place_order(self, order: Order) -> None:
        """Leave an order for the owner. May be called by a process that is not the owner."""

    @abstractmethod
    async def take_orders(self) -> list[Order]:
        """The orders placed since the last call, removed (owner only)."""

    @abstractmethod
    async def write_gates(self, gates: Mapping[str, Any]) -> None:
        """Show what each account waits for (JSON, by account name), for readers. Need not be synced to disk."""

    @abstractmethod
    async def gates(self) -> dict[str, Any]:
        """What the owner last showed, with ``at`` (UTC seconds) as it wrote it; empty when it never did."""
