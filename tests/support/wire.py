"""Raw servers on loopback that count what reaches them, for tests of the transport over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from attrs import define, field, frozen

__all__ = ["Arrived", "Counter", "Visit", "answer", "serving"]


@frozen
class Arrived:
    """A request as it was read: the connection's number, the request line, the headers, the body."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


@define(eq=False)
class Visit:
    """One connection of a client."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def drop(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


Script = Callable[[Visit, Arrived], Awaitable[None]]


@define(eq=False)
class Counter:
    """A server: what arrived, and how many connections were made."""

    script: Script
    arrived: list[Arrived] = field(factory=list[Arrived])
    connections: int = 0
    base: str = ""
    port: int = 0
    _visits: set[asyncio.Task[None]] = field(factory=set["asyncio.Task[None]"])
    gone: asyncio.Event = field(factory=asyncio.Event)
    """Set whenever a connection has ended."""

    async def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        visit = Visit(self.connections, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._visits.add(task)
        try:
            while True:
                request = await _read(visit)
                self.arrived.append(request)
                await self.script(visit, request)
                if writer.is_closing():
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._visits.discard(task)
            writer.transport.abort()
            self.gone.set()

    async def finish(self) -> None:
        for task in list(self._visits):
            task.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)


async def _read(visit: Visit) -> Arrived:
    head = (await visit.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest)}
    body = await visit.reader.readexactly(int(headers.get("content-length", "0")))
    return Arrived(visit.number, line, headers, body)


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Counter]:
    """A server on a free port of 127.0.0.1."""
    counter = Counter(script)
    server = await asyncio.start_server(counter.visit, "127.0.0.1", 0)
    counter.port = server.sockets[0].getsockname()[1]
    counter.base = f"http://127.0.0.1:{counter.port}"
    try:
        yield counter
    finally:
        server.close()
        await counter.finish()
        await server.wait_closed()


def answer(body: bytes = b"{}", *, status: str = "200 OK", **headers: str) -> bytes:
    """A whole reply; ``content_type`` becomes ``content-type``."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
