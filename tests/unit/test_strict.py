"""Strict reading: nothing unknown is passed over, nothing is guessed, errors are sentences."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from viseme.strict import known_names, snake_names, structure
from viseme.units import Seconds


@frozen(kw_only=True)
class Part:
    size: float
    mode: Literal["a", "b", 1, True] | None = None


def _even(_: object, __: object, value: int) -> None:
    if value % 2:
        raise ValueError(f"count must be even, not {value}")


@frozen(kw_only=True)
class Whole:
    name: str = ""
    count: int = field(default=0, validator=_even)
    flag: bool = False
    wait: Seconds = 1.0
    pause: Seconds | None = None
    words: tuple[str, ...] = ()
    parts: list[Part] = field(factory=list[Part])
    part: Part | None = None
    boxes: tuple[tuple[float, ...] | None, ...] | None = None


def test_values_are_built_as_they_are_given() -> None:
    whole = structure(
        {
            "name": "x",
            "count": 2,
            "flag": True,
            "wait": "24h",
            "pause": 5,
            "words": ["a", "b"],
            "parts": [{"size": 1, "mode": "a"}, {"size": 2.5}],
            "part": {"size": 0},
            "boxes": [[1, 2], None],
        },
        Whole,
    )
    assert whole == Whole(
        name="x",
        count=2,
        flag=True,
        wait=86400.0,
        pause=5.0,
        words=("a", "b"),
        parts=[Part(size=1.0, mode="a"), Part(size=2.5)],
        part=Part(size=0.0),
        boxes=((1.0, 2.0), None),
    )
    assert isinstance(whole.parts[0].size, float)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nmae": "x"}, "unknown name 'nmae'; known are name, count, flag, wait, pause, words, parts, part, boxes"),
        ({"name": 5}, "name: must be text, not 5"),
        ({"count": 2.0}, "count: must be a whole number, not 2.0"),
        ({"count": True}, "count: must be a whole number, not True"),
        ({"count": "2"}, "count: must be a whole number, not 2"),
        ({"count": 3}, "count must be even, not 3"),
        ({"flag": 1}, "flag: must be true or false, not 1"),
        ({"flag": "yes"}, "flag: must be true or false, not yes"),
        ({"wait": "24"}, "wait: 24 is not a duration; write it as '10s', '5min', '2h' or '1h30m'"),
        ({"wait": None}, "wait: None is not a duration; write it as '10s', '5min' or '2h'"),
        ({"pause": -1}, "pause: -1 is not a duration; write it as '10s', '5min' or '2h'"),
        ({"words": "abc"}, "words: must be a list, not abc"),
        ({"words": {"a": 1}}, "words: must be a list, not {'a': 1}"),
        ({"words": ["a", 1, 2]}, "words[1]: must be text, not 1; words[2]: must be text, not 2"),
        ({"parts": [{}]}, "parts[0].size is missing"),
        ({"parts": [{"size": "x"}]}, "parts[0].size: must be a number, not x"),
        ({"parts": [{"size": 10**400}]}, "parts[0].size: 1000"),
        ({"parts": [5]}, "parts[0]: must be a table with size, mode, not 5"),
        ({"parts": [{"size": 1, "mode": "c"}]}, "parts[0].mode: 'c' is not one of a, b, 1, True"),
        ({"parts": [{"size": 1, "mode": 1.0}]}, "parts[0].mode: '1.0' is not one of a, b, 1, True"),
        ({"part": {"size": 1, "x": 2}}, "part: unknown name 'x'; known are size, mode"),
        ({"part": {"mode": "a"}}, "part.size is missing"),
        ({"part": "none"}, "part: must be a table with size, mode, not none"),
        ({"boxes": [[1], ["x"]]}, "boxes[1][0]: must be a number, not x"),
        ({"name": 5, "flag": 5}, "name: must be text, not 5; flag: must be true or false, not 5"),
        ([], "must be a table of settings, not []"),
        (None, "must be a table of settings, not None"),
    ],
)
def test_errors_name_the_place_and_what_may_stand_there(table: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        structure(table, Whole)
    assert str(caught.value).startswith(message)


@frozen(kw_only=True)
class Key:
    secret: str = field(default="", repr=False)


@pytest.mark.parametrize("value", [["hush-hush"], {"hush-hush": 1}, 4711])
def test_what_a_class_does_not_show_is_not_quoted(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^secret: must be text, and what stands there is not shown$"):
        structure({"secret": value}, Key)


def test_a_true_that_a_choice_names_is_not_a_one() -> None:
    assert structure({"size": 1, "mode": True}, Part).mode is True
    assert structure({"size": 1, "mode": 1}, Part).mode == 1


def test_the_names_are_known() -> None:
    assert known_names(Part) == ("size", "mode")


@pytest.mark.parametrize(
    ("given_", "spelled"),
    [
        ({"syncMode": 1}, {"sync_mode": 1}),
        ({"outputFileName": {"refId": [{"startTime": 0}]}}, {"output_file_name": {"ref_id": [{"start_time": 0}]}}),
        ({"sync_mode": 1, "v3": True}, {"sync_mode": 1, "v3": True}),
        ({"a": ({"bC": 1},)}, {"a": [{"b_c": 1}]}),
        ("aB", "aB"),
        ({1: 2}, {"1": 2}),
    ],
)
def test_camel_case_names_are_understood_and_values_left_alone(given_: Any, spelled: Any) -> None:
    assert snake_names(given_) == spelled


def test_a_name_in_two_spellings_is_refused() -> None:
    with pytest.raises(ValueError, match="a_b is given twice"):
        snake_names({"x": {"aB": 1, "a_b": 2}})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from([*known_names(Whole), *known_names(Part), "x"]), inner)
    ),
)


@given(anything)
def test_whatever_is_given_is_read_or_refused(value: Any) -> None:
    with contextlib.suppress(ValueError):
        structure(value, Whole)
