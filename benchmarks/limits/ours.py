"""Jobs as fast as an account's limits let them, by viseme with everything on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import viseme
from viseme.units import Rate

__all__ = ["run"]


async def run(address: str, jobs: int, seats: int, rate: int, window: float, every: float, folder: str) -> float:
    """Run the jobs; returns how long they took, from the first that was taken in to the last file on disk, seconds."""
    account = viseme.Account(
        provider="sync",
        api_key="sandbox",
        base_url=address,
        concurrency=seats,
        allow_private_hosts=True,
        rates={"create": Rate(rate, window), "read": Rate(1_000_000, 1.0)},
        polling={"first": every, "every": every},
    )
    async with viseme.Scheduler([account], output=folder, preflight=False) as scheduler:
        began = time.monotonic()
        async with scheduler.run(_jobs(jobs)) as batch:
            tally = await batch.wait()
        took = time.monotonic() - began
    assert tally.succeeded == jobs, tally
    return took


def _jobs(count: int) -> Iterator[viseme.Job]:
    for number in range(count):
        yield viseme.Job(
            video=f"https://media.example/film-{number}.mp4",
            audio=f"https://media.example/speech-{number}.wav",
            key=f"job-{number}",
        )
