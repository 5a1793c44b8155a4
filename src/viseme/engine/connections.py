"""Connections to one kind of place, and one request over one of them: aiohttp's connections and its parser, not its
session.

A session is made for browsing: it sends again what was dropped, follows redirects with the key, keeps cookies, and
makes two values of thirty fields for each request. Without it a request costs 44 µs instead of 97 (with uvloop 18
instead of 60), and goes out once because nothing is there that would repeat it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import ClientRequest, ClientTimeout, StreamReader, TCPConnector
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from attrs import Factory, define, field, frozen
from yarl import URL

from viseme.addresses import private_host

__all__ = ["CONNECT", "PATIENCE", "Connections", "Private", "Response", "Unwritable", "whole"]

CONNECT = 20.0
"""How long a connection may take to be made, seconds; with the time to find its address twice that."""
PATIENCE = ClientTimeout(total=None, connect=2 * CONNECT, sock_connect=CONNECT)
_ORIGINS = 256
"""So many places are remembered."""
_UNFIT = re.compile(r"[\r\n\0]")
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


class Unwritable(ValueError):
    """The request cannot be written as HTTP; it has not left."""


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = info
    if private_host(str(address[0])):
        raise Private(f"{address[0]} is a private address; allow_private_hosts = true would let this account go there")
    return socket.socket(family=family, type=kind, proto=protocol)


@frozen
class Response:
    """A reply whose head was read.

    Attributes:
        content: its body, as it comes.
    """

    status: int
    headers: Mapping[str, str]
    content: StreamReader
    _connection: Connection

    def release(self) -> None:
        """Let the connection go: it is kept for the next request if the body was read to its end, else closed."""
        self._connection.release()


@define(eq=False)
class Connections:
    """Without limits of their own: admission decides how many requests are under way.

    Attributes:
        private: whether they may lead to private addresses.
        fresh: whether each serves a single request.
        buffer: how many bytes of a body are read ahead.
        inflate: whether compressed bodies come inflated.
    """

    private: bool = field(kw_only=True)
    fresh: bool = field(kw_only=True)
    buffer: int = field(default=1 << 16, kw_only=True)
    inflate: bool = field(default=True, kw_only=True)
    connector: TCPConnector = field(init=False, default=Factory(lambda self: self._connector(), takes_self=True))
    _places: dict[tuple[str, str], ClientRequest] = field(factory=dict[tuple[str, str], ClientRequest], init=False)
    """By scheme and authority, in the form in which the connector wants to be told of them."""

    def _connector(self) -> TCPConnector:
        guard = None if self.private else _public_socket
        return TCPConnector(limit=0, force_close=self.fresh, ttl_dns_cache=60, socket_factory=guard)

    async def close(self) -> None:
        """End them all."""
        await self.connector.close()

    async def send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        stall: float | None = None,
    ) -> Response:
        """Send a request once, and read the head of its reply. Whoever calls releases it.

        Args:
            stall: after so many seconds without a byte, reading breaks off (SocketTimeoutError).

        Raises:
            Unwritable, ClientConnectorError, ConnectionTimeoutError: the request has not left.
            ClientError, OSError, ValueError: it may have left, and no reply can be had, or none that is HTTP.
        """
        head = self._head(method, url, headers, body)
        connection = await self._connect(url)
        try:
            return await self._exchange(connection, head, body, method, stall)
        except BaseException:
            connection.close()
            raise

    def _head(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> bytes:
        named = {name.lower() for name in headers}
        lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"Host: {url.host_port_subcomponent}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [line for line, name in _STATED if name not in named]
        if url.raw_user or url.raw_password:
            lines.append(f"Authorization: {aiohttp.encode_basic_auth(url.user or '', url.password or '')}")
        if body is not None or method not in _BODILESS:
            lines.append(f"Content-Length: {len(body or b'')}")
        if self.fresh:
            lines.append("Connection: close")
        if _UNFIT.search("".join(lines)):
            raise Unwritable("a header of the request would break its line")
        try:
            return "\r\n".join([*lines, "", ""]).encode()
        except UnicodeEncodeError:
            raise Unwritable("a header of the request holds what is no text") from None

    async def _connect(self, url: URL) -> Connection:
        origin = url.scheme, url.raw_authority
        place = self._places.get(origin)
        if place is None:
            if len(self._places) >= _ORIGINS:
                self._places.clear()
            place = self._places[origin] = ClientRequest("GET", url.origin(), loop=asyncio.get_running_loop())
        try:
            return await self.connector.connect(place, traces=[], timeout=PATIENCE)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {url.host} in time") from error

    async def _exchange(
        self, connection: Connection, head: bytes, body: bytes | None, method: str, stall: float | None
    ) -> Response:
        protocol = connection.protocol
        if protocol is None or protocol.transport is None or protocol.transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed")
        protocol.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=self.inflate,
            read_timeout=stall,
            read_bufsize=self.buffer,
        )
        protocol.transport.writelines([head, body] if body else [head])
        protocol.start_timeout()
        try:
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:  # more is to come
                message, content = await protocol.read()
        except HttpProcessingError as error:
            raise ValueError(f"the reply is no HTTP: {error.message}") from error
        return Response(message.code, message.headers, content, connection)


async def whole(content: StreamReader) -> bytes:
    """A reply's body.

    Raises:
        ValueError: it is too large.
        ClientError, OSError: it breaks off.
    """
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
