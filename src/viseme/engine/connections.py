"""Connections to one kind of place, and one request over one of them: aiohttp makes the connections and has the parser,
its session is not used.

A session is made for browsing: it sends again what was dropped, follows redirects with the key, keeps cookies, and
makes two values of thirty fields for each request. Without it a request costs 44 µs instead of 97 (with uvloop 18
instead of 60), and goes out once because nothing is there that would repeat it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp import ClientRequest, ClientTimeout, StreamReader, TCPConnector
from attrs import Factory, define, field

from viseme.addresses import private_host
from viseme.engine.channel import Channel, room
from viseme.engine.deadlines import Deadlines
from viseme.engine.targets import Origin, Target, Unwritable, target
from viseme.providers.base import Fault, Outcome, Reply
from viseme.wording import quote

__all__ = ["CONNECT", "PATIENCE", "Connections", "Private", "Response", "say", "whole"]

CONNECT = 20.0
"""How long a connection may take to be made, seconds; with the time to find its address twice that."""
PATIENCE = ClientTimeout(total=None, connect=2 * CONNECT, sock_connect=CONNECT)
_ORIGINS = 256
"""So many places are remembered."""
_KEPT = 15.0
"""How long a connection that nobody uses is kept, seconds."""
_UNFIT = re.compile(r"[\r\n\0]")
_SAID = 64
"""So many requests' headers are remembered."""
_BODILESS = frozenset({"GET", "HEAD"})
"""Methods whose requests say no length where they have no body."""
_STATED = (
    ("Accept: */*", "accept"),
    ("Accept-Encoding: gzip, deflate", "accept-encoding"),
    ("User-Agent: viseme", "user-agent"),
)
"""What is said where the request says nothing of it."""
_MAX_REPLY = 32 * 1024 * 1024


class Private(OSError):
    """The address is not on the public internet."""


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = info
    if private_host(str(address[0])):
        raise Private(f"{address[0]} is a private address; allow_private_hosts = true would let this account go there")
    return socket.socket(family=family, type=kind, proto=protocol)


@define(eq=False, repr=False)
class Response:
    """A reply whose head was read.

    Attributes:
        whole: its body, where it came with its head.
        content: its body, as it comes; nothing where it came with its head.
    """

    status: int
    headers: Mapping[str, str]
    whole: bytes | None
    content: StreamReader
    _channel: Channel
    _connections: Connections

    def release(self) -> None:
        """Let the connection go: it is kept for the next request if the body was read to its end, else closed."""
        self._connections.take_back(self._channel)


@define(eq=False, repr=False)
class Connections:
    """Without limits of their own: admission decides how many requests are under way.

    Attributes:
        private: whether they may lead to private addresses.
        fresh: whether each serves a single request.
        buffer: how many bytes of a body are read ahead.
        inflate: whether compressed bodies come inflated.
        room: what they are read into; others of the same event loop may have it too, and the ``deadlines``.
    """

    private: bool = field(kw_only=True)
    fresh: bool = field(kw_only=True)
    buffer: int = field(default=1 << 16, kw_only=True)
    inflate: bool = field(default=True, kw_only=True)
    room: memoryview = field(factory=room, kw_only=True)
    deadlines: Deadlines = field(factory=Deadlines, kw_only=True)
    connector: TCPConnector = field(init=False, default=Factory(lambda self: self._connector(), takes_self=True))
    _places: dict[Origin, ClientRequest] = field(factory=dict[Origin, ClientRequest], init=False)
    """In the form in which the connector wants to be told of them."""
    _open: set[Channel] = field(factory=set[Channel], init=False)
    _ended: asyncio.Event | None = field(default=None, init=False)
    """Set when the last is closed, at the end."""
    _idle: dict[Origin, list[Channel]] = field(factory=dict[Origin, "list[Channel]"], init=False)
    """Those that nobody uses, in the order in which they were let go."""
    _said: dict[tuple[tuple[str, str], ...], str] = field(factory=dict[tuple[tuple[str, str], ...], str], init=False)
    """The lines of headers that requests had, which those of looks have in common."""
    _sweeping: asyncio.TimerHandle | None = field(default=None, init=False)
    _loop: asyncio.AbstractEventLoop = field(init=False, factory=asyncio.get_running_loop)

    def _connector(self) -> TCPConnector:
        guard = None if self.private else _public_socket
        return TCPConnector(limit=0, force_close=self.fresh, ttl_dns_cache=60, socket_factory=guard)

    async def close(self) -> None:
        """End them all."""
        self._idle, self._ended = {}, asyncio.Event()
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self.connector.close()  # first, so that no more are made
        for channel in list(self._open):
            channel.end()
        if self._open:
            await self._ended.wait()

    def _gone(self, channel: Channel) -> None:
        self._open.discard(channel)
        if self._ended is not None and not self._open:
            self._ended.set()

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> Outcome:
        """Send a request once, and say what came of it.

        Args:
            seconds: for which the reply is waited for, once there is a connection.
        """
        try:
            origin, path = target(url)
            head = self._head(method, origin, path, headers, body)
            now = self._loop.time()
            channel = self._unused(origin, now)
            if channel is None:
                channel, now = await self._connect(origin), self._loop.time()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Fault(sent=False, message=say(error))
        try:
            message, content, found = await channel.ask(head, body, now, seconds, bodies=method != "HEAD")
            if found is None:
                found = await whole(content)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            channel.close()
            return Fault(sent=True, message=say(error))
        except BaseException:
            channel.close()
            raise
        self.take_back(channel)
        return Reply(message.code, message.headers, found)

    async def open(self, method: str, to: Target, headers: Mapping[str, str], seconds: float, stall: float) -> Response:
        """Send a request without a body once, and read the head of its reply. Whoever calls releases it.

        Args:
            seconds: for which the head is waited for, once there is a connection (TimeoutError).
            stall: after so many seconds without a byte, reading breaks off (SocketTimeoutError).

        Raises:
            ClientError, OSError, ValueError: the request cannot be sent, or no reply can be had, or none that is HTTP.
        """
        origin, path = to
        head = self._head(method, origin, path, headers, None)
        now = self._loop.time()
        channel = self._unused(origin, now)
        if channel is None:
            channel, now = await self._connect(origin), self._loop.time()
        try:
            message, content, found = await channel.ask(head, None, now, seconds, stall, bodies=method != "HEAD")
        except BaseException:
            channel.close()
            raise
        return Response(message.code, message.headers, found, content, channel, self)

    def take_back(self, channel: Channel) -> None:
        """A connection is not needed any more: keep it for the next request, if it can take one."""
        if channel.let_go() and self._ended is None:
            self._idle.setdefault(channel.origin, []).append(channel)
            if self._sweeping is None:
                self._sweeping = self._loop.call_later(_KEPT, self._sweep)

    def _unused(self, origin: Origin, now: float) -> Channel | None:
        """The connection that was let go last, so that those which are not needed grow old."""
        idle = self._idle.get(origin)
        while idle:
            channel = idle.pop()
            if channel.fit(now - _KEPT):
                return channel
            channel.close()
        return None

    def _sweep(self) -> None:
        """Close the connections that nobody has used for a while."""
        for origin, idle in list(self._idle.items()):
            fit = self._idle[origin] = [channel for channel in idle if channel.fit(self._loop.time() - _KEPT)]
            for channel in set(idle).difference(fit):
                channel.close()
            if not fit:
                del self._idle[origin]
        self._sweeping = self._loop.call_later(_KEPT, self._sweep) if self._idle else None

    def _head(self, method: str, origin: Origin, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        length = "" if body is None and method in _BODILESS else f"Content-Length: {len(body or b'')}\r\n"
        if not method.isalpha():
            raise Unwritable("the method of the request is none")
        try:
            return f"{method} {path} HTTP/1.1\r\n{origin.told}{self._lines(headers)}{length}\r\n".encode()
        except UnicodeEncodeError:
            raise Unwritable("a header of the request holds what is no text") from None

    def _lines(self, headers: Mapping[str, str]) -> str:
        """What a request says besides; an account's looks all say the same."""
        named = tuple(headers.items())
        lines = self._said.get(named)
        if lines is None:
            told = [f"{name}: {value}" for name, value in named]
            if _UNFIT.search("".join(told)):
                raise Unwritable("a header of the request would break its line")
            if len(self._said) >= _SAID:
                self._said.clear()
            lines = self._said[named] = "\r\n".join([*told, _besides(tuple(headers), last=self.fresh)])
        return lines

    async def _connect(self, origin: Origin) -> Channel:
        place = self._places.get(origin)
        if place is None:
            if len(self._places) >= _ORIGINS:
                self._places.clear()
            place = self._places[origin] = ClientRequest("GET", origin.url.origin(), loop=self._loop)
        try:
            connection = await self.connector.connect(place, traces=[], timeout=PATIENCE)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {origin.url.host} in time") from error
        channel = Channel.over(
            *(connection, origin, self._gone, self.room, self.deadlines, self.buffer),
            inflate=self.inflate,
            last=self.fresh,
        )
        self._open.add(channel)
        return channel


@lru_cache(maxsize=_SAID)
def _besides(names: tuple[str, ...], *, last: bool) -> str:
    """What a request with headers of these names says besides; ``last`` where no other goes over its connection."""
    named = {name.lower() for name in names}
    told = [line for line, name in _STATED if name not in named]
    return "\r\n".join([*told, *(["Connection: close"] if last else []), ""])


async def whole(content: StreamReader) -> bytes:
    """A reply's body.

    Raises:
        ValueError: it is too large.
        ClientError, OSError: it breaks off.
    """
    if content.is_eof() and content.total_bytes <= _MAX_REPLY:  # it came with its head, as small ones do
        return content.read_nowait()
    pieces: list[bytes] = []
    size = 0
    while piece := await content.readany():
        size += len(piece)
        if size > _MAX_REPLY:
            raise ValueError(f"the reply is larger than {_MAX_REPLY} bytes")
        pieces.append(piece)
        if content.at_eof():
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def say(error: BaseException) -> str:
    """A network error in one line, without the address's query, which may be signed."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {quote(error.host, 80)}: {quote(str(error.os_error), 300)}"
    text = " ".join(str(error).split("?", 1)[0].split())
    return quote(text, 300) if text else type(error).__name__
