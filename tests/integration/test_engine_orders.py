"""What another process orders, and what two runs share."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.sandboxes import staged, until

from viseme.ledger.base import Order


async def test_a_cancelled_batch_buys_nothing_more_while_its_first_create_is_out(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=20) as stage:
        stage.sandbox.inject("slow", vendor="sync", route="create", seconds=1000)
        scheduler = stage.scheduler(stage.account("sync", concurrency=4))
        async with asyncio.timeout(100), scheduler, scheduler.run(stage.jobs(6)) as run:
            await until(lambda: stage.creates("sync") == 1)
            await run.core.ledger.place_order(Order(verb="cancel"))
            await until(lambda: run.tally.cancelled == 5)
            stage.clock.skip(1000)
            tally = await run.wait()
        assert (tally.cancelled, tally.total) == (6, 6)
        assert stage.creates("sync") == 1


async def test_a_fate_is_decided_by_order_while_it_is_still_asked_after(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=1, settings={"aimlapi": {"log_seconds": 3600}}) as stage:
        stage.sandbox.inject("lost_reply", vendor="aimlapi", route="create")
        scheduler = stage.scheduler(stage.account("aimlapi"))
        async with asyncio.timeout(100), scheduler, scheduler.run(stage.jobs(1, "aimlapi")) as run:
            key = ""
            async for event in run:
                key = event.key
                if event.type == "reconciling":
                    await run.core.ledger.place_order(Order(verb="abandon", key=key))
            assert run.tally.failed == 1
        assert stage.creates("aimlapi") == 1


async def test_an_account_that_accepted_nothing_sends_no_second_create_while_the_first_is_asked_after(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, speed=40) as stage:
        stage.sandbox.inject("html", vendor="sync", route="create", times=1000)
        scheduler = stage.scheduler(stage.account("sync", concurrency=4))
        async with asyncio.timeout(100), scheduler, scheduler.run(stage.jobs(6)) as run:
            async for event in run:
                if event.type == "parked":
                    break
            keys = {row["reference"] for row in stage.posts("sync")}
            assert len(keys) == 1, "only one job was sent, again and again under its own key"


async def test_a_run_hears_the_end_of_a_job_that_was_submitted_singly(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=100) as stage:
        (job,) = stage.jobs(1)
        async with asyncio.timeout(100), stage.scheduler(stage.account("sync")) as scheduler:
            task = await scheduler.submit(job)
            async with scheduler.run([job]) as run:
                told = [event async for event in run]
            assert [(event.type, event.task) for event in told] == [("succeeded", task.id)]
        assert stage.creates("sync") == 1
