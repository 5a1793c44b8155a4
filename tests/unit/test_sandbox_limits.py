"""The sandbox counts exactly: no window over its limit, no seat twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.sandbox.limits import Rate, Seats, Window

gaps = st.lists(st.floats(min_value=0, max_value=3, allow_nan=False), min_size=1, max_size=200)


def busiest(times: list[float], seconds: float) -> int:
    """The most events in any half-open window, counted the slow way."""
    return max((sum(start <= time < start + seconds for time in times) for start in times), default=0)


@given(gaps=gaps, limit=st.integers(1, 6), seconds=st.floats(0.5, 5))
def test_no_window_holds_more_than_its_limit_and_none_is_refused_without_need(
    gaps: list[float], limit: int, seconds: float
) -> None:
    window, rate, now = Window(), Rate(limit, seconds), 0.0
    passed: list[float] = []
    for gap in gaps:
        now += gap
        wait = window.take(now, rate)
        if wait == 0:
            passed.append(now)
        else:
            assert sum(now - seconds < time for time in passed) == limit
            assert 0 < wait <= seconds * (1 + 1e-9)
    assert busiest(passed, seconds * (1 - 1e-12)) <= limit
    assert 1 <= window.peak_passed <= limit
    assert window.refused == len(gaps) - len(passed)


def test_the_place_is_free_again_exactly_one_window_later() -> None:
    window, rate = Window(), Rate(1, 60)
    assert window.take(0.0, rate) == 0
    assert window.take(59.999, rate) == pytest.approx(0.001)
    assert window.take(60.0, rate) == 0


def test_refused_arrivals_show_in_the_peak_of_arrivals_only() -> None:
    window, rate = Window(), Rate(2, 60)
    for at in range(5):
        window.take(at, rate)
    assert (window.peak_passed, window.peak_arrived, window.refused) == (2, 5, 3)


def test_a_limit_of_none_lets_everything_pass() -> None:
    assert all(Window().take(0.0, None) == 0 for _ in range(100))


@pytest.mark.parametrize(
    ("text", "rate"),
    [("100/min", Rate(100, 60)), ("20/60s", Rate(20, 60)), ("5/s", Rate(5, 1)), ("10 / hour", Rate(10, 3600))],
)
def test_rates_are_read_as_people_write_them(text: str, rate: Rate) -> None:
    assert Rate.of(text) == rate


@pytest.mark.parametrize("text", ["", "100", "100/fortnight", "-1/s", "a/min"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        Rate.of(text)


def test_a_seat_is_held_until_the_known_end_and_not_a_moment_longer() -> None:
    seats = Seats()
    seats.take(0.0, "a")
    seats.take(1.0, "b")
    assert seats.full(2.0, 2)
    seats.until(10.0, "a")
    assert seats.count(9.999) == 2
    assert seats.count(10.0) == 1
    assert not seats.full(10.0, 2)
    assert (seats.peak, seats.refused) == (2, 1)


def test_a_refusal_never_looks_like_a_pass_however_small_the_rest() -> None:
    window, rate = Window(), Rate(1, 1.0)
    assert window.take(1e-300, rate) == 0
    assert window.take(1.0, rate) > 0
