"""Who may read what: the ledger and what is under way only their owner, results whoever may read new files."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.sandboxes import staged

from viseme.engine.disk import RealDisk, Small


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_a_part_is_private_and_a_result_as_readable_as_any_new_file(tmp_path: Path, mask: int) -> None:
    part, tag, final = (str(tmp_path / name) for name in ("x.mp4.part", "x.mp4.part.tag", "x.mp4"))
    with umask(mask):
        disk = RealDisk()
        disk.append(part, [b"film"], at=0)
        disk.append(tag, [b"tag"], at=0)
        assert modes(tmp_path) == {"x.mp4.part": 0o600, "x.mp4.part.tag": 0o600}
        assert os.umask(mask) == mask, "it is left as it was"
        disk.settle(part, final)
        disk.keep_all([Small(part, str(tmp_path / "y.mp4"), b"small film")])
    kept = 0o666 & ~mask
    assert modes(tmp_path) == {"x.mp4": kept, "y.mp4": kept, "x.mp4.part.tag": 0o600}


async def test_all_that_a_run_leaves_has_its_mode(tmp_path: Path) -> None:
    with umask(0o022):
        async with staged(tmp_path) as stage:
            stage.sandbox.inject("reset_body", vendor="sync", route="result", times=10_000)
            account = stage.account("sync")
            async with stage.scheduler(account) as scheduler:
                async with scheduler.run(stage.jobs(1)) as run:
                    assert (await asyncio.wait_for(run.wait(), 100)).parked == 1
                found = modes(tmp_path / "out")
                assert found.pop("results.jsonl") == 0o644
                books = {"viseme.db", "viseme.db-wal", "viseme.db-shm", "viseme.db.lock"}
                assert found == dict.fromkeys({*books, "job-00000.mp4.part", "job-00000.mp4.part.tag"}, 0o600)
                stage.sandbox._desk._orders.clear()
                async with scheduler.run(stage.jobs(1)) as run:
                    assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 1
        found = modes(tmp_path / "out")
        assert found["job-00000.mp4"] == found["results.jsonl"] == 0o644
        assert found["viseme.db"] == 0o600
