"""How moments are told."""

from __future__ import annotations

from datetime import UTC, datetime

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
