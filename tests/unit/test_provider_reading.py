"""Reading vendors' values: nothing that they write may break us."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.providers import reading
from viseme.results import Artifact

BEGIN = 1_763_600_400.0  # 2025-11-20T01:00:00Z


def test_a_path_leads_through_objects_and_lists() -> None:
    tree = {"a": [{"b": 5}], "c": "text"}
    assert reading.entry(tree, "a", 0, "b") == 5
    for path in (("a", 1, "b"), ("a", "b"), ("c", 0), ("x", "y"), ("a", 0, "b", "c"), (0,)):
        assert reading.entry(tree, *path) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [("a", "a"), (17, "17"), ("  ", None), ("", None), (None, None), (True, None), (1.5, None), ("a\nb", None)],
)
def test_an_id_is_a_text_or_a_whole_number(value: object, found: str | None) -> None:
    assert reading.identifier(value) == found


def test_ids_are_not_endless() -> None:
    assert reading.identifier("x" * 300) == "x" * 300
    assert reading.identifier("x" * 301) is None
    assert reading.identifier(10**50) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (1, 1.0),
        (1.5, 1.5),
        ("2.5", 2.5),
        ("x", None),
        (True, None),
        (None, None),
        ("nan", None),
        ("inf", None),
        ([], None),
    ],
)
def test_a_number_is_finite(value: object, found: float | None) -> None:
    assert reading.number(value) == found


def test_a_number_may_be_too_large() -> None:
    assert reading.number(10**400) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (1_763_600_400, BEGIN),
        ("1763600400", BEGIN),
        (1_763_600_400_000, BEGIN),
        ("2025-11-20T01:00:00Z", BEGIN),
        ("2025-11-20T02:00:00+01:00", BEGIN),
        ("2025-11-20T01:00:00", BEGIN),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        (0, None),
        (-5, None),
        (1e300, None),
        (None, None),
        (True, None),
    ],
)
def test_a_moment_has_many_spellings(value: object, found: float | None) -> None:
    assert reading.moment(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("words", "words"),
        (["a", "b", "a"], "a; b"),
        ({"message": "m", "error": "e"}, "m"),
        ({"error": {"detail": [{"msg": "deep", "loc": ["x"]}]}}, "deep"),
        ({"message": "", "name": "Name"}, "Name"),
        ({"other": "x"}, None),
        ([], None),
        (None, None),
        (5, None),
    ],
)
def test_the_words_of_an_error_are_found(value: object, found: str | None) -> None:
    assert reading.said(value) == found


def test_the_words_of_an_error_are_not_looked_for_without_end() -> None:
    deep: Any = "words"
    for _ in range(50):
        deep = {"error": deep}
    assert reading.said(deep) is None


@pytest.mark.parametrize(
    ("query", "end"),
    [
        ("X-Amz-Date=20251120T010000Z&X-Amz-Expires=604800&X-Amz-Signature=a", BEGIN + 604800),
        ("x-amz-date=20251120T010000Z&x-amz-expires=60", BEGIN + 60),
        ("X-Goog-Date=20251120T010000Z&X-Goog-Expires=60&X-Goog-Signature=a", BEGIN + 60),
        ("AWSAccessKeyId=a&Signature=b&Expires=1763600400", BEGIN),
        ("Expires=1763600400&Signature=b&Key-Pair-Id=c", BEGIN),
        ("X-Amz-Date=yesterday&X-Amz-Expires=60", None),
        ("X-Amz-Date=20251120T010000Z", None),
        ("X-Amz-Date=20251120T010000Z&X-Amz-Expires=long", None),
        ("Expires=1763600400", None),
        ("Expires=soon&Signature=b", None),
        ("", None),
    ],
)
def test_a_signed_link_tells_its_end(query: str, end: float | None) -> None:
    assert reading.link_expiry(f"https://bucket.example/out.mp4?{query}") == end


def test_a_link_that_is_no_url_tells_nothing() -> None:
    assert reading.link_expiry("https://[broken") is None
    assert reading.artifacts("https://[broken") == ()


def test_without_a_video_there_is_nothing_to_fetch() -> None:
    assert reading.artifacts(None, "https://a.example/cover.jpg") == ()
    both = reading.artifacts("https://a.example/v.mp4", "https://a.example/cover.jpg")
    assert both == (Artifact(url="https://a.example/v.mp4"), Artifact(url="https://a.example/cover.jpg", role="cover"))


@given(st.text() | st.text("aZ0_.~-+/% é", max_size=3))
def test_whatever_is_encoded_is_one_part_of_a_url(text: str) -> None:
    encoded = reading.encode(text)
    assert encoded.isascii()
    assert not set(encoded) & set("/?&#=: +")
    assert encoded == quote(text, safe="", errors="replace")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["message", "error", "detail", "a"]), inner),
    )
)
def test_readers_never_break(value: object) -> None:
    for read in (reading.word, reading.identifier, reading.number, reading.moment, reading.said, reading.listing):
        read(value)
    reading.artifacts(value, value)
    if isinstance(value, str):
        reading.link_expiry(value)
    json.dumps(reading.word(value)).encode()


def test_a_link_without_end_is_none() -> None:
    """It would fill the ledger, and no server takes it."""
    long = "https://a.example/" + "x" * 16_366
    assert reading.artifacts(long)[0].url == long
    assert reading.artifacts(long + "x") == ()
    assert reading.http_link(long + "x") is None
