"""The one place where the engine meets the world: clocks, sleep, chance, ids, threads, files and the network.

Everything else takes a :class:`World`, so the whole engine runs in a simulation.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import aiofiles
import anyio
from attrs import frozen

from viseme.engine.disk import Disk, RealDisk
from viseme.engine.threads import Threads
from viseme.engine.transport import AioTransport, Transport

__all__ = ["Appender", "Timer", "World", "real_world"]


class Timer(Protocol):
    """A call to come; ``cancel`` withdraws it."""

    def cancel(self) -> None: ...


class Appender(Protocol):
    """An open file that is written at its end: one trip to another thread a time, as nothing is kept to be flushed."""

    async def write(self, data: bytes, /) -> int:
        """Write some of the bytes, as a rule all; returns how many."""
        ...

    async def close(self) -> Any: ...


@frozen(kw_only=True, repr=False)
class World:
    """What the engine may touch.

    Attributes:
        monotonic: seconds that only go forward.
        now: UTC seconds.
        sleep: wait so many seconds.
        call_at: call a function at a monotonic time or soon after it, and never before: whoever then looks whether the
            time has come looks once. (uvloop counts in milliseconds, and rounds.)
        random: a number in [0, 1).
        new_id: a text that was never given before; one that is made later sorts behind, where the clock allows.
        blocking: run a blocking function off the event loop.
        appender: open a file for appending.
        connect: the network, for as long as the context lasts.
        close: let go of the threads; what still runs in one is not waited for.
    """

    monotonic: Callable[[], float]
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    call_at: Callable[[float, Callable[[], None]], Timer]
    random: Callable[[], float]
    new_id: Callable[[], str]
    blocking: Callable[[Callable[[], Any]], Awaitable[Any]]
    disk: Disk
    appender: Callable[[str], Awaitable[Appender]]
    connect: Callable[[], AbstractAsyncContextManager[Transport]]
    close: Callable[[], None] = lambda: None


_chance = random.Random()
"""Chance for names, which are no secrets: the system is asked once, as each call of it costs twice a name's price."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_chance.seed)  # or both processes would make the same names


def _new_id() -> str:
    """When it is made, to 65 µs, and 80 bits by chance.

    So what is written at about the same time lies in the same pages of the ledger, which is keyed by these names: 6.6
    instead of 9.9 pages a job, and beside 100,000 earlier jobs 280 instead of 370 µs of SQLite's thread.
    """
    return ((time.time_ns() >> 16).to_bytes(6, "big") + _chance.getrandbits(80).to_bytes(10, "big")).hex()


def real_world() -> World:
    """The world as it is. Call it inside a running event loop."""
    loop = asyncio.get_running_loop()
    threads = Threads(16)

    async def appender(path: str) -> Appender:
        return await aiofiles.open(path, "ab", buffering=0)

    def call_at(at: float, function: Callable[[], None]) -> Timer:
        return loop.call_at(math.ceil(at * 1000 + 1) / 1000, function)

    return World(
        monotonic=loop.time,
        now=time.time,
        sleep=anyio.sleep,
        call_at=call_at,
        random=random.Random().random,
        new_id=_new_id,
        blocking=threads.run,
        disk=RealDisk(),
        appender=appender,
        connect=AioTransport,
        close=threads.close,
    )
