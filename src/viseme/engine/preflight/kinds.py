"""What a file is by its first bytes, and whether it breaks off, by what its own headers say. No decoding."""

from __future__ import annotations

import re

from viseme.engine.downloads.container import torn_mp4
from viseme.engine.preflight.pieces import Missing, Pieces

__all__ = ["PICTURES", "container_of", "page_of", "torn"]

PICTURES = frozenset({"jpg", "png", "webp", "gif", "bmp"})

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_MESSAGES = frozenset({"application/json", "application/xml", "text/xml", "application/problem+json", "text/plain"})
_MARKUP = re.compile(rb"\s*(<!doctype|<html|<head|<body|<script|<!--)", re.IGNORECASE)
_BRANDS = {b"qt  ": "mov", b"M4A ": "m4a", b"M4B ": "m4a", b"heic": "heic", b"avif": "avif"}
_STARTS = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75", "asf"),
    (b"#!AMR", "amr"),
    (b"caff", "caf"),
)
_RIFF = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}
_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_STREAMED = 0x7FFF0000
"""Lengths from here on are placeholders of programs that wrote a WAV without knowing its end."""


def container_of(head: bytes) -> str | None:
    """The usual ending of the file's name, by its first bytes; None for what is not recognised."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "mp4")
    if head[4:8] in _ATOMS:
        return "mov"
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "webm" if b"webm" in head[:4096] else "mkv"
    known = next((name for start, name in _STARTS if head.startswith(start)), None)
    return known or _framed(head)


def _framed(head: bytes) -> str | None:
    """Formats without a signature: MPEG audio frames, MPEG-TS."""
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "ts"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        layer = head[1] >> 1 & 3
        return "aac" if layer == 0 else "mp3" if layer == 1 else None
    return None


def page_of(content_type: str | None, head: bytes) -> str | None:
    """What a reply is that is no media but a page or a message, in words; None if it may be media."""
    if container_of(head) is not None:
        return None
    text = head.removeprefix(b"\xef\xbb\xbf")
    if content_type in _PAGES or _MARKUP.match(text):
        return "a web page"
    if content_type in _MESSAGES and b"\0" not in text:
        return f"a message ({content_type})"
    return None


def torn(pieces: Pieces) -> str | None:
    """Why a file is certainly not whole, said of it; None if it may be, or what would tell is not at hand."""
    if pieces.size is None:
        return None
    try:
        head = pieces.read(0, 12)
        if head[4:8] == b"ftyp":
            found = torn_mp4(pieces.size, pieces.read)
            return None if found is None else found.removeprefix("the video file ")
        length = int.from_bytes(head[4:8], "little") + 8
        if head[:4] == b"RIFF" and pieces.size < length < _STREAMED:
            return f"is cut off: {pieces.size} of {length} bytes"
    except Missing:
        pass
    return None
