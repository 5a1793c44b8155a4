"""The poll hub: who is looked at when, and with whom together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import define, field
from tests.support.virtual import settled, simulated_world, virtually

from viseme.attempts import TaskRow
from viseme.config import Polling
from viseme.engine.polling.cadence import Cadence
from viseme.engine.polling.hub import Hub
from viseme.engine.polling.watches import Watch
from viseme.jobs import Job
from viseme.providers.base import Sheet
from viseme.results import State, Timings

SHEET = Sheet(base_url="https://h.example", models={}, rates={}, concurrency=1, first=10.0, every=8.0)
JOB = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav")


def row(name: str, **more: Any) -> TaskRow:
    given = {"handle": {"id": f"v-{name}"}, "state": State.WAITING, **more}
    return TaskRow(id=name, key=name, job=JOB, digest="d", account="house", **given)


@define(eq=False)
class Desk:
    """A hub whose looks are noted: when, and at whom. ``then`` is done with each batch."""

    hub: Hub = field(init=False)
    looks: list[tuple[float, list[str]]] = field(factory=list[tuple[float, list[str]]])
    then: Callable[[list[Watch]], Awaitable[None]] | None = None

    async def look(self, batch: list[Watch]) -> None:
        self.looks.append((elapsed(), [watch.task for watch in batch]))
        if self.then is not None:
            await self.then(batch)

    @property
    def order(self) -> list[str]:
        return [task for _, tasks in self.looks for task in tasks]


def elapsed() -> float:
    return round(asyncio.get_running_loop().time() - 1000.0, 6)


@asynccontextmanager
async def desk(*, at_most: int = 1, polling: Polling | None = None) -> AsyncIterator[Desk]:
    one = Desk()
    async with anyio.create_task_group() as group:
        world = simulated_world().world
        one.hub = Hub(world, Cadence(SHEET, polling or Polling()), group, one.look, at_most)
        group.start_soon(one.hub.run)
        await settled()
        yield one
        one.hub.stop()


@virtually
async def test_tasks_are_looked_at_in_the_order_in_which_they_are_due() -> None:
    async with desk() as one:
        for wait, name in [(5, "c"), (1, "a"), (9, "d"), (3, "b")]:
            one.hub.watch(row(name))
            watch = one.hub.find(name)
            assert watch is not None
            one.hub.again(watch, wait)
        await anyio.sleep(20)
        assert one.looks == [(1, ["a"]), (3, ["b"]), (5, ["c"]), (9, ["d"])]


@virtually
async def test_the_first_look_comes_when_a_result_is_likely_counted_from_the_create() -> None:
    async with desk() as one:
        now = simulated_world().world.now()
        one.hub.watch(row("new"))
        one.hub.watch(row("young", since=now - 4))
        one.hub.watch(row("old", since=now - 4000))
        one.hub.watch(row("asked"), now=True)
        await anyio.sleep(11)
        assert one.looks == [(0, ["old"]), (0, ["asked"]), (6, ["young"]), (10, ["new"])]


@virtually
async def test_a_create_that_seems_to_come_from_the_future_is_looked_at_like_a_new_one() -> None:
    """Where the clock was set back between two runs."""
    async with desk() as one:
        one.hub.watch(row("a", since=simulated_world().world.now() + 3600))
        await anyio.sleep(11)
        assert one.looks == [(10, ["a"])]


@virtually
async def test_a_task_without_a_handle_is_not_watched() -> None:
    async with desk() as one:
        one.hub.watch(row("a", handle=None))
        assert len(one.hub) == 0


@virtually
async def test_a_watch_carries_what_its_row_knows() -> None:
    async with desk() as one:
        one.hub.watch(row("a", since=5.0, seq=7, run=3, timings=Timings(started=6.0)), background=True)
        (watch,) = one.hub.watched()
        assert (watch.since, watch.seq, watch.run, watch.running_since, watch.background) == (5.0, 7, 3, 6.0, True)
        assert watch.vendor_id == "v-a"


@virtually
async def test_a_task_that_is_forgotten_is_looked_at_no_more() -> None:
    async with desk() as one:
        one.hub.watch(row("a"))
        one.hub.watch(row("b"))
        watch = one.hub.find("a")
        assert watch is not None
        one.hub.forget("a")
        one.hub.forget("a")
        one.hub.again(watch, 0)
        await anyio.sleep(11)
        assert one.order == ["b"]
        assert one.hub.find("a") is None


@virtually
async def test_a_task_that_is_watched_anew_or_given_a_new_time_is_looked_at_once() -> None:
    async with desk() as one:
        for _ in range(3):
            one.hub.watch(row("a"))
        watch = one.hub.find("a")
        assert watch is not None
        one.hub.again(watch, 30)
        one.hub.again(watch, 5)
        await anyio.sleep(100)
        assert one.looks == [(5, ["a"])]


@virtually
async def test_a_task_that_is_due_sooner_than_all_others_wakes_the_hub() -> None:
    async with desk() as one:
        one.hub.watch(row("a"))
        await anyio.sleep(2)
        one.hub.watch(row("b"), now=True)
        await settled()
        assert one.looks == [(2, ["b"])]


@virtually
async def test_ten_thousand_waiting_tasks_own_no_coroutine_and_no_timer() -> None:
    async with desk() as one:
        loop: Any = asyncio.get_running_loop()
        before, timers = len(asyncio.all_tasks()), len(loop._scheduled)
        now = simulated_world().world.now()
        for number in range(10_000):
            one.hub.watch(row(f"t{number}", since=now - 9.9 + number / 1011))
        await settled()
        assert len(one.hub) == 10_000
        assert len(asyncio.all_tasks()) == before
        assert len(loop._scheduled) <= timers + 2
        await anyio.sleep(11)
        assert one.order == [f"t{number}" for number in range(10_000)]


@pytest.mark.parametrize(("at_most", "most"), [(1, 16), (100, 2)])
@virtually
async def test_only_so_many_looks_are_under_way_at_once(at_most: int, most: int) -> None:
    under_way, peak = 0, 0

    async def slow(_: list[Watch]) -> None:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        await anyio.sleep(1)
        under_way -= 1

    async with desk(at_most=at_most) as one:
        one.then = slow
        for number in range(300):
            one.hub.watch(row(f"t{number}"))
        await anyio.sleep(60)
        assert peak == most
        assert sorted(one.order) == sorted(f"t{number}" for number in range(300))


@virtually
async def test_many_tasks_share_a_look_and_none_holds_more_than_a_list_may() -> None:
    async with desk(at_most=100) as one:
        for number in range(250):
            one.hub.watch(row(f"t{number}"))
        await anyio.sleep(11)
        assert [len(tasks) for _, tasks in one.looks] == [100, 100, 50]


def waiting(one: Desk, *given: tuple[float, str, int], firm: bool = True) -> None:
    """Have tasks come due after so many seconds, that were looked at so often before."""
    for wait, name, looks in given:
        one.hub.watch(row(name))
        watch = one.hub.find(name)
        assert watch is not None
        watch.looks, watch.firm = looks, firm
        one.hub.again(watch, wait)


BY_WORD = Polling(every=8)


@virtually
async def test_tasks_that_are_due_a_little_later_are_looked_at_together_but_first_looks_never_come_early() -> None:
    async with desk(at_most=100, polling=BY_WORD) as one:
        waiting(one, (10, "a", 1), (10.3, "b", 1), (10.4, "new", 0), (13, "late", 1))
        await anyio.sleep(20)
        assert one.looks == [(10, ["a", "b"]), (10.4, ["new"]), (13, ["late"])]


@virtually
async def test_a_first_look_that_is_not_due_yet_keeps_nobody_from_being_looked_at() -> None:
    async with desk(at_most=100, polling=BY_WORD) as one:
        waiting(one, (10, "a", 1), (10.2, "new", 0), (10.4, "b", 1))
        await anyio.sleep(20)
        assert one.looks == [(10, ["a", "b"]), (10.2, ["new"])]


@virtually
async def test_lists_go_out_in_rounds_and_what_comes_due_in_between_shares_the_next() -> None:
    async with desk(at_most=100) as one:
        waiting(one, (10, "a", 1), (10.5, "new", 0), (12, "b", 1), (12.1, "c", 1), (13, "first", 0), (18.5, "d", 1))
        await anyio.sleep(40)
        assert one.looks == [(10, ["a", "b"]), (18, ["new", "c", "first", "d"])]


@virtually
async def test_what_a_round_cannot_take_in_one_request_goes_in_the_next_at_once() -> None:
    async with desk(at_most=2) as one:
        waiting(one, *((10, name, 1) for name in "abcde"), (11, "x", 0))
        await anyio.sleep(40)
        assert one.looks == [(10, ["a", "b"]), (10, ["c", "d"]), (10, ["e"]), (12.666667, ["x"])], "three lists a beat"


@pytest.mark.parametrize("many", [100, 101, 150, 200, 300, 1000])
@virtually
async def test_more_than_a_list_holds_are_looked_at_as_often_as_fewer(many: int) -> None:
    """Each at the vendor's pace or a tenth later, by no more lists than that takes."""
    async with desk(at_most=100) as one:

        async def anew(batch: list[Watch]) -> None:
            for watch in batch:
                watch.looks += 1
                one.hub.again(watch, SHEET.every * (1 + int(watch.task) * 7919 % 1000 / 10_000))

        one.then = anew
        waiting(one, *((10, str(number), 1) for number in range(many)))
        await anyio.sleep(10 + 50 * SHEET.every)
        looks = sum(len(tasks) for _, tasks in one.looks)
        assert looks / many >= 50 / 1.1 * 0.95
        assert len(one.looks) <= 1.1 * 51 * -(-many // 100)


@virtually
async def test_a_task_that_is_to_be_looked_at_at_once_waits_for_no_round() -> None:
    async with desk(at_most=100) as one:
        waiting(one, (10, "a", 1), (14, "b", 1))
        await anyio.sleep(11)
        one.hub.watch(row("now"), now=True)
        await anyio.sleep(30)
        assert one.looks == [(10, ["a"]), (11, ["now"]), (18, ["b"])]


@virtually
async def test_room_in_a_request_is_given_to_tasks_that_nobody_has_spoken_for_and_that_were_not_just_looked_at() -> (
    None
):
    async with desk(at_most=4) as one:
        waiting(one, (10, "a", 1), (60, "spoken for", 1))
        waiting(one, (90, "learnt", 1), (95, "too many", 1), (15, "soon", 0), (50, "much too early", 0), firm=False)
        asked = one.hub.find("learnt")
        await anyio.sleep(11)
        assert one.looks == [(10, ["a", "soon", "learnt", "too many"])]
        assert asked is not None
        one.hub.again(asked, 90)
        waiting(one, (0, "b", 1))
        await anyio.sleep(1)
        assert one.looks[1:] == [(11, ["b"])]


@virtually
async def test_one_by_one_nobody_is_looked_at_early() -> None:
    async with desk(at_most=1) as one:
        for wait, name in [(10, "a"), (10.1, "b")]:
            one.hub.watch(row(name))
            watch = one.hub.find(name)
            assert watch is not None
            watch.looks = 3
            one.hub.again(watch, wait)
        await anyio.sleep(20)
        assert one.looks == [(10, ["a"]), (10.1, ["b"])]


@virtually
async def test_a_look_that_stops_the_hub_is_the_last() -> None:
    async def stops(batch: list[Watch]) -> None:
        one.hub.stop()

    async with desk() as one:
        one.then = stops
        for number in range(20):
            one.hub.watch(row(f"t{number}"))
        await anyio.sleep(100)
        assert one.order == ["t0"]


@virtually
async def test_stopping_breaks_looks_off_and_begins_none() -> None:
    broken: list[str] = []

    async def hangs(batch: list[Watch]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            broken.append(batch[0].task)

    async with desk() as one:
        one.then = hangs
        one.hub.watch(row("a"))
        one.hub.watch(row("b"))
        later = one.hub.find("b")
        assert later is not None
        one.hub.again(later, 100)
        await anyio.sleep(11)
        one.hub.stop()
        await settled()
        assert broken == ["a"]
        one.hub.watch(row("c"), now=True)
        assert one.hub.find("c") is None
        await anyio.sleep(500)
        assert one.order == ["a"]
