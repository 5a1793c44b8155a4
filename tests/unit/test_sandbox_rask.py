"""The parts of Rask's stand-in that are plain values: the dub's walk, segments, fields of a body."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.sandbox.jobs import Job, Pace
from viseme.sandbox.vendors.rask_dub import DONE, FAILURES, STATUSES, Cycle, walk
from viseme.sandbox.vendors.rask_holdings import FaceCheck, minutes_of
from viseme.sandbox.vendors.rask_segments import cues, heard, seconds_of, stamp
from viseme.sandbox.vendors.rask_wire import Reader
from viseme.sandbox.vendors.wire import Refusal


def cycle(failure: str | None = None, ended_at: float | None = None, **how: bool) -> Cycle:
    job = Job(id="x", vendor="rask", account="rask", at=100.0, inputs={}, pace=Pace(queue=0.0), ended_at=ended_at)
    return Cycle(number=1, steps=walk(failure, **how), planned=142.0, job=job, stale_until=0.0, minutes=1)


def test_37_statuses_are_documented_and_14_of_them_are_failures() -> None:
    assert (len(STATUSES), len(FAILURES)) == (37, 14)


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("transcribed", [True, False])
@pytest.mark.parametrize("failure", [None, "exploded_failed", *sorted(FAILURES)])
def test_every_walk_ends_as_ordered_and_is_documented(failure: str | None, again: bool, transcribed: bool) -> None:
    steps = walk(failure, again=again, transcribed=transcribed)
    assert steps[-1] == (failure or DONE)
    assert len(steps) == len(set(steps)) >= 2
    assert set(steps) <= STATUSES | {"exploded_failed"}
    assert not set(steps[:-1]) & (FAILURES | {DONE})


def test_a_new_voice_over_leaves_out_what_is_done_already() -> None:
    assert walk(again=True)[0] == "voice_update_started"
    assert "transcription_started" not in walk(transcribed=True)


@given(ended_at=st.none() | st.floats(142, 200), looks=st.lists(st.floats(100, 250), min_size=2))
def test_a_dub_only_goes_forward_and_is_done_when_it_has_ended(ended_at: float | None, looks: list[float]) -> None:
    dub = cycle(ended_at=ended_at)
    seen = [(now, *dub.status(now)) for now in sorted(looks)]
    places = [dub.steps.index(status) for _, status, _ in seen]
    assert places == sorted(places)
    assert all(since <= now for now, _, since in seen)
    assert [status == DONE for _, status, _ in seen] == [dub.done(now) for now, _, _ in seen]


def test_a_status_that_is_not_on_the_way_counts_as_passed() -> None:
    assert cycle(transcribed=True).passed("transcription_done", 100.0)
    assert not cycle().passed("transcription_done", 100.0)


@pytest.mark.parametrize(("seconds", "minutes"), [(0.1, 1), (60, 1), (60.000_000_1, 1), (60.1, 2), (121, 3)])
def test_minutes_are_begun_minutes(seconds: float, minutes: int) -> None:
    assert minutes_of(seconds) == minutes


@pytest.mark.parametrize(("result", "end"), [("found", ("done", True)), ("none", ("done", False)),
                                             ("failed", ("failed", None))])  # fmt: skip
def test_a_face_check_is_nothing_then_started_then_over(result: str, end: tuple[str, bool | None]) -> None:
    check = FaceCheck(10.0, 16.0, result)
    assert [check.told(now) for now in (9.9, 10.0, 15.9, 16.0)] == [(None, None), *[("started", None)] * 2, end]


@given(st.integers(0, 10**8).map(lambda value: value / 1000))
def test_times_are_written_and_read_alike(seconds: float) -> None:
    assert seconds_of(stamp(seconds)) == pytest.approx(seconds)


def test_what_is_heard_covers_the_video() -> None:
    segments = heard(12.0, "en", "de-de")
    assert [(each.start, each.end) for each in segments] == [
        ("00:00:00,000", "00:00:05,000"),
        ("00:00:05,000", "00:00:10,000"),
    ]
    assert heard(0.5, "en", "de-de")[0].seconds == 0.5


def test_cues_are_found_with_either_line_end() -> None:
    text = "1\r\n00:00:01,000 --> 00:00:02,000\r\nOne\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nTwo"
    assert [(start, words) for start, _, words in cues(text)] == [("00:00:01,000", "One"), ("00:00:03,000", "Two")]


@pytest.mark.parametrize(("value", "read"), [(True, True), (False, False), ("True", True), ("False", False),
                                             (None, True)])  # fmt: skip
def test_a_flag_is_read(value: Any, read: bool) -> None:
    reader = Reader({"flag": value})
    assert reader.flag("flag", True) is read
    reader.checked()


@pytest.mark.parametrize("value", ["true", "1", 1, 0, 1.0, [], {}])
def test_anything_else_is_no_flag(value: Any) -> None:
    reader = Reader({"flag": value})
    reader.flag("flag", False)
    with pytest.raises(Refusal) as refusal:
        reader.checked()
    assert refusal.value.reply.status == 422
