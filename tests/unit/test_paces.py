"""Paces: a 429 for haste lowers them, time without one raises them, and what is stated bounds them."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import anyio
import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.house import House, account, house
from tests.support.virtual import settled, simulated_world, virtual_run, virtually

from viseme.engine.admission.desk import CREATES, Desk, pools_of
from viseme.engine.admission.limits import Rates, spelled
from viseme.engine.admission.paces import Pace
from viseme.failures import Kind
from viseme.providers.base import Verdict
from viseme.units import Rate

FLOOR = 1 / 60


def now() -> float:
    return asyncio.get_running_loop().time()


# -- the curve -----------------------------------------------------------------------------------------------------


def test_a_refusal_halves_the_pace_and_time_brings_it_back_to_where_it_was_refused_and_slowly_past_it() -> None:
    pace = Pace(10.0)
    pace.lower(20, 2.0, 1000.0)
    assert [pace.at(1000.0 + seconds) for seconds in (0, 90, 180, 400)] == pytest.approx([5.0, 9.375, 10.0, 10.0])
    slower = Pace(100.0)
    slower.lower(20, 2.0, 1000.0)
    assert slower.at(1000.0) == pytest.approx(12.5), "one refusal takes it to no less than an eighth"
    curve = [slower.at(1000.0 + seconds) or 0.0 for seconds in range(0, 900, 10)]
    assert curve == sorted(curve)
    assert slower.at(1180.0) == pytest.approx(25.0)
    assert slower.at(1360.0) == pytest.approx(37.5)
    assert slower.at(1900.0) == 100.0


def test_what_the_vendor_let_pass_of_late_it_can_be_trusted_to_take() -> None:
    pace = Pace(100.0)
    for _ in range(30):
        pace.lower(3600, 60.0, 1000.0)
    pace.take(1010.0)
    pace.lower(3600, 60.0, 1010.0)
    assert pace.at(1010.0) == pytest.approx((3600 - 31) / 60 / 2)


@given(
    most=st.floats(FLOOR, 1e5),
    refusals=st.lists(
        st.tuples(st.floats(0, 300), st.integers(0, 100_000), st.floats(0, 1e6)), min_size=1, max_size=30
    ),
)
def test_whatever_is_refused_the_pace_stays_between_the_floor_and_what_is_stated_and_always_comes_back(
    most: float, refusals: list[tuple[float, int, float]]
) -> None:
    pace, at = Pace(most), 1000.0
    for wait, requests, pause in refusals:
        at += wait
        pace.lower(requests, 60.0, at)
        pace.hold(at + pause)
        told = pace.at(at)
        assert told is not None
        assert FLOOR * 0.999 <= told <= most
        assert pace.next_room(at) <= max(pace.held_until, at + 60.1), "a pause ends when it was said to end"
        at = pace.next_room(at)
        pace.take(at)
        assert pace.next_room(at) - at <= 60.1
    assert pace.at(at + 24 * 3600.0) == most
    assert pace.over(at + 24 * 3600.0)


def test_of_refusals_that_come_together_only_the_first_lowers_the_pace() -> None:
    pace = Pace(10.0)
    for second in range(5):
        pace.lower(10, 1.0, 1000.0 + second)
    assert pace.at(1000.0) == pytest.approx(5.0)
    pace.take(1010.0)
    before = pace.at(1011.0)
    pace.lower(10, 1.0, 1011.0)
    assert before is not None
    assert pace.at(1011.0) == pytest.approx(9 / 2)


def test_a_class_without_a_stated_rate_is_held_and_not_slowed() -> None:
    pace = Pace(None)
    pace.lower(50, 1.0, 1000.0)
    pace.hold(1030.0)
    assert (pace.room(1029.9), pace.at(1000.0)) == (0, None)
    assert pace.room(1030.0) > 1000
    assert pace.over(1030.0)


@pytest.mark.parametrize(
    ("pace", "words"),
    [(3.2, "3.2/s"), (31.4, "31/s"), (0.5, "30/min"), (1 / 60, "1/min"), (250.0, "250/s"), (0.9999, "60/min")],
)
def test_a_pace_is_spelled_as_people_write_rates(pace: float, words: str) -> None:
    assert spelled(pace) == words


# -- at work ---------------------------------------------------------------------------------------------------------


def rates_of(table: dict[str, str]) -> Rates:
    world = simulated_world().world
    rates = Rates(world.monotonic, world.call_at)
    rates.configure({name: [Rate.parse(text)] for name, text in table.items()})
    return rates


@virtually
async def test_requests_go_one_by_one_at_the_pace_that_was_learned() -> None:
    rates = rates_of({"create": "600/min"})
    for _ in range(600):
        (await rates.acquire(CREATES)).end()
    rates.slow(("create",), 90.0)
    sent = list[float]()
    began = now()
    for _ in range(40):
        (await rates.acquire(CREATES)).end()
        sent.append(now() - began)
    assert sent[0] == pytest.approx(90.0)
    gaps = [late - early for early, late in pairwise(sent)]
    assert gaps[0] == pytest.approx(0.2, rel=0.01)
    assert max(gaps) <= 0.201
    assert gaps[-1] < gaps[0]


@virtually
async def test_other_classes_are_not_slowed() -> None:
    rates = rates_of({"create": "60/min", "read": "600/min"})
    rates.slow(("create",), 30.0)
    began = now()
    for _ in range(600):
        (await rates.acquire(("read", "all"))).end()
    assert now() == began
    assert rates.pace(("read", "all")) is None


@virtually
async def test_a_place_that_is_given_back_unused_costs_no_gap() -> None:
    rates = rates_of({"create": "60/min"})
    for _ in range(60):
        (await rates.acquire(CREATES)).end()
    await anyio.sleep(60)
    rates.slow(("create",), 0.0)
    (await rates.acquire(CREATES)).cancel()
    began = now()
    for _ in range(100):
        (await rates.acquire(CREATES)).cancel()
    assert now() - began < 0.1


@virtually
async def test_a_slowed_class_forgets_its_pace_when_the_user_states_another_rate() -> None:
    rates = rates_of({"create": "60/min"})
    rates.slow(("create",), 30.0)
    assert rates.pace(CREATES) is not None
    rates.configure({"create": [Rate.parse("30/min")]})
    assert rates.pace(CREATES) is None
    assert rates.wait_until(CREATES) == pytest.approx(now() + 30), "the vendor's pause stands"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["end", "cancel", "give up", "refused"]), st.floats(0, 20)), max_size=25))
def test_cancelling_under_a_pace_leaks_nothing(fates: list[tuple[str, float]]) -> None:
    async def main() -> None:
        rates = rates_of({"create": "30/min", "all": "2/s"})

        async def trip(fate: str, patience: float) -> None:
            with anyio.move_on_after(patience if fate == "give up" else 1e6):
                place = await rates.acquire(CREATES)
                try:
                    await anyio.sleep(0.1)
                    if fate == "refused":
                        rates.slow(("create",), patience)
                finally:
                    place.cancel() if fate == "cancel" else place.end()

        async with anyio.create_task_group() as group:
            for fate in fates:
                group.start_soon(trip, *fate)
        await anyio.sleep(3600)
        assert not rates._queues
        assert [window.room(now()) for window in rates.windows(CREATES)] == [30, 2]
        assert rates.wait_until(CREATES) is None
        assert rates.pace(CREATES) is None

    virtual_run(main)


# -- before a vendor -------------------------------------------------------------------------------------------------


@define
class Exact:
    """A vendor that counts what it lets pass in exact sliding windows, and refuses the rest."""

    rate: Rate
    wait: float | None = None
    passed: list[float] = field(factory=list[float])
    refused: list[float] = field(factory=list[float])

    def answers(self) -> Verdict | None:
        at = now()
        if len(self.passed) - bisect_right(self.passed, at - self.rate.window) >= self.rate.count:
            self.refused.append(at)
            return Verdict(kind=Kind.RATE_LIMITED, message="too fast", retry_after=self.wait)
        self.passed.append(at)
        return None


def before(vendor: Exact, stated: str) -> tuple[Desk, Callable[[], Coroutine[Any, Any, None]]]:
    """An account that states a rate, and somebody who creates as fast as it lets him."""
    world = simulated_world()
    provider: House = house(given=account(concurrency=20, rates={"create": stated}))
    desk = Desk(world.world, provider.account, provider, pools_of(world.world, [provider])["house"], world.network)

    async def create() -> None:
        while True:
            place = await desk.pool.rates.acquire(CREATES)
            await anyio.sleep(0.05)
            verdict = vendor.answers()
            await anyio.sleep(0.05)
            place.end()
            if verdict is not None:
                desk.courier.slowed(CREATES, verdict)

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(create)

    return desk, all_of_them


@pytest.mark.parametrize("stated", ["60/min", "10/s", "5/min"])
@virtually
async def test_a_vendor_that_counts_exactly_at_the_stated_rate_refuses_nothing(stated: str) -> None:
    vendor = Exact(Rate.parse(stated))
    desk, create = before(vendor, stated)
    with anyio.move_on_after(600):
        await create()
    assert vendor.refused == []
    assert desk.pool.rates.pace(CREATES) is None


@pytest.mark.parametrize("wait", [None, 0.0, 10.0, 60.0])
@virtually
async def test_a_vendor_that_allows_less_than_is_stated_is_kept_busy_with_few_refusals(wait: float | None) -> None:
    vendor = Exact(Rate.parse("60/min"), wait)
    _, create = before(vendor, "600/min")
    with anyio.move_on_after(600):
        await create()
    del vendor.refused[:], vendor.passed[:]
    with anyio.move_on_after(3600):
        await create()
    assert len(vendor.passed) >= (0.6 if wait == 60 else 0.8) * 3600
    assert len(vendor.refused) <= 0.03 * len(vendor.passed)


@virtually
async def test_a_vendor_that_allows_again_what_is_stated_is_used_in_full_again() -> None:
    vendor = Exact(Rate.parse("30/min"), 30.0)
    desk, create = before(vendor, "300/min")
    with anyio.move_on_after(900):
        await create()
    assert desk.pool.rates.pace(CREATES) is not None
    vendor.rate = Rate.parse("300/min")
    with anyio.move_on_after(1800):
        await create()
    assert desk.pool.rates.pace(CREATES) is None
    await settled()
    passed = len(vendor.passed)
    with anyio.move_on_after(600):
        await create()
    assert len(vendor.passed) - passed >= 0.95 * 3000


@virtually
async def test_a_long_retry_after_is_one_pause_and_the_pace_after_it_is_the_one_that_was_learned() -> None:
    vendor = Exact(Rate.parse("60/min"), 200.0)
    _, create = before(vendor, "120/min")
    with anyio.move_on_after(3600):
        await create()
    pauses = [late - early for early, late in pairwise(vendor.passed) if late - early > 60]
    assert all(200 <= pause <= 222 for pause in pauses)
    assert len(pauses) <= 3600 / 320
    following = [at for at in vendor.passed if any(0 <= at - refused - 220 <= 60 for refused in vendor.refused)]
    assert following, "it goes on after a pause"
