"""Rates: exact at the vendor, first come first served, and nothing leaks."""

from __future__ import annotations

import asyncio
import random
import sys
from bisect import bisect_right
from collections.abc import Iterable, Mapping

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.virtual import settled, simulated_world, virtual_run, virtually

from viseme.engine.admission.limits import Place, Rates
from viseme.units import Rate

CREATE = ("create", "post", "all")
READ = ("read", "all")


def rates_of(**table: str | list[str]) -> Rates:
    world = simulated_world().world
    rates = Rates(world.monotonic, world.call_at)
    rates.configure(parsed(table))
    return rates


def parsed(table: Mapping[str, str | list[str]]) -> dict[str, list[Rate]]:
    return {
        name: [Rate.parse(text) for text in ([given] if isinstance(given, str) else given)]
        for name, given in table.items()
    }


def now() -> float:
    return asyncio.get_running_loop().time()


def room(rates: Rates, *classes: str) -> list[int]:
    return [window.room(now()) for window in rates.windows(classes)]


async def passes(rates: Rates, classes: tuple[str, ...], priority: int = 0) -> Place | None:
    """A place if there is one at once."""
    waiting = asyncio.ensure_future(rates.acquire(classes, priority))
    await settled()
    if waiting.done():
        return waiting.result()
    waiting.cancel()
    await settled()
    return None


# -- exact at the vendor ---------------------------------------------------------------------------------------------


_ROUNDING = 1e-6


class Vendor:
    """Counts arrivals in true sliding windows."""

    def __init__(self, limits: Mapping[str, Iterable[Rate]]) -> None:
        self.limits = limits
        self.arrivals: dict[str, list[float]] = {name: [] for name in limits}

    def arrive(self, classes: Iterable[str], at: float) -> None:
        for name in classes:
            if name in self.arrivals:
                self.arrivals[name].append(at)

    def worst(self) -> list[str]:
        """The windows that ever held too many, as sentences."""
        wrong: list[str] = []
        for name, limits in self.limits.items():
            seen = sorted(self.arrivals[name])
            for rate in limits:
                most = max(
                    (bisect_right(seen, at) - bisect_right(seen, at - rate.window + _ROUNDING) for at in seen),
                    default=0,
                )
                if most > rate.count:
                    wrong.append(f"{name}: {most} in a window of {rate}")
        return wrong


RATES = st.lists(
    st.builds(Rate, st.integers(1, 6), st.sampled_from([0.5, 1.0, 7.0, 60.0])),
    min_size=1,
    max_size=3,
    unique_by=lambda r: r.window,
)
TABLES = st.dictionaries(st.sampled_from(["create", "read", "post", "all"]), RATES, min_size=1)
TRIPS = st.tuples(
    st.sampled_from([CREATE, READ, ("post", "all"), ("all",)]),
    st.sampled_from([0.0, 0.0, 0.1, 3.0]),  # wait before asking
    st.sampled_from([0.0, 0.01, 0.4, 5.0]),  # the request's way there
    st.sampled_from([0.0, 0.02, 0.9, 20.0]),  # the reply's way back
    st.sampled_from(["end", "end", "end", "cancel", "give up"]),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(table=TABLES, trips=st.lists(TRIPS, max_size=40))
def test_a_vendor_that_counts_arrivals_exactly_never_sees_too_many(
    table: dict[str, list[Rate]], trips: list[tuple[tuple[str, ...], float, float, float, str]]
) -> None:
    async def main() -> None:
        world = simulated_world().world
        rates, vendor = Rates(world.monotonic, world.call_at), Vendor(table)
        rates.configure(table)

        async def trip(classes: tuple[str, ...], there: float, back: float, fate: str) -> None:
            if fate == "give up":
                with anyio.move_on_after(there):
                    (await rates.acquire(classes)).cancel()
                return
            place = await rates.acquire(classes)
            if fate == "cancel":
                await anyio.sleep(there)
                place.cancel()
                return
            await anyio.sleep(there)
            vendor.arrive(classes, now())
            await anyio.sleep(back)
            place.end()

        async with anyio.create_task_group() as group:
            for classes, wait, there, back, fate in trips:
                await anyio.sleep(wait)
                group.start_soon(trip, classes, there, back, fate)
        assert not vendor.worst()
        # and whatever happened, all room comes back
        await anyio.sleep(120)
        for name, limits in table.items():
            assert sorted(room(rates, name)) == sorted(rate.count for rate in limits)
        assert not rates._queues
        rates.close()

    virtual_run(main)


def test_an_exact_vendor_is_kept_busy_at_its_limit() -> None:
    async def main() -> float:
        rates = rates_of(create=["5/s"])

        async def trip() -> None:
            place = await rates.acquire(CREATE)
            await anyio.sleep(0.01)
            place.end()

        began = now()
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(trip)
        return now() - began

    assert virtual_run(main) == pytest.approx(9 * 1.01 + 0.01)


# -- order ---------------------------------------------------------------------------------------------------------


@virtually
async def test_waiters_go_first_come_first_served() -> None:
    rates, order = rates_of(create="1/s"), list[int]()

    async def wait(number: int) -> None:
        place = await rates.acquire(CREATE)
        order.append(number)
        place.end()

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(wait, number)
    assert order == list(range(20))


@virtually
async def test_a_higher_priority_goes_first_and_the_same_priority_in_order() -> None:
    rates, order = rates_of(create="1/s"), list[tuple[int, int]]()

    async def wait(priority: int, number: int) -> None:
        place = await rates.acquire(CREATE, priority)
        order.append((priority, number))
        place.end()

    first = await rates.acquire(CREATE)
    async with anyio.create_task_group() as group:
        for number in range(4):
            for priority in (-1, 0, 7):
                group.start_soon(wait, priority, number)
        await settled()
        first.end()
    assert order == [(p, n) for p in (7, 0, -1) for n in range(4)]


@virtually
async def test_priorities_hold_across_classes_that_share_a_window() -> None:
    rates, order = rates_of(all="1/s"), list[str]()

    async def wait(name: str, classes: tuple[str, ...], priority: int) -> None:
        place = await rates.acquire(classes, priority)
        order.append(name)
        place.end()

    first = await rates.acquire(CREATE)
    async with anyio.create_task_group() as group:
        for name, classes, priority in [("a", READ, 0), ("b", CREATE, 0), ("c", READ, 0), ("d", CREATE, 5)]:
            group.start_soon(wait, name, classes, priority)
            await settled()
        first.end()
    assert order == ["d", "a", "b", "c"]


@virtually
async def test_a_waiting_create_keeps_no_read_of_its_own_window_back() -> None:
    rates = rates_of(create="1/min", read="10/s")
    await rates.acquire(CREATE)
    waiting = asyncio.ensure_future(rates.acquire(CREATE))
    await settled()
    for _ in range(10):
        assert await passes(rates, READ)
    assert not waiting.done()
    waiting.cancel()


@virtually
async def test_creates_that_wait_for_their_day_do_not_keep_reads_from_a_window_that_both_pass() -> None:
    rates = rates_of(create="5/day", all="10/s")
    for _ in range(5):
        (await rates.acquire(CREATE)).end()
    creates = [asyncio.ensure_future(rates.acquire(CREATE)) for _ in range(3)]
    await anyio.sleep(2)
    reads = 0
    with anyio.move_on_after(60):
        while True:
            (await rates.acquire(READ)).end()
            reads += 1
    assert reads >= 9 * 60
    for create in creates:
        create.cancel()


@virtually
async def test_a_steady_stream_of_reads_does_not_starve_a_create_that_needs_the_same_window_too() -> None:
    rates = rates_of(create="1/s", all="2/s")
    stop = anyio.Event()

    async def reads() -> None:
        while not stop.is_set():
            (await rates.acquire(READ)).end()

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(reads)
        await anyio.sleep(5)
        for _ in range(5):
            began = now()
            (await rates.acquire(CREATE)).end()
            assert now() - began <= 4
        stop.set()


@virtually
async def test_streams_that_fill_one_window_each_do_not_starve_one_that_needs_both() -> None:
    rates = rates_of(create="1/s", read="1/s")
    stop = anyio.Event()

    async def alone(*classes: str) -> None:
        while not stop.is_set():
            place = await rates.acquire(classes)
            await anyio.sleep(0.3 if classes == ("create",) else 0.5)
            place.end()

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(alone, "create")
            group.start_soon(alone, "read")
        await anyio.sleep(5)
        with anyio.fail_after(10):
            (await rates.acquire(("create", "read"))).end()
        stop.set()


# -- cancelling ----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([CREATE, READ, ("post",)]), st.floats(0, 5), st.booleans()), max_size=25))
def test_waiters_cancelled_at_any_time_leave_the_room_whole(plans: list[tuple[tuple[str, ...], float, bool]]) -> None:
    async def main() -> None:
        table: dict[str, str | list[str]] = {"create": ["2/s", "3/3s"], "read": "2/s", "all": "3/s"}
        rates = rates_of(**table)

        async def plan(classes: tuple[str, ...], patience: float, ends: bool) -> None:
            with anyio.move_on_after(patience):
                place = await rates.acquire(classes)
                try:
                    await anyio.sleep(1)
                finally:
                    place.end() if ends else place.cancel()

        async with anyio.create_task_group() as group:
            for given_plan in plans:
                group.start_soon(plan, *given_plan)
        await anyio.sleep(10)
        assert room(rates, "create", "read", "all") == [2, 3, 2, 3]
        assert not rates._queues
        assert rates._timer is None

    virtual_run(main)


@virtually
async def test_a_waiter_cancelled_in_the_moment_it_is_granted_gives_its_place_back() -> None:
    rates = rates_of(create="1/s")
    first = await rates.acquire(CREATE)
    waiting = asyncio.ensure_future(rates.acquire(CREATE))
    await settled()
    first.cancel()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert room(rates, "create") == [1]


@virtually
async def test_those_behind_a_waiter_that_gives_up_move_up_at_once() -> None:
    rates = rates_of(create="1/min", all="5/s")
    await rates.acquire(CREATE)
    for _ in range(3):
        await rates.acquire(("all",))
    blocking = asyncio.ensure_future(rates.acquire(CREATE))
    behind = asyncio.ensure_future(rates.acquire(("create",)))
    await settled()
    blocking.cancel()
    await settled()
    rates.configure(parsed({"create": "2/min"}))
    await settled()
    assert behind.done()


@virtually
async def test_ending_a_place_twice_or_cancelling_it_afterwards_counts_once() -> None:
    rates = rates_of(create="2/s")
    place = await rates.acquire(CREATE)
    place.end()
    place.end()
    place.cancel()
    assert room(rates, "create") == [1]
    await anyio.sleep(1)
    assert room(rates, "create") == [2]


@virtually
async def test_a_place_that_ended_comes_free_a_window_later_and_a_cancelled_one_at_once() -> None:
    rates = rates_of(create="1/10s")
    place = await rates.acquire(CREATE)
    await anyio.sleep(30)
    assert await passes(rates, CREATE) is None
    place.end()
    waiting = asyncio.ensure_future(rates.acquire(CREATE))
    await anyio.sleep(9.99)
    assert not waiting.done()
    await anyio.sleep(0.02)
    waiting.result().cancel()
    assert room(rates, "create") == [1]


# -- changes while running -------------------------------------------------------------------------------------------


@virtually
async def test_a_raised_limit_lets_waiters_pass_at_once_and_a_lowered_one_counts_what_is_under_way() -> None:
    rates = rates_of(create="1/min")
    places = [await rates.acquire(CREATE)]
    waiting = asyncio.ensure_future(rates.acquire(CREATE))
    await settled()
    assert not waiting.done()
    rates.configure(parsed({"create": "3/min"}))
    places.append(await waiting)
    rates.configure(parsed({"create": "1/min"}))
    assert room(rates, "create") == [-1]
    for place in places:
        place.end()
    assert await passes(rates, CREATE) is None
    await anyio.sleep(60)
    assert room(rates, "create") == [1]


@virtually
async def test_a_class_without_a_rate_passes_at_once_and_costs_nothing() -> None:
    rates = rates_of(read="1/s")
    for _ in range(100):
        assert await passes(rates, CREATE)
    assert rates.wait_until(CREATE) is None


@virtually
async def test_a_hold_keeps_its_classes_back_and_no_others() -> None:
    rates = rates_of(create="10/s", read="10/s")
    rates.hold(("create",), 30)
    assert rates.wait_until(CREATE) == now() + 30
    assert await passes(rates, READ)
    waiting = asyncio.ensure_future(rates.acquire(CREATE))
    await anyio.sleep(29.9)
    assert not waiting.done()
    await anyio.sleep(0.2)
    assert waiting.done()


@virtually
async def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    rates = rates_of(create="10/s")
    rates.hold(CREATE, 30)
    rates.hold(CREATE, 1)
    assert rates.wait_until(CREATE) == now() + 30


@virtually
async def test_halved_limits_are_halves_for_a_while_and_at_least_one() -> None:
    rates = rates_of(create="5/s", read="1/s")
    rates.halve(("create", "read"), 10)
    assert room(rates, "create", "read") == [2, 1]
    await anyio.sleep(10)
    assert room(rates, "create", "read") == [5, 1]


@virtually
async def test_waiters_pass_when_a_halving_ends() -> None:
    rates = rates_of(create="4/min")
    rates.halve(CREATE, 10)
    for _ in range(2):
        await rates.acquire(CREATE)
    began = now()
    await rates.acquire(CREATE)
    assert now() - began == pytest.approx(10)


@virtually
async def test_creates_of_an_earlier_run_count_until_their_window_is_over() -> None:
    rates = rates_of(create=["3/10s", "10/h"])
    rates.remember(CREATE, [now() - 3, now() - 9, now() - 60, now()])
    assert room(rates, "create") == [0, 6]
    assert rates.wait_until(CREATE) == pytest.approx(now() + 1)
    await anyio.sleep(1)
    assert room(rates, "create") == [1, 6]
    await anyio.sleep(9)
    assert room(rates, "create") == [3, 6]


@virtually
async def test_creates_of_several_accounts_of_a_pool_are_remembered_in_their_order() -> None:
    rates = rates_of(create="2/min")
    rates.remember(CREATE, [now() - 1])
    rates.remember(CREATE, [now() - 50])
    began = now()
    with anyio.fail_after(30):
        await rates.acquire(CREATE)
    assert now() - began == pytest.approx(10)


# -- what is told --------------------------------------------------------------------------------------------------


@virtually
async def test_the_figures_say_what_is_under_way_free_and_waiting() -> None:
    rates = rates_of(create="1/min", read=["2/s", "100/h"])
    await rates.acquire(CREATE)
    waiting = [asyncio.ensure_future(rates.acquire(CREATE)) for _ in range(3)]
    (await rates.acquire(READ)).end()
    await settled()
    shown = rates.state()
    (create,) = shown["create"]
    assert (create.rate, create.under_way, create.room, create.waiting, create.until) == ("1/min", 1, 0, 3, None)
    assert [(s.rate, s.under_way, s.room, s.waiting) for s in shown["read"]] == [("2/s", 0, 1, 0), ("100/h", 0, 99, 0)]
    for waiter in waiting:
        waiter.cancel()


@virtually
async def test_closing_stops_the_clock() -> None:
    rates = rates_of(create="1/s")
    rates.hold(CREATE, 100)
    waiting = asyncio.ensure_future(rates.acquire(CREATE))
    await settled()
    rates.close()
    rates.close()
    assert rates._timer is None
    waiting.cancel()


# -- cost ----------------------------------------------------------------------------------------------------------


def calls_for(waiters: int) -> int:
    """Python functions called for so many waiters to pass."""
    calls = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    async def main() -> None:
        rates = rates_of(create="100/s")
        chance = random.Random(1)

        async def trip(priority: int) -> None:
            (await rates.acquire(CREATE, priority)).end()

        sys.setprofile(note)
        try:
            async with anyio.create_task_group() as group:
                for _ in range(waiters):
                    group.start_soon(trip, chance.randrange(5))
        finally:
            sys.setprofile(None)

    virtual_run(main)
    return calls


def test_ten_times_the_waiters_cost_about_ten_times_the_calls() -> None:
    assert calls_for(4000) < calls_for(400) * 15


@pytest.mark.parametrize("reads", range(6))
@virtually
async def test_a_place_that_comes_free_while_the_next_waiters_are_looked_for_is_given_away(reads: int) -> None:
    """Time passes at each look at the clock, and the place comes free after so many of them."""
    world, tick, ahead = simulated_world().world, 0.01, 0.0

    def clock() -> float:
        nonlocal ahead
        ahead += tick
        return world.monotonic() + ahead

    rates = Rates(clock, world.call_at)
    rates.configure(parsed({"read": "1/s"}))
    (await rates.acquire(("read",))).end()
    waiting = asyncio.ensure_future(rates.acquire(("read",)))
    await settled()
    due = rates.wait_until(("read",))
    assert due is not None
    await anyio.sleep(due - ahead - world.monotonic() - (reads + 0.5) * tick)
    rates.configure({})  # looks who may pass
    await anyio.sleep(60)
    assert waiting.done()


@virtually
async def test_a_place_is_kept_for_a_waiter_also_from_whoever_asks_for_one_at_once() -> None:
    rates = rates_of(create="1/10s", all="2/10s")
    first = rates.take(CREATE)
    waiting = asyncio.ensure_future(rates.acquire(CREATE))
    await settled()
    assert rates.take(READ) is None, "the only place left is the waiter's"
    assert first is not None
    first.cancel()
    await waiting
    assert rates.take(READ) is not None


@virtually
async def test_rates_that_are_set_later_hold_for_classes_that_passed_before() -> None:
    rates = rates_of(all="10/s")
    assert rates.take(READ) is not None
    rates.configure(parsed({"read": "1/10s"}))
    assert rates.take(READ) is not None
    assert rates.take(READ) is None
