"""Replies in place of a network: aiohttp's sessions are ours, what they are answered is the test's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock, patch

from aiohttp import ClientResponse
from aioresponses import aioresponses
from aioresponses import core as aioresponses_core

__all__ = ["answers"]


class _Response(ClientResponse):
    """aiohttp 3.14 wants to be told of a response's ``stream_writer``, which aioresponses 0.7.9 does not name.

    It only stands for the request's body, which is never written here. Once a release of aioresponses names it, this
    class and the patch below can go.
    """

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **given})


@contextmanager
def answers() -> Iterator[aioresponses]:
    """What sessions are answered while the block lasts; nothing leaves the process."""
    with patch.object(aioresponses_core, "ClientResponse", _Response), aioresponses() as mocked:
        yield mocked
