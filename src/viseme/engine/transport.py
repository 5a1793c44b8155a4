"""The network: each request is sent once, to where it may go, and its outcome is a value.

A paid request must not be repeated, whatever happens to its connection, and its key goes to one host only; what a
vendor or a link answers is bounded in time and in size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import aiohttp
from aiohttp import StreamReader
from attrs import define, field
from yarl import URL

from viseme.engine.channel import room
from viseme.engine.connections import CONNECT, Connections, Private, Response, say
from viseme.engine.deadlines import Deadlines
from viseme.engine.pouring import Content, Pouring
from viseme.engine.targets import Target, target
from viseme.providers.base import Fault, Outcome

__all__ = ["AioTransport", "Broken", "Content", "Line", "Stream", "Transport", "Wire"]

_REPLY = 60.0
_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Line(NamedTuple):
    """The connections of one account: ``fresh`` ones serve a single request, ``private`` ones may reach private
    addresses. (A tuple is found among others without Python's help, at each request.)"""

    account: str
    private: bool = False
    fresh: bool = False


@define(eq=False, repr=False)  # not frozen: each request makes one (0.15 against 0.34 µs)
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

    def send(self, line: Line, wire: Wire) -> Coroutine[Any, Any, Outcome]:
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


@define(eq=False, repr=False)
class AioTransport:
    """The network over aiohttp: connections per line, and two kinds for downloads. An async context manager."""

    _lines: dict[object, Connections] = field(factory=dict[object, Connections], init=False)
    _pourings: dict[Line, Pouring] = field(factory=dict[Line, Pouring], init=False)
    _deadlines: Deadlines = field(factory=Deadlines, init=False)
    _room: memoryview = field(factory=room, init=False)

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

    def send(self, line: Line, wire: Wire) -> Coroutine[Any, Any, Outcome]:
        body, patience = wire.body, _REPLY + wire.hold
        if body is None or isinstance(body, bytes):
            return self._line(line).send(wire.method, wire.url, wire.headers, body, patience)
        return self._pour(line, wire, body, patience)

    async def _pour(self, line: Line, wire: Wire, body: Content, patience: float) -> Outcome:
        try:
            origin, path = target(wire.url)
        except ValueError as error:
            return Fault(sent=False, message=say(error))
        url = URL(f"{origin.text}{path}", encoded=True)
        try:
            with self._deadlines.within(CONNECT + _REPLY + patience) as deadline:
                return await self._pouring(line).send(wire.method, url, wire.headers, body, deadline, patience)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Fault(sent=False, message=say(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Fault(sent=True, message=say(error))

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


def _is_private(error: BaseException) -> bool:
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, Private) or "is a private address" in str(inner):
            return True
        inner = inner.__cause__ or inner.__context__
    return False


@define(eq=False, repr=False)
class _Fetching:
    """A download that lasts as long as the block does."""

    _connections: Connections
    _url: str
    _headers: Mapping[str, str]
    _stall: float
    _method: str
    _response: Response | None = field(default=None, init=False)

    async def __aenter__(self) -> Stream:
        try:
            to = target(self._url)
            for _ in range(_HOPS + 1):
                response = await self._open(to)
                if response.status not in _REDIRECTS:
                    self._response = response
                    whole, response.whole = response.whole, None  # whoever reads it has it alone
                    return _AioStream(response.status, response.headers, whole, response.content)
                response.release()
                to = target(response.headers.get("Location", ""), to)
        except ValueError as error:
            raise Broken(f"the link leads nowhere: {say(error)}", unsafe=True) from None
        raise Broken(f"the link redirects more than {_HOPS} times")

    async def _open(self, to: Target) -> Response:
        try:
            patience = max(_REPLY, self._stall)
            return await self._connections.open(self._method, to, self._headers, patience, self._stall)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Broken(say(error), unsafe=not self._connections.private and _is_private(error)) from None

    async def __aexit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.release()


@define(eq=False, repr=False)
class _AioStream:
    """An iterator, since a generator is made known to the event loop, which takes as long as to read a small file."""

    status: int
    headers: Mapping[str, str]
    _whole: bytes | None
    _content: StreamReader

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece, self._whole = self._whole or await self._content.readany(), None
        except (aiohttp.ClientError, OSError) as error:
            raise Broken(say(error)) from None
        if not piece:
            raise StopAsyncIteration
        return piece
