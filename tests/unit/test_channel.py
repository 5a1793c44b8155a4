"""Connections that serve one request after the other: when they are kept, and what bytes at odd times do to them."""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
import struct
import warnings
from collections.abc import AsyncIterator

import pytest
from tests.support.wire import Arrived, Visit, answer, serving

from viseme.engine import channel as channel_module
from viseme.engine import connections as connections_module
from viseme.engine.deadlines import Deadlines
from viseme.engine.targets import target
from viseme.engine.transport import AioTransport, Broken, Line, Wire
from viseme.providers.base import Fault, Outcome, Reply

HOME = Line("sync", private=True)
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n"
FILM = random.Random(7).randbytes(3_000_000)


@pytest.fixture
async def net() -> AsyncIterator[AioTransport]:
    async with AioTransport() as transport:
        yield transport


async def sent(net: AioTransport, url: str, method: str = "GET") -> Outcome:
    return await net.send(HOME, Wire(method=method, url=url, headers={"x-api-key": "k"}))


async def body(net: AioTransport, url: str) -> bytes:
    outcome = await sent(net, url)
    assert isinstance(outcome, Reply), outcome
    return outcome.body


async def fetched(net: AioTransport, url: str, *, stall: float = 5.0, rest: float = 0.0) -> bytes:
    """A download whose reader rests between its pieces."""
    pieces: list[bytes] = []
    async with net.fetch(url, {}, private=True, stall=stall) as stream:
        async for piece in stream.chunks():
            pieces.append(piece)
            await asyncio.sleep(rest)
    return b"".join(pieces)


# -- kept or not ---------------------------------------------------------------------------------------------------


async def test_what_comes_unasked_ends_the_connection_and_is_nobodys_reply(net: AioTransport) -> None:
    async def talks(visit: Visit, request: Arrived) -> None:
        await visit.write(answer(request.line.encode()))
        if visit.number == 1:
            await asyncio.sleep(0.05)
            await visit.write(answer(b"forged"))

    async with serving(talks) as server:
        assert await body(net, f"{server.base}/1") == b"GET /1 HTTP/1.1"
        await asyncio.wait_for(server.gone.wait(), 60)
        assert await body(net, f"{server.base}/2") == b"GET /2 HTTP/1.1"
        assert server.connections == 2


async def test_a_second_reply_behind_the_first_is_nobodys_and_ends_the_connection(net: AioTransport) -> None:
    async def doubles(visit: Visit, request: Arrived) -> None:
        await visit.write(answer(request.line.encode()) + (answer(b"forged") if visit.number == 1 else b""))

    async with serving(doubles) as server:
        assert await body(net, f"{server.base}/1") == b"GET /1 HTTP/1.1"
        assert await body(net, f"{server.base}/2") == b"GET /2 HTTP/1.1"
        assert server.connections == 2


@pytest.mark.parametrize(
    "first",
    [
        answer(b"{}", Connection="close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
async def test_a_connection_that_its_server_wants_no_more_is_not_kept(net: AioTransport, first: bytes) -> None:
    async def once(visit: Visit, _: Arrived) -> None:
        await visit.write(first if visit.number == 1 else answer())

    async with serving(once) as server:
        assert isinstance(await sent(net, server.base), Reply)
        assert await body(net, server.base) == b"{}"
        assert [request.connection for request in server.arrived] == [1, 2]


async def test_a_kept_connection_that_the_server_closes_is_not_used_again(net: AioTransport) -> None:
    async def closes(visit: Visit, _: Arrived) -> None:
        await visit.write(answer())
        visit.writer.close()

    async with serving(closes) as server:
        for _ in range(3):
            assert await body(net, server.base) == b"{}"
            await asyncio.wait_for(server.gone.wait(), 60)
            server.gone.clear()
            await asyncio.sleep(0.01)  # the client hears of it
        assert server.connections == 3


async def test_connections_that_nobody_uses_are_closed_after_a_while(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "_KEPT", 0.5)
    everyone = asyncio.Event()

    async def together(visit: Visit, _: Arrived) -> None:
        if len(server.arrived) == 3:
            everyone.set()
        await everyone.wait()
        await visit.write(answer())

    async with serving(together) as server:
        await asyncio.gather(*(body(net, server.base) for _ in range(3)))
        async with asyncio.timeout(60):
            while len(server._visits) > 1:  # one does for them
                assert await body(net, server.base) == b"{}"
                await asyncio.sleep(0.005)
        assert server.connections == 3
        while server._visits:
            server.gone.clear()
            await asyncio.wait_for(server.gone.wait(), 60)
        assert await body(net, server.base) == b"{}"


async def test_one_that_was_kept_too_long_is_not_used_though_it_is_still_open(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def says_ok(visit: Visit, _: Arrived) -> None:
        await visit.write(answer())

    async with serving(says_ok) as server:
        await body(net, server.base)
        monkeypatch.setattr(connections_module, "_KEPT", 0.0)
        await body(net, server.base)
        assert [request.connection for request in server.arrived] == [1, 2]


async def test_heads_and_other_requests_go_over_one_connection(net: AioTransport) -> None:
    async def length(visit: Visit, request: Arrived) -> None:
        await visit.write(answer(b"four")[: None if request.line.startswith("GET") else -4])

    async with serving(length) as server:
        for method, expected in [("HEAD", b""), ("GET", b"four"), ("HEAD", b""), ("GET", b"four")]:
            outcome = await sent(net, server.base, method)
            assert isinstance(outcome, Reply)
            assert outcome.body == expected
        assert server.connections == 1


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_a_reply_without_a_body_is_whole_with_its_head(net: AioTransport, status: str) -> None:
    async def nothing(visit: Visit, _: Arrived) -> None:
        await visit.write(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode())

    async with serving(nothing) as server:
        for _ in range(2):
            assert await body(net, server.base) == b""
        assert server.connections == 1


async def test_leaving_while_a_connection_is_kept_and_another_is_in_use_closes_both_without_a_word() -> None:
    arrived = asyncio.Event()

    async def first_only(visit: Visit, request: Arrived) -> None:
        if request.line.startswith("GET /1"):
            await visit.write(answer())
        else:
            arrived.set()

    async with serving(first_only) as server:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            async with AioTransport() as net:
                waiting = asyncio.create_task(sent(net, f"{server.base}/2"))
                await arrived.wait()
                await body(net, f"{server.base}/1")
            outcome = await waiting
        assert isinstance(outcome, Fault)
        assert outcome.sent
        while server._visits:
            server.gone.clear()
            await asyncio.wait_for(server.gone.wait(), 60)


async def test_leaving_waits_for_no_server_that_takes_nothing() -> None:
    async def takes_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # pyright: ignore[reportAttributeAccessIssue]
        arrived.set()
        await left.wait()
        writer.transport.abort()

    arrived, left = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(takes_nothing, "127.0.0.1", 0)
    async with server, asyncio.timeout(5):
        async with AioTransport() as net:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            wire = Wire(method="PUT", url=url, headers={}, body=bytes(50_000_000))
            sending = asyncio.create_task(net.send(HOME, wire))
            await arrived.wait()
        assert isinstance(await sending, Fault)
        left.set()


# -- what is said of every request ---------------------------------------------------------------------------------


async def test_headers_that_were_said_before_are_said_again_and_no_others(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "_SAID", 2)

    async def says_ok(visit: Visit, _: Arrived) -> None:
        await visit.write(answer())

    async with serving(says_ok) as server:
        for number in (1, 2, 1, 3, 1):
            for content in (None, b"{}"):
                wire = Wire(method="PUT", url=server.base, headers={"x-key": f"{number}"}, body=content)
                assert isinstance(await net.send(HOME, wire), Reply)
        said = [(one.headers["x-key"], one.headers["content-length"]) for one in server.arrived]
        assert said == [(number, length) for number in "12131" for length in "02"]
        assert "x-key" not in repr(net), "which may hold a secret"


# -- bodies --------------------------------------------------------------------------------------------------------


def chunked(data: bytes) -> bytes:
    pieces = [data[at : at + 70_001] for at in range(0, len(data), 70_001)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


WAYS = [LONG + FILM, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(FILM)]


@pytest.mark.parametrize("raw", WAYS)
@pytest.mark.parametrize("rest", [0.0, 0.01])
async def test_a_long_body_arrives_as_it_is_however_slowly_it_is_read(
    net: AioTransport, raw: bytes, rest: float
) -> None:
    async def film(visit: Visit, _: Arrived) -> None:
        await visit.write(raw)

    async with serving(film) as server:
        for _ in range(2):
            assert await fetched(net, server.base, rest=rest) == FILM
        assert await body(net, server.base) == FILM
        assert server.connections == 2, "one for downloads, one for the account"


REPLIES = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\r\n\r\n{}\r\n", b"\r\n\r\n{}\r\n"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 002\r\n\r\n{}", b"{}"),
    (b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"{}"),
    (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(PACKED := gzip.compress(b"{}" * 50, mtime=0)), PACKED),
        b"{}" * 50,
    ),
    (b"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n", b""),
]


@pytest.mark.parametrize(("raw", "whole"), REPLIES)
async def test_a_reply_is_the_same_whether_it_comes_at_once_or_in_pieces(
    net: AioTransport, raw: bytes, whole: bytes
) -> None:
    async def in_two(visit: Visit, request: Arrived) -> None:
        cut = int(request.line.split()[1][1:])
        await visit.write(raw[:cut])
        await asyncio.sleep(0.005)
        await visit.write(raw[cut:])

    async with serving(in_two) as server:
        for cut in [0, *range(9, len(raw), 5), len(raw)]:
            outcome = await sent(net, f"{server.base}/{cut}")
            assert isinstance(outcome, Reply)
            assert outcome.body == whole
        assert server.connections == 1


async def test_a_short_download_is_the_same_whether_it_comes_with_its_head_or_behind_it(net: AioTransport) -> None:
    film = FILM[:50_000]

    async def shows(visit: Visit, request: Arrived) -> None:
        told = answer(film)
        cut = len(told) if "at-once" in request.line else len(told) - len(film)
        await visit.write(told[:cut])
        if told[cut:]:
            await asyncio.sleep(0.02)
            await visit.write(told[cut:])

    async with serving(shows) as server:
        for path in ("at-once", "later", "at-once"):
            assert await fetched(net, f"{server.base}/{path}") == film
        assert server.connections == 1


async def test_what_looks_like_a_reply_in_the_middle_of_one_is_a_part_of_it(net: AioTransport) -> None:
    async def odd(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 201 Created\r\nX-Seen: ")
        await asyncio.sleep(0.02)
        await visit.write(answer(b"{}"))

    async with serving(odd) as server:
        outcome = await sent(net, server.base)
        assert isinstance(outcome, Reply)
        assert (outcome.status, outcome.headers["x-seen"], outcome.body) == (201, "HTTP/1.1 200 OK", b"{}")


async def test_what_comes_behind_the_head_that_was_asked_for_is_nobodys(net: AioTransport) -> None:
    async def says_more(visit: Visit, request: Arrived) -> None:
        await visit.write(answer(b"forged" if request.line.startswith("HEAD") else b"{}"))

    async with serving(says_more) as server:
        assert isinstance(await sent(net, server.base, "HEAD"), Fault)
        assert await body(net, server.base) == b"{}"
        assert server.connections == 2


async def test_a_reply_that_comes_when_nobody_waits_for_it_any_more_ends_the_connection() -> None:
    class Deaf(asyncio.Transport):
        closed = False

        def write(self, data: object) -> None: ...

        def close(self) -> None:
            self.closed = True

    transport, raw = Deaf(), answer(b"{}")
    place = channel_module.room()
    to = target("http://127.0.0.1:1/")[0]
    channel = channel_module.Channel(to, lambda _: None, transport, place, Deadlines(), 1 << 16, True, False)
    asked = channel.ask(b"GET / HTTP/1.1\r\n\r\n", None, 0.0, 60.0, bodies=True)
    asked.cancel()
    place[: len(raw)] = raw
    channel.buffer_updated(len(raw))  # before whoever waited has seen to it
    assert transport.closed


@pytest.mark.parametrize("length", [3900, 4000, 4096, 6000])
async def test_a_reply_is_the_same_however_long_its_head_is(net: AioTransport, length: int) -> None:
    async def wordy(visit: Visit, request: Arrived) -> None:
        await visit.write(answer(b"\r\n\r\n" + request.line.encode(), **{"X-Trace": "t" * length}))

    async with serving(wordy) as server:
        for path in ("1", "2"):
            assert await body(net, f"{server.base}/{path}") == f"\r\n\r\nGET /{path} HTTP/1.1".encode()
        assert server.connections == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{}",
    ],
)
async def test_a_reply_that_comes_at_once_and_is_no_http_is_a_fault(net: AioTransport, raw: bytes) -> None:
    async def odd(visit: Visit, _: Arrived) -> None:
        await visit.write(raw)

    async with serving(odd) as server:
        outcome = await sent(net, server.base)
        assert isinstance(outcome, Fault)
        assert outcome.sent
        assert "is no HTTP" in outcome.message


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_of_no_stated_length_ends_with_its_connection(net: AioTransport, packed: bool) -> None:
    async def until_the_end(visit: Visit, _: Arrived) -> None:
        told = b"Content-Encoding: gzip\r\n" if packed else b""
        await visit.write(b"HTTP/1.1 200 OK\r\n" + told + b"\r\n" + (gzip.compress(FILM) if packed else FILM))
        visit.writer.close()

    async with serving(until_the_end) as server:
        assert await body(net, server.base) == FILM


async def test_a_body_of_no_stated_length_whose_connection_is_reset_is_not_taken_for_whole(net: AioTransport) -> None:
    async def resets(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await asyncio.sleep(0.05)
        at_once = struct.pack("ii", 1, 0)
        visit.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        visit.drop()

    async with serving(resets) as server:
        with pytest.raises(Broken):
            await fetched(net, server.base)
        outcome = await sent(net, server.base)
        assert isinstance(outcome, Fault)
        assert outcome.sent


async def test_a_body_that_is_no_chunk_in_its_middle_breaks_off(net: AioTransport) -> None:
    async def spoils(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await asyncio.sleep(0.05)
        await visit.write(b"nonsense\r\n")

    async with serving(spoils) as server:
        with pytest.raises(Broken):
            await fetched(net, server.base)
        assert isinstance(await sent(net, server.base), Fault)


async def test_a_slow_reader_is_no_stalled_server(net: AioTransport) -> None:
    async def film(visit: Visit, _: Arrived) -> None:
        await visit.write(LONG + FILM)

    async with serving(film) as server:
        assert await fetched(net, server.base, stall=0.1, rest=0.15) == FILM


async def test_bytes_that_come_now_and_then_put_the_stall_off(net: AioTransport) -> None:
    async def trickles(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(7):
            await asyncio.sleep(0.1)
            await visit.write(b"x")
        await asyncio.Event().wait()

    async with serving(trickles) as server:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(Broken, match="no answer in time"):
            await fetched(net, server.base, stall=0.5)
        assert 1.1 < loop.time() - begun < 20
