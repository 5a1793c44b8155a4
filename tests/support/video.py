"""The smallest files that pass for videos."""

from __future__ import annotations

import struct

__all__ = ["box", "video"]


def box(kind: bytes, content: bytes) -> bytes:
    """One MP4 box."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def video(size: int = 1000) -> bytes:
    """A file with the boxes of an MP4, of exactly so many bytes."""
    head = box(b"ftyp", b"isom\0\0\2\0") + box(b"moov", b"m" * 40)
    body = bytes(number % 251 for number in range(min(size, 251)))
    content = (body * (size // 251 + 1))[: size - len(head) - 8]
    return head + box(b"mdat", content)
