"""What a ledger in memory has durably written: the same texts as an SQLite file, in dictionaries."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.errors import LedgerError
from viseme.events import Event
from viseme.ledger import rows
from viseme.ledger.base import UNDER_WAY, Order, TakenOver
from viseme.ledger.charges import Stored
from viseme.ledger.works import (
    Add,
    Commit,
    Discard,
    ForgetUpload,
    Given,
    KeepUpload,
    Newcomer,
    NextRun,
    Outcome,
    Release,
    Step,
    TakeOrders,
    TakeOver,
    Work,
    WriteGates,
)
from viseme.ledger.writer import missing
from viseme.wording import quote

__all__ = ["Entry", "MemoryDisk"]

_ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})


@define(eq=False, repr=False)
class Entry:
    """A task on the disk."""

    order: int
    id: str
    key: str
    run: int
    account: str
    rank: int
    state: str
    parked: str | None
    fixed: str
    standing: str
    held: str | None
    """The text of the ``queued`` event that waits for the release; None once it is shown."""

    @property
    def queued(self) -> bool:
        """Whether it stands in its account's queue."""
        return self.state == "queued" and self.parked is None and self.held is None

    @property
    def open(self) -> bool:
        """Whether it can be seen and has not ended."""
        return self.held is None and self.state not in _ENDED

    def left(self, before: int) -> bool:
        """Whether a run numbered below ``before`` left it under way."""
        return self.run < before and self.state in UNDER_WAY and self.parked is None

    def row(self) -> TaskRow:
        """The task."""
        columns = self.run, self.account, self.state, self.parked
        return rows.task(self.order, rows.parse(self.fixed), rows.parse(self.standing), columns)


@define(eq=False, repr=False)
class MemoryDisk:
    """A disk for :class:`MemoryLedger`; outlives it, as a file outlives a process."""

    owner: object = None
    tasks: dict[int, Entry] = field(factory=dict[int, Entry])
    ids: dict[str, Entry] = field(factory=dict[str, Entry])
    keys: dict[str, Entry] = field(factory=dict[str, Entry])
    queues: dict[str, list[tuple[int, int]]] = field(factory=dict[str, list[tuple[int, int]]])
    open: list[int] = field(factory=list[int])
    events: list[tuple[int, Entry, int, str]] = field(factory=list[tuple[int, Entry, int, str]])
    intents: dict[str, tuple[str, float | None, str]] = field(factory=dict[str, tuple[str, float | None, str]])
    vendor_ids: dict[tuple[str, str], str] = field(factory=dict[tuple[str, str], str])
    seats: dict[str, str] = field(factory=dict[str, str])
    charges: dict[str, Stored] = field(factory=dict[str, Stored])
    uploads: dict[tuple[str, str], str] = field(factory=dict[tuple[str, str], str])
    orders: list[Order] = field(factory=list[Order])
    gates: str | None = None
    last_task: int = 0
    last_event: int = 0
    last_run: int = 0
    last_asked: int = 0

    def write(self, group: Iterable[Work]) -> list[Outcome]:
        """Apply works in order, each wholly or not at all."""
        return [self._apply(work) for work in group]

    def _apply(self, work: Work) -> Outcome:
        try:
            return _ACTIONS[type(work)](self, work)
        except LedgerError as error:
            return error

    # -- tasks -------------------------------------------------------------------------------------------------------

    def _add(self, work: Add) -> Given:
        self._refuse_known_ids(work)
        told: list[Event] = []
        found: list[TaskRow] = []
        for new in work.newcomers:
            entry = self.keys.get(new.row.key)
            found.append(self._place(new, work.held, told) if entry is None else entry.row())
        return Given(value=found, events=told)

    def _refuse_known_ids(self, work: Add) -> None:
        fresh = {new.row.key: new.row.id for new in work.newcomers[::-1] if new.row.key not in self.keys}
        names = list(fresh.values())
        for name in names:
            if name in self.ids or names.count(name) > 1:
                raise LedgerError(f"the task id {quote(name)} is taken already; ids are used once")

    def _place(self, new: Newcomer, held: bool, told: list[Event]) -> TaskRow:
        self.last_task += 1
        row = new.row
        entry = Entry(
            order=self.last_task,
            id=row.id,
            key=row.key,
            run=row.run,
            account=row.account,
            rank=rows.rank(row.job.priority),
            state=str(row.state),
            parked=None if row.parked is None else str(row.parked),
            fixed=new.fixed,
            standing=new.standing,
            held=new.queued_text if held else None,
        )
        self.tasks[entry.order] = self.ids[entry.id] = self.keys[entry.key] = entry
        if not held:
            self._enlist(entry)
            self._tell(entry, row.run, new.queued_text)
            told.append(rows.numbered(new.queued, self.last_event))
        return rows.placed(row, entry.order)

    def _tell(self, entry: Entry, run: int, text: str) -> None:
        self.last_event += 1
        self.events.append((self.last_event, entry, run, text))

    def _enlist(self, entry: Entry) -> None:
        if entry.queued:
            insort(self.queues.setdefault(entry.account, []), (entry.rank, entry.order))
        if entry.open:
            insort(self.open, entry.order)

    def _strike(self, entry: Entry) -> None:
        if entry.queued:
            queue = self.queues[entry.account]
            del queue[bisect_right(queue, (entry.rank, entry.order)) - 1]
        if entry.open:
            del self.open[bisect_right(self.open, entry.order) - 1]

    def _held(self, run: int | None) -> list[Entry]:
        return [entry for entry in self.tasks.values() if entry.held is not None and run in (None, entry.run)]

    def _release(self, work: Release) -> Given:
        before = self.last_event
        for entry in self._held(work.run):
            text, entry.held = entry.held, None
            self._enlist(entry)
            self._tell(entry, entry.run, text or "")
        return Given(span=(before, self.last_event))

    def _discard(self, work: Discard) -> Given:
        for entry in self._held(work.run):
            del self.tasks[entry.order], self.ids[entry.id], self.keys[entry.key]
        return Given()

    # -- steps -------------------------------------------------------------------------------------------------------

    def _commit(self, work: Commit) -> Given:
        for step in work.steps:
            row = step.change.row
            entry = self.tasks.get(row.order)
            if entry is None or entry.id != row.id or entry.held is not None:
                raise missing(row.id)
        return Given(events=[event for step in work.steps for event in self._step(step)])

    def _step(self, step: Step) -> list[Event]:
        change, row = step.change, step.change.row
        entry = self.tasks[row.order]
        self._strike(entry)
        entry.run, entry.account, entry.rank = row.run, row.account, rows.rank(row.job.priority)
        entry.state, entry.parked = str(row.state), None if row.parked is None else str(row.parked)
        if step.standing is not None:
            entry.standing = step.standing
        if step.fixed is not None:
            entry.fixed = step.fixed
        self._enlist(entry)
        if step.intent is not None:
            name, account, ended, text = step.intent
            self.intents[name] = (account, ended, text)
        if step.vendor_id is not None:
            self.vendor_ids.setdefault((row.account, step.vendor_id), entry.id)
        if step.claim is not None:
            self.vendor_ids[row.account, step.claim] = entry.id
        if change.closes is not None:
            self.seats.pop(change.closes, None)
        if step.opens is not None:
            self.seats[step.opens[0]] = step.opens[1]
        if change.refunds is not None:
            self.charges.pop(change.refunds, None)
        if step.charge is not None:
            self.charges[step.charge[0]] = step.charge
        return self._happened(step, entry)

    def _happened(self, step: Step, entry: Entry) -> list[Event]:
        told: list[Event] = []
        for event, text in zip(step.change.events, step.texts, strict=True):
            self._tell(entry, event.run, text)
            told.append(rows.numbered(event, self.last_event))
        return told

    def _take_over(self, work: TakeOver) -> Given:
        start = bisect_right(self.open, work.after)
        lot = [self.tasks[order] for order in self.open[start : start + work.limit]]
        accounts, but = rows.parse(work.accounts), rows.parse(work.but)
        left = [entry for entry in lot if entry.left(work.before) and entry.account in accounts and entry.id not in but]
        for entry in left:
            entry.run = work.run
        tasks = Counter(entry.account for entry in left)
        return Given(value=TakenOver(last=lot[-1].order, tasks=dict(tasks)) if lot else TakenOver())

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _run(self, _: NextRun) -> Given:
        self.last_run += 1
        return Given(value=self.last_run)

    def _take(self, _: TakeOrders) -> Given:
        found, self.orders = self.orders, []
        return Given(value=found)

    def _show(self, work: WriteGates) -> Given:
        self.gates = work.text
        return Given()

    def _keep(self, work: KeepUpload) -> Given:
        self.uploads[work.account, work.digest] = work.text
        return Given()

    def _forget(self, work: ForgetUpload) -> Given:
        self.uploads.pop((work.account, work.digest), None)
        return Given()

    def ask(self, order: Order) -> None:
        """Leave an order, as another process would."""
        self.last_asked += 1
        self.orders.append(Order(id=self.last_asked, verb=order.verb, key=order.key))

    def beyond(self, after: int) -> Sequence[tuple[int, Entry, int, str]]:
        """The events after an order."""
        return self.events[bisect_right(self.events, after, key=_first) :]


def _first(event: tuple[int, Entry, int, str]) -> int:
    return event[0]


_ACTIONS: Final[dict[type[Work], Callable[[MemoryDisk, Any], Given]]] = {
    Add: MemoryDisk._add,  # pyright: ignore[reportPrivateUsage]
    Commit: MemoryDisk._commit,  # pyright: ignore[reportPrivateUsage]
    Release: MemoryDisk._release,  # pyright: ignore[reportPrivateUsage]
    Discard: MemoryDisk._discard,  # pyright: ignore[reportPrivateUsage]
    NextRun: MemoryDisk._run,  # pyright: ignore[reportPrivateUsage]
    TakeOrders: MemoryDisk._take,  # pyright: ignore[reportPrivateUsage]
    TakeOver: MemoryDisk._take_over,  # pyright: ignore[reportPrivateUsage]
    WriteGates: MemoryDisk._show,  # pyright: ignore[reportPrivateUsage]
    KeepUpload: MemoryDisk._keep,  # pyright: ignore[reportPrivateUsage]
    ForgetUpload: MemoryDisk._forget,  # pyright: ignore[reportPrivateUsage]
}
