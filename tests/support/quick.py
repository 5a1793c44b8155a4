"""The real world with quicker clocks, for processes that have no use for a sandbox of their own."""

from __future__ import annotations

import asyncio
import time

import anyio
import attrs

from viseme.engine.world import World, real_world

__all__ = ["quick_world"]


def quick_world(speed: float, zero: float, epoch: float) -> World:
    """The real world with its clocks `speed` times as fast; `zero` and `epoch` as of the sandbox's clock."""
    loop, real = asyncio.get_running_loop(), real_world()

    async def sleep(seconds: float) -> None:
        await anyio.sleep(seconds / speed)

    return attrs.evolve(
        real,
        monotonic=lambda: loop.time() * speed,
        now=lambda: epoch + (time.monotonic() - zero) * speed,
        sleep=sleep,
        call_at=lambda at, function: real.call_at(at / speed, function),
    )
