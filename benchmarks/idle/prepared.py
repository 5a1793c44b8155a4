"""A ledger as a run leaves it that was ended while all of its jobs were at the vendor."""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path

from attrs import evolve

from viseme import Job
from viseme.attempts import Intent, Seat, TaskRow
from viseme.ledger.base import Change
from viseme.ledger.sqlite import SqliteLedger
from viseme.results import State, Timings

__all__ = ["prepare"]

_LOT = 1000
_HOUR = 3600.0


async def prepare(path: str, tasks: int, address: str) -> None:
    """Make a ledger with so many tasks that wait at Sync, created an hour ago, each with its seat."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    async with SqliteLedger(path, blocking=asyncio.to_thread) as ledger:
        run = await ledger.next_run()
        for start in range(0, tasks, _LOT):
            rows = [_queued(number, run) for number in range(start, min(start + _LOT, tasks))]
            kept = await ledger.add(rows)
            await ledger.commit(*(_waiting(row, address) for row in kept))


def _queued(number: int, run: int) -> TaskRow:
    job = Job(
        video=f"https://media.example/films/{number:06d}.mp4",
        audio=f"https://media.example/speech/{number:06d}.wav",
        account="sync",
        key=f"campaign-2026-spring/{number:06d}",
        metadata={"customer": f"customer-{number % 977}", "order": number},
    )
    return TaskRow(id=uuid.uuid4().hex, key=job.key or "", job=job, digest=f"{number:064x}", account="sync", run=run)


def _waiting(row: TaskRow, address: str) -> Change:
    at = time.time() - _HOUR
    name = uuid.uuid4().hex
    intent = Intent(
        id=name, task=row.id, account="sync", model="lipsync-2", endpoint=address, attempt=1, stage="lipsync",
        key=f"viseme-{name}", at=at, ended=at + 1, digest=row.digest,
    )  # fmt: skip
    seat = Seat(id=f"{row.id}:1", pool="sync", account="sync", task=row.id, opened=at, until=at + 100 * _HOUR)
    waiting = evolve(
        row,
        state=State.WAITING,
        attempt=1,
        stage=intent.stage,
        intent=intent,
        handle={"id": str(uuid.uuid4())},
        began=at,
        since=at,
        timings=Timings(queued=at, created=at),
    )
    return Change(row=waiting, intent=intent, opens=seat)
