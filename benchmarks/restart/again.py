"""A scheduler that opens a ledger full of tasks that were under way, and one that runs a few jobs from start to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from urllib.request import urlopen

import viseme
from viseme.attempts import TaskRow
from viseme.engine.world import real_world
from viseme.ledger.base import Change, Done
from viseme.ledger.sqlite import SqliteLedger

__all__ = ["few", "restart"]


class _Counting(SqliteLedger):
    """Counts the steps of tasks that it is given to write, each a row with what belongs to it."""

    steps = 0

    async def add(self, rows: Sequence[TaskRow], *, held: bool = False) -> list[TaskRow]:
        self.steps += len(rows)
        return await super().add(rows, held=held)

    def hand_over(self, changes: Sequence[Change], done: Done) -> None:
        self.steps += len(changes)
        super().hand_over(changes, done)

    def written(self) -> dict[str, float]:
        """``steps``, and ``syncs`` to disk that took."""
        return {"steps": self.steps, "syncs": self.statistics().groups}


async def restart(address: str, folder: str, tasks: int) -> dict[str, float]:
    """Go on with a prepared ledger until all of its tasks are this run's, and looked at again.

    Returns:
        ``seconds`` until then; ``steps`` and ``syncs`` of the ledger meanwhile.
    """
    began = time.perf_counter()
    ledger = _Counting(f"{folder}/viseme.db", blocking=real_world().blocking)
    account = _account(address, tasks, reads="10/s", every=1.0)
    async with (
        viseme.Scheduler([account], output=folder, ledger=ledger, preflight=False) as scheduler,
        scheduler.resume() as batch,
    ):
        while not _attached(batch, tasks):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)
        while sum(count.tasks for count in await batch.counts()) < tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        reads = await _reads(address)
        while await _reads(address) == reads:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        seconds, written = time.perf_counter() - began, ledger.written()
        assert batch.tally.ended == 0, batch.troubles
    return {"seconds": seconds, **written}


def _attached(batch: viseme.Run, tasks: int) -> bool:
    """Whether all are watched by the run, and none only for its seat's sake."""
    hub = batch.core.offices["sync"].hub
    return len(hub) == tasks and not any(watch.background for watch in hub.watched())


async def few(address: str, folder: str, tasks: int) -> dict[str, float]:
    """Run jobs from start to end; ``steps`` and ``syncs`` of the ledger for them."""
    ledger = _Counting(f"{folder}/viseme.db", blocking=real_world().blocking)
    account = _account(address, 200, reads="1000000/1s", every=0.01)
    jobs = (
        viseme.Job(video=f"https://media.example/{number}.mp4", audio=f"https://media.example/{number}.wav")
        for number in range(tasks)
    )
    async with (
        viseme.Scheduler([account], output=folder, ledger=ledger, preflight=False) as scheduler,
        scheduler.run(jobs) as batch,
    ):
        await batch.wait()
        assert batch.tally.succeeded == tasks, batch.troubles
        return ledger.written()


def _account(address: str, seats: int, *, reads: str, every: float) -> viseme.Account:
    return viseme.Account(
        provider="sync",
        api_key="sandbox",
        base_url=address,
        concurrency=seats,
        allow_private_hosts=True,
        rates={"create": "1000000/1s", "read": reads},
        polling={"first": every, "every": every, "deadline": "7d"},
    )


async def _reads(address: str) -> int:
    """How often the vendor was asked after jobs."""

    def ask() -> int:
        with urlopen(f"{address}/reads") as reply:
            return int(reply.read())

    return await asyncio.to_thread(ask)
