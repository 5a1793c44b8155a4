"""Where tasks change: every step of every task is decided, written and told of here, one step of a task at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Self

from anyio import Lock
from attrs import Factory, define, field, frozen

from viseme.attempts import TaskRow
from viseme.engine.holdings import Holdings
from viseme.engine.journal import Journal
from viseme.engine.lifecycle.advance import advance
from viseme.engine.lifecycle.ahead import Ahead
from viseme.engine.lifecycle.carrying import Carrying
from viseme.engine.lifecycle.signals import Intended, Observed, Signal
from viseme.engine.lifecycle.steps import Next, Policy, Step
from viseme.engine.uncut import uncut
from viseme.engine.world import World
from viseme.events import Event, EventType
from viseme.evolving import evolve
from viseme.ledger.base import Change, Ledger, Rank, TakenOver

__all__ = ["Book", "Hold", "UnknownTask"]

_RECENT = 512
"""So many tasks are remembered as they were written last; what was read before them is not trusted beyond that."""
_ADDED = 1024
"""So many tasks that were just added are kept until they begin, 3 KB each: they are not read back (20 µs each)."""


class UnknownTask(KeyError):
    """The ledger has no task of that id."""


@define(eq=False, repr=False)
class Hold:
    """The right to change one task, while the block lasts. ``row`` is how it stands; ``take`` moves it on.

    Attributes:
        row: what its holder learns of the task may be put into it, and is written with the next step.
        kept: the row as the ledger has it.
    """

    _book: Book
    _task: str
    row: TaskRow = field(init=False)
    kept: TaskRow = field(init=False)
    policy: Policy = field(init=False)

    async def __aenter__(self) -> Self:
        book, task = self._book, self._task
        if not book.held.take_now(task):
            await book.held.take(task)
        try:
            if book.taking.locked():
                await book.taken_over([task])
            self.row = self.kept = book.known(task) or await book.look(task)
            self.policy = book.policy_of(self.row)
        except BaseException:
            book.held.let_go(task)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._book.held.let_go(self._task)

    def take(self, signal: Signal) -> Awaitable[Step | None]:
        """Advance the task by a signal; durable, and told to readers, once this was awaited, but for a look that saw
        the result: that waits a moment for what comes of it.

        None: the signal changed nothing.
        """
        return self._book.write(self, signal)


@frozen
class _Page:
    """Tasks as they were read, and how much was written before that."""

    rows: Mapping[str, TaskRow]
    written: int


@define(eq=False, repr=False)
class Book:
    """The tasks as the ledger has them, and the order in which they change.

    Attributes:
        on_step: called after a step is durable (or may wait to be), before anyone else changes the task.
        policy_of: what the user allows for a task.
        held: the tasks that someone has.
        first_run: the first run of this engine; those numbered below it are dead.
        taking: had while tasks of theirs are taken over.
    """

    world: World
    ledger: Ledger
    journal: Journal
    policy_of: Callable[[TaskRow], Policy]
    on_step: Callable[[Step], None]
    held: Holdings = field(factory=Holdings, init=False)
    first_run: int = field(default=0, init=False)
    taking: Lock = field(factory=Lock, init=False)
    ahead: Ahead = field(
        init=False, default=Factory(lambda self: Ahead(self.world, self.ledger, self._remember), takes_self=True)
    )
    _recent: OrderedDict[str, TaskRow] = field(factory=OrderedDict[str, TaskRow])
    _added: dict[str, TaskRow] = field(factory=dict[str, TaskRow])
    """Tasks that nobody has changed since they were added."""
    _written: int = 0
    """How many rows were written."""
    _pages: dict[str, _Page] = field(factory=dict[str, _Page])
    """The last page of open tasks that was read, and the last two of each account's line."""
    _progress: dict[str, int] = field(factory=dict[str, int])
    """Sequence numbers that progress events used up, by task; they are not persisted."""

    def hold(self, task: str) -> Hold:
        """Have a task for oneself. Entering raises UnknownTask where the ledger has none of that id."""
        return Hold(self, task)

    def busy(self, task: str) -> bool:
        """Whether someone holds the task now."""
        return task in self.held

    async def look(self, task: str) -> TaskRow:
        """The task as it stands, for whoever does not change it.

        Raises UnknownTask where the ledger has none of that id.
        """
        row = self.known(task)
        if row is not None:
            return row
        rows = await self.look_at([task])
        if not rows:
            raise UnknownTask(task)
        return rows[0]

    async def look_at(self, tasks: Sequence[str]) -> list[TaskRow]:
        """The tasks as they stand, for whoever does not change them; unknown ids are left out.

        What was written last wins over what the ledger reads, which may be of a moment ago.
        """
        found = {task: self.known(task) for task in tasks}
        unknown = [task for task, row in found.items() if row is None]
        if unknown:
            found.update({row.id: row for row in await self.ledger.tasks(unknown)})
        rows = (self.ahead.row(task) or self._recent.get(task) or found[task] for task in tasks)
        return [row for row in rows if row is not None]

    def known(self, task: str) -> TaskRow | None:
        """The task as it stands, if that is remembered, or was read and cannot have changed since."""
        row = self.ahead.row(task) or self._recent.get(task) or self._added.get(task)
        if row is None:
            for page in self._pages.values():
                if task in page.rows and self._written - page.written <= _RECENT:
                    return page.rows[task]
        return row

    async def add(self, rows: Sequence[TaskRow], *, held: bool = False) -> list[TaskRow]:
        """Add tasks, as the ledger does; those that can be seen at once are known until they change, if there is room.

        That is safe as long as whatever was written meanwhile is remembered too.
        """
        written = self._written
        stored = await self.ledger.add(rows, held=held)
        if not held and self._written - written <= _RECENT:
            new = [kept for given, kept in zip(rows, stored, strict=True) if kept.id == given.id]
            room = _ADDED - len(self._added)
            self._added.update({row.id: row for row in new[:room] if row.id not in self._recent})
        return stored

    async def open_tasks(self, after: int, limit: int, *, run: int | None = None) -> list[TaskRow]:
        """A page of the tasks that have not ended, as the ledger reads them.

        It is kept until the next one: who then changes these tasks need not have them read again. That is safe as long
        as whatever was written since is remembered too.
        """
        written = self._written
        rows = await self.ledger.open_tasks(after, limit, run=run)
        self._pages["open"] = _Page({row.id: row for row in rows}, written)
        return rows

    async def queued(self, account: str, run: int, after: Rank | None, limit: int) -> list[TaskRow]:
        """A page of an account's line, as the ledger reads it.

        It is kept as well, and the one before it too: the last of that may be about to begin.
        """
        written, name = self._written, f"line {account}"
        rows = await self.ledger.queued(account, run, after, limit)
        if name in self._pages:
            self._pages[f"{name}, before"] = self._pages[name]
        self._pages[name] = _Page({row.id: row for row in rows}, written)
        return rows

    async def take_over(self, run: int, after: int, limit: int, accounts: Collection[str]) -> TakenOver:
        """Let a run have what dead ones left under way, of the next open tasks: as the ledger says, and durable.

        What someone holds is left alone, and who takes hold of one of these tasks meanwhile waits, so that none is
        written by anyone who knew it as it was before.
        """
        async with self.taking:
            lot = self.ledger.take_over(
                run, after, limit, before=self.first_run, accounts=accounts, but=list(self.held)
            )
            try:
                return await uncut(lot)
            finally:
                self._recent.clear()
                self._written += _RECENT + 1  # what is known of pages is of no use either, nor of those being read

    async def taken_over(self, tasks: Sequence[str]) -> None:
        """Wait, for tasks that the caller holds, until none of them is being taken over; no live run's is."""
        rows = [self.known(task) for task in tasks]
        if any(row is None or row.run < self.first_run for row in rows):
            async with self.taking:
                pass

    async def write(self, hold: Hold, signal: Signal) -> Step | None:
        """Decide a step, commit it and tell of it, whatever cancels the caller meanwhile."""
        at = self.world.now()
        step = self._step(hold.row, signal, hold.policy, at)
        if step is None:
            return None
        change = _change(step, at, hold.kept)
        if _may_wait(signal, step):
            self.ahead.put(change)
            self.on_step(step)
        else:
            await self._carry_out((step,), (change,), patient=not isinstance(signal, Intended))
        hold.row = hold.kept = step.row
        return step

    def _carry_out(self, steps: Sequence[Step], changes: Sequence[Change], *, patient: bool) -> Awaitable[None]:
        """Write changes and act on them. What already happened at the vendor is tried again before it is given up."""
        leaving = self.ahead.leaving
        if leaving and not leaving.isdisjoint(step.row.id for step in steps):
            return uncut(self._carry_after(steps, changes, patient))
        return self._carry(steps, changes, patient)

    async def _carry_after(self, steps: Sequence[Step], changes: Sequence[Change], patient: bool) -> None:
        """Carry them out behind the steps that are on their way to the disk by themselves."""
        for step in steps:
            await self.ahead.left(step.row.id)
        await self._carry(steps, changes, patient)

    def _carry(self, steps: Sequence[Step], changes: Sequence[Change], patient: bool) -> Awaitable[None]:
        for change in changes:
            self.ahead.take_along(change)
        act, undo = partial(self._act, steps), partial(self._undo, steps)
        return Carrying(self.world, self.ledger, changes, act, patient, undo).to_the_end()

    def _act(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.ahead.over(step.row.id, written=True)
            self._remember(step.row)
            self.on_step(step)

    def _undo(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.ahead.over(step.row.id, written=False)

    async def write_all(self, changes: Sequence[tuple[Hold, Signal]], *, patient: bool = True) -> None:
        """Decide a step for each of many tasks that the caller holds, and commit them in one.

        Args:
            patient: whether a commit that the disk refuses is tried again for a while.
        """
        at = self.world.now()
        decided = [(hold, self._step(hold.row, signal, hold.policy, at)) for hold, signal in changes]
        steps = [(hold, step) for hold, step in decided if step is not None]
        if steps:
            new = [_change(step, at, hold.kept) for hold, step in steps]
            await self._carry_out([step for _, step in steps], new, patient=patient)
        for hold, step in steps:
            hold.row = hold.kept = step.row

    async def write_idle(
        self, tasks: Sequence[str], signal: Signal, *, where: Callable[[TaskRow], bool], patient: bool = False
    ) -> tuple[int, list[str]]:
        """The same signal for many tasks, in one commit, as far as nobody has them.

        Args:
            where: asked of each row as it stands once it is held; the others are left alone.
            patient: whether a commit that the disk refuses is tried again for a while.

        Returns:
            how many rows changed, and the ids of the tasks that someone has.
        """
        busy = [task for task in tasks if task in self.held]
        free = [task for task in dict.fromkeys(tasks) if self.held.take_now(task)]
        try:
            if self.taking.locked():
                await self.taken_over(free)
            rows = [row for row in await self.look_at(free) if where(row)]
            return await self._write_many(rows, signal, patient=patient), busy
        finally:
            for task in free:
                self.held.let_go(task)

    async def write_busy(self, tasks: Sequence[str], signal: Signal, *, where: Callable[[TaskRow], bool]) -> int:
        """The same signal for tasks that someone has, each as soon as it is let go of; returns how many changed.

        Args:
            where: asked of each row as it stands then; the others are left alone.
        """
        changed = 0
        for task in tasks:
            async with self.hold(task) as hold:
                changed += where(hold.row) and await hold.take(signal) is not None
        return changed

    async def _write_many(self, rows: Sequence[TaskRow], signal: Signal, *, patient: bool) -> int:
        """A step that leaves its row as the ledger has it is acted on at once, and costs the ledger nothing."""
        at = self.world.now()
        decided = [(row, self._step(row, signal, self.policy_of(row), at)) for row in rows]
        steps = [(row, step) for row, step in decided if step is not None]
        for row, step in steps:
            if _is_written(step, row):
                self.on_step(step)
        new = [(step, _change(step, at, row)) for row, step in steps if not _is_written(step, row)]
        if new:
            await self._carry_out([step for step, _ in new], [change for _, change in new], patient=patient)
        return len(steps)

    def _step(self, row: TaskRow, signal: Signal, policy: Policy, at: float) -> Step | None:
        """What follows; None where the signal changes nothing."""
        told = self._progress.get(row.id)
        if told is None:
            return advance(row, signal, policy, at)
        step = advance(row if told <= row.seq else evolve(row, seq=told), signal, policy, at)
        if step is not None:
            del self._progress[row.id]
        return step

    def progress(self, task: str, key: str, run: int, seq: int, data: Mapping[str, Any]) -> None:
        """Tell of progress, which is not persisted."""
        number = max(seq, self._progress.get(task, 0)) + 1
        self._progress[task] = number
        at = self.world.now()
        event = Event(seq=number, task=task, key=key, type=EventType.PROGRESS, at=at, data=data, run=run)
        self.journal.publish((event,))

    def _remember(self, row: TaskRow) -> None:
        self._written += 1
        self._added.pop(row.id, None)
        self._recent[row.id] = row
        self._recent.move_to_end(row.id)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)


def _change(step: Step, at: float, kept: TaskRow) -> Change:
    """What is written of a step; ``kept`` is the row as the ledger has it."""
    row = step.row
    seq = row.seq - len(step.events)
    events: tuple[Event, ...] = ()
    for kind, data in step.events:  # one, nearly always
        seq += 1
        events += (Event(seq=seq, task=row.id, key=row.key, type=kind, at=at, data=data, run=row.run),)
    refunds = step.ends.id if step.ends is not None and step.charge is None else None
    return Change(row, kept, events, step.intent, step.opens, step.closes, step.charge, refunds)


def _may_wait(signal: Signal, step: Step) -> bool:
    """Whether a step may be acted on before it is written: the vendor would tell the same again."""
    return isinstance(signal, Observed) and step.next is Next.FETCH


def _is_written(step: Step, kept: TaskRow) -> bool:
    """Whether the ledger has all that a step leads to."""
    return step.row is kept and not (
        step.events or step.intent or step.opens or step.closes or step.charge or step.ends
    )
