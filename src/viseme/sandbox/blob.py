"""Bytes that can be served in ranges, and the serving of them: Range, If-Range, ETag, HEAD, 304, 416."""

import asyncio
import hashlib
import mmap
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Literal, Protocol

import attrs
from aiohttp import web

_PIECE = 256 * 1024
_SPAN = re.compile(r"bytes=(\d*)-(\d*)")

Spoil = Literal["reset_body", "truncated", "short"]


@attrs.frozen(eq=False)
class Blob:
    """A body and an own ending, with the digest of both.

    The body is shared by every job with the same inputs; the ending (an MP4 `free` box, which players skip) differs, so
    that each job's file is recognisable by its digest.
    """

    body: memoryview = attrs.field(repr=False)
    ending: bytes = attrs.field(repr=False, default=b"")
    sha256: str = ""

    @classmethod
    def of(cls, data: bytes) -> "Blob":
        """Wraps bytes."""
        return cls(memoryview(data), sha256=hashlib.sha256(data).hexdigest())

    @classmethod
    def read(cls, path: Path) -> "Blob":
        """Maps a file into memory and takes its digest (blocks)."""
        blob = cls.mapped(path, "")
        return attrs.evolve(blob, sha256=hashlib.sha256(blob.body).hexdigest())

    @classmethod
    def mapped(cls, path: Path, sha256: str) -> "Blob":
        """Maps a file whose digest is known into memory, without reading it."""
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if path.stat().st_size else b""
        return cls(memoryview(data), sha256=sha256)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.body) + len(self.ending)

    @property
    def etag(self) -> str:
        """The strong entity tag."""
        return f'"{self.sha256[:32]}"'

    def pieces(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        """The bytes from `start` to before `end`, in pieces."""
        cut = len(self.body)
        for at in range(start, min(end, cut), _PIECE):
            yield self.body[at : min(at + _PIECE, end, cut)]
        if end > cut:
            yield self.ending[max(0, start - cut) : end - cut]


class Hasher(Protocol):
    """A running digest."""

    def copy(self) -> "Hasher": ...
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@attrs.frozen(eq=False)
class Edition:
    """A rendered file from which every job gets its own copy without writing the bytes again."""

    body: memoryview = attrs.field(repr=False)
    hasher: Hasher = attrs.field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "Edition":
        """Maps a rendered file into memory (blocks)."""
        with path.open("rb") as file:
            return cls.of(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))

    @classmethod
    def of(cls, body: memoryview) -> "Edition":
        """Makes an edition from bytes in memory (blocks for as long as hashing takes)."""
        return cls(body, hashlib.sha256(body))

    def copy_for(self, mark: str) -> Blob:
        """One job's copy: the same film, ended by a `free` box that carries the mark."""
        ending = free_box(mark.encode())
        hasher = self.hasher.copy()
        hasher.update(ending)
        return Blob(self.body, ending, hasher.hexdigest())


def free_box(content: bytes) -> bytes:
    """An MP4 box that players skip."""
    return (8 + len(content)).to_bytes(4, "big") + b"free" + content


@attrs.frozen
class Sent:
    """What a client was sent: the span of bytes, and whether the whole span was written."""

    start: int
    end: int
    complete: bool


async def send(
    request: web.Request,
    blob: Blob,
    content_type: str,
    *,
    ignore_range: bool = False,
    spoil: Spoil | None = None,
    pause: Callable[[], Awaitable[None]] | None = None,
) -> tuple[web.StreamResponse, Sent | None]:
    """Answers GET or HEAD with a blob, as an object store does; `pause` is called half way."""
    headers = {"Content-Type": content_type, "ETag": blob.etag, "Accept-Ranges": "bytes"}
    if blob.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers), None
    span = None if ignore_range else asked_span(request, blob)
    if span is not None and span[0] >= span[1]:
        headers["Content-Range"] = f"bytes */{blob.size}"
        return web.Response(status=416, headers=headers), None
    start, end = span or (0, blob.size)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
    reply = web.StreamResponse(status=200 if span is None else 206, headers=headers)
    reply.content_length = end - start
    if request.method == "HEAD":
        await reply.prepare(request)
        return reply, None
    return reply, await _stream(request, reply, blob, (start, end), spoil, pause)


async def _stream(
    request: web.Request,
    reply: web.StreamResponse,
    blob: Blob,
    span: tuple[int, int],
    spoil: Spoil | None,
    pause: Callable[[], Awaitable[None]] | None,
) -> Sent:
    start, end = span
    half = start + (end - start) // 2
    if spoil == "short":
        reply.content_length = half - start
    await reply.prepare(request)
    at = await _write(reply, blob, start, half)
    if pause is not None:
        await pause()
    if spoil is None:
        at = await _write(reply, blob, half, end)
    if spoil in ("truncated", "reset_body"):
        await drained(request)
        drop(request, reset=spoil == "reset_body")
    else:
        await reply.write_eof()
    return Sent(start, at, at == end)


async def _write(reply: web.StreamResponse, blob: Blob, start: int, end: int) -> int:
    for piece in blob.pieces(start, end):
        await reply.write(piece)
    return end


async def drained(request: web.Request) -> None:
    """Waits (at most a second) until the kernel has taken what was written."""
    for _ in range(200):
        if request.transport is None or not request.transport.get_write_buffer_size():
            return
        await asyncio.sleep(0.005)


def drop(request: web.Request, *, reset: bool) -> None:
    """Ends the connection: with a reset, or as an orderly close after what was written."""
    if request.transport is None:
        return
    if reset:
        descriptor = request.transport.get_extra_info("socket").fileno()
        with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as twin:  # uvloop's socket sets no options
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    else:
        request.transport.close()


def asked_span(request: web.Request, blob: Blob) -> tuple[int, int] | None:
    """The span a request asks for: None for the whole, an empty one when it cannot be satisfied."""
    found = _SPAN.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return None
    if request.headers.get("If-Range", blob.etag) != blob.etag:
        return None
    if not found[1]:
        return max(0, blob.size - int(found[2])), blob.size if int(found[2]) else 0
    start = int(found[1])
    end = min(blob.size, int(found[2]) + 1) if found[2] else blob.size
    return (start, end) if start < blob.size else (0, 0)
