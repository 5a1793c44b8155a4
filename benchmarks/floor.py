"""What nobody gets below on this machine: aiohttp's requests on one core, syncs of small files, hashing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time

import aiohttp

from benchmarks.children import How, measured
from benchmarks.reports import Options, Report
from benchmarks.vendor import vendor

__all__ = ["fetch", "hash_bytes", "run", "sync_files"]

_FILE = 65536
_HOW: tuple[How, ...] = ("plain", "speed")


def run(options: Options) -> Report:
    """Measure."""
    requests, files, size = (2_000, 200, 1 << 28) if options.quick else (20_000, 2_000, 1 << 30)
    with vendor(_FILE) as address:
        plain, fast = (
            measured("benchmarks.floor:fetch", {"address": address, "count": requests}, how=how) for how in _HOW
        )
    synced = measured("benchmarks.floor:sync_files", {"count": files})
    hashed = measured("benchmarks.floor:hash_bytes", {"size": size})
    return Report(
        figures={
            "requests_per_core_s": requests / plain.cpu,
            "requests_per_core_s_uvloop": requests / fast.cpu,
            "files_synced_per_s": files / synced.wall,
            "us_per_synced_file": synced.cpu / files * 1e6,
            "hashed_mb_per_s": size / hashed.wall / 1e6,
        },
        notes=[f"GET with a JSON reply, 100 at once, by aiohttp's client; files of {_FILE // 1024} KiB, one by one"],
    )


async def fetch(address: str, count: int) -> None:
    """Look at a job so many times, a hundred at once."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:
        async with session.post(f"{address}/v2/generate", json={}) as reply:
            url = f"{address}/v2/generate/{(await reply.json())['id']}"

        async def look() -> None:
            for _ in range(count // 100):
                async with session.get(url) as reply:
                    await reply.json()

        await asyncio.gather(*(look() for _ in range(100)))


def sync_files(count: int) -> None:
    """Write, sync and rename so many files."""
    data = os.urandom(_FILE)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            path = os.path.join(folder, str(number))
            with open(path + ".part", "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(path + ".part", path)


def hash_bytes(size: int) -> float:
    """Hash so many bytes."""
    began, piece, digest = time.perf_counter(), os.urandom(1 << 20), hashlib.sha256()
    for _ in range(size >> 20):
        digest.update(piece)
    return time.perf_counter() - began
