"""Which frame stands where: the length rules of the sheets, without media."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.sandbox.timeline import Fit, plan


@pytest.mark.parametrize(
    ("fit", "video", "audio", "expected"),
    [
        (Fit.BOUNCE, 4, 5, 5), (Fit.BOUNCE, 5, 4, 4), (Fit.LOOP, 2, 7, 7), (Fit.LOOP, 7, 2, 2), (Fit.CUT, 4, 5, 4),
        (Fit.CUT, 5, 4, 4), (Fit.SILENCE, 5, 4, 5), (Fit.SILENCE, 4, 5, 4), (Fit.REMAP, 4, 6, 6), (Fit.REMAP, 6, 4, 4),
        (Fit.FREEZE, 4, 5, 5), (Fit.FREEZE, 5, 4, 4),
    ],
)  # fmt: skip
def test_the_result_is_as_long_as_the_mode_says(fit: Fit, video: int, audio: int, expected: int) -> None:
    assert plan(fit, video * 25, 25.0, float(audio)).seconds == expected


@given(
    fit=st.sampled_from(Fit),
    frames=st.integers(1, 200),
    fps=st.sampled_from([10.0, 23.976, 25.0, 60.0]),
    audio=st.floats(0.01, 30),
)
def test_every_frame_comes_from_the_source_and_none_is_missing(fit: Fit, frames: int, fps: float, audio: float) -> None:
    timeline = plan(fit, frames, fps, audio)
    indices = list(timeline)
    assert len(indices) == timeline.frames >= 1
    assert all(0 <= index < frames for index in indices)
    assert indices[0] == 0


def test_bouncing_goes_forth_and_back_without_a_jump() -> None:
    assert list(plan(Fit.BOUNCE, 4, 1.0, 10.0)) == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]


def test_looping_starts_over() -> None:
    assert list(plan(Fit.LOOP, 3, 1.0, 7.0)) == [0, 1, 2, 0, 1, 2, 0]


def test_freezing_stands_on_the_last_frame() -> None:
    assert list(plan(Fit.FREEZE, 3, 1.0, 5.0)) == [0, 1, 2, 2, 2]


def test_remapping_spreads_the_whole_source_over_the_result() -> None:
    assert list(plan(Fit.REMAP, 3, 1.0, 6.0)) == [0, 0, 1, 1, 2, 2]
    assert list(plan(Fit.REMAP, 6, 1.0, 3.0)) == [0, 2, 4]
