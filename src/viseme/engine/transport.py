"""The network: each request is sent once, to where it may go, and its outcome is a value.

aiohttp by itself repeats GET, PUT and DELETE whose connection drops, follows redirects with the vendor's key header,
and gives up after five minutes. None of that may happen to a paid request, so the sessions here are made for this work.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession, ClientTimeout, TCPConnector
from attrs import define, field, frozen
from yarl import URL

from viseme.addresses import private_host
from viseme.engine.deadlines import Deadline, Deadlines
from viseme.providers.base import Fault, Outcome, Reply
from viseme.wording import quote as shown

__all__ = ["AioTransport", "Broken", "Content", "Line", "Stream", "Transport", "Wire"]

_MAX_REPLY = 32 * 1024 * 1024
_CONNECT = 20.0
_REPLY = 60.0
_STALL = 60.0
"""A body of which nothing more is taken for so many seconds is broken off."""
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


class Content(Protocol):
    """A body that is read piece by piece while it is sent; ``length`` is known before, in bytes."""

    @property
    def length(self) -> int: ...

    def pieces(self) -> AsyncIterator[bytes]: ...


@frozen(kw_only=True, slots=False)
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


class _Lost(Exception):
    """A dropped connection, in a form that aiohttp does not take as a reason to send again."""


class _Private(OSError):
    """The address is not on the public internet."""


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Lost(_say(error)) from error


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = info
    if private_host(str(address[0])):
        raise _Private(f"{address[0]} is a private address; allow_private_hosts = true would let this account go there")
    return socket.socket(family=family, type=kind, proto=protocol)


@define(eq=False)
class _Feed:
    """Feeds a body to aiohttp: each piece that is taken puts the time-out off, and what goes wrong here is kept."""

    _content: Content
    _deadline: Deadline
    _reply: float
    error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._content.pieces():
                self._deadline.put_off(_STALL)
                yield piece
        except Exception as error:
            self.error = error
            raise
        self._deadline.put_off(self._reply)


@define
class AioTransport:
    """The network over aiohttp: a session per line, and two for downloads. An async context manager."""

    _sessions: dict[object, ClientSession] = field(factory=dict[object, ClientSession], init=False)
    _deadlines: Deadlines = field(factory=Deadlines, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()
        self._deadlines.close()

    async def send(self, line: Line, wire: Wire) -> Outcome:
        session, body, reply = self._line(line), wire.body, _REPLY + wire.hold
        try:
            if body is None or isinstance(body, bytes):
                with self._deadlines.within(reply):
                    return await _exchange(session, wire, wire.headers, body)
            with self._deadlines.within(_CONNECT + _REPLY + reply) as deadline:
                return await _pour(session, wire, body, _Feed(body, deadline, reply))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            return Fault(sent=False, message=_say(error))
        except (aiohttp.ClientError, _Lost, TimeoutError, OSError, ValueError) as error:
            return Fault(sent=True, message=_say(error))

    def fetch(
        self, url: str, headers: Mapping[str, str], *, private: bool, stall: float, method: str = "GET"
    ) -> AbstractAsyncContextManager[Stream]:
        return _Fetching(self._download(private), self._deadlines, url, headers, _patient(stall), private, method)

    def _line(self, line: Line) -> ClientSession:
        session = self._sessions.get(line)
        if session is None:
            session = self._sessions[line] = _session(private=line.private, fresh=line.fresh)
        return session

    def _download(self, private: bool) -> ClientSession:
        name = ("downloads", private)
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = _session(private=private, fresh=False, buffer=1 << 18, inflate=False)
        return session


@lru_cache(maxsize=16)
def _patient(stall: float) -> ClientTimeout:
    """For a download: it may take as long as it likes, as long as bytes come."""
    return ClientTimeout(total=None, connect=2 * _CONNECT, sock_connect=_CONNECT, sock_read=stall)


async def _exchange(
    session: ClientSession, wire: Wire, headers: Mapping[str, str], data: bytes | _Feed | None
) -> Outcome:
    try:
        target = _known_address(wire.url)
    except ValueError as error:
        return Fault(sent=False, message=_say(error))
    bare = None if data is None or "Content-Type" in headers else ("Content-Type",)  # aiohttp would say what it is
    response = await session.request(
        wire.method, target, headers=headers, data=data, allow_redirects=False, skip_auto_headers=bare
    )
    try:  # not by the response's own context, whose coroutines cost 1.7 µs
        return Reply(status=response.status, headers=response.headers, body=await _bounded(response))
    finally:
        response.release()
        if isinstance(data, _Feed):  # which is broken off where the reply came before its end
            await response.wait_for_close()


async def _pour(session: ClientSession, wire: Wire, content: Content, feed: _Feed) -> Outcome:
    """Send a body piece by piece. What its pieces raise is raised here."""
    headers = {**wire.headers, "Content-Length": str(content.length)}
    try:
        return await _exchange(session, wire, headers, feed)
    except Exception:
        if feed.error is not None:
            raise feed.error from None
        raise


def _session(*, private: bool, fresh: bool, buffer: int = 1 << 16, inflate: bool = True) -> ClientSession:
    """A session without limits of its own: admission decides how many requests are under way."""
    connector = TCPConnector(
        limit=0, force_close=fresh, ttl_dns_cache=60, socket_factory=None if private else _public_socket
    )
    return ClientSession(
        connector=connector,
        middlewares=(_once,),
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=buffer,
        auto_decompress=inflate,
        timeout=ClientTimeout(total=None, connect=2 * _CONNECT, sock_connect=_CONNECT),
        headers={"User-Agent": "viseme"},
    )


async def _bounded(response: ClientResponse) -> bytes:
    pieces: list[bytes] = []
    content, size = response.content, 0
    while piece := await content.readany():
        size += len(piece)
        if size > _MAX_REPLY:
            raise ValueError(f"the reply is larger than {_MAX_REPLY} bytes")
        pieces.append(piece)
        if content.at_eof():
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _address(text: str, base: URL | None = None) -> URL:
    """An address as it was given; what no address may hold (white space, other letters) is percent-encoded.

    Raises:
        ValueError: it is no http(s) address.
    """
    fit = text.isascii() and text.isprintable() and " " not in text  # as nearly all are (0.2 against 0.9 µs)
    url = URL(text if fit else _UNFIT.sub(lambda match: quote(match[0]), text), encoded=True)
    url = url if base is None else base.join(url)
    if url.scheme not in ("http", "https") or not url.raw_host or not 0 < (url.port or 0) < 65536:
        raise ValueError(f"{shown(text)!r} is no http(s) address")
    return url


_known_address = lru_cache(maxsize=512)(_address)
"""The address of a request: a job's looks have the same, of which aiohttp asks nothing twice (0.5 against 9 µs)."""


def _is_private(error: BaseException) -> bool:
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, _Private) or "is a private address" in str(inner):
            return True
        inner = inner.__cause__ or inner.__context__
    return False


@define
class _Fetching:
    """A download that lasts as long as the block does."""

    _session: ClientSession
    _deadlines: Deadlines
    _url: str
    _headers: Mapping[str, str]
    _timeout: ClientTimeout
    _private: bool
    _method: str
    _response: ClientResponse | None = field(default=None, init=False)

    async def __aenter__(self) -> Stream:
        response = self._response = await self._follow()
        return _AioStream(response.status, response.headers, response)

    async def _follow(self) -> ClientResponse:
        try:
            target = _address(self._url)
            for _ in range(_HOPS + 1):
                response = await self._open(target)
                if response.status not in _REDIRECTS:
                    return response
                response.release()
                target = _address(response.headers.get("Location", ""), target)
        except ValueError as error:
            raise Broken(f"the link leads nowhere: {_say(error)}", unsafe=True) from None
        raise Broken(f"the link redirects more than {_HOPS} times")

    async def _open(self, target: URL) -> ClientResponse:
        try:
            with self._deadlines.within(2 * _CONNECT + max(_REPLY, self._timeout.sock_read or 0.0)):
                return await self._session.request(
                    self._method, target, headers=self._headers, timeout=self._timeout, allow_redirects=False
                )
        except (aiohttp.ClientError, _Lost, TimeoutError, OSError, ValueError) as error:
            raise Broken(_say(error), unsafe=not self._private and _is_private(error)) from None

    async def __aexit__(self, *_: object) -> None:
        response = self._response
        if response is not None:
            response.close() if not response.content.is_eof() else response.release()


@frozen
class _AioStream:
    status: int
    headers: Mapping[str, str]
    _response: ClientResponse

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while piece := await self._response.content.readany():
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
