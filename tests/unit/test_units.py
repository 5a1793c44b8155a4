"""Durations and rates as people write them."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.units import Rate, duration, rates


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("10s", 10.0),
        ("0s", 0.0),
        ("250ms", 0.25),
        ("1.5min", 90.0),
        ("2h", 7200.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        (" 1d ", 86400.0),
        ("2day", 172800.0),
        ("3 sec", 3.0),
        (7, 7.0),
        (0.5, 0.5),
        (timedelta(minutes=1), 60.0),
    ],
)
def test_a_duration_has_many_spellings(value: Any, seconds: float) -> None:
    assert duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "10", "s", "-5s", "10 parsecs", "10s!", "1e3s", "١٠s", -1, math.nan, math.inf, True, None, [], timedelta(-1)],
)
def test_what_is_no_duration_is_refused_with_a_way_to_write_one(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it as '10s'"):
        duration(value)


@given(st.floats(min_value=0, max_value=1e9))
def test_seconds_stay_as_they_are(value: float) -> None:
    assert duration(value) == value


@pytest.mark.parametrize(
    ("text", "rate", "shown"),
    [
        ("5/s", Rate(5, 1.0), "5/s"),
        ("100/min", Rate(100, 60.0), "100/min"),
        ("100/m", Rate(100, 60.0), "100/min"),
        ("1000/h", Rate(1000, 3600.0), "1000/h"),
        ("5000/day", Rate(5000, 86400.0), "5000/day"),
        ("20/60s", Rate(20, 60.0), "20/min"),
        ("3/10s", Rate(3, 10.0), "3/10s"),
        (" 7 / 2 h ", Rate(7, 7200.0), "7/7200s"),
    ],
)
def test_a_rate_is_read_and_shown(text: str, rate: Rate, shown: str) -> None:
    assert Rate.parse(text) == rate
    assert str(rate) == shown
    assert Rate.parse(shown) == rate


@pytest.mark.parametrize(
    "text", ["", "5", "5/", "/s", "0/s", "5/0s", "-5/s", "5/s/s", "5.5/s", "9999999999/s", 5, None]
)
def test_what_is_no_rate_is_refused_with_a_way_to_write_one(text: Any) -> None:
    with pytest.raises(ValueError, match="is not a rate; write it as '5/s'"):
        Rate.parse(text)


def test_one_rate_or_several() -> None:
    assert rates("5/s") == (Rate(5, 1.0),)
    assert rates(Rate(5, 1.0)) == (Rate(5, 1.0),)
    assert rates(["5/s", Rate(20, 60.0)]) == (Rate(5, 1.0), Rate(20, 60.0))
    with pytest.raises(ValueError, match="5 is not a rate"):
        rates(5)  # type: ignore[arg-type]
