"""The real world keeps the promises that a simulated one keeps by itself."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from pathlib import Path

import pytest

from viseme.engine.world import RealDisk, real_world

_LISTED = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")


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


@_LISTED
@pytest.mark.parametrize("before", [None, b"of another version, and longer"])
def test_a_small_file_is_kept_as_one_that_is_appended_and_settled(
    tmp_path: Path, before: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, final = tmp_path / "x.mp4.part", tmp_path / "x.mp4"
    if before is not None:
        part.write_bytes(before)
    synced: list[str] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda one: synced.append(os.readlink(f"/proc/self/fd/{one}")) or sync(one))
    monkeypatch.setattr(os, "write", lambda one, data, write=os.write: write(one, data[:3]))
    RealDisk().keep(str(part), str(final), b"0123456789")
    assert (final.read_bytes(), part.exists()) == (b"0123456789", False)
    assert synced == [str(part), str(tmp_path)]


@_LISTED
def test_what_cannot_be_kept_has_no_name_and_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    opened = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No space left"):
        RealDisk().keep(str(tmp_path / "x.mp4.part"), str(tmp_path / "x.mp4"), b"film")
    assert not (tmp_path / "x.mp4").exists()
    assert len(os.listdir("/proc/self/fd")) == opened


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
