"""The benchmark of polling counts what it says, and its optimum is one."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, log
from statistics import NormalDist, fmean

import pytest
from benchmarks.polling.field import Clip, clips, play
from benchmarks.polling.optimum import Frontier
from hypothesis import given, settings
from hypothesis import strategies as st

from viseme.config import Polling
from viseme.engine.polling.cadence import Cadence

SIGMA = 0.25
BEST = Frontier.of(SIGMA)


def outcome(ages: Sequence[float]) -> tuple[float, float]:
    """Mean looks and mean delay of a plan for durations of median 1, by summing over thousands of them."""
    normal = NormalDist()
    count = 2000
    takes = [2.718281828459045 ** (SIGMA * normal.inv_cdf((n + 0.5) / count)) for n in range(count)]
    found = [next((n, age) for n, age in enumerate(ages, start=1) if age >= one) for one in takes]
    return fmean(n for n, _ in found), fmean(age - one for (_, age), one in zip(found, takes, strict=True))


@given(first=st.floats(0.4, 1.2), gaps=st.lists(st.floats(0.02, 0.4), max_size=12), last=st.floats(0.02, 0.5))
@settings(max_examples=60, deadline=None)
def test_no_plan_of_looks_is_better_than_the_optimum(first: float, gaps: list[float], last: float) -> None:
    ages = [first]
    for gap in [*gaps, *[last] * 200]:
        ages.append(ages[-1] + gap)
    looks, delay = outcome(ages)
    if 0.015 < delay < 0.3:
        assert BEST.looks([1.0], delay) <= looks * 1.005


def test_the_optimum_is_one_that_a_plan_can_reach() -> None:
    """Looks whenever an end has lain unseen for so long, as far as can be expected, come within some percent."""
    normal, price, ages, age = NormalDist(), 0.01, [], 0.0
    while len(ages) < 60:
        start = normal.cdf(log(age) / SIGMA) if age else 0.0
        lain = 0.0
        while lain < price * (1 - start) and age < 5:
            age += 0.001
            lain += 0.001 * (normal.cdf(log(age) / SIGMA) - start)
        ages.append(age)
    looks, delay = outcome([*ages, inf])
    assert looks / BEST.looks([1.0], delay) == pytest.approx(1.0, abs=0.02)


def test_longer_jobs_cost_more_looks_and_less_delay_too() -> None:
    assert BEST.looks([60.0], 5) < BEST.looks([60.0, 240.0], 5) < BEST.looks([240.0], 5)
    assert BEST.looks([60.0], 2) > BEST.looks([60.0], 5)
    assert BEST.looks([600.0], 50) == pytest.approx(BEST.looks([60.0], 5), rel=0.001)


def test_looks_and_delays_are_counted_of_the_jobs_after_those_to_learn_from() -> None:
    todo = [Clip(1.0, 7.0)] * 10 + clips(40, SIGMA, 1)
    done = play(todo, lambda sheet: Cadence(sheet, Polling(first=10, every=10)), flying=5, learning=10)
    takes = [clip.takes for clip in todo[10:]]
    assert done.requests == pytest.approx(fmean(ceil(one / 10) for one in takes))
    assert done.delay == pytest.approx(fmean(-one % 10 for one in takes), abs=0.01)


def test_lists_are_counted_by_the_request() -> None:
    done = play([Clip(1.0, 95.0)] * 60, lambda sheet: Cadence(sheet, Polling(first=10, every=10)), flying=20, bulk=100)
    assert done.delay == pytest.approx(5.0, abs=0.01)
    assert done.requests == 10
    assert 0.9 < done.calls < 6  # twenty phases of their own, five calls a second at most
