"""Renders a request's body: JSON at once, files piece by piece from disk, with their length known beforehand.

A file that is not what it was when it was described is never sent whole: the request breaks off and is refused here.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast
from urllib.parse import urlencode

from attrs import frozen

from viseme.codec import dumps
from viseme.engine.disk import Disk
from viseme.engine.transport import Content
from viseme.engine.world import World
from viseme.failures import Kind
from viseme.providers.base import Base64Of, FilePart, Form, Multipart, Refused, Request, TextPart, Verdict
from viseme.wording import quote

__all__ = ["BARE", "FileContent", "Rendered", "Sent", "ready", "render"]

PIECE = 512 * 1024
"""How much of a file is read at a time; with what the socket holds, all that an upload costs in memory."""

Sent = Callable[[int, int], None]
"""Told how many bytes of a body have left, and how many there are in all."""


@frozen(kw_only=True)
class Rendered:
    """A body as it goes out, with the headers that describe it."""

    headers: Mapping[str, str]
    body: bytes | Content | None


BARE = Rendered(headers={}, body=None)
"""No body at all."""
_JSON = {"Content-Type": "application/json"}


def ready(request: Request) -> Rendered | None:
    """The body of a request that holds no file, as most do; None where it has to be rendered."""
    if request.json is not None:
        try:
            return Rendered(headers=_JSON, body=dumps(request.json))
        except TypeError:
            return None
    return BARE if request.body is None else None


async def render(world: World, request: Request, sent: Sent | None = None) -> Rendered:
    """Make the body of a request.

    Args:
        sent: told while a file is sent.

    Raises:
        Refused: a file is gone, or has changed.
    """
    if (there := ready(request)) is not None:
        return there
    match request.body:
        case None:
            data = await world.blocking(lambda: dumps(_filled(request.json, world.disk)))
            return Rendered(headers=_JSON, body=data)
        case Form(fields):
            data = urlencode(fields).encode()
            return Rendered(headers={"Content-Type": "application/x-www-form-urlencoded"}, body=data)
        case FilePart() as file:
            await _check(world, file)
            return Rendered(headers={"Content-Type": file.content_type}, body=FileContent(world, (file,), sent))
        case Multipart(parts):
            return await _multipart(world, parts, sent)


# -- files in JSON -------------------------------------------------------------------------------------------------


def _filled(value: Any, disk: Disk) -> Any:
    """The JSON with each file as a ``data:`` URI (blocks)."""
    if isinstance(value, Base64Of):
        return _data_uri(value.file, disk)
    if isinstance(value, Mapping):
        return {name: _filled(item, disk) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_filled(item, disk) for item in cast("Sequence[Any]", value)]
    return value


def _data_uri(file: FilePart, disk: Disk) -> str:
    _compare(file, disk)
    data = _peek(file, disk, 0, file.size)
    _compare(file, disk)
    return f"data:{file.content_type};base64,{b64encode(data).decode()}"


# -- files ---------------------------------------------------------------------------------------------------------


@frozen
class FileContent:
    """Bytes and files, one after the other. It holds no file open and may be read again from the start."""

    _world: World
    _parts: tuple[bytes | FilePart, ...]
    _sent: Sent | None = None

    @property
    def length(self) -> int:
        return sum(part.size if isinstance(part, FilePart) else len(part) for part in self._parts)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes in order. Raises Refused before the last piece of a file that is gone, or has changed."""
        done, length = 0, self.length
        for part in self._parts:
            async for piece in self._part(part):
                yield piece
                done += len(piece)
                if self._sent is not None:
                    self._sent(done, length)

    async def _part(self, part: bytes | FilePart) -> AsyncIterator[bytes]:
        if isinstance(part, bytes):
            yield part
            return
        await _check(self._world, part)
        for start in range(0, part.size, PIECE):
            count = min(PIECE, part.size - start)
            yield await self._world.blocking(partial(_piece, part, self._world.disk, start, count))


def _piece(file: FilePart, disk: Disk, start: int, count: int) -> bytes:
    data = _peek(file, disk, start, count)
    if start + count == file.size:
        _compare(file, disk)
    return data


async def _check(world: World, file: FilePart) -> None:
    await world.blocking(lambda: _compare(file, world.disk))


def _compare(file: FilePart, disk: Disk) -> None:
    """Raises Refused where the file is not the one that was described (blocks)."""
    try:
        found = disk.stamp(file.path)
    except OSError as error:
        raise _unreadable(file, error) from None
    if (found.size, found.mtime) != (file.size, file.mtime):
        raise _changed(file)


def _peek(file: FilePart, disk: Disk, start: int, count: int) -> bytes:
    try:
        data = disk.peek(file.path, start, count)
    except OSError as error:
        raise _unreadable(file, error) from None
    if len(data) != count:
        raise _changed(file)
    return data


def _changed(file: FilePart) -> Refused:
    return _refused(f"{_named(file)} changed while it was uploaded; run again with the finished file")


def _unreadable(file: FilePart, error: OSError) -> Refused:
    if isinstance(error, FileNotFoundError):
        return _refused(f"{_named(file)} vanished before it was uploaded; put it back and run again")
    why = error.strerror or str(error)
    return _refused(f"{_named(file)} cannot be read for its upload: {why}; make it readable and run again")


def _named(file: FilePart) -> str:
    kind = file.content_type.partition("/")[0]
    return f"{kind if kind in ('video', 'audio', 'image') else 'file'} {quote(file.path)!r}"


def _refused(message: str) -> Refused:
    return Refused(Verdict(kind=Kind.INVALID, message=message, blame="job"))


# -- multipart -----------------------------------------------------------------------------------------------------


async def _multipart(
    world: World, parts: Sequence[tuple[str, str | TextPart | FilePart]], sent: Sent | None
) -> Rendered:
    boundary = f"viseme-{world.new_id()}"
    framed: list[bytes | FilePart] = []
    for name, value in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if isinstance(value, str):
            framed.append(f"{head}\r\n\r\n{value}\r\n".encode())
            continue
        head += f'; filename="{_quoted(value.name)}"\r\nContent-Type: {value.content_type}\r\n\r\n'
        if isinstance(value, FilePart):
            await _check(world, value)
        framed += [head.encode("utf-8", "replace"), value if isinstance(value, FilePart) else value.text.encode()]
        framed.append(b"\r\n")
    framed.append(f"--{boundary}--\r\n".encode())
    return Rendered(
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        body=FileContent(world, tuple(framed), sent),
    )


def _quoted(name: str) -> str:
    """A name inside quotation marks, as browsers write it: what would end it is percent-encoded."""
    kept = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return "".join(c if c.isprintable() else "_" for c in kept)
