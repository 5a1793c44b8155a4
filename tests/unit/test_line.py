"""The line of an account: who comes next, who runs ahead of a seat, whose turn it is, and who is told of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field
from tests.support.house import account, house
from tests.support.virtual import simulated_world, virtually
from tests.support.workshop import Staged

from viseme.attempts import TaskRow
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.lifecycle.line import Line, stands_in_line
from viseme.engine.lifecycle.pages import rank_of
from viseme.jobs import Job
from viseme.ledger.base import Rank
from viseme.results import Reason, State


def row(name: str, order: int, *, priority: int = 0, **options: Any) -> TaskRow:
    media = {"video": "https://m.example/v.mp4", "audio": "https://m.example/a.wav"}
    job = Job(**media, key=name, options=options, priority=priority)
    return TaskRow(id=name, key=name, job=job, digest="d", account="house", order=order)


@define
class Pages:
    """A book that only reads the line.

    Attributes:
        fresh: the rows that were just added, as the book knows them.
        meanwhile: called while the line is read.
    """

    rows: list[TaskRow]
    read: list[Rank | None] = field(factory=list["Rank | None"])
    fresh: dict[str, TaskRow] = field(factory=dict[str, TaskRow])
    meanwhile: Callable[[], None] = lambda: None

    def known(self, task: str) -> TaskRow | None:
        return self.fresh.get(task)

    async def queued(self, name: str, run: int, after: Rank | None, limit: int) -> list[TaskRow]:
        self.read.append(after)
        behind = [one for one in sorted(self.rows, key=rank_of) if after is None or rank_of(one) > after]
        self.meanwhile()
        return behind[:limit]


@define
class Setting:
    line: Line
    told: list[str]
    book: Pages

    def add(self, *rows: TaskRow, known: bool = True) -> None:
        """Tasks are added to the ledger."""
        self.book.rows += rows
        self.book.fresh.update({row.id: row for row in rows if known})
        self.line.added(sorted(rows, key=rank_of))

    def woken(self) -> int:
        """How often somebody was told since the last time that a create may have become possible."""
        found = len(self.told)
        self.told.clear()
        return found


def setting(provider: Any, *rows: TaskRow) -> Setting:
    world, told = simulated_world(), list[str]()
    pool = pools_of(world.world, [provider])["house"]
    desk = Desk(world.world, provider.account, provider, pool, world.network)
    book: Any = Pages(list(rows))
    return Setting(Line(book, desk, 0, lambda task: False, lambda: told.append("told")), told, book)


def staged(*rows: TaskRow, seats: int = 1) -> Setting:
    return setting(Staged(account(concurrency=seats)), *rows)


@virtually
async def test_whoever_ran_ahead_of_the_seats_and_ended_makes_room_for_the_next() -> None:
    first, second = row("a", 1), row("b", 2)
    at = staged(first, second)
    assert await at.line.next() is first
    assert await at.line.next() is None
    at.line.follow(evolve(first, state=State.CANCELLED))
    assert at.woken() == 1
    assert await at.line.next() is second


@virtually
async def test_whoever_has_its_seat_runs_ahead_no_more() -> None:
    first, second = row("a", 1), row("b", 2)
    at = staged(first, second)
    assert await at.line.next() is first
    at.line.desk.pool.seats.take("a:1")
    at.line.follow(evolve(first, state=State.CREATING, attempt=1))
    assert at.line.ahead == set()
    assert await at.line.next() is second


@virtually
async def test_whose_turn_comes_goes_before_those_who_were_not_read_yet() -> None:
    first, second, third = (row(name, order, stages=["dub"], project="p") for order, name in enumerate("abc", 1))
    at = staged(first, second, third, seats=4)
    assert await at.line.next() is first
    assert await at.line.next() is None
    at.line.follow(evolve(first, state=State.WAITING))
    assert at.woken() == 0
    at.line.follow(evolve(first, state=State.SUCCEEDED))
    assert at.woken() == 1
    assert await at.line.next() is second
    assert await at.line.next() is None


@virtually
async def test_whose_turn_comes_while_the_line_is_read_is_not_forgotten() -> None:
    first, second = (row(name, order, stages=["dub"], project="p") for order, name in enumerate("ab", 1))
    third = row("c", 3)
    at = staged(first, second, seats=4)
    assert await at.line.next() is first
    assert await at.line.next() is None
    at.book.rows.append(third)
    at.line.arrived(rank_of(third))
    at.book.meanwhile = lambda: at.line.follow(evolve(first, state=State.SUCCEEDED))
    assert await at.line.next() is second
    assert await at.line.next() is third


@virtually
async def test_whoever_had_left_the_line_before_it_was_its_turn_keeps_no_turn() -> None:
    first, second = (row(name, order, stages=["dub"], project="p") for order, name in enumerate("ab", 1))
    at = staged(first, second, seats=4)
    gone = evolve(first, state=State.CANCELLED)
    at.line.follow(gone)
    assert await at.line.next() is first
    assert await at.line.next() is None
    at.woken()
    at.line.tried(gone)
    assert at.woken() == 1
    assert await at.line.next() is second


@virtually
async def test_a_task_that_went_to_another_account_stands_in_line_there() -> None:
    here = row("a", 1)
    desk = plain().line.desk
    assert stands_in_line(desk, here)
    assert not stands_in_line(desk, evolve(here, account="elsewhere"))
    assert not stands_in_line(desk, evolve(here, parked=Reason.STOPPED))
    assert not stands_in_line(desk, evolve(here, state=State.CREATING))


@virtually
async def test_whoever_wants_what_a_parked_task_may_be_working_on_is_barred_from_it() -> None:
    first, second = (row(name, order, stages=["dub"], project="p") for order, name in enumerate("ab", 1))
    at = staged(first, second, seats=4)
    assert await at.line.next() is first
    at.line.follow(evolve(first, state=State.RECONCILING, parked=Reason.FATE_UNKNOWN))
    assert await at.line.next() is None
    assert at.line.barred == [(second, "a")]


@virtually
async def test_the_end_of_a_task_that_holds_nobody_up_wakes_nobody() -> None:
    first, second = row("a", 1), row("b", 2)
    at = setting(house(given=account(concurrency=4)), first, second)
    assert await at.line.next() is first
    at.line.follow(evolve(first, state=State.SUCCEEDED))
    assert not at.line.shares
    assert at.woken() == 0
    assert await at.line.next() is second


@virtually
async def test_a_task_whose_media_came_late_goes_by_its_rank() -> None:
    first, second, third = row("a", 1), row("b", 2), row("c", 3)
    at = setting(house(given=account(concurrency=4)), second, third)
    at.line.bring(first)
    assert [await at.line.next() for _ in range(4)] == [first, second, third, None]


def plain(*rows: TaskRow) -> Setting:
    return setting(house(given=account(concurrency=9)), *rows)


async def in_line(at: Setting) -> list[TaskRow]:
    """All that stand in line, in the order in which they go; now they stand there no more."""
    found: list[TaskRow] = []
    while (first := await at.line.next()) is not None:
        found.append(first)
        at.book.rows.remove(first)
    return found


@virtually
async def test_tasks_that_are_added_behind_a_line_that_was_read_to_its_end_are_not_read_back() -> None:
    first, second, third, fourth = (row(name, order) for order, name in enumerate("abcd", 1))
    at = plain(first)
    assert await in_line(at) == [first]
    at.add(second, third)
    assert at.woken() == 1
    assert await at.line.next() is second
    at.add(fourth)
    assert [await at.line.next() for _ in range(3)] == [third, fourth, None]
    assert at.book.read == [None]


@virtually
async def test_a_task_with_a_higher_priority_goes_before_those_that_were_added_before_it() -> None:
    first, second = row("a", 1), row("b", 2)
    low, high = row("c", 3, priority=-1), row("d", 4, priority=1)
    at = plain()
    assert await in_line(at) == []
    at.add(first, second)
    at.add(high, low)
    assert await in_line(at) == [high, first, second, low]


@virtually
async def test_tasks_that_are_added_in_one_go_stand_in_line_by_rank() -> None:
    low, middle, high = row("a", 1, priority=-1), row("b", 2), row("c", 3, priority=1)
    at = plain()
    assert await in_line(at) == []
    at.add(low, middle, high)
    assert await in_line(at) == [high, middle, low]
    assert at.book.read == [None]


@virtually
async def test_tasks_that_are_added_before_the_line_was_read_to_its_end_are_read_in_their_turn() -> None:
    waiting = [row(f"w{order}", order) for order in range(1, 80)]
    last = row("l", 80)
    at = plain(*waiting)
    assert await at.line.next() is waiting[0]
    at.add(last)
    del at.book.rows[0]
    assert await in_line(at) == [*waiting[1:], last]


@virtually
async def test_tasks_that_are_added_while_the_line_is_read_are_read_next() -> None:
    first, second = row("a", 1), row("b", 2)
    at = plain()
    assert await in_line(at) == []

    def added_meanwhile() -> None:
        at.book.meanwhile = lambda: None
        at.add(second)
        at.woken()

    at.book.meanwhile = added_meanwhile
    at.book.rows.append(first)
    at.line.arrived(rank_of(first))
    assert await in_line(at) == [first, second]
    assert len(at.book.read) == 3


@virtually
async def test_tasks_for_which_the_book_had_no_room_are_read_from_the_ledger() -> None:
    first, second, third = (row(name, order) for order, name in enumerate("abc", 1))
    at = plain()
    assert await in_line(at) == []
    at.add(first)
    at.add(second, known=False)
    at.add(third)
    assert await in_line(at) == [first, second, third]
    assert len(at.book.read) > 1


@virtually
async def test_a_task_that_is_put_back_goes_first_again_and_stands_in_line_once() -> None:
    first, second = row("a", 1), row("b", 2)
    at = plain(first, second)
    at.line.bring(first)
    assert await at.line.next() is first
    at.line.put_back(first)
    at.line.put_back(first)
    assert await in_line(at) == [first, second]
    at.add(third := row("c", 3))
    assert await at.line.next() is third
    at.line.put_back(third)
    assert await in_line(at) == [third]
