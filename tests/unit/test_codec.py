"""The codec of the standard library writes and reads as its documented ways do, and refuses what they refuse."""

from __future__ import annotations

import codecs
import json
import json.encoder
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from viseme import codec
from viseme.plain import plain
from viseme.results import State

PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
KEYS = st.text() | st.integers() | st.floats() | st.none() | st.booleans() | st.just(State.WAITING)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**80)
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(State)
    | st.sampled_from([b"bytes", object, {1}, 1j])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
BLANKS = st.text(" \t\n\r\f\xa0", max_size=3)


def said(function: Callable[[Any], Any], value: Any) -> tuple[str, Any]:
    """What a function gives, to the type, or how it fails."""
    try:
        return "gives", repr(function(value))
    except (TypeError, ValueError, RecursionError) as error:
        return "fails", type(error)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


@given(VALUES)
@example({"lone": "\ud800"})
@example("ä")
def test_a_text_is_what_is_written_decoded(value: Any) -> None:
    assert said(codec._stdlib_text, value) == said(lambda value: codec._stdlib_dumps(value).decode(), value)


@given(VALUES)
@example("top")
@example({"lone": "\ud800"})
@example([float("nan")])
@example({float("inf"): 1})
def test_what_is_written_is_what_the_documented_encoder_writes(value: Any) -> None:
    assert said(codec._stdlib_dumps, value) == said(lambda one: PLAIN.encode(one).encode(), value)


@given(VALUES)
def test_without_its_part_in_c_the_same_is_written(value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json.encoder, "c_make_encoder", None)
        encode = codec._writer()
    assert said(lambda one: encode(one).encode(), value) == said(codec._stdlib_dumps, value)


def test_what_failed_to_be_written_leaves_nothing_behind() -> None:
    value: dict[str, Any] = {"a": [1, {"b": object()}]}
    for _ in range(3):
        with pytest.raises(TypeError, match="object is not JSON serializable"):
            codec._stdlib_dumps(value)
    value["a"][1]["b"] = 2
    assert codec._stdlib_dumps(value) == b'{"a":[1,{"b":2}]}'


def test_many_threads_may_write_at_once() -> None:
    value = {"a": [nested(20) for _ in range(20)]}
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(codec._stdlib_dumps, [value] * 200))) == 1


def test_what_is_nested_too_deeply_or_in_a_circle_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (circle, nested(sys.getrecursionlimit())):
        with pytest.raises(RecursionError):
            codec._stdlib_dumps(value)
    for text in ("[" * 200_000, '{"a":' * 200_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            codec._stdlib_loads(text)


@given(
    VALUES.filter(lambda value: said(PLAIN.encode, value)[0] == "gives"),
    BLANKS,
    BLANKS,
    st.sampled_from(["", "]", "1"]),
)
def test_text_is_read_as_the_documented_decoder_reads_it(value: Any, before: str, behind: str, more: str) -> None:
    text = f"{before}{PLAIN.encode(value)}{behind}{more}"
    assert said(codec._stdlib_loads, text) == said(json.loads, text)


@given(st.binary() | st.text().map(str.encode))
@example(b'{"a":NaN}')
def test_whatever_comes_is_read_or_refused_as_before(data: bytes) -> None:
    def plain(data: bytes) -> Any:
        return json.loads(data, parse_constant=codec._no_constant)

    assert said(codec._stdlib_loads, data) == said(plain, data)


@given(VALUES.filter(lambda value: said(PLAIN.encode, value)[0] == "gives"))
def test_bytes_are_read_in_each_encoding_that_json_has(value: Any) -> None:
    text = PLAIN.encode(value)
    for name in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        data = text.encode(name, "surrogatepass")
        assert said(codec._stdlib_loads, data) == said(json.loads, data)
    assert said(codec._stdlib_loads, codecs.BOM_UTF8 + b'{"a":1}') == ("gives", "{'a': 1}")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '{"a":[NaN]}'])
def test_numbers_that_json_does_not_have_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        codec._stdlib_loads(text)


@given(VALUES)
@example([(1 << 64) - 1, -(1 << 63), "ä", 1.5, {"a": (True, None)}])
@example(1 << 64)
@example({State.WAITING: State.FAILED})
def test_what_is_plain_both_write_alike_and_read_back_equal(value: Any) -> None:
    try:
        copy = plain(value)
    except (TypeError, ValueError):
        return
    assert copy == value
    assert codec.loads(codec.dumps(copy)) == codec._stdlib_loads(codec._stdlib_dumps(copy))
    assert codec._stdlib_loads(codec.dumps(copy)) == codec.loads(codec._stdlib_dumps(copy))


@pytest.mark.parametrize(
    "data",
    [
        b'{"title":"a film \\ud83d"}',
        codecs.BOM_UTF8 + b'{"a":1}',
        '{"a":"\u00e4"}'.encode("utf-16"),
        b'{"a":1e999}',
        b"<html>",
        b'{"a":NaN}',
        b"\xff",
        b"",
    ],
)
def test_what_the_standard_library_reads_is_read_whatever_is_installed(data: bytes) -> None:
    assert said(codec.loads, data)[0] == said(codec._stdlib_loads, data)[0]
    if said(codec.loads, data)[0] == "gives":
        assert said(codec.loads, data) == said(codec._stdlib_loads, data)
