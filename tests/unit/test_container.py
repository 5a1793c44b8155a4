"""Telling a whole video from a page, a message or a torn file."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.video import box, video

from viseme.engine.downloads.container import page_in_disguise, torn_mp4


def torn(content: bytes) -> str | None:
    return torn_mp4(len(content), lambda offset, count: content[offset : offset + count])


def test_a_whole_video_is_whole() -> None:
    assert torn(video()) is None


def test_a_video_with_its_index_behind_is_whole() -> None:
    assert torn(box(b"ftyp", b"isom") + box(b"mdat", b"x" * 100) + box(b"moov", b"y")) is None


def test_a_fragmented_video_is_whole() -> None:
    assert torn(box(b"ftyp", b"iso5") + box(b"moof", b"x") + box(b"mdat", b"y" * 50)) is None


def test_a_last_box_that_reaches_to_the_end_is_whole() -> None:
    assert torn(box(b"ftyp", b"isom") + box(b"moov", b"") + struct.pack(">I4s", 0, b"mdat") + b"rest") is None
    assert torn(box(b"ftyp", b"isom") + struct.pack(">I4s", 0, b"mdat") + b"rest")


def test_a_box_with_a_long_size_is_whole_and_one_that_is_cut_is_not() -> None:
    long = struct.pack(">I4sQ", 1, b"mdat", 16 + 10) + b"x" * 10
    head = box(b"ftyp", b"isom") + box(b"moov", b"")
    assert torn(head + long) is None
    assert "cut off" in (torn(head + long[:-1]) or "")


def test_other_containers_are_taken_as_they_are() -> None:
    assert torn(b"\x1aE\xdf\xa3" + b"webm" * 100) is None
    assert torn(b"") is None


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a picture"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"GIF89a", "a picture"),
        (b"PK\x03\x04", "an archive"),
        (b"\x1f\x8b\x08\0", "an archive"),
        (b"%PDF-1.7", "a document"),
        (b"\0" * 16, "nothing but zeros"),
    ],
)
def test_what_is_something_else_by_its_first_bytes_is_no_video(head: bytes, told: str) -> None:
    said = page_in_disguise({"content-type": "video/mp4"}, head + b"\0" * 100)
    assert said == f"the link answers with {told} instead of a video"


@pytest.mark.parametrize(
    "head", [video()[:64], b"\x1aE\xdf\xa3webm", b"\0\0\x01\xba" + b"\0" * 20, b"\0" * 8 + b"x" * 8]
)
def test_what_may_be_a_video_by_its_first_bytes_is_taken(head: bytes) -> None:
    assert page_in_disguise({"content-type": "video/mp4"}, head) is None


@given(st.integers(8, len(video()) - 1))
def test_a_video_cut_anywhere_is_torn(size: int) -> None:
    assert torn(video()[:size])


def test_a_video_without_index_is_torn() -> None:
    assert "moov" in (torn(box(b"ftyp", b"isom") + box(b"mdat", b"x")) or "")


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_box_of_an_impossible_size_is_damage(length: int) -> None:
    damaged = box(b"ftyp", b"isom") + struct.pack(">I4s", length, b"mdat")
    assert "damaged" in (torn(damaged) or "")


@given(st.binary(max_size=200))
def test_any_boxes_end_in_a_word_and_never_in_a_loop(content: bytes) -> None:
    found = torn(box(b"ftyp", b"isom") + content)
    assert found is None or found.startswith("the video file")


VIDEO = video()[:64]


@pytest.mark.parametrize(
    "head",
    [
        b"<!DOCTYPE html><html>",
        b"  \r\n<html lang=en>",
        b"<HTML>",
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        b"<Error><Code>NoSuchKey</Code></Error>",
        b'{"error": "expired"}',
        b'\xef\xbb\xbf{ "error": 1}',
        b'[{"error": 1}]',
        b"<head><title>x",
        b"<body>",
    ],
)
@pytest.mark.parametrize("kind", ["video/mp4", "application/octet-stream", ""])
def test_pages_and_messages_are_seen_whatever_they_are_called(head: bytes, kind: str) -> None:
    assert page_in_disguise({"content-type": kind}, head)


@pytest.mark.parametrize(
    "kind",
    ["text/html", "Text/HTML; charset=utf-8", "application/json", "text/plain", "application/xml"],
)
def test_what_is_called_a_page_is_one_unless_it_is_a_video_all_the_same(kind: str) -> None:
    assert kind.split(";")[0].lower() in (page_in_disguise({"content-type": kind}, b"gone, sorry") or "")
    assert page_in_disguise({"content-type": kind}, VIDEO) is None


def test_a_video_is_no_page() -> None:
    for kind in ("video/mp4", "application/octet-stream", "binary/octet-stream", ""):
        assert page_in_disguise({"content-type": kind}, VIDEO) is None
    assert page_in_disguise({}, b"\x1aE\xdf\xa3webm") is None
