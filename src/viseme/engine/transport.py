"""The network: each request is sent once, to where it may go, and its outcome is a value.

A paid request must not be repeated, whatever happens to its connection, and its key goes to one host only; what a
vendor or a link answers is bounded in time and in size.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import quote

import aiohttp
from aiohttp import StreamReader
from attrs import define, field, frozen
from yarl import URL

from viseme.engine.channel import room
from viseme.engine.connections import CONNECT, Address, Connections, Private, Response, Unwritable
from viseme.engine.deadlines import Deadlines
from viseme.engine.pouring import Content, Pouring
from viseme.providers.base import Fault, Outcome
from viseme.wording import quote as shown

__all__ = ["AioTransport", "Broken", "Content", "Line", "Stream", "Transport", "Wire"]

_REPLY = 60.0
_HOPS = 5
_UNFIT = re.compile(r"[^!-~]+")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@frozen(cache_hash=True)
class Line:
    """The connections of one account: ``fresh`` ones serve a single request, ``private`` ones may reach private
    addresses."""

    account: str
    private: bool = False
    fresh: bool = False


@frozen(slots=False)
class Wire:
    """A request as it goes out. ``hold`` is how long the far side may think, in seconds."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Content | None = None
    hold: float = 0.0


class Broken(Exception):
    """A download's connection could not be made, or broke."""

    def __init__(self, message: str, *, unsafe: bool = False) -> None:
        super().__init__(message)
        self.unsafe = unsafe


class Stream(Protocol):
    """A reply whose body is read piece by piece; ``Broken`` is raised where it breaks off."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def chunks(self) -> AsyncIterator[bytes]: ...


class Transport(Protocol):
    """What the engine needs of a network."""

    async def send(self, line: Line, wire: Wire) -> Outcome:
        """Send a request once, whatever happens, and say what came of it.

        What the pieces of its body raise is raised here; the request was broken off then, and never arrived whole.
        """
        ...

    def fetch(
        self, url: str, headers: Mapping[str, str], *, private: bool, stall: float, method: str = "GET"
    ) -> AbstractAsyncContextManager[Stream]:
        """Open a download, redirects followed, each address checked; ``stall`` seconds without a byte break it off.

        The method is ``GET``, or ``HEAD`` for the headers alone.
        """
        ...


@define
class AioTransport:
    """The network over aiohttp: connections per line, and two kinds for downloads. An async context manager."""

    _lines: dict[object, Connections] = field(factory=dict[object, Connections], init=False)
    _pourings: dict[Line, Pouring] = field(factory=dict[Line, Pouring], init=False)
    _deadlines: Deadlines = field(factory=Deadlines, init=False)
    _room: memoryview = field(factory=room, init=False, repr=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        open_still = [*self._pourings.values(), *self._lines.values()]
        self._pourings, self._lines = {}, {}
        for each in open_still:
            await each.close()
        self._deadlines.close()

    async def send(self, line: Line, wire: Wire) -> Outcome:
        try:
            address = _known_address(wire.url)
        except ValueError as error:
            return Fault(sent=False, message=_say(error))
        body, patience = wire.body, _REPLY + wire.hold
        try:
            if body is None or isinstance(body, bytes):
                return await self._line(line).send(wire.method, address, wire.headers, body, patience)
            with self._deadlines.within(CONNECT + _REPLY + patience) as deadline:
                pouring = self._pouring(line)
                return await pouring.send(wire.method, address.url, wire.headers, body, deadline, patience)
        except (Unwritable, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Fault(sent=False, message=_say(error))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Fault(sent=True, message=_say(error))

    def fetch(
        self, url: str, headers: Mapping[str, str], *, private: bool, stall: float, method: str = "GET"
    ) -> AbstractAsyncContextManager[Stream]:
        return _Fetching(self._downloads(private), url, headers, stall, method)

    def _line(self, line: Line) -> Connections:
        found = self._lines.get(line)
        if found is None:
            found = self._lines[line] = Connections(
                private=line.private, fresh=line.fresh, room=self._room, deadlines=self._deadlines
            )
        return found

    def _pouring(self, line: Line) -> Pouring:
        found = self._pourings.get(line)
        if found is None:
            found = self._pourings[line] = Pouring(self._line(line))
        return found

    def _downloads(self, private: bool) -> Connections:
        name = ("downloads", private)
        found = self._lines.get(name)
        if found is None:
            found = self._lines[name] = Connections(
                private=private,
                fresh=False,
                buffer=1 << 18,
                inflate=False,
                room=self._room,
                deadlines=self._deadlines,
            )
        return found


def _address(text: str, base: URL | None = None) -> Address:
    """An address as it was given; what no address may hold (white space, other letters) is percent-encoded.

    Raises:
        ValueError: it is no http(s) address.
    """
    fit = text.isascii() and text.isprintable() and " " not in text  # as nearly all are (0.2 against 0.9 µs)
    url = URL(text if fit else _UNFIT.sub(lambda match: quote(match[0]), text), encoded=True)
    url = url if base is None else base.join(url)
    if url.scheme not in ("http", "https") or not url.raw_host or not 0 < (url.port or 0) < 65536:
        raise ValueError(f"{shown(text)!r} is no http(s) address")
    return Address.of(url)


_known_address = lru_cache(maxsize=512)(_address)
"""The address of a request: a job's looks have the same, and so has what their heads say of it (0.1 against 12 µs)."""


def _is_private(error: BaseException) -> bool:
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, Private) or "is a private address" in str(inner):
            return True
        inner = inner.__cause__ or inner.__context__
    return False


@define
class _Fetching:
    """A download that lasts as long as the block does."""

    _connections: Connections
    _url: str
    _headers: Mapping[str, str]
    _stall: float
    _method: str
    _response: Response | None = field(default=None, init=False)

    async def __aenter__(self) -> Stream:
        response = self._response = await self._follow()
        return _AioStream(response.status, response.headers, response.content)

    async def _follow(self) -> Response:
        try:
            target = _address(self._url)
            for _ in range(_HOPS + 1):
                response = await self._open(target)
                if response.status not in _REDIRECTS:
                    return response
                response.release()
                target = _address(response.headers.get("Location", ""), target.url)
        except ValueError as error:
            raise Broken(f"the link leads nowhere: {_say(error)}", unsafe=True) from None
        raise Broken(f"the link redirects more than {_HOPS} times")

    async def _open(self, target: Address) -> Response:
        try:
            patience = max(_REPLY, self._stall)
            return await self._connections.open(self._method, target, self._headers, patience, self._stall)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Broken(_say(error), unsafe=not self._connections.private and _is_private(error)) from None

    async def __aexit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.release()


@frozen
class _AioStream:
    status: int
    headers: Mapping[str, str]
    _content: StreamReader

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while piece := await self._content.readany():
                yield piece
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Broken(_say(error)) from None


def _say(error: BaseException) -> str:
    """A network error in one line, without the address's query, which may be signed."""
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {shown(error.host, 80)}: {shown(str(error.os_error), 300)}"
    text = " ".join(str(error).split("?", 1)[0].split())
    return shown(text, 300) if text else type(error).__name__
