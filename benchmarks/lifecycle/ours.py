"""The same work done by viseme, with everything on: ledger, limits, seats, hashes, fsync, a reader of all events."""

from __future__ import annotations

from collections.abc import Iterator

import viseme

__all__ = ["run"]


async def run(address: str, jobs: int, in_flight: int, every: float, folder: str, bulk: bool = False) -> int:
    """Run the jobs; returns how many events were read."""
    account = viseme.Account(
        name="sync",
        provider="sync",
        api_key="sandbox",
        base_url=address,
        concurrency=in_flight,
        allow_private_hosts=True,
        rates={"create": "1000000/1s", "read": "1000000/1s"},
        polling={"first": every, "every": every, "bulk": bulk},
    )
    read = 0
    downloads = viseme.Downloads(concurrency=in_flight)
    async with (
        viseme.Scheduler([account], output=folder, downloads=downloads, preflight=False) as scheduler,
        scheduler.run(_jobs(jobs)) as batch,
    ):
        async for _ in batch:
            read += 1
    assert batch.tally.succeeded == jobs, batch.tally
    return read


def _jobs(count: int) -> Iterator[viseme.Job]:
    for number in range(count):
        yield viseme.Job(
            video=f"https://media.example/film-{number}.mp4",
            audio=f"https://media.example/speech-{number}.wav",
            key=f"job-{number}",
            options={"sync_mode": "loop"},
        )
