"""The network: each request is sent once, goes only where it may, and comes back as a value."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs
import pytest
from aiohttp import ClientTimeout
from blockbuster import blockbuster_ctx
from tests.support.wire import Arrived, Counter, Visit, answer, serving

from viseme.engine import connections as connections_module
from viseme.engine import pouring as pouring_module
from viseme.engine import transport as transport_module
from viseme.engine.transport import AioTransport, Broken, Content, Line, Wire
from viseme.failures import Kind
from viseme.providers.base import Fault, Refused, Reply, Verdict

HOME = Line("sync", private=True)
FRESH = Line("sync", private=True, fresh=True)
METHODS = ["GET", "PUT", "POST", "DELETE"]


@pytest.fixture(autouse=True)
def unblocked() -> Iterator[None]:
    """No test here may block the event loop."""
    with blockbuster_ctx("viseme"):
        yield


@pytest.fixture
async def net() -> AsyncIterator[AioTransport]:
    async with AioTransport() as transport:
        yield transport


def wire(url: str, method: str = "GET", body: bytes | None = None, hold: float = 0.0, **headers: str) -> Wire:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Wire(method=method, url=url, headers=named, body=body, hold=hold)


def connects_within(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = ClientTimeout(total=None, connect=2 * seconds, sock_connect=seconds)
    monkeypatch.setattr(connections_module, "PATIENCE", patience)
    monkeypatch.setattr(transport_module, "CONNECT", seconds)


async def drops(visit: Visit, _: Arrived) -> None:
    visit.drop()


async def says_ok(visit: Visit, _: Arrived) -> None:
    await visit.write(answer())


async def never(visit: Visit, _: Arrived) -> None:
    await asyncio.Event().wait()


def fault(outcome: object, *, sent: bool) -> Fault:
    assert isinstance(outcome, Fault), outcome
    assert outcome.sent is sent, outcome
    assert outcome.message
    return outcome


def reply(outcome: object) -> Reply:
    assert isinstance(outcome, Reply), outcome
    return outcome


async def taken(net: AioTransport, url: str, *, private: bool = True, stall: float = 5.0, **headers: str) -> bytes:
    async with net.fetch(url, headers, private=private, stall=stall) as stream:
        return b"".join([piece async for piece in stream.chunks()])


# -- sent once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [HOME, FRESH])
@pytest.mark.parametrize("method", METHODS)
async def test_a_request_whose_connection_drops_after_the_server_read_it_was_sent_once(
    net: AioTransport, method: str, line: Line
) -> None:
    async with serving(drops) as server:
        fault(await net.send(line, wire(f"{server.base}/x", method, b'{"a":1}')), sent=True)
        assert [request.line.split()[0] for request in server.arrived] == [method]


@pytest.mark.parametrize("method", METHODS)
async def test_a_request_that_drops_on_a_kept_connection_was_sent_once(net: AioTransport, method: str) -> None:
    async def second_drops(visit: Visit, request: Arrived) -> None:
        if len(server.arrived) == 1:
            await visit.write(answer())
        else:
            visit.drop()

    async with serving(second_drops) as server:
        assert reply(await net.send(HOME, wire(f"{server.base}/1"))).status == 200
        fault(await net.send(HOME, wire(f"{server.base}/2", method, b"{}")), sent=True)
        assert [request.connection for request in server.arrived] == [1, 1]


@pytest.mark.parametrize("method", METHODS)
async def test_a_request_after_the_server_let_a_kept_connection_go_arrives_at_most_once(
    net: AioTransport, method: str
) -> None:
    async def closes_behind(visit: Visit, request: Arrived) -> None:
        await visit.write(answer(b'{"n":1}'))
        visit.writer.close()

    async with serving(closes_behind) as server:
        await net.send(HOME, wire(f"{server.base}/1"))
        outcome = await net.send(HOME, wire(f"{server.base}/2", method, b"{}"))
        seconds = [request for request in server.arrived if request.line.split()[1] == "/2"]
        assert len(seconds) == (1 if isinstance(outcome, Reply) else 0)
        if isinstance(outcome, Fault):
            assert outcome.sent


async def test_a_reply_cut_off_in_its_body_is_a_fault_and_was_sent_once(net: AioTransport) -> None:
    async def half(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        visit.writer.close()

    async with serving(half) as server:
        fault(await net.send(FRESH, wire(server.base, "PUT", b"{}")), sent=True)
        assert len(server.arrived) == 1


async def test_fresh_lines_use_a_connection_for_one_request_only(net: AioTransport) -> None:
    async with serving(says_ok) as server:
        for _ in range(3):
            reply(await net.send(FRESH, wire(server.base, "POST", b"{}")))
        assert [request.connection for request in server.arrived] == [1, 2, 3]
        for _ in range(3):
            reply(await net.send(HOME, wire(server.base, "POST", b"{}")))
        assert [request.connection for request in server.arrived[3:]] == [4, 4, 4]


async def test_a_cancelled_request_ends_its_connection(net: AioTransport) -> None:
    arrived, closed = asyncio.Event(), asyncio.Event()

    async def watches(visit: Visit, _: Arrived) -> None:
        arrived.set()
        assert await visit.reader.read() == b""
        closed.set()

    async with serving(watches) as server:
        sending = asyncio.create_task(net.send(HOME, wire(server.base)))
        await arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(closed.wait(), 60)


# -- never sent ----------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("method", METHODS)
async def test_a_refused_connection_was_never_sent(net: AioTransport, method: str) -> None:
    outcome = fault(await net.send(FRESH, wire(f"http://127.0.0.1:{free_port()}/?key=secret", method)), sent=False)
    assert "secret" not in outcome.message


async def test_a_name_that_does_not_resolve_was_never_sent(net: AioTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, OSError(-2, "Name or service not known"))
    fault(await net.send(HOME, wire("http://vendor.example/")), sent=False)


async def test_a_resolver_that_does_not_answer_means_never_sent(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hangs)
    connects_within(0.05, monkeypatch)
    monkeypatch.setattr(transport_module, "_REPLY", 5.0)
    async with asyncio.timeout(5):
        fault(await net.send(HOME, wire("http://vendor.example/")), sent=False)


@pytest.mark.parametrize("hello", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x15\x03\x01\x00\x02\x02\x28"])
async def test_a_failed_tls_handshake_was_never_sent(net: AioTransport, hello: bytes) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(hello)
        writer.close() if hello else writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        fault(await net.send(FRESH, wire(f"https://127.0.0.1:{port}/", "POST", b"{}")), sent=False)


async def test_a_connection_that_is_not_taken_in_time_was_never_sent(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    connects_within(0.1, monkeypatch)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        outcome = await net.send(FRESH, wire(f"http://127.0.0.1:{full.getsockname()[1]}/", "POST", b"{}"))
        for client in waiting:
            client.close()
    fault(outcome, sent=False)


@pytest.mark.parametrize("url", ["http://[::1/", "http://host:99999/", "ftp://host/", "nonsense", "http:///path", ""])
async def test_an_address_that_is_none_was_never_sent(net: AioTransport, url: str) -> None:
    fault(await net.send(HOME, wire(url, "POST", b"{}")), sent=False)


# -- replies -------------------------------------------------------------------------------------------------------


async def test_a_reply_comes_back_whole_and_its_headers_are_found_by_names_in_lower_case(net: AioTransport) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(b'{"id":"1"}', status="201 Created", X_Request_Id="7"))

    async with serving(script) as server:
        got = reply(await net.send(HOME, wire(f"{server.base}/v2/x?a=%2F&b=1+2", "POST", b'{"v":1}', x_api_key="k")))
        assert (got.status, got.body, got.headers["x-request-id"]) == (201, b'{"id":"1"}', "7")
        (request,) = server.arrived
        assert request.line == "POST /v2/x?a=%2F&b=1+2 HTTP/1.1"
        assert request.body == b'{"v":1}'
        assert request.headers["x-api-key"] == "k"
        assert "content-type" not in request.headers


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_redirects_of_api_calls_are_not_followed_and_the_key_reaches_no_other_host(
    net: AioTransport, method: str, status: str
) -> None:
    async def away(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(status=status, Location=f"{other.base}/elsewhere"))

    async with serving(says_ok) as other, serving(away) as server:
        got = reply(await net.send(HOME, wire(server.base, method, b"{}", x_api_key="secret")))
        assert got.status == int(status.split()[0])
        assert other.connections == 0
        assert len(server.arrived) == 1


async def test_a_request_says_who_asks_and_what_it_takes_unless_it_says_so_itself(net: AioTransport) -> None:
    async with serving(says_ok) as server:
        await net.send(HOME, wire(f"{server.base}/a%20b?c=%2F"))
        await net.send(FRESH, wire(server.base, "PUT", accept="text/plain", USER_AGENT="me"))
    plain, own = server.arrived
    assert plain.line == "GET /a%20b?c=%2F HTTP/1.1"
    assert plain.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "user-agent": "viseme",
    }
    assert own.line == "PUT / HTTP/1.1"
    assert own.headers == {
        **plain.headers,
        "accept": "text/plain",
        "user-agent": "me",
        "content-length": "0",
        "connection": "close",
    }


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b", "\ud800"])
async def test_a_header_that_is_none_is_never_sent(net: AioTransport, value: str) -> None:
    async with serving(says_ok) as server:
        told = fault(await net.send(HOME, wire(server.base, "POST", b"{}", x_key=value)), sent=False)
        assert "header" in told.message
        assert "X-Other" not in told.message
        with pytest.raises(Broken):
            await taken(net, server.base, If_Range=value)
        assert not server.arrived


async def test_a_link_gives_its_own_name_and_password(net: AioTransport) -> None:
    async with serving(says_ok) as server:
        await taken(net, f"http://one:two%20three@127.0.0.1:{server.port}/x")
        assert server.arrived[0].headers["authorization"] == "Basic b25lOnR3byB0aHJlZQ=="
        assert server.arrived[0].headers["host"] == f"127.0.0.1:{server.port}"


async def test_what_is_said_before_a_reply_is_passed_over(net: AioTransport) -> None:
    async def early(visit: Visit, _: Arrived) -> None:
        await visit.write(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(b'{"a":1}')
        )

    async with serving(early) as server:
        for _ in range(2):
            assert reply(await net.send(HOME, wire(server.base))).body == b'{"a":1}'
        assert server.connections == 1


async def test_a_reply_to_head_has_no_body(net: AioTransport) -> None:
    async def length(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")

    async with serving(length) as server:
        for _ in range(2):
            async with net.fetch(server.base, {}, private=True, stall=5.0, method="HEAD") as stream:
                assert stream.headers["content-length"] == "5000000"
                assert [piece async for piece in stream.chunks()] == []
        assert server.connections == 1


async def test_cookies_are_not_kept(net: AioTransport) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(Set_Cookie="session=1; Path=/"))

    async with serving(script) as server:
        for _ in range(2):
            await net.send(HOME, wire(server.base))
        assert all("cookie" not in request.headers for request in server.arrived)


async def test_a_reply_larger_than_the_bound_is_a_fault(net: AioTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "_MAX_REPLY", 1_000_000)

    async def script(visit: Visit, request: Arrived) -> None:
        await visit.write(answer(b"x" * int(request.line.split()[1][1:])))

    async with serving(script) as server:
        assert len(reply(await net.send(HOME, wire(f"{server.base}/1000000"))).body) == 1_000_000
        fault(await net.send(HOME, wire(f"{server.base}/1000001")), sent=True)


async def test_a_gzip_bomb_is_broken_off_at_the_bound(net: AioTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "_MAX_REPLY", 1 << 20)
    bomb = gzip.compress(bytes(200 << 20), 9)

    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(bomb, Content_Encoding="gzip"))

    async with serving(script) as server:
        fault(await net.send(HOME, wire(server.base)), sent=True)


async def test_a_compressed_reply_is_read(net: AioTransport) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(zlib.compress(b'{"ok":true}'), Content_Encoding="deflate"))

    async with serving(script) as server:
        assert reply(await net.send(HOME, wire(server.base))).json() == {"ok": True}


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 99999 what\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\nnope",
        b"",
        b"\x00\xff\xfe",
    ],
)
async def test_a_reply_that_is_not_http_is_a_fault_and_was_sent_once(net: AioTransport, raw: bytes) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(raw)
        visit.writer.close()

    async with serving(script) as server:
        fault(await net.send(HOME, wire(server.base, "PUT", b"{}")), sent=True)
        assert len(server.arrived) == 1


async def test_a_server_that_never_answers_is_given_up_and_was_sent(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "_REPLY", 0.4)
    async with serving(never) as server:
        outcome = fault(await net.send(HOME, wire(server.base, "POST", b"{}")), sent=True)
        assert outcome.message == "no answer in time"
        assert len(server.arrived) == 1


async def test_headers_that_trickle_for_ever_are_given_up(net: AioTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_REPLY", 0.2)
    connects_within(0.2, monkeypatch)

    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            await visit.write(b"y")
            await asyncio.sleep(0.02)

    async with serving(script) as server:
        async with asyncio.timeout(20):
            fault(await net.send(HOME, wire(server.base)), sent=True)
        assert len(server.arrived) == 1


async def test_a_body_that_trickles_for_ever_is_given_up(net: AioTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_REPLY", 0.1)

    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await visit.write(b"y")
            await asyncio.sleep(0.02)

    async with serving(script) as server:
        async with asyncio.timeout(5):
            assert fault(await net.send(HOME, wire(server.base)), sent=True).message == "no answer in time"
        assert len(server.arrived) == 1


async def test_each_request_of_a_kept_connection_has_its_own_time(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "_REPLY", 0.5)

    async def slowly(visit: Visit, _: Arrived) -> None:
        await asyncio.sleep(0.15)
        await visit.write(answer())

    async with serving(slowly) as server:
        for rest in (0.0, 0.45, 0.0):  # nobody waits for anything while it rests
            assert reply(await net.send(HOME, wire(server.base))).status == 200
            await asyncio.sleep(rest)
        assert [request.connection for request in server.arrived] == [1, 1, 1]


async def test_a_long_poll_is_waited_for(net: AioTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_REPLY", 0.4)

    async def script(visit: Visit, _: Arrived) -> None:
        await asyncio.sleep(0.6)
        await visit.write(answer())

    async with serving(script) as server:
        held = asyncio.create_task(net.send(HOME, wire(server.base, hold=30.0)))
        fault(await net.send(HOME, wire(server.base)), sent=True)
        assert reply(await held).status == 200


async def test_many_requests_are_under_way_at_once(net: AioTransport) -> None:
    everyone = asyncio.Event()

    async def script(visit: Visit, _: Arrived) -> None:
        if len(server.arrived) == 150:
            everyone.set()
        await everyone.wait()
        await visit.write(answer())

    async with serving(script) as server:
        outcomes = await asyncio.gather(*(net.send(HOME, wire(server.base)) for _ in range(150)))
        assert all(isinstance(outcome, Reply) for outcome in outcomes)


# -- where it may go -------------------------------------------------------------------------------------------------

PUBLIC = Line("sync")
PRIVATE_HOSTS = [
    "127.0.0.1",
    "127.8.9.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[2002:7f00:1::]",
    "[::127.0.0.1]",
    "[64:ff9b::10.0.0.1]",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "[::]",
    "[fe80::1]",
    "[fd00::1]",
    "224.0.0.1",
    "localhost",
]


def resolves(monkeypatch: pytest.MonkeyPatch, *answers: str | OSError) -> list[str]:
    """Let names resolve to these addresses."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found: list[Any] = []
        for address in answers:
            if isinstance(address, OSError):
                raise socket.gaierror(*address.args)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            place = (address, port, 0, 0) if ":" in address else (address, port)
            found.append((family, socket.SOCK_STREAM, 6, "", place))
        return found

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
async def test_downloads_from_private_addresses_are_refused(net: AioTransport, host: str) -> None:
    with pytest.raises(Broken) as caught:
        await taken(net, f"http://{host}:{free_port()}/video.mp4", private=False)
    assert caught.value.unsafe


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
async def test_requests_to_private_addresses_are_refused_and_never_sent(net: AioTransport, host: str) -> None:
    fault(await net.send(PUBLIC, wire(f"http://{host}:{free_port()}/", "POST", b"{}")), sent=False)


async def test_a_download_reaches_no_private_server(net: AioTransport) -> None:
    async with serving(says_ok) as server:
        with pytest.raises(Broken, match="private address"):
            await taken(net, server.base, private=False)
        assert server.connections == 0
        assert await taken(net, server.base, private=True) == b"{}"


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("::1", "127.0.0.1"), ("::ffff:127.0.0.1",), ("169.254.1.1",)])
async def test_a_public_name_that_resolves_to_private_addresses_is_refused(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    async with serving(says_ok) as server:
        asked = resolves(monkeypatch, *addresses)
        with pytest.raises(Broken) as caught:
            await taken(net, f"http://cdn.example:{server.port}/", private=False)
        assert caught.value.unsafe
        assert asked == ["cdn.example"]
        assert server.connections == 0


async def test_a_private_name_is_reached_where_it_is_allowed(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(says_ok) as server:
        resolves(monkeypatch, "127.0.0.1")
        assert await taken(net, f"http://cdn.example:{server.port}/", private=True) == b"{}"


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 counts as a public address, as a stand-in for one."""
    real = connections_module.private_host
    monkeypatch.setattr(connections_module, "private_host", lambda host: host != "127.0.0.1" and real(host))


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("location", ["http://[::1]:{port}/", "//127.0.0.2:{port}/x"])
async def test_a_public_link_that_redirects_to_a_private_host_is_refused(net: AioTransport, location: str) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(status="302 Found", Location=location.format(port=server.port)))

    async with serving(script) as server:
        with pytest.raises(Broken) as caught:
            await taken(net, server.base, private=False)
        assert caught.value.unsafe
        assert len(server.arrived) == 1


# -- downloads -----------------------------------------------------------------------------------------------------


async def test_a_download_follows_redirects_with_its_range_and_no_credentials(net: AioTransport) -> None:
    async def script(visit: Visit, request: Arrived) -> None:
        path = request.line.split()[1]
        if path == "/a":
            await visit.write(answer(b"see b", status="302 Found", Location="/b?sig=%2F"))
        elif path == "/b?sig=%2F":
            await visit.write(answer(status="307 Temporary", Location=f"{other.base}/c"))

    async def file(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(b"tail", status="206 Partial Content"))

    async with serving(file) as other, serving(script) as server:
        async with net.fetch(f"{server.base}/a", {"Range": "bytes=4-"}, private=True, stall=5.0) as stream:
            assert stream.status == 206
            assert stream.headers["content-length"] == "4"
            assert b"".join([piece async for piece in stream.chunks()]) == b"tail"
        assert other.arrived[0].headers["range"] == "bytes=4-"
        assert not {"authorization", "cookie", "x-api-key"} & set(other.arrived[0].headers)


async def test_five_redirects_are_followed_and_a_sixth_is_not(net: AioTransport) -> None:
    async def script(visit: Visit, request: Arrived) -> None:
        left = int(request.line.split()[1][1:])
        reply = answer(b"there") if not left else answer(status="302 Found", Location=f"/{left - 1}")
        await visit.write(reply)

    async with serving(script) as server:
        assert await taken(net, f"{server.base}/5") == b"there"
        with pytest.raises(Broken, match="more than 5") as caught:
            await taken(net, f"{server.base}/6")
        assert not caught.value.unsafe


async def test_a_redirect_loop_ends(net: AioTransport) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(status="302 Found", Location="/again"))

    async with serving(script) as server:
        with pytest.raises(Broken, match="redirects"):
            await taken(net, server.base)
        assert len(server.arrived) <= 6


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "file:///etc/passwd", "data:text/plain,x", "http:///x", "//host/x", "x", ""]
)
async def test_links_of_other_schemes_are_refused(net: AioTransport, url: str) -> None:
    with pytest.raises(Broken) as caught:
        await taken(net, url)
    assert caught.value.unsafe


@pytest.mark.parametrize("url", ["http://[::1/", "http://host:99999/", "http://host:port/", "http://\udc80/"])
async def test_links_that_are_no_address_break_the_download_and_nothing_else(net: AioTransport, url: str) -> None:
    with pytest.raises(Broken):
        await taken(net, url)


async def test_a_link_cannot_smuggle_a_second_request(net: AioTransport) -> None:
    async with serving(says_ok) as server:
        await taken(net, f"{server.base}/ HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET /evil")
        assert [request.line for request in server.arrived] == [
            "GET /%20HTTP/1.1%0D%0AX-Evil:%201%0D%0A%0D%0AGET%20/evil HTTP/1.1"
        ]
        assert "x-evil" not in server.arrived[0].headers


@pytest.mark.parametrize(
    ("path", "sent"),
    [("/a%2Fb?sig=%2F+%7E%3D&x=a/b", "/a%2Fb?sig=%2F+%7E%3D&x=a/b"), ("/ü video.mp4", "/%C3%BC%20video.mp4")],
)
async def test_signed_links_are_sent_as_they_stand_redirected_or_not(net: AioTransport, path: str, sent: str) -> None:
    async def script(visit: Visit, request: Arrived) -> None:
        away = request.line.split()[1] == "/start"
        reply = answer(status="302 Found", Location=path) if away else answer()
        await visit.write(reply)

    async with serving(script) as server:
        await taken(net, f"{server.base}{path}")
        await taken(net, f"{server.base}/start")
        assert [request.line.split()[1] for request in server.arrived] == [sent, "/start", sent]


@pytest.mark.parametrize("location", ["ftp://host/", "file:///etc/passwd", "http://[", "http://host:99999/"])
async def test_redirects_to_what_is_no_web_address_are_refused(net: AioTransport, location: str) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(status="302 Found", Location=location))

    async with serving(script) as server:
        with pytest.raises(Broken):
            await taken(net, server.base)
        assert len(server.arrived) == 1


async def test_a_redirect_without_location_ends(net: AioTransport) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(status="302 Found"))

    async with serving(script) as server:
        with pytest.raises(Broken):
            await taken(net, server.base)


async def test_a_download_that_breaks_off_says_so(net: AioTransport) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        visit.drop()

    async with serving(script) as server:
        with pytest.raises(Broken) as caught:
            await taken(net, f"{server.base}/x?signature=secret")
        assert "secret" not in str(caught.value)


async def test_a_download_that_stalls_is_broken_off(net: AioTransport) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await asyncio.Event().wait()

    async with serving(script) as server:
        with pytest.raises(Broken, match="no answer in time"):
            await taken(net, server.base, stall=0.05)


async def test_a_download_whose_server_does_not_answer_is_broken_off(net: AioTransport) -> None:
    async with serving(never) as server:
        with pytest.raises(Broken, match="no answer in time"):
            await taken(net, server.base, stall=0.05)


async def test_a_download_may_take_longer_than_its_headers(net: AioTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "_REPLY", 0.1)

    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.05)
            await visit.write(b"y")

    async with serving(script) as server:
        assert await taken(net, server.base, stall=0.3) == b"y" * 10


@pytest.mark.parametrize("trickle", [b"y", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_a_download_whose_headers_trickle_for_ever_is_broken_off(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch, trickle: bytes
) -> None:
    """Something comes before each stall, and never an answer."""
    monkeypatch.setattr(transport_module, "_REPLY", 0.2)
    connects_within(0.2, monkeypatch)

    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nX: " if trickle == b"y" else trickle)
        while True:
            await visit.write(trickle)
            await asyncio.sleep(0.02)

    async with serving(script) as server:
        async with asyncio.timeout(20):
            with pytest.raises(Broken, match="no answer in time"):
                await taken(net, server.base, stall=0.2)
        assert len(server.arrived) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"\x1b[31mEVIL\x1b[0m \xe2\x80\xae oops\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\x1b]0;pwn\x07: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"\x9b" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://a\xe2\x80\xae\xc2\x9b:x/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://" + b"a." * 3000 + b"/\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_what_is_told_of_a_broken_reply_is_one_short_legible_line_without_the_links_signature(
    net: AioTransport, raw: bytes
) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(raw)
        visit.writer.close()

    async with serving(script) as server:
        link = f"{server.base}/x?signature=topsecret"
        told: list[str] = []
        try:
            await taken(net, link)
        except Broken as broken:
            told.append(str(broken))
        outcome = await net.send(HOME, wire(link))
        told += [outcome.message] if isinstance(outcome, Fault) else []
        assert told
        for text in told:
            assert text.isprintable()
            assert len(text) < 500
            assert "topsecret" not in text


async def test_a_download_from_a_refused_connection_breaks_and_is_not_unsafe(net: AioTransport) -> None:
    with pytest.raises(Broken) as caught:
        await taken(net, f"http://127.0.0.1:{free_port()}/x?signature=secret")
    assert not caught.value.unsafe
    assert "secret" not in str(caught.value)


async def test_a_download_is_not_inflated(net: AioTransport) -> None:
    packed = gzip.compress(b"video")

    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(packed, Content_Encoding="gzip"))

    async with serving(script) as server:
        assert await taken(net, server.base) == packed


async def test_a_download_that_is_left_early_closes_its_connection_and_a_whole_one_keeps_it(net: AioTransport) -> None:
    async def script(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(b"x" * 5_000_000))

    async with serving(script) as server:
        await taken(net, server.base)
        await taken(net, server.base)
        assert server.connections == 1
        async with net.fetch(server.base, {}, private=True, stall=5.0) as stream:
            async for _ in stream.chunks():
                break
        assert await taken(net, server.base) == b"x" * 5_000_000
        assert server.connections == 2


async def test_leaving_closes_every_connection() -> None:
    async with serving(says_ok) as server, AioTransport() as net:
        await net.send(HOME, wire(server.base))
        await net.send(FRESH, wire(server.base))
        await taken(net, server.base)
        await net.send(HOME, Wire(method="PUT", url=server.base, headers={}, body=Parts([b"a"])))
        lines = list(net._lines.values())
        await net.__aexit__(None, None, None)
        assert all(line.connector.closed for line in lines)
        assert len(lines) == 3
        await finished(server)
    gc.collect()


async def finished(server: Counter) -> None:
    while server._visits:
        server.gone.clear()
        await asyncio.wait_for(server.gone.wait(), 60)


# -- bodies that are read while they are sent ------------------------------------------------------------------------


@attrs.define
class Parts:
    """A body of these pieces, whose ``spoil`` is raised before the last."""

    parts: list[bytes]
    spoil: Exception | None = None
    reads: int = 0
    gate: asyncio.Event | None = None

    @property
    def length(self) -> int:
        return sum(map(len, self.parts))

    async def pieces(self) -> AsyncIterator[bytes]:
        self.reads += 1
        for number, piece in enumerate(self.parts, 1):
            if number == len(self.parts):
                if self.gate is not None:
                    await self.gate.wait()
                if self.spoil is not None:
                    raise self.spoil
            yield piece


MEGABYTE = [bytes([n]) * 65536 for n in range(16)]


def upload(url: str, body: Content, method: str = "PUT") -> Wire:
    return Wire(method=method, url=url, headers={"Content-Type": "video/mp4"}, body=body)


async def test_a_streamed_body_arrives_whole_with_its_length_and_type(net: AioTransport) -> None:
    async with serving(says_ok) as server:
        body = Parts(MEGABYTE)
        for _ in range(2):
            assert reply(await net.send(HOME, upload(f"{server.base}/x", body))).status == 200
        for arrived in server.arrived:
            assert arrived.body == b"".join(MEGABYTE)
            assert arrived.headers["content-length"] == str(body.length)
            assert arrived.headers["content-type"] == "video/mp4"
            assert "transfer-encoding" not in arrived.headers
        assert server.connections == 1


@pytest.mark.parametrize("line", [HOME, FRESH])
async def test_an_upload_whose_connection_drops_is_sent_once(net: AioTransport, line: Line) -> None:
    async with serving(drops) as server:
        body = Parts(MEGABYTE)
        fault(await net.send(line, upload(f"{server.base}/x", body)), sent=True)
        assert (len(server.arrived), server.connections, body.reads) == (1, 1, 1)


async def test_an_upload_that_drops_on_a_kept_connection_is_sent_once(net: AioTransport) -> None:
    async def second_drops(visit: Visit, request: Arrived) -> None:
        if len(server.arrived) == 1:
            await visit.write(answer())
        else:
            visit.drop()

    async with serving(second_drops) as server:
        body = Parts(MEGABYTE)
        reply(await net.send(HOME, upload(f"{server.base}/1", Parts(MEGABYTE))))
        fault(await net.send(HOME, upload(f"{server.base}/2", body)), sent=True)
        assert [request.connection for request in server.arrived] == [1, 1]
        assert body.reads == 1


async def test_a_body_that_spoils_is_broken_off_and_says_why(net: AioTransport) -> None:
    async with serving(says_ok) as server:
        spoilt = Refused(Verdict(kind=Kind.INVALID, message="it changed"))
        with pytest.raises(Refused, match="it changed"):
            await net.send(HOME, upload(f"{server.base}/x", Parts(MEGABYTE, spoil=spoilt)))
        await server.gone.wait()
        assert server.arrived == []  # none arrived whole
        reply(await net.send(HOME, wire(f"{server.base}/next")))
        assert server.connections == 2


async def test_an_upload_may_take_longer_than_any_reply_but_not_stand_still(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    connects_within(0.15, monkeypatch)
    monkeypatch.setattr(transport_module, "_REPLY", 0.25)
    monkeypatch.setattr(pouring_module, "_STALL", 0.6)

    @attrs.define
    class Slow(Parts):
        async def pieces(self) -> AsyncIterator[bytes]:
            for piece in self.parts:
                await asyncio.sleep(0.1)
                yield piece

    async with serving(says_ok) as server:
        assert reply(await net.send(HOME, upload(f"{server.base}/x", Slow(MEGABYTE[:8])))).status == 200
        stuck = Parts(MEGABYTE, gate=asyncio.Event())
        fault(await net.send(HOME, upload(f"{server.base}/x", stuck)), sent=True)
        assert len(server.arrived) == 1


async def test_a_refusal_that_comes_before_the_body_is_through_is_heard(net: AioTransport) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        await writer.drain()
        ended.set()
        while await reader.read(65536):
            pass
        writer.close()
        await writer.wait_closed()
        closed.set()

    ended, closed = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        body = Parts(MEGABYTE * 4, gate=ended)
        outcome = await net.send(HOME, upload(f"http://127.0.0.1:{port}/x", body))
        assert reply(outcome).status == 403
        await asyncio.wait_for(closed.wait(), 60)


async def test_uploads_go_to_no_private_address_unless_the_account_may(net: AioTransport) -> None:
    async with serving(says_ok) as server:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            link = f"http://{host}:{server.port}/slot"
            told = fault(await net.send(Line("sync"), upload(link, Parts(MEGABYTE))), sent=False)
            assert "private address" in told.message
        assert server.connections == 0


async def test_an_upload_follows_no_redirect(net: AioTransport) -> None:
    async def elsewhere(visit: Visit, _: Arrived) -> None:
        await visit.write(answer(status="307 Temporary Redirect", location=f"{server.base}/other"))

    async with serving(elsewhere) as server:
        assert reply(await net.send(HOME, upload(f"{server.base}/x", Parts(MEGABYTE)))).status == 307
        assert len(server.arrived) == 1


async def test_a_cancelled_upload_ends_its_connection(net: AioTransport) -> None:
    async with serving(says_ok) as server:
        begun = asyncio.Event()

        @attrs.define
        class Begun(Parts):
            async def pieces(self) -> AsyncIterator[bytes]:
                yield self.parts[0]
                begun.set()
                await asyncio.Event().wait()

        sending = asyncio.create_task(net.send(HOME, upload(f"{server.base}/x", Begun(MEGABYTE))))
        await begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(server.gone.wait(), 60)
        assert server.arrived == []
