"""What aiohttp's session is told of a body that is poured, and what becomes of what it is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from aioresponses import aioresponses
from attrs import frozen
from tests.support.answers import answers
from yarl import URL

from viseme.engine.connections import Connections
from viseme.engine.deadlines import Deadlines
from viseme.engine.pouring import Pouring
from viseme.providers.base import Reply

PLACE = "https://uploads.example/film?signature=s"
METHODS = pytest.mark.parametrize("method", ["PUT", "POST"])


@frozen
class Film:
    """Two pieces of a body."""

    length = 6

    async def pieces(self) -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"


@pytest.fixture
def net() -> Iterator[aioresponses]:
    with answers() as mocked:
        yield mocked


async def pour(method: str, **headers: str) -> Reply:
    connections, deadlines = Connections(private=False, fresh=True), Deadlines()
    pouring = Pouring(connections)
    try:
        with deadlines.within(5.0) as deadline:
            return await pouring.send(method, URL(PLACE, encoded=True), headers, Film(), deadline, 1.0)
    finally:
        await pouring.close()
        await connections.close()
        deadlines.close()


@METHODS
async def test_the_session_is_told_of_its_length_and_to_follow_nothing(method: str, net: aioresponses) -> None:
    net.add(PLACE, method, status=307, headers={"Location": "https://elsewhere.example/"}, body=b"there")
    reply = await pour(method, ETag="x")
    assert (reply.status, reply.headers["location"], reply.body) == (307, "https://elsewhere.example/", b"there")
    (call,) = net.requests[(method, URL(PLACE, encoded=True))]
    assert call.kwargs["headers"] == {"ETag": "x", "Content-Length": "6", "User-Agent": "viseme"}
    assert call.kwargs["allow_redirects"] is False
    assert call.kwargs["skip_auto_headers"] == ("Content-Type",)


@METHODS
@pytest.mark.parametrize("lost", [aiohttp.ServerDisconnectedError(), aiohttp.ClientOSError(104, "reset")])
async def test_what_was_lost_is_said_and_not_sent_again(method: str, lost: Exception, net: aioresponses) -> None:
    net.add(PLACE, method, exception=lost, repeat=True)
    with pytest.raises(type(lost)):
        await pour(method)
    assert sum(len(calls) for calls in net.requests.values()) == 1
