"""The real world keeps the promises that a simulated one keeps by itself."""

from __future__ import annotations

import asyncio

import pytest

from viseme.engine.world import real_world


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_no_timer_rings_before_its_time(loop: str) -> None:
    """uvloop rounds to milliseconds; what was called too early would find nothing to do, and not be called again."""
    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    early: list[float] = []

    async def main() -> None:
        world, rung = real_world(), asyncio.Semaphore(0)

        def ring(at: float) -> None:
            early.extend([at - now] if (now := world.monotonic()) < at else [])
            rung.release()

        for number in range(200):
            at = world.monotonic() + 0.01 + number / 7919
            world.call_at(at, lambda at=at: ring(at))
        for _ in range(200):
            await rung.acquire()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    assert not early
