"""Tells a whole video file from a page, a message, another file or a torn one, by first bytes and box structure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from struct import Struct

__all__ = ["page_in_disguise", "torn_mp4"]

_PAGE_TYPES = ("text/html", "application/json", "application/xml", "text/xml", "application/problem+json", "text/plain")
_BOX = Struct(">I4s")
_BOXES = 200_000
"""More than hours of film in fragments have; each costs a read."""
_MARKUP = re.compile(rb"\s*(<!doctype|<html|<\?xml|<head|<body|<error|\{\s*\"|\[\s*\{)", re.IGNORECASE)
_OTHERS = (
    (re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8"), "a picture"),
    (re.compile(rb"PK\x03\x04|\x1f\x8b\x08"), "an archive"),
    (re.compile(rb"%PDF-"), "a document"),
    (re.compile(rb"\0{16}"), "nothing but zeros"),
)
"""What is certainly no video; containers there are more of than one can list."""


def page_in_disguise(headers: Mapping[str, str], head: bytes) -> str | None:
    """Why a reply is a page, a message or another kind of file, or None if it may be a video.

    Args:
        headers: the reply's, lower-case names.
        head: the body's first bytes.
    """
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind in _PAGE_TYPES and head[4:8] != b"ftyp":
        return f"the link answers with {kind} instead of a video"
    if _MARKUP.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "the link answers with a page instead of a video"
    other = next((name for pattern, name in _OTHERS if pattern.match(head)), None)
    return None if other is None else f"the link answers with {other} instead of a video"


def torn_mp4(size: int, read: Callable[[int, int], bytes]) -> str | None:
    """Why an MP4 or QuickTime file is incomplete, or None if it is whole or something else.

    Args:
        size: of the file, bytes.
        read: gives up to n bytes from an offset: ``read(offset, n)``.
    """
    header, offset, kinds = read(0, 16), 0, set[bytes]()
    if header[4:8] != b"ftyp":
        return None
    for _ in range(_BOXES):
        if len(header) < 8:
            return f"the video file is cut off after {size} bytes"
        length, kind = _BOX.unpack_from(header)
        if length < 8:
            if length == 1 and len(header) == 16:
                length = int.from_bytes(header[8:16])
            elif length == 0:
                length = size - offset
            if length < 8:
                return f"the video file is damaged at byte {offset}"
        kinds.add(kind)
        offset += length
        if offset >= size:
            break
        header = read(offset, 16)
    else:
        return f"the video file has more than {_BOXES} boxes"
    if offset > size:
        return f"the video file is cut off: {size} of at least {offset} bytes"
    if not kinds & {b"moov", b"moof"}:
        return "the video file has no index (moov)"
    return None if b"mdat" in kinds else "the video file has no media (mdat)"
