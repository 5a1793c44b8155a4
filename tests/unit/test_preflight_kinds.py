"""What a file is by its first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.clips import make_clip, make_film

from viseme.engine.preflight.kinds import container_of, page_of, torn
from viseme.engine.preflight.pieces import Pieces

ENDINGS = ("mp4", "mov", "mkv", "webm", "avi", "ts", "wav", "mp3", "ogg", "flac", "m4a", "jpg")


def pieces(data: bytes, size: int | None = None) -> Pieces:
    held = Pieces(len(data) if size is None else size)
    held.put(0, data)
    return held


@pytest.mark.parametrize("ending", ENDINGS)
def test_real_files_are_known_by_their_first_bytes(tmp_path: Path, ending: str) -> None:
    data = make_clip(tmp_path / f"clip.{ending}").read_bytes()
    assert container_of(data[:4096]) == ending
    assert page_of("text/html", data[:4096]) is None, "whatever its host calls it"
    assert torn(pieces(data)) is None


@pytest.mark.parametrize(
    ("content_type", "head", "said"),
    [
        ("text/html", b"", "a web page"),
        (None, b"<!DOCTYPE html><title>", "a web page"),
        ("video/mp4", b"\xef\xbb\xbf\n <html>", "a web page"),
        ("application/json", b'{"error": "no"}', "a message (application/json)"),
        ("application/xml", b"<?xml version='1.0'?><Error/>", "a message (application/xml)"),
        ("text/plain", b"not here", "a message (text/plain)"),
        ("text/plain", b"\0\0\1\2binary", None),
        ("application/octet-stream", b"anything", None),
        (None, b"", None),
    ],
)
def test_a_page_is_told_from_a_medium(content_type: str | None, head: bytes, said: str | None) -> None:
    assert page_of(content_type, head) == said


def test_a_film_that_breaks_off_is_told(tmp_path: Path) -> None:
    data = make_film(tmp_path / "a.mp4", faststart=True).read_bytes()
    assert torn(pieces(data[:-100])) == f"is cut off: {len(data) - 100} of at least {len(data)} bytes"
    late = make_film(tmp_path / "b.mp4").read_bytes()
    assert torn(pieces(late[:-100])) == f"is cut off: {len(late) - 100} of at least {len(late)} bytes"


def test_a_sound_that_breaks_off_is_told_unless_its_length_was_never_known(tmp_path: Path) -> None:
    data = make_clip(tmp_path / "a.wav").read_bytes()
    assert torn(pieces(data[: len(data) // 2])) == f"is cut off: {len(data) // 2} of {len(data)} bytes"
    streamed = data[:4] + b"\xff\xff\xff\xff" + data[8:]
    assert torn(pieces(streamed)) is None


def test_nothing_is_said_of_what_is_not_at_hand(tmp_path: Path) -> None:
    data = make_film(tmp_path / "a.mp4").read_bytes()
    assert torn(pieces(data[:200], size=len(data))) is None
    assert torn(Pieces(None)) is None
