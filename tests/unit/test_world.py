"""The real world keeps the promises that a simulated one keeps by itself."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from viseme.engine.world import RealDisk, real_world


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


@pytest.mark.parametrize("size", [0, 5, 10])
def test_what_is_appended_stands_behind_the_bytes_that_are_to_stay(tmp_path: Path, size: int) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"0123456789")
    RealDisk().append(str(path), [b"ab", b"c"], at=size)
    assert path.read_bytes() == b"0123456789"[:size] + b"abc"


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no such advice")
def test_much_that_is_appended_is_sent_on_its_way_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advised: list[tuple[int, ...]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *advice: advised.append(advice))
    path = str(tmp_path / "part")
    RealDisk().append(path, [b"little"], at=0)
    RealDisk().append(path, [bytes(1 << 20), b"more"], at=6)
    assert advised == [(6, (1 << 20) + 4, os.POSIX_FADV_DONTNEED)]


async def test_names_that_are_given_are_never_given_again() -> None:
    world = real_world()
    names = {world.new_id() for _ in range(1000)}
    assert len(names) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
    world.close()
