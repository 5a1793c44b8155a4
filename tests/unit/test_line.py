"""The line of an account: who comes next, who runs ahead of a seat, whose turn it is, and who is told of that."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field
from tests.support.house import account, house
from tests.support.virtual import simulated_world, virtually
from tests.support.workshop import Staged

from viseme.attempts import TaskRow
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.lifecycle.line import Line
from viseme.jobs import Job
from viseme.ledger.base import Rank
from viseme.results import Reason, State


def row(name: str, order: int, **options: Any) -> TaskRow:
    job = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav", key=name, options=options)
    return TaskRow(id=name, key=name, job=job, digest="d", account="house", order=order)


@define
class Pages:
    """A book that only reads the line."""

    rows: list[TaskRow]
    read: list[Rank | None] = field(factory=list["Rank | None"])

    async def queued(self, name: str, run: int, after: Rank | None, limit: int) -> list[TaskRow]:
        self.read.append(after)
        behind = [one for one in self.rows if after is None or (0, one.order) > after]
        return behind[:limit]


@define
class Setting:
    line: Line
    told: list[str]

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
    return Setting(Line(book, desk, 0, lambda task: False, lambda: told.append("told")), told)


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
