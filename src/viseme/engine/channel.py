"""One connection, and the requests that go over it one after the other: made by aiohttp, and read with its parser.

aiohttp's own protocol between these two serves websockets too and asks its parser twice, its pool is asked anew for
each request, and asyncio reads into new memory. Without all that a request costs 24 µs instead of 39 (with uvloop 21
instead of 34).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

from aiohttp import (
    ClientConnectionResetError,
    ClientOSError,
    ClientPayloadError,
    ServerDisconnectedError,
    SocketTimeoutError,
    StreamReader,
    hdrs,
)
from aiohttp.connector import Connection
from aiohttp.http import HttpResponseParser, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD
from attrs import define, field

from viseme.engine.deadlines import Deadlines
from viseme.engine.targets import Origin

__all__ = ["Channel", "Head", "room"]

Head = tuple[RawResponseMessage, StreamReader, bytes | None]
"""The head of a reply, and its body as it comes, or as it came with its head."""

_ROOM = 1 << 18
_OPENING = 4096
"""In so many bytes the whole head of a plain reply stands, most often."""
_EMPTY = frozenset({*range(100, 200), 204, 304})
"""Statuses of replies that have no body, whatever they say."""


def room() -> memoryview:
    """What the channels of one event loop are read into, one after the other.

    asyncio reads into 256 KiB that it asks the system for and gives back, each time: that takes 12 µs for a small reply
    and 37 for 64 KiB, and here 1 and 7.
    """
    return memoryview(bytearray(_ROOM))


@define(eq=False, repr=False)
class Channel(asyncio.BufferedProtocol):
    """It says of itself what the parser's readers of bodies ask a protocol: whether it is ``connected``, to hold back
    what comes (``pause_reading``), and to go on.

    Attributes:
        origin: where it leads.
        since: when it was let go the last time, by the event loop's clock.
    """

    origin: Origin
    since: float = field(default=0.0, init=False)
    connected: bool = field(default=True, init=False)
    _gone: Callable[[Channel], None]
    """Told when it is closed."""
    _transport: asyncio.Transport
    _room: memoryview
    _deadlines: Deadlines
    _ahead: int
    """How many bytes of a body are read ahead."""
    _inflate: bool
    _last: bool
    """Nobody else can ask anything over it."""
    _loop: asyncio.AbstractEventLoop = field(init=False, factory=asyncio.get_running_loop)
    _bodies: bool = field(default=True, init=False)
    """Whether the reply may have a body."""
    _apart: bool = field(default=False, init=False)
    """Bodies from there are packed, or come in chunks."""
    _parser: HttpResponseParser | None = field(default=None, init=False)
    """Of the reply that is read; each has its own (0.5 µs), so that none depends on what came before."""
    _asked: asyncio.Future[Head] | None = field(default=None, init=False)
    """Somebody has the channel, and waits for the head of a reply or reads its body; None where that came with it."""
    _body: StreamReader | None = field(default=None, init=False)
    _paused: bool = field(default=False, init=False)
    _by: float = field(default=inf, init=False)
    """When all of the reply has to be there, or its head where its body may only not stall."""
    _stall: float = field(default=0.0, init=False)
    _heard: float = field(default=0.0, init=False)
    """When bytes last came, where that counts."""

    @classmethod
    def over(
        cls,
        connection: Connection,
        origin: Origin,
        gone: Callable[[Channel], None],
        room: memoryview,
        deadlines: Deadlines,
        ahead: int,
        *,
        inflate: bool,
        last: bool,
    ) -> Channel:
        """Take a connection over from aiohttp, which forgets it, for one request or (not ``last``) for many.

        Raises:
            ClientConnectionResetError: it is closed already.
        """
        transport, handler = connection.transport, connection.protocol
        if transport is None or handler is None or transport.is_closing():
            connection.close()
            raise ClientConnectionResetError("the connection was closed")
        channel = cls(origin, gone, transport, room, deadlines, ahead, inflate, last)
        transport.set_protocol(channel)
        handler.transport = None  # so that it is not closed with what aiohttp held of it, which are 2 KB
        connection.close()
        return channel

    # -- asking ----------------------------------------------------------------------------------------------------

    def fit(self, since: float) -> bool:
        """Whether another request can be sent over it, where it was let go after a time (by the event loop's clock)."""
        return self.since > since and not self._last and not self._transport.is_closing()

    def ask(
        self, head: bytes, body: bytes | None, now: float, seconds: float, stall: float = 0.0, *, bodies: bool
    ) -> asyncio.Future[Head]:
        """Send a request; whoever does so lets the channel go, or closes it.

        Args:
            now: by the event loop's clock.
            seconds: after which waiting for the reply breaks off (TimeoutError).
            stall: where it is not 0, ``seconds`` are for the reply's head alone, and after so many without a byte,
                reading breaks off too (SocketTimeoutError).
            bodies: whether replies to this method have a body.
        """
        self._bodies = bodies
        asked = self._asked = self._loop.create_future()
        if body:
            self._transport.writelines([head, body])
        else:
            self._transport.write(head)
        self._by, self._stall, self._heard = now + seconds, stall, now
        self._deadlines.put(self, now + (min(seconds, stall) if stall else seconds))
        return asked

    def let_go(self) -> bool:
        """A reply was read, as far as anybody wants it. Tells whether another request can be sent; else closes it."""
        body = self._body
        read = body is EMPTY_PAYLOAD or (body is not None and body.is_eof() and body.exception() is None)
        if self._last or not read:
            self.close()
            return False
        self._asked = self._body = self._parser = None
        self._deadlines.drop(self)
        self.since = self._loop.time()
        return True

    def close(self) -> None:
        """Break off what was asked, which nobody wants any more."""
        self._last = True
        self._asked = self._body = self._parser = None
        self._deadlines.drop(self)
        self._transport.close()

    def end(self) -> None:
        """Close it at once, whatever its server has not taken or not said; whoever has it is told so."""
        self._last = True
        self._transport.abort()

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def _fail(self, error: Exception) -> None:
        """No more comes: tell whoever waits for the head, or reads the body."""
        self._last = True
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(error)
        elif self._body is not None and not self._body.is_eof() and self._body.exception() is None:
            self._body.set_exception(error)

    def cut(self) -> None:
        """The time for the reply may be over, or that for its next byte."""
        now = self._loop.time()
        due = (now if self._paused else self._heard) + self._stall  # while it is held back, nobody waits for bytes
        if now >= self._by:
            self._fail(TimeoutError("the reply did not come in time"))
        elif due > now:
            self._deadlines.put(self, min(due, self._by))
        else:
            self._fail(SocketTimeoutError("no byte came in time"))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self._last, self.connected = True, False
        self._gone(self)
        if exc is not None or self._body is None:
            self._fail(ServerDisconnectedError() if exc is None else ClientOSError(*exc.args))
        elif self._parser is not None and not self._body.is_eof():
            try:
                self._parser.feed_eof()  # where no length was told, that is the body's end
            except Exception as error:
                self._fail(ClientPayloadError(f"the reply breaks off: {error}"))

    # -- what comes ------------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go, to be taken from there before anything else is read."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Some bytes came."""
        if not self._take_whole(nbytes):
            self._parse(bytes(self._room[:nbytes]))

    def _parse(self, data: bytes) -> None:
        """Take some bytes apart, after those that the parser held back."""
        asked, parser = self._asked, self._parser
        if asked is None or (parser is None and asked.done()):  # nobody has asked for anything, or for more
            self.close()
            return
        if parser is None:
            parser = self._parser = self._parser_of(self._bodies, self._inflate)
        if self._stall:
            self._heard = self._loop.time()
        try:
            messages, upgraded, _ = parser.feed_data(data)
        except Exception as error:
            self._fail(ClientPayloadError(f"the reply is no HTTP: {error}"))
            self._transport.close()
            return
        for message, body in messages:
            if 100 <= message.code < 200 and message.code != 101:
                continue  # the reply is yet to come
            self._last = self._last or upgraded or message.should_close or asked.done()
            if not asked.done():
                self._body = body
                asked.set_result((message, body, None))
                if self._stall:
                    self._by = inf

    def _parser_of(self, bodies: bool, inflate: bool) -> HttpResponseParser:
        reader: Any = self  # which is what it asks its protocol for
        return HttpResponseParser(
            reader,
            self._loop,
            self._ahead,
            payload_exception=ClientPayloadError,
            response_with_body=bodies,
            read_until_eof=True,
            auto_decompress=inflate,
        )

    def _take_whole(self, size: int) -> bool:
        """Take a reply that came all at once, as small ones do: its head is parsed, and all the rest is its body.

        That spares a reader of bodies, a twentieth of what a look costs. Whatever is not as plain as that is
        parsed from its beginning.
        """
        asked = self._asked
        if asked is None or self._parser is not None or not self._bodies or self._apart or asked.done():
            return False
        opening = bytes(self._room[: size if size < _OPENING else _OPENING])
        start = opening.find(b"\r\n\r\n") + 4
        if start < 4:
            return False
        try:
            messages, upgraded, _ = self._parser_of(False, False).feed_data(opening[:start])
        except Exception:
            return False
        if upgraded or len(messages) != 1:
            return False
        message = messages[0][0]
        if message.chunked or message.compression:
            self._apart = True  # the next will be so too
            return False
        if message.code in _EMPTY or message.headers.get(hdrs.CONTENT_LENGTH) != str(size - start):
            return False
        if message.should_close:
            self._last = True
        self._body, self._asked = EMPTY_PAYLOAD, None  # what was asked is all answered, and keeps no body in memory
        asked.set_result((message, EMPTY_PAYLOAD, bytes(self._room[start:size])))
        return True

    def pause_reading(self) -> None:
        """Hold back what comes: more lies unread than is to be read ahead."""
        self._paused = True
        if self._parser is not None:
            self._parser.pause_reading()
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on, if it was held back."""
        if not self._paused:
            return
        self._paused, self._heard = False, self._loop.time()
        if resume_parser:
            self._parse(b"")
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()
