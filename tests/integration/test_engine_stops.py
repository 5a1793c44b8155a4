"""Stopping with creates in the air: every create that was booked is known to the ledger, and the next run goes on."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.driver import order, start
from tests.support.sandboxes import Stage, check_events, check_files, staged, until

from viseme import Account, Reason, SchedulerClosed

JOBS = 80
IN_THE_AIR = 20
LONG = 1500.0
"""Vendor seconds in which even a slow machine has so many creates in the air."""


def slow_creates(stage: Stage, vendor: str, seconds: float) -> None:
    """All creates but the first few, which open the account, are answered late."""
    stage.sandbox.inject("slow", vendor=vendor, route="create", seconds=0.001, times=IN_THE_AIR - 1)
    stage.sandbox.inject("slow", vendor=vendor, route="create", seconds=seconds, times=1000)


def in_the_air(stage: Stage, vendor: str) -> int:
    return sum(row["fault"] == "slow" and row["job"] is not None and not row["took"] for row in stage.posts(vendor))


def answer_soon(stage: Stage) -> None:
    """Have the creates that are in the air answered, in a moment."""
    asyncio.get_running_loop().call_later(0.2, stage.clock.skip, LONG)


def calm(stage: Stage) -> None:
    stage.sandbox._desk._orders.clear()


async def check_known(stage: Stage, vendor: str) -> None:
    """Every create that the vendor booked is a handle in the ledger, and no create was sent twice."""
    books = await stage.books()
    check_events(books)
    assert stage.vendor_ids(vendor) == {row.vendor_id for row in books.rows.values() if row.vendor_id}
    assert stage.bill(vendor)["duplicates"] == 0
    assert not [row.key for row in books.rows.values() if row.parked not in (None, Reason.STOPPED)]


async def check_next_run(stage: Stage, account: dict[str, Any]) -> None:
    """The next run collects what was bought and buys the rest, once."""
    calm(stage)
    vendor = account["provider"]
    async with (
        asyncio.timeout(100),
        stage.scheduler(stage.account(**account)) as scheduler,
        scheduler.run(stage.jobs(JOBS)) as run,
    ):
        tally = await run.wait()
    assert tally.succeeded == JOBS
    books = await stage.books()
    check_events(books)
    check_files(stage, books)
    assert stage.bill(vendor)["creates"] == JOBS
    assert stage.bill(vendor)["duplicates"] == 0
    assert books.handles() == stage.vendor_ids(vendor)


ACCOUNTS: list[dict[str, Any]] = [{"provider": "jogg", "concurrency": 30}, {"provider": "sync", "concurrency": 30}]


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account["provider"])
async def test_leaving_the_scheduler_waits_for_the_replies_of_creates_that_have_left(
    account: dict[str, Any], tmp_path: Path
) -> None:
    vendor = account["provider"]
    async with staged(tmp_path, speed=40) as stage:
        slow_creates(stage, vendor, LONG)
        async with stage.scheduler(stage.account(**account), grace=100.0) as scheduler:
            for job in stage.jobs(JOBS):
                await scheduler.submit(job)
            await until(lambda: in_the_air(stage, vendor) >= IN_THE_AIR)
            answer_soon(stage)
        assert stage.creates(vendor) < JOBS
        await check_known(stage, vendor)
        await check_next_run(stage, account)


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account["provider"])
async def test_leaving_a_run_early_waits_for_the_replies_of_creates_that_have_left(
    account: dict[str, Any], tmp_path: Path
) -> None:
    vendor = account["provider"]
    async with staged(tmp_path, speed=40) as stage:
        slow_creates(stage, vendor, LONG)
        async with stage.scheduler(stage.account(**account), grace=10_000.0) as scheduler:
            async with scheduler.run(stage.jobs(JOBS)) as run:
                await until(lambda: in_the_air(stage, vendor) >= IN_THE_AIR)
                answer_soon(stage)
            assert run.tally.ended == run.tally.total == JOBS
            assert stage.creates(vendor) < JOBS
            books = await stage.books()
            assert stage.vendor_ids(vendor) == {row.vendor_id for row in books.rows.values() if row.vendor_id}
            # The scheduler is still open, and takes nothing up by itself.
            calm(stage)
            creates = stage.creates(vendor)
            async with scheduler.run(stage.jobs(1, start=1000)) as other:
                assert (await other.wait()).succeeded == 1
            assert stage.creates(vendor) == creates + 1
        await check_known(stage, vendor)


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account["provider"])
async def test_cancelling_the_caller_loses_no_create(account: dict[str, Any], tmp_path: Path) -> None:
    vendor = account["provider"]
    async with staged(tmp_path, speed=40) as stage:
        slow_creates(stage, vendor, LONG)

        async def caller() -> None:
            async with (
                stage.scheduler(stage.account(**account), grace=100.0) as scheduler,
                scheduler.run(stage.jobs(JOBS)) as run,
            ):
                async for _ in run:
                    pass

        task = asyncio.create_task(caller())
        await until(lambda: in_the_air(stage, vendor) >= IN_THE_AIR)
        task.cancel()
        answer_soon(stage)
        with pytest.raises(asyncio.CancelledError):
            await task
        await check_known(stage, vendor)
        await check_next_run(stage, account)


def real_time(stage: Stage) -> Account:
    """For the tests whose subject is the grace time, which the event loop's own clock measures."""
    return stage.account("sync", concurrency=30, polling={"first": "0.2s", "every": "0.2s"})


async def test_a_reply_that_outlasts_the_grace_time_is_settled_by_the_next_run(tmp_path: Path) -> None:
    account = {"provider": "sync", "concurrency": 30}
    async with staged(tmp_path, speed=40) as stage:
        slow_creates(stage, "sync", 100_000)
        async with asyncio.timeout(100), stage.scheduler(real_time(stage), grace=0.5, world=None) as scheduler:
            for job in stage.jobs(JOBS):
                await scheduler.submit(job)
            await until(lambda: in_the_air(stage, "sync") >= IN_THE_AIR)
        books = await stage.books()
        assert sum(row.state == "creating" for row in books.rows.values()) >= IN_THE_AIR
        await check_next_run(stage, account)


async def test_a_second_stop_does_not_wait_and_nothing_is_bought_twice(tmp_path: Path) -> None:
    account = {"provider": "sync", "concurrency": 30}
    async with staged(tmp_path, speed=40) as stage:
        slow_creates(stage, "sync", 100_000)
        async with asyncio.timeout(100), stage.scheduler(real_time(stage), grace=100_000.0, world=None) as scheduler:
            for job in stage.jobs(JOBS):
                await scheduler.submit(job)
            await until(lambda: in_the_air(stage, "sync") >= IN_THE_AIR)
            asyncio.get_running_loop().call_later(0.2, scheduler.hurry)
        await check_next_run(stage, account)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: account["provider"])
async def test_ctrl_c_loses_no_create(account: dict[str, Any], tmp_path: Path) -> None:
    vendor = account["provider"]
    async with staged(tmp_path, speed=40) as stage:
        slow_creates(stage, vendor, LONG)
        process = await start(order(stage, JOBS, [account], grace=100.0))
        await until(lambda: in_the_air(stage, vendor) >= IN_THE_AIR)
        calm(stage)
        process.send_signal(signal.SIGINT)
        answer_soon(stage)
        async with asyncio.timeout(100):
            _, errors = await process.communicate()
        assert b"KeyboardInterrupt" in errors
        await check_known(stage, vendor)
        await check_next_run(stage, account)


async def test_a_closed_scheduler_says_so(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        scheduler = stage.scheduler(stage.account("sync"))
        async with scheduler:
            task = await scheduler.submit(stage.job(1))
        with pytest.raises(SchedulerClosed, match="async with"):
            await scheduler.submit(stage.job(2))
        with pytest.raises(SchedulerClosed, match="async with"):
            scheduler.run(stage.jobs(1))
        assert task.key == "job-00001"
        for asked in (task.result, task.cancel, task.events().__anext__):
            with pytest.raises(SchedulerClosed, match="the scheduler was closed"):
                await asked()
