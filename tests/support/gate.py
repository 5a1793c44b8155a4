"""The vendors' front door on a port of its own, which can be shut in everybody's face and opened again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import attrs

__all__ = ["Gate", "gated"]


@attrs.define
class Gate:
    """Passes bytes to a server. Shut, it is as a server whose process was killed: every connection is reset, whatever
    was on its way is lost, and new ones are refused; what was booked behind it stays booked."""

    behind: int
    port: int = 0
    broken: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = attrs.field(factory=set[asyncio.StreamWriter])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Let connections through, on the same port as ever."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Reset every connection, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        self.broken += len(self._open) // 2
        for writer in list(self._open):
            writer.transport.abort()

    async def _pass(self, theirs: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            ours, forth = await asyncio.open_connection("127.0.0.1", self.behind)
            self._open |= {back, forth}
            try:
                await asyncio.gather(_pump(theirs, forth), _pump(ours, back))
            finally:
                self._open -= {back, forth}
                for writer in (back, forth):
                    writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def gated(address: str) -> AsyncIterator[Gate]:
    """A gate before a server."""
    port = urlsplit(address).port
    assert port is not None
    gate = Gate(port)
    await gate.open()
    try:
        yield gate
    finally:
        gate.shut()
