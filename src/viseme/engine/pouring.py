"""A body that is sent piece by piece, while its reply may come at any time: what aiohttp's session is good at.

By itself a session repeats GET, PUT and DELETE whose connection drops, follows redirects with the vendor's key header,
and gives up after five minutes; this one does none of that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession
from attrs import define
from yarl import URL

from viseme.engine.connections import PATIENCE, Connections, whole
from viseme.engine.deadlines import Deadline
from viseme.providers.base import Reply

__all__ = ["Content", "Pouring"]

_STALL = 60.0
"""A body of which nothing more is taken for so many seconds is broken off."""


class Content(Protocol):
    """A body that is read piece by piece while it is sent; ``length`` is known before, in bytes."""

    @property
    def length(self) -> int: ...

    def pieces(self) -> AsyncIterator[bytes]: ...


class _Lost(Exception):
    """A dropped connection, in a form that aiohttp does not take as a reason to send again."""


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Lost from error


@define(eq=False, repr=False)
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


class Pouring:
    """Sends such bodies over some connections."""

    def __init__(self, connections: Connections) -> None:
        self._session = ClientSession(
            connector=connections.connector,
            connector_owner=False,
            middlewares=(_once,),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=PATIENCE,
            headers={"User-Agent": "viseme"},
        )

    async def close(self) -> None:
        """Send nothing more."""
        await self._session.close()

    async def send(
        self, method: str, url: URL, headers: Mapping[str, str], content: Content, deadline: Deadline, reply: float
    ) -> Reply:
        """Send a request once, and read its reply, which may come before the body's end.

        Args:
            deadline: put off while the body is taken, and by ``reply`` seconds at its end.

        Raises:
            ClientConnectorError, ConnectionTimeoutError: the request has not left.
            ClientError, OSError, ValueError: it may have left, and no reply can be had.
            Exception: whatever the pieces raise; the request never arrived whole.
        """
        feed = _Feed(content, deadline, reply)
        given = {**headers, "Content-Length": str(content.length)}
        bare = None if "Content-Type" in headers else ("Content-Type",)  # aiohttp would say what it is
        try:
            response = await self._session.request(
                method, url, headers=given, data=feed, allow_redirects=False, skip_auto_headers=bare
            )
            try:
                return Reply(status=response.status, headers=response.headers, body=await whole(response.content))
            finally:
                response.release()
                await response.wait_for_close()  # the body is broken off where the reply came before its end
        except Exception as error:
            if feed.error is not None:
                raise feed.error from None
            if isinstance(error, _Lost) and error.__cause__ is not None:
                raise error.__cause__ from None
            raise
