"""The real world keeps the promises that a simulated one keeps by itself."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attrs import evolve

from viseme.engine.disk import RealDisk, Small
from viseme.engine.world import real_world

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


def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is synced and renamed from now on, in order."""
    done: list[tuple[str, str]] = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda one: done.append(("sync", os.readlink(f"/proc/self/fd/{one}"))) or sync(one)
    )
    monkeypatch.setattr(os, "replace", lambda one, other: done.append(("rename", one)) or rename(one, other))
    return done


def small(final: Path, data: bytes = b"film") -> Small:
    return Small(f"{final}.part", str(final), data)


@_LISTED
@pytest.mark.parametrize("before", [None, b"of another version, and longer"])
def test_a_small_file_is_kept_as_one_that_is_appended_and_settled(
    tmp_path: Path, before: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, final = tmp_path / "x.mp4.part", tmp_path / "x.mp4"
    if before is not None:
        part.write_bytes(before)
    done = noted(monkeypatch)
    monkeypatch.setattr(os, "write", lambda one, data, write=os.write: write(one, data[:3]))
    assert RealDisk().keep_all([small(final, b"0123456789")]) == [None]
    assert (final.read_bytes(), part.exists()) == (b"0123456789", False)
    assert done == [("sync", str(part)), ("rename", str(part)), ("sync", str(tmp_path))]


@pytest.mark.parametrize("before", [False, True], ids=["none", "a part"])
def test_the_note_of_a_part_that_is_overwritten_goes_and_none_is_looked_for_otherwise(
    tmp_path: Path, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    note, removed = tmp_path / "x.mp4.part.tag", list[str]()
    file = evolve(small(tmp_path / "x.mp4"), note=str(note))
    if before:
        Path(file.part).write_bytes(b"of another version")
        note.write_bytes(b"what that was cut from")
    remove = os.remove
    monkeypatch.setattr(os, "remove", lambda path: (removed.append(path), remove(path)))
    assert RealDisk().keep_all([file]) == [None]
    assert (os.listdir(tmp_path), removed) == (["x.mp4"], [str(note)] if before else [])


@_LISTED
def test_of_small_files_that_are_kept_together_each_is_synced_and_then_each_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    finals = [tmp_path / name for name in ("a.mp4", "deep/b.mp4", "c.mp4")]
    done = noted(monkeypatch)
    files = [small(final, final.name.encode()) for final in finals]
    assert RealDisk().keep_all(files) == [None, None, None]
    assert [final.read_bytes() for final in finals] == [b"a.mp4", b"b.mp4", b"c.mp4"]
    each = [(verb, file.part) for file in files for verb in ("sync", "rename")]
    assert done == [*each, ("sync", str(tmp_path)), ("sync", str(tmp_path / "deep"))]


def refusing(name: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one of the system's calls fail for one file or folder."""
    call = getattr(os, name)

    def refuse(one: int | str, *more: object) -> object:
        path = os.readlink(f"/proc/self/fd/{one}") if isinstance(one, int) else one
        if path.endswith(where):
            raise OSError(errno.ENOSPC, "No space left on device")
        return call(one, *more)

    monkeypatch.setattr(os, name, refuse)


@_LISTED
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_what_is_refused_has_no_name_and_leaves_no_file_open_and_the_others_are_kept(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [small(tmp_path / f"{name}.mp4") for name in "abc"]
    refusing(call, "b.mp4.part", monkeypatch)
    opened = len(os.listdir("/proc/self/fd"))
    refused = RealDisk().keep_all(files)
    assert [str(error) for error in refused] == ["None", "[Errno 28] No space left on device", "None"]
    assert [os.path.exists(file.final) for file in files] == [True, False, True]
    assert len(os.listdir("/proc/self/fd")) == opened


@_LISTED
def test_where_a_folder_is_not_synced_none_of_its_files_counts_as_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep").mkdir()
    refusing("fsync", "deep", monkeypatch)
    files = [small(tmp_path / name) for name in ("a.mp4", "deep/b.mp4", "deep/c.mp4")]
    refused = RealDisk().keep_all(files)
    assert [error is None for error in refused] == [True, False, False]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no such advice")
def test_much_that_is_appended_is_sent_on_its_way_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advised: list[tuple[int, ...]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, *advice: advised.append(advice))
    path = str(tmp_path / "part")
    RealDisk().append(path, [b"little"], at=0)
    RealDisk().append(path, [bytes(1 << 20), b"more"], at=6)
    RealDisk().keep_all([small(tmp_path / "a.mp4"), small(tmp_path / "b.mp4")])  # so that one sync is for both
    assert advised == [(6, (1 << 20) + 4, os.POSIX_FADV_DONTNEED), *[(0, 4, os.POSIX_FADV_DONTNEED)] * 2]


async def test_names_that_are_given_are_never_given_again() -> None:
    world = real_world()
    names = {world.new_id() for _ in range(1000)}
    assert len(names) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
    world.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system forks no processes")
def test_a_forked_process_gives_other_names() -> None:
    script = """
import os
from viseme.engine.world import _new_id
child = os.fork()
os.write(1, f"{_new_id()[12:]} ".encode())
if child:
    os.waitpid(child, 0)
"""
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert len(told) == len(set(told)) == 2


async def test_a_name_sorts_behind_those_that_were_made_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_795_294_187_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    world = real_world()
    names: list[str] = []
    for later in (0, 100_000, 1_000_000_000, 200 * 365 * 86400 * 1_000_000_000):
        now = 1_795_294_187_000_000_000 + later
        names.append(world.new_id())
    assert sorted(names) == names
    assert {len(name) for name in names} == {32}
    world.close()
