"""Nothing is fetched from, or sent to, what is not on the public internet: however it is spelled, named or led to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.house import account, house
from tests.support.virtual import simulated_world, virtually
from tests.support.wire import Arrived, Visit, answer, serving

from viseme.addresses import private_host
from viseme.engine import connections as connections_module
from viseme.engine.admission.limits import Rates
from viseme.engine.courier import Courier
from viseme.engine.transport import AioTransport, Broken, Line, Wire
from viseme.providers.base import Fault, Flow, Reply, Request, Role

REFUSED = "is a private address; allow_private_hosts"
LOOPBACKS = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "%31%32%37.0.0.1",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1",
    "localhost",
    "LocalHost.",
    "api.localhost",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
]
ELSEWHERE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.169.254",
    "192.0.0.192",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fd00::1",
    "ff02::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "64:ff9b:1::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2002:e000:1::",
    "::ffff:224.0.0.1",
    "::ffff:100.64.0.1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1.",
    "192.0.1.1",
    "2606:4700:4700::1111",
    "[2a00:1450:4001:81b::200e]",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "api.sync.so",
    "10.example",
    "127.0.0.1.example",
    "xn--mnchen-3ya.example",
]


@pytest.mark.parametrize("host", LOOPBACKS + ELSEWHERE)
def test_a_private_address_is_known_in_every_spelling(host: str) -> None:
    assert private_host(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_is_not_taken_for_a_private_one(host: str) -> None:
    assert not private_host(host)


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_by_itself(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    tail = f"{number >> 16:x}:{number & 0xFFFF:x}"
    for carrier in (f"::ffff:{tail}", f"::ffff:0:{tail}", f"64:ff9b::{tail}", f"2002:{tail}::"):
        assert private_host(carrier) == private_host(str(inner)), carrier


@given(st.text(max_size=40))
def test_no_host_name_breaks_the_question(host: str) -> None:
    assert private_host(host) in (True, False)


# -- at connect time -----------------------------------------------------------------------------------------------


@pytest.fixture
async def net() -> AsyncIterator[AioTransport]:
    async with AioTransport() as transport:
        yield transport


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 counts as a public address, as a stand-in for one."""
    real = connections_module.private_host
    monkeypatch.setattr(connections_module, "private_host", lambda host: host != "127.0.0.1" and real(host))


def resolves(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Let every name resolve to these addresses."""

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        found: list[Any] = []
        for address in answers:
            six = ":" in address
            place = (address, port, 0, 0) if six else (address, port)
            found.append((socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM, 6, "", place))
        return found

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


@attrs.frozen
class File:
    """A body that is streamed."""

    length: int = 4

    async def pieces(self) -> AsyncIterator[bytes]:
        yield b"film"


async def says_ok(visit: Visit, _: Arrived) -> None:
    await visit.write(answer(b""))  # a HEAD has no body


async def asks(net: AioTransport, url: str, *, private: bool = False) -> str:
    outcome = await net.send(Line("a", private=private), Wire(method="GET", url=url, headers={}))
    return _told(outcome)


async def pays(net: AioTransport, url: str, *, private: bool = False) -> str:
    line = Line("a", private=private, fresh=True)
    return _told(await net.send(line, Wire(method="POST", url=url, headers={"x-api-key": "k"}, body=b"{}")))


async def uploads(net: AioTransport, url: str, *, private: bool = False) -> str:
    wire = Wire(method="PUT", url=url, headers={"Content-Type": "video/mp4"}, body=File())
    return _told(await net.send(Line("a", private=private), wire))


async def downloads(net: AioTransport, url: str, *, private: bool = False) -> str:
    return await _fetched(net, url, "GET", private)


async def looks(net: AioTransport, url: str, *, private: bool = False) -> str:
    return await _fetched(net, url, "HEAD", private)


def _told(outcome: Reply | Fault) -> str:
    if isinstance(outcome, Reply):
        return "reached"
    assert not outcome.sent, "what was refused before a connection was made has not left"
    return outcome.message


async def _fetched(net: AioTransport, url: str, method: str, private: bool) -> str:
    try:
        async with net.fetch(url, {}, private=private, stall=5.0, method=method):
            return "reached"
    except Broken as broken:
        return str(broken) if broken.unsafe else f"not unsafe: {broken}"


Way = Callable[..., Coroutine[Any, Any, str]]
WAYS: list[Way] = [asks, pays, uploads, downloads, looks]


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_out_leads_to_a_private_server_only_where_it_may(net: AioTransport, way: Way) -> None:
    async with serving(says_ok) as server:
        assert await way(net, server.base, private=True) == "reached"
        assert REFUSED in await way(net, server.base), "not over a connection that was kept, either"
        assert server.connections == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("::ffff:127.0.0.1",), ("::1", "127.0.0.1")])
async def test_a_name_is_judged_by_what_it_resolves_to_when_the_connection_is_made(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch, way: Way, addresses: tuple[str, ...]
) -> None:
    """An earlier answer that was harmless (DNS rebinding) does not count."""
    async with serving(says_ok) as server:
        resolves(monkeypatch, *addresses)
        assert REFUSED in await way(net, f"http://media.example:{server.port}/")
        assert server.connections == 0


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("way", WAYS)
async def test_of_several_addresses_only_the_public_ones_are_tried(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    async with serving(says_ok) as server:
        resolves(monkeypatch, "127.0.0.2", "127.0.0.1")
        assert await way(net, f"http://media.example:{server.port}/") == "reached"
        resolves(monkeypatch, "127.0.0.2")
        assert REFUSED in await way(net, f"http://other.example:{server.port}/")


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("way", [downloads, looks])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/",
        "//127.0.0.2:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://localhost:{port}/",
        "http://user:pass@127.0.0.2:{port}/",
        "http://hidden.example:{port}/",
    ],
)
async def test_a_public_link_leads_to_no_private_server_by_however_many_redirects(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch, way: Way, location: str
) -> None:
    async def script(visit: Visit, request: Arrived) -> None:
        path = request.line.split()[1]
        target = location.format(port=server.port) if path == "/2" else f"/{int(path[1:] or 0) + 1}"
        await visit.write(answer(b"", status="302 Found", Location=target))

    async with serving(script) as server:
        resolves(monkeypatch, "127.0.0.2")
        assert REFUSED in await way(net, server.base)
        assert {request.headers["host"] for request in server.arrived} == {f"127.0.0.1:{server.port}"}
        assert len(server.arrived) == 3


@pytest.mark.parametrize("way", WAYS)
async def test_a_proxy_in_the_environment_is_not_a_way_around(
    net: AioTransport, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    async with serving(says_ok) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, server.base)
        resolves(monkeypatch, "10.0.0.1")
        assert REFUSED in await way(net, "http://media.example/")
        assert server.connections == 0


# -- who may go there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("role", list(Role))
@virtually
async def test_every_request_of_an_account_goes_as_far_as_the_account_may(role: Role, allowed: bool) -> None:
    """Uploads to links that the vendor named, and token requests to a host of their own, too."""
    world = simulated_world()
    rates = Rates(world.world.monotonic, world.world.call_at)
    ours = house(given=account(allow_private_hosts=allowed))
    courier = Courier(world.world, world.network, ours, rates, lambda classes, verdict: None)

    def flow() -> Flow[None]:
        yield Request(method="PUT", url="http://10.0.0.1/slot", role=role, classes=())

    await courier.run(flow())
    assert [(line.private, wire.url) for line, wire in world.network.sent] == [(allowed, "http://10.0.0.1/slot")]
    assert "X-Key" not in world.network.sent[0][1].headers
