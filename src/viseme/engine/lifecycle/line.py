"""The line of one account's tasks: whose create comes next, as far as rank, seats and turns say."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count

from attrs import define, field

from viseme.attempts import Intent, TaskRow
from viseme.engine.admission.desk import Desk
from viseme.engine.admission.turns import Turns
from viseme.engine.lifecycle.book import Book
from viseme.engine.lifecycle.pages import Pages, rank_of
from viseme.ledger.base import Rank
from viseme.providers.base import Provider
from viseme.results import ENDED, State

__all__ = ["BATCH", "Line", "intent_for", "seat_of", "stage_of", "stands_in_line"]

BATCH = "batch"
"""The ``mode`` of a task that is created together with others, and so needs no seat."""
_Place = tuple[Rank, int, TaskRow]


def stage_of(desk: Desk, row: TaskRow) -> str:
    """The stage that the task's next create starts."""
    return row.stage or desk.provider.stages(row.job)[0]


def seat_of(row: TaskRow) -> str:
    """The seat that the task's next create takes: a stage after the first goes on in the attempt's seat."""
    return row.seat if row.handles else f"{row.id}:{row.attempt + 1}"


def stands_in_line(desk: Desk, row: TaskRow) -> bool:
    """Whether a task waits for its turn at this account. One that was read in line may be at another one by now."""
    return row.state is State.QUEUED and not row.parked and row.account == desk.name


def intent_for(desk: Desk, row: TaskRow, name: str, now: float) -> Intent:
    """The intent of the task's next create."""
    return Intent(
        id=name,
        task=row.id,
        account=desk.name,
        model=desk.provider.model(row.job).name,
        endpoint=desk.provider.base,
        attempt=row.attempt if row.handles else row.attempt + 1,
        stage=stage_of(desk, row),
        key=f"viseme-{name}",
        at=now,
        digest=row.digest,
    )


@define(eq=False, repr=False)
class Line:
    """Queued tasks wait in the ledger and are read a page at a time; those between two stages are kept here, and so are
    those that were just added behind a line that was read to its end.

    Attributes:
        first_run: tasks of older runs are left alone.
        busy: whether a task's create is under way.
        changed: called when a create may have become possible.
        wanting: whether a task has to wait for its media; it is brought once the vendor has them.
    """

    book: Book
    desk: Desk
    first_run: int
    busy: Callable[[str], bool]
    changed: Callable[[], None]
    wanting: Callable[[TaskRow], bool] = field(default=lambda row: False)
    _front: deque[TaskRow] = field(factory=deque[TaskRow])
    """What was read of it, and whose turn has come."""
    _pages: Pages = field(init=False)
    _between: list[_Place] = field(factory=list["_Place"])
    """Between two stages, and in need of no further seat."""
    _unseated: list[_Place] = field(factory=list["_Place"])
    """Between two stages, and waiting for a seat."""
    _brought: list[_Place] = field(factory=list["_Place"])
    """Behind the reading, and ready now: the vendor has their media."""
    _tickets: count[int] = field(factory=count)
    ahead: set[str] = field(factory=set[str])
    """Begun with a stage that costs nothing, and without a seat so far."""
    _turns: Turns = field(factory=Turns)
    _held_up: dict[str, tuple[str, str]] = field(factory=dict[str, tuple[str, str]])
    """Things (projects) whose task is parked with its work perhaps under way: that task's id and key."""
    barred: list[tuple[TaskRow, str]] = field(factory=list[tuple[TaskRow, str]], init=False)
    """Tasks that cannot go on since another one's work on the same thing is unsettled, with that one's key."""
    shares: bool = field(init=False)
    """Whether there are things at this vendor that only one task may work on at a time."""
    _free_stages: frozenset[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.shares = type(self.desk.provider).exclusive is not Provider.exclusive
        self._free_stages = self.desk.provider.sheet.free_stages
        self._pages = Pages(self.book.queued, self.desk.name, self.first_run, more=True)

    # -- who comes -------------------------------------------------------------------------------------------------

    def arrived(self, rank: Rank | None = None) -> None:
        """A queued task was added, or came back, with this rank (None: any)."""
        if self._pages.arrived(rank):
            self._front.clear()
        self.changed()

    def added(self, rows: Sequence[TaskRow]) -> None:
        """Queued tasks were added, by rank: where the line has no other behind it, and the book knows them, they stand
        in it as they are, and are not read back."""
        first, pages = rank_of(rows[0]), self._pages
        at_its_end = not (pages.more or pages.reading) and (pages.after is None or pages.after < first)
        if not at_its_end or any(self.book.known(row.id) is not row for row in rows):
            self.arrived(first)
            return
        self._front.extend(rows)
        pages.after = rank_of(rows[-1])
        self.changed()

    def goes_on(self, row: TaskRow) -> None:
        """A task is done with one stage, and the next is to be created."""
        ready = self.free(row) or self.desk.pool.seats.holds(row.seat)
        heapq.heappush(self._between if ready else self._unseated, (rank_of(row), next(self._tickets), row))
        self.changed()

    def bring(self, row: TaskRow) -> None:
        """A task whose media the vendor has takes its place."""
        heapq.heappush(self._brought, (rank_of(row), next(self._tickets), row))
        self.changed()

    def put_back(self, row: TaskRow) -> None:
        """A task that was taken out of the line cannot begin yet after all."""
        if row.handles:
            ready = self.desk.pool.seats.holds(row.seat)
            heapq.heappush(self._between if ready else self._unseated, (rank_of(row), next(self._tickets), row))
        elif not self._front or self._front[0].id != row.id:  # it was brought, and stands in line besides
            self._front.appendleft(row)

    def follow(self, row: TaskRow) -> None:
        """A task has moved: it may have got its seat, or its turn, or have let go of them."""
        if row.id in self.ahead and self.desk.pool.seats.holds(row.seat):
            self.ahead.discard(row.id)
        name = self.desk.provider.exclusive(row.job) if self.shares else None
        if name is not None:
            self._note(name, row)
        if row.parked is not None or row.state in ENDED:
            self.let_go(row.id)
        elif row.state is not State.QUEUED and name is not None:
            self._turns.enter(name, row.id)

    def _note(self, name: str, row: TaskRow) -> None:
        """Remember a thing that nobody else may work on, although its task is parked; or that it is free again."""
        if row.parked is not None and row.state in (State.CREATING, State.RECONCILING, State.WAITING):
            self._held_up[name] = (row.id, row.key)
        elif self._held_up.get(name, ("", ""))[0] == row.id:
            del self._held_up[name]

    def tried(self, row: TaskRow) -> None:
        """A create is over; a task that did not begin runs ahead of no seat, and one that had left has no turn."""
        if row.parked is not None or row.state in ENDED or row.account != self.desk.name:
            self.let_go(row.id)
        elif row.state is State.QUEUED and not row.handles:
            self.ahead.discard(row.id)

    def let_go(self, task: str) -> None:
        """A task has ended, parked, or left for another account."""
        waiting = self._turns.leave(task) if self.shares else None
        if waiting is not None:
            self._front.appendleft(waiting)
        if waiting is not None or task in self.ahead:
            self.ahead.discard(task)
            self.changed()

    # -- who goes --------------------------------------------------------------------------------------------------

    async def anyone(self) -> bool:
        """Whether a task stands in line."""
        if not self._front and self._pages.more:
            await self._read()
        return bool(self._front or self._brought or self._between or self._unseated)

    async def next(self) -> TaskRow | None:
        """The task whose create may begin now, taken out of the line; None if there is none."""
        while True:
            row = self._pop(self._between) if self._between else None
            if row is None and self._unseated and self.desk.pool.seats.free > 0:
                row = self._pop(self._unseated)
            if row is not None:
                return row
            if not self._front and self._pages.more:
                await self._read()
            first, brought = self._first()
            if first is None:
                return None
            free = self.free(first)
            if not self._admits(first, free=free):
                return None
            if brought:
                heapq.heappop(self._brought)
            else:
                self._front.popleft()
            if self.busy(first.id) or self.wanting(first) or (self.shares and not self._has_turn(first)):
                continue
            if free:
                self.ahead.add(first.id)
            return first

    def _has_turn(self, row: TaskRow) -> bool:
        """Whether a task may work on its thing now; if not, it waits for its turn, or is barred from it."""
        name = self.desk.provider.exclusive(row.job)
        if name in self._held_up:
            self.barred.append((row, self._held_up[name][1]))
            return False
        if name is None or self._turns.enter(name, row.id):
            return True
        self._turns.wait(name, row)
        return False

    def _pop(self, places: list[_Place]) -> TaskRow | None:
        """The first whose create before is over; the others keep their places until it is."""
        busy: list[_Place] = []
        found: TaskRow | None = None
        while places and found is None:
            place = heapq.heappop(places)
            if self.busy(place[2].id):
                busy.append(place)
            else:
                found = place[2]
        for place in busy:
            heapq.heappush(places, place)
        return found

    def _first(self) -> tuple[TaskRow | None, bool]:
        """The first that has not begun, and whether it was brought."""
        if self._brought and (not self._front or self._brought[0][0] <= rank_of(self._front[0])):
            return self._brought[0][2], True
        return (self._front[0] if self._front else None), False

    def free(self, row: TaskRow) -> bool:
        """Whether the task's next stage costs nothing, and so needs no seat."""
        return bool(self._free_stages) and stage_of(self.desk, row) in self._free_stages

    def _admits(self, row: TaskRow, *, free: bool) -> bool:
        """Whether a task may begin: in a seat, or, with a stage that costs nothing, as one of so many as have seats."""
        seats = self.desk.pool.seats
        if row.mode == BATCH:
            return True
        return len(self.ahead) < seats.limit if free else seats.free > 0

    async def _read(self) -> None:
        rows = await self._pages.read()
        come = {row.id for row in self._front}  # whose turn came meanwhile
        self._front.extend(
            [
                row
                for row in rows
                if not (row.handles or row.id in come or self.busy(row.id) or self._turns.waits(row.id))
            ]
        )

    def clear(self) -> None:
        """Forget all that stand in line; who still does arrives anew."""
        self._front.clear()
        self._brought.clear()
        self._between.clear()
        self._unseated.clear()
        self._turns.clear()

    async def queued(self) -> list[TaskRow]:
        """A page of all that stand in line, by rank."""
        rows = await self.book.queued(self.desk.name, self.first_run, None, 500)
        return [row for row in rows if not self.busy(row.id)]
