"""The engine with a great many tasks that wait, and nobody who reads: what it holds, and what it does meanwhile."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import time
from pathlib import Path

import aiohttp

import viseme

__all__ = ["run"]


async def run(address: str, folder: str, tasks: int, bulk: bool, rate: str, seconds: float) -> dict[str, float]:
    """Attach to a prepared ledger, and look on for so many seconds.

    Returns:
        ``bytes``, the most that was resident meanwhile over what was before; ``cpu`` and ``wall``, seconds of the time
        that was looked on; ``reads``, requests that the vendor saw in it; ``attached``, seconds until all tasks were
        taken up.
    """
    account = viseme.Account(
        provider="sync",
        api_key="sandbox",
        base_url=address,
        concurrency=tasks,
        allow_private_hosts=True,
        rates={"create": "600/min", "read": rate},
        polling={"every": "1s", "deadline": "7d", "bulk": bulk},
    )
    gc.collect()
    base, began = _resident(), time.monotonic()
    async with (
        viseme.Scheduler([account], output=folder, ledger=f"{folder}/viseme.db", preflight=False) as scheduler,
        scheduler.resume() as batch,
    ):
        while batch.tally.total < tasks:  # noqa: ASYNC110 - the run tells nobody how far it has read
            await asyncio.sleep(0.05)
        attached = time.monotonic() - began
        await asyncio.sleep(2)
        reads, cpu, wall, most = -await _reads(address), time.process_time(), time.monotonic(), _resident()
        while time.monotonic() - wall < seconds:
            await asyncio.sleep(1)
            most = max(most, _resident())
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        reads += await _reads(address)
        assert batch.tally.parked == 0, batch.troubles
    return {"bytes": most - base, "cpu": cpu, "wall": wall, "reads": reads, "attached": attached}


async def _reads(address: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{address}/reads") as reply:
        return int(await reply.text())


def _resident() -> int:
    status = Path("/proc/self/statm")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)
    return int(status.read_text().split()[1]) * resource.getpagesize()
