"""Messages between our process and the vendors: lost, late, doubled, broken off; and what the vendors say of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from attrs import define, field, frozen
from tests.simulation.files import Gone
from tests.simulation.universe import Universe

from viseme.engine.transport import Broken, Line, Stream, Wire
from viseme.providers.base import Fault, Outcome, Reply

__all__ = ["Answer", "Call", "Host", "Network", "answer"]


@frozen(kw_only=True)
class Call:
    """A request as it arrives.

    Attributes:
        headers: by their lower-case names.
        twin: the network delivered it a second time.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, str] = field(factory=dict[str, str])
    headers: Mapping[str, str] = field(factory=dict[str, str])
    body: bytes = b""
    twin: bool = False

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body as a form's fields."""
        return dict(parse_qsl(self.body.decode()))


@frozen
class Answer:
    """What a host answers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(factory=dict[str, str])


def answer(value: object, status: int = 200, **headers: str) -> Answer:
    """An answer in JSON; names of headers are written with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"content-type": "application/json", **named})


class Host(Protocol):
    """Somebody on the network."""

    def handle(self, call: Call) -> Answer:
        """Answer a request, now."""
        ...


_STORM_BODIES = (b"<html>Bad gateway</html>", b"", b'{"half": ', b'{"message": "internal error"}', b"null")


@define(eq=False)
class Network:
    """The way between our process and the hosts.

    Attributes:
        hosts: who answers, by host name.
        watch: told of each request as it leaves, with what it is; for the laws.
    """

    universe: Universe
    hosts: dict[str, Host] = field(factory=dict[str, Host])
    watch: Callable[[Line, Call], None] = field(default=lambda line, call: None)
    _back: dict[str, float] = field(factory=dict[str, float])

    def down(self, url: str) -> bool:
        """Whether a host cannot be reached: it may fall any time, and stays down for a while."""
        host, universe = urlsplit(url).netloc, self.universe
        if universe.strike("vendor down", host):
            self._back[host] = universe.now + universe.chance("vendor down: how").uniform(5.0, 300.0)
        return not universe.calm and universe.now < self._back.get(host, 0.0)

    def arrive(self, call: Call) -> Answer:
        """Have a host answer."""
        self.universe.note("arrives", call.method, call.host + call.path)
        said = self.hosts[call.host].handle(call)
        self.universe.note("answered", said.status, call.method, call.host + call.path)
        return said


@define(eq=False)
class Transport:
    """The network as one life of our process has it."""

    network: Network

    @property
    def _universe(self) -> Universe:
        return self.network.universe

    async def send(self, line: Line, wire: Wire) -> Outcome:
        """Send a request once."""
        universe = self._universe
        chance = universe.chance("network")
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        if self.network.down(wire.url) or universe.strike("no connection", wire.url):
            await asyncio.sleep(chance.uniform(0.0, 20.0))
            return Fault(sent=False, message="cannot connect")
        body = await _whole(wire)
        universe.peril(f"before sending {wire.method} {wire.url}")
        if universe.doomed is not None:
            raise Gone("the process is dead")
        call = _call(wire, body)
        universe.note("sends", call.method, call.host + call.path)
        self.network.watch(line, call)
        outcome = await self._carried(call)
        universe.peril(f"after the reply to {wire.method} {wire.url}")
        return outcome

    async def _carried(self, call: Call) -> Outcome:
        """What comes of a request that has left."""
        universe = self._universe
        chance = universe.chance("network")
        there, back = chance.uniform(0.005, 0.3), chance.uniform(0.005, 0.3)
        if universe.strike("late", call.path):
            there, back = there + chance.uniform(0.0, 4.0), back + chance.uniform(0.0, 30.0)
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Outcome] = loop.create_future()

        def come(outcome: Outcome) -> None:
            if not loop.is_closed() and not waiting.done():
                waiting.set_result(outcome)

        if universe.strike("lost request", call.path):
            universe.after(there + chance.uniform(0.1, 60.0), lambda: come(Fault(sent=True, message="reset")))
            return await waiting
        if universe.strike("storm", call.path):
            universe.after(there + back, lambda: come(_storm(universe)))
            return await waiting
        lost = universe.strike("lost reply", call.path)
        booked_storm = not lost and universe.strike("storm after booking", call.path)

        def arrive() -> None:
            said = self.network.arrive(call)
            if lost:
                universe.after(chance.uniform(0.1, 60.0), lambda: come(Fault(sent=True, message="no answer in time")))
            elif booked_storm:
                universe.after(back, lambda: come(_storm(universe, booked=True)))
            else:
                reply = Reply(status=said.status, headers=dict(said.headers), body=said.body)
                universe.after(back, lambda: come(reply))

        universe.after(there, arrive)
        if call.method == "GET" and universe.strike("doubled", call.path):
            twin = _twin(call)
            universe.after(there + chance.uniform(0.0, 5.0), lambda: self.network.arrive(twin) and None)
        return await waiting

    @asynccontextmanager
    async def fetch(
        self, url: str, headers: Mapping[str, str], *, private: bool, stall: float, method: str = "GET"
    ) -> AsyncIterator[Stream]:
        """Open a download."""
        universe = self._universe
        chance = universe.chance("network")
        await asyncio.sleep(chance.uniform(0.01, 0.4))
        if universe.strike("no connection", url):
            raise Broken("cannot connect")
        call = _call(Wire(method=method, url=url, headers=headers), b"")
        self.network.watch(Line("downloads"), call)
        if universe.strike("storm", call.path):
            yield _Body(universe, _storm_answer(universe))
            return
        said = self.network.arrive(call)
        yield _Body(universe, said)


@define(eq=False)
class _Body:
    universe: Universe
    said: Answer

    @property
    def status(self) -> int:
        return self.said.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self.said.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        universe, chance = self.universe, self.universe.chance("network")
        body = self.said.body
        breaks = universe.strike("broken body", f"{len(body)} bytes")
        short = not breaks and universe.strike("short body", f"{len(body)} bytes")
        end = chance.randint(0, max(0, len(body) - 1)) if breaks or short else len(body)
        start = 0
        while start < end:
            await asyncio.sleep(chance.uniform(0.0, 0.2))
            size = min(chance.randint(1, 16384), end - start)
            yield body[start : start + size]
            start += size
        if breaks:
            raise Broken("the connection broke")


async def _whole(wire: Wire) -> bytes:
    if wire.body is None or isinstance(wire.body, bytes):
        return wire.body or b""
    whole = b"".join([piece async for piece in wire.body.pieces()])
    if len(whole) != wire.body.length:
        raise AssertionError("a body is not as long as it says")
    return whole


def _call(wire: Wire, body: bytes) -> Call:
    parts = urlsplit(wire.url)
    return Call(
        method=wire.method,
        host=parts.netloc,
        path=parts.path,
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers={name.lower(): text for name, text in wire.headers.items()},
        body=body,
    )


def _twin(call: Call) -> Call:
    return Call(
        method=call.method,
        host=call.host,
        path=call.path,
        query=call.query,
        headers=call.headers,
        body=call.body,
        twin=True,
    )


def _storm_answer(universe: Universe, *, booked: bool = False) -> Answer:
    chance = universe.chance("storm: how")
    status = chance.choice((500, 502, 503, 504, 200) if booked else (500, 502, 503, 504, 429, 200))
    headers = {"retry-after": str(chance.randint(0, 20))} if chance.random() < 0.3 else {}
    return Answer(status, chance.choice(_STORM_BODIES), {"content-type": "text/html", **headers})


def _storm(universe: Universe, *, booked: bool = False) -> Reply:
    said = _storm_answer(universe, booked=booked)
    return Reply(status=said.status, headers=dict(said.headers), body=said.body)
