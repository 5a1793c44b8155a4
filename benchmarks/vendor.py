"""A vendor that speaks Sync's protocol and costs next to nothing, in a process of its own.

A job is done at its third look. Replies are put together from bytes, so that the clients under measurement are the
bottleneck, and not this.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import parse_qs, urlsplit

from attrs import define, field

__all__ = ["LOOKS", "Answers", "Connection", "film", "reply", "serve", "started", "vendor"]

LOOKS = 3
"""The look at which a job is done."""
_ROOT = Path(__file__).parents[1]


def film(size: int) -> bytes:
    """A file of so many bytes that is an MP4 by its boxes."""
    head = _box(b"ftyp", b"isom\0\0\0\0isom") + _box(b"moov", b"")
    return head + _box(b"mdat", bytes(size - len(head) - 8))


def _box(kind: bytes, data: bytes) -> bytes:
    return (len(data) + 8).to_bytes(4) + kind + data


@contextmanager
def vendor(size: int) -> Generator[str]:
    """The address of a vendor whose films have ``size`` bytes."""
    with started("benchmarks.vendor", str(size)) as address:
        yield address


@contextmanager
def started(module: str, *words: str) -> Generator[str]:
    """The address of a server in a process of its own, which is ended afterwards."""
    process = subprocess.Popen([sys.executable, "-m", module, *words], cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# -- inside the process ----------------------------------------------------------------------------------------------


class Answers(Protocol):
    """A server's mind."""

    def answer(self, method: bytes, path: str, headers: dict[bytes, bytes]) -> bytes:
        """The reply, as it goes on the wire."""
        ...


@define(eq=False)
class _Vendor:
    address: str
    film: bytes
    looks: dict[str, int] = field(factory=dict[str, int])
    keys: dict[str, str] = field(factory=dict[str, str])

    def answer(self, method: bytes, path: str, headers: dict[bytes, bytes]) -> bytes:
        if path.startswith("/film/"):
            return reply(200, self.film, b"video/mp4")
        if method == b"POST" and path == "/v2/generate":
            key = headers.get(b"idempotency-key", b"").decode() or f"k{len(self.looks)}"
            name = self.keys.setdefault(key, f"job-{len(self.looks):07d}")
            self.looks.setdefault(name, 0)
            return reply(201, self._told(name))
        if path.startswith("/v2/generations?"):
            names = parse_qs(urlsplit(path).query)["ids"][0].split(",")
            return reply(200, b"[" + b",".join(self._looked(name) for name in names) + b"]")
        name = path.removeprefix("/v2/generate/").partition("?")[0]
        if name not in self.looks:
            return reply(404, b'{"error":"Not Found","statusCode":404}')
        return reply(200, self._looked(name))

    def _looked(self, name: str) -> bytes:
        self.looks[name] += 1
        return self._told(name)

    def _told(self, name: str) -> bytes:
        done = self.looks[name] >= LOOKS
        status = "COMPLETED" if done else "PROCESSING" if self.looks[name] else "PENDING"
        link = f'"{self.address}/film/{name}"' if done else "null"
        return (
            f'{{"id":"{name}","createdAt":"2026-01-01T00:00:00.000Z","model":"lipsync-2","status":"{status}",'
            f'"input":[{{"type":"video","url":"https://media.example/film.mp4"}},'
            f'{{"type":"audio","url":"https://media.example/speech.wav"}}],'
            f'"options":{{"sync_mode":"loop"}},"outputUrl":{link},"outputDuration":{"3.2" if done else "null"},'
            f'"error":null,"webhookUrl":null}}'
        ).encode()


def reply(status: int, body: bytes, kind: bytes = b"application/json") -> bytes:
    """A reply as it goes on the wire."""
    head = b"HTTP/1.1 %d OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (status, kind, len(body)) + body


class Connection(asyncio.Protocol):
    """HTTP/1.1 as far as well-behaved clients need it; one request after the other."""

    def __init__(self, vendor: Answers) -> None:
        self._vendor = vendor
        self._kept = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._kept += data
        while (end := self._kept.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._kept[:end].split(b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
            whole = end + 4 + int(headers.get(b"content-length", b"0"))
            if len(self._kept) < whole:
                return
            self._kept = self._kept[whole:]
            method, path, _ = first.split(b" ", 2)
            self._transport.write(self._vendor.answer(method, path.decode(), headers))


def serve(make: Callable[[str], Answers]) -> None:
    """Serve what ``make`` makes of the address, which is printed, until the process is ended."""

    async def run() -> None:
        minds: list[Answers] = []
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(minds[0]), "127.0.0.1", 0, backlog=4096)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        minds.append(make(address))
        print(address, flush=True)
        await server.serve_forever()

    try:
        import uvloop
    except ImportError:
        asyncio.run(run())
    else:
        uvloop.run(run())


if __name__ == "__main__":
    serve(lambda address: _Vendor(address, film(int(sys.argv[1]))))
