"""How moments are told."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.events import timestamp


def told(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@given(st.floats(min_value=0, max_value=2e11, allow_nan=False))
def test_a_moment_is_told_as_the_calendar_has_it(at: float) -> None:
    assert timestamp(at) == told(at)


@pytest.mark.parametrize("part", [0.0, 0.000_5, 0.001, 0.123_456, 0.999, 0.999_999, 0.999_999_4, 0.999_999_6])
def test_parts_of_a_second_are_cut_to_milliseconds(part: float) -> None:
    for second in (0, 951_782_399, 1_763_683_199, 4_102_444_799):
        assert timestamp(second + part) == told(second + part)
    assert timestamp(1_763_683_199.4567) == "2025-11-20T23:59:59.456Z"


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (253402300799.0, "9999-12-31T23:59:59.000Z"),
        (253402300799.9999, "9999-12-31T23:59:59.999Z"),
        (253402300800.0, "9999-12-31T23:59:59.999Z"),
        (2.8e11, "9999-12-31T23:59:59.999Z"),
        (1e300, "9999-12-31T23:59:59.999Z"),
        (10**400, "9999-12-31T23:59:59.999Z"),
        (inf, "9999-12-31T23:59:59.999Z"),
        (-62135596800.0, "0001-01-01T00:00:00.000Z"),
        (-62135596801.0, "0001-01-01T00:00:00.000Z"),
        (-inf, "0001-01-01T00:00:00.000Z"),
        (nan, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_what_no_date_can_say_is_told_as_the_first_or_last_moment_that_one_can(at: float, shown: str) -> None:
    assert timestamp(at) == shown
