"""Kill -9 in the middle of a batch, at random moments, and run again: nothing is bought twice, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest
from tests.support.driver import order, start
from tests.support.sandboxes import (
    VENDORS,
    Stage,
    check_bill,
    check_events,
    check_files,
    check_limits,
    staged,
)

from viseme import Reason
from viseme.ledger.base import Order

ROUNDS = int(os.environ.get("VISEME_CHAOS_ROUNDS", "2"))
JOBS = 60
LIMITS = {
    "sync": {"create": "100/min", "concurrency": 15},
    "jogg": {"post": "60/min", "concurrency": 20},
    "aimlapi": {"create": "60/min", "concurrency": 15},
    "rask": {"concurrency": 15, "dub_concurrency": 15},
}
MOST = {
    "sync": {"create": 100, "seats": 15},
    "jogg": {"post": 60, "seats": 20},
    "aimlapi": {"create": 60, "seats": 15},
    "rask": {"seats": 15},
}
ACCOUNTS: list[dict[str, Any]] = [
    {"provider": "sync", "concurrency": 15, "rates": {"create": "100/min", "read": "100000/s"}},
    {"provider": "jogg", "concurrency": 20, "rates": {"post": "60/min", "read": "100000/s"}, "lookup": True},
    {"provider": "aimlapi", "concurrency": 15, "rates": {"create": "60/min", "read": "100000/s"}},
    {"provider": "rask", "concurrency": 15},
]


def milestones(stage: Stage) -> int:
    """How far the batch has come at the vendors: requests for creates, and results that left."""
    bills = [stage.bill(vendor) for vendor in VENDORS]
    projects = len(stage.sandbox.log("rask", "project"))
    return projects + sum(len(stage.posts(vendor)) for vendor in VENDORS) + sum(bill["delivered"] for bill in bills)


async def run_to(stage: Stage, told: str, milestone: int) -> bool:
    """Run the program and kill it at a milestone; True if it came to its end before."""
    process = await start(told)
    try:
        async with asyncio.timeout(60):
            while milestones(stage) < milestone and process.returncode is None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    finally:
        if process.returncode is None:
            process.kill()
        _, errors = await process.communicate()
    assert process.returncode in (0, -9), errors.decode()
    return process.returncode == 0


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_batch_that_is_killed_again_and_again_is_bought_once_and_delivered_whole(
    seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    async with staged(tmp_path, settings=LIMITS, speed=60) as stage:
        told = order(stage, JOBS, ACCOUNTS)
        for _ in range(3):
            if await run_to(stage, told, milestones(stage) + dice.randint(1, JOBS // 2)):
                break
            check_events(await stage.books())
        assert await run_to(stage, told, 1_000_000)
        books = await stage.books()
        check_events(books)
        check_files(stage, books)
        check_bill(stage, books, *VENDORS)
        check_limits(stage, MOST)
        assert len(books.rows) == JOBS
        # Whatever was booked is found again; what never reached the vendor may be unknown, for a person to order.
        assert not [e for e in books.states() if e not in ("succeeded", Reason.FATE_UNKNOWN)]
        booked = {vendor: stage.vendor_ids(vendor) for vendor in VENDORS}
        for row in books.rows.values():
            assert (row.vendor_id in booked[row.account]) is (row.parked is None)
        await finish_by_order(stage, [row.key for row in books.rows.values() if row.parked])


async def finish_by_order(stage: Stage, unknown: list[str]) -> None:
    """A person saw that the vendor has nothing of these, and orders them again."""
    accounts = [stage.account(**account) for account in ACCOUNTS]
    async with stage.scheduler(*accounts) as scheduler, scheduler.run(stage.jobs(JOBS, *VENDORS)) as run:
        await run.wait()
        for key in unknown:
            await run.core.ledger.place_order(Order(verb="resubmit", key=key))
        while run.tally.succeeded < JOBS:
            await run.core.journal.changed()
    books = await stage.books()
    check_events(books)
    assert books.states() == {"succeeded": JOBS}
    assert sum(stage.creates(vendor) for vendor in VENDORS) == JOBS
    check_bill(stage, books, *VENDORS)
    check_files(stage, books)
    check_dubs(stage, JOBS // len(VENDORS))


def check_dubs(stage: Stage, jobs: int) -> None:
    """Each of Rask's jobs was dubbed once and lip-synced once, within its seats."""
    bill = stage.bill("rask")
    assert (bill["projects"], bill["charged_runs"], bill["duplicate_projects"], bill["generates"]) == (jobs, jobs, 0, 0)
    assert bill["dubs_peak"] <= MOST["rask"]["seats"]
