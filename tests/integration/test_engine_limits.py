"""The limits of an account as the vendor counts them: never exceeded, also after a restart and while they change."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest
from tests.support.driver import order, start
from tests.support.sandboxes import (
    Stage,
    check_bill,
    check_events,
    check_limits,
    staged,
    until,
)

import viseme

ROUNDS = int(os.environ.get("VISEME_CHAOS_ROUNDS", "1"))


async def finish(stage: Stage, account: viseme.Account, count: int) -> None:
    async with (
        asyncio.timeout(100),
        stage.scheduler(account) as scheduler,
        scheduler.run(stage.jobs(count, account.name)) as run,
    ):
        assert (await run.wait()).succeeded == count


@pytest.mark.parametrize("vendor", ["sync", "jogg", "aimlapi"])
async def test_a_tight_window_and_few_seats_are_used_and_never_exceeded(vendor: str, tmp_path: Path) -> None:
    name = "post" if vendor == "jogg" else "create"
    limits = {name: "10/100s", "concurrency": 4, "queue_seconds": 2000, "fixed_seconds": 0}
    async with staged(tmp_path, speed=100, settings={vendor: limits}) as stage:
        rates = {name: "10/100s", "read": "100000/s"}
        account = stage.account(vendor, concurrency=4, rates=rates, polling={"first": "1s", "every": "1s"})
        async with asyncio.timeout(100), stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(21)) as run:
            await until(lambda: stage.bill(vendor)["peak"]["seats"] == 4)
            stage.sandbox.configure(vendor, queue_seconds=1)
            stage.clock.skip(2000)
            assert (await run.wait()).succeeded == 21
        check_limits(stage, {vendor: {name: 10, "seats": 4}})
        assert stage.bill(vendor)["peak"][name] == 10, "the whole window is used"
        assert stage.bill(vendor)["peak"]["seats"] == 4


async def test_several_windows_of_one_class_hold_at_once(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=100, settings={"sync": {"create": "4/10s", "queue_seconds": 1}}) as stage:
        rates = {"create": ["4/10s", "12/min"], "read": "100000/s"}
        await finish(stage, stage.account("sync", rates=rates), 30)
        check_limits(stage, {"sync": {"create": 4}})
        times = [row["at"] for row in stage.posts("sync")]
        assert all(late - early >= 60 for early, late in zip(times, times[12:], strict=False))


async def test_accounts_of_one_pool_share_seats_and_rates(tmp_path: Path) -> None:
    limits = {"post": "20/min", "concurrency": 5, "queue_seconds": 3}
    async with staged(tmp_path, speed=100, settings={"jogg": limits}) as stage:
        rates = {"post": "20/min", "read": "100000/s"}
        accounts = [
            stage.account("jogg", name=name, pool="acme", concurrency=5, rates=rates)
            for name in ("one", "two", "three")
        ]
        jobs = stage.jobs(40, "one", "two", "three")
        async with asyncio.timeout(100), stage.scheduler(*accounts) as scheduler, scheduler.run(jobs) as run:
            assert (await run.wait()).succeeded == 40
        check_limits(stage, {"jogg": {"post": 20, "seats": 5}})


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("vendor", ["sync", "jogg"])
async def test_creates_and_seats_of_a_killed_process_count_in_the_next(vendor: str, seed: int, tmp_path: Path) -> None:
    """Killed in the middle of a window, again and again: the vendor never counts too many."""
    dice, name = random.Random(seed), "post" if vendor == "jogg" else "create"
    limits: dict[str, Any] = {name: "12/min", "concurrency": 6, "queue_seconds": 20}
    async with staged(tmp_path, speed=40, settings={vendor: limits}) as stage:
        account = {
            "provider": vendor,
            "concurrency": 6,
            "rates": {name: "12/min", "read": "100000/s"},
            **({"lookup": True} if vendor == "jogg" else {}),
        }
        told = order(stage, 30, [account])
        for _ in range(3):
            process = await start(told)
            wanted = stage.creates(vendor) + dice.randint(1, 8)
            await until(lambda wanted=wanted, process=process: stage.creates(vendor) >= wanted or process.returncode)
            process.kill()
            await process.communicate()
        process = await start(told)
        _, errors = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, errors.decode()
        check_limits(stage, {vendor: {name: 12, "seats": 6}})
        books = await stage.books()
        check_events(books)
        check_bill(stage, books, vendor)


async def killed_at(stage: Stage, told: str, vendor: str, posts: int) -> None:
    """Run the program until so many creates have reached the vendor, and kill it."""
    process = await start(told)
    await until(lambda: len(stage.posts(vendor)) >= posts or process.returncode is not None)
    assert process.returncode is None, (await process.communicate())[1].decode()
    process.kill()
    await process.communicate()


@pytest.mark.parametrize("vendor", ["sync", "aimlapi"])
async def test_the_seats_that_a_killed_process_took_are_taken_in_the_next(vendor: str, tmp_path: Path) -> None:
    limits = {"concurrency": 3, "queue_seconds": 120}
    async with staged(tmp_path, speed=100, settings={vendor: limits}) as stage:
        told = order(stage, 3, [{"provider": vendor, "concurrency": 3}])
        await killed_at(stage, told, vendor, 3)
        # The next process works for other jobs first, which find no seat until those of the killed one have ended.
        account = stage.account(vendor, concurrency=3)
        async with asyncio.timeout(100), stage.scheduler(account) as scheduler:
            async with scheduler.run(stage.jobs(3, start=100)) as others:
                await others.wait()
            async with scheduler.run(stage.jobs(3)) as run:
                assert (await run.wait()).ended == 3
        check_limits(stage, {vendor: {"seats": 3}})
        assert stage.bill(vendor)["peak"]["seats"] == 3


async def test_every_sending_of_a_replayed_create_counts_after_a_restart(tmp_path: Path) -> None:
    """One create is accepted, two are in the air when the process dies, and again while the next asks after them."""
    async with staged(tmp_path, speed=20, settings={"sync": {"create": "5/160s"}}) as stage:
        stage.sandbox.inject("slow", vendor="sync", route="create", seconds=0.001)
        stage.sandbox.inject("slow", vendor="sync", route="create", seconds=100_000, times=4)
        told = order(stage, 3, [{"provider": "sync", "rates": {"create": "5/160s", "read": "100000/s"}}])
        await killed_at(stage, told, "sync", 3)
        await killed_at(stage, told, "sync", 5)
        process = await start(told)
        _, errors = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, errors.decode()
        bill = stage.bill("sync")
        assert (bill["creates"], bill["duplicates"]) == (3, 0)
        check_limits(stage, {"sync": {"create": 5}})


async def test_reads_keep_to_their_rate_however_many_tasks_wait(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=50, settings={"aimlapi": {"read": "60/min"}}) as stage:
        rates = {"create": "100000/s", "read": "60/min"}
        account = stage.account("aimlapi", concurrency=60, rates=rates, polling={"first": "1s", "every": "1s"})
        await finish(stage, account, 60)
        check_limits(stage, {"aimlapi": {"read": 60}})
        assert stage.bill("aimlapi")["peak"]["read"] >= 20  # as many as the machine can send in that time


async def test_a_refusal_that_no_limit_explains_is_waited_out(tmp_path: Path) -> None:
    """The vendor allows less than the account says: jobs wait, none fails, none is bought twice."""
    limits = {"create": "10/min", "concurrency": 3, "queue_seconds": 2}
    async with staged(tmp_path, speed=200, settings={"sync": limits}) as stage:
        account = stage.account("sync", concurrency=12, rates={"create": "600/min", "read": "100000/s"})
        await finish(stage, account, 20)
        bill = stage.bill("sync")
        assert (bill["creates"], bill["duplicates"]) == (20, 0)
        assert 0 < bill["throttled"] < 40
        assert bill["peak"]["seats"] <= 3


def order_of(stage: Stage, vendor: str) -> list[int]:
    """The jobs' numbers in the order in which the vendor booked them."""
    jobs = stage.sandbox._vendors[vendor].jobs
    told = [str(dict(job.inputs)) for job in sorted(jobs.values(), key=lambda job: job.at)]
    return [int(text.split("?n=")[1].split("'")[0]) for text in told]


@pytest.mark.parametrize("vendor", ["sync", "jogg", "aimlapi"])
async def test_jobs_are_created_in_their_order(vendor: str, tmp_path: Path) -> None:
    async with staged(tmp_path, settings={vendor: {"queue_seconds": 1, "fixed_seconds": 0}}) as stage:
        await finish(stage, stage.account(vendor, concurrency=1, polling={"first": "1s", "every": "1s"}), 12)
        assert order_of(stage, vendor) == list(range(12))


async def test_higher_priorities_go_first_and_equal_ones_in_their_order(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"jogg": {"queue_seconds": 2000}}) as stage:
        account = stage.account("jogg", concurrency=1, polling={"first": "1s", "every": "1s"})
        async with asyncio.timeout(100), stage.scheduler(account) as scheduler:
            first = [await scheduler.submit(stage.job(0))]
            await until(lambda: stage.creates("jogg") == 1)
            jobs = [stage.job(n, priority=n % 3) for n in range(1, 10)]
            tasks = first + [await scheduler.submit(job) for job in jobs]
            stage.sandbox.configure("jogg", queue_seconds=1)
            stage.clock.skip(2000)
            for task in tasks:
                await task.result()
        assert order_of(stage, "jogg") == [0, 2, 5, 8, 1, 4, 7, 3, 6, 9]


async def test_priorities_hold_at_the_rate_too(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=100, settings={"sync": {"create": "2/20s", "queue_seconds": 1}}) as stage:
        account = stage.account("sync", concurrency=2, rates={"create": "2/2000s", "read": "100000/s"})
        async with asyncio.timeout(100), stage.scheduler(account) as scheduler:
            low = [await scheduler.submit(stage.job(n)) for n in range(8)]
            await until(lambda: stage.creates("sync") >= 2)
            high = [await scheduler.submit(stage.job(n, priority=5)) for n in range(100, 104)]
            scheduler.set_limits("sync", rates={"create": "2/20s"})
            for task in low + high:
                await task.result()
        booked = order_of(stage, "sync")
        # At most as many as have a seat already go before those that matter more.
        assert max(booked.index(n) for n in range(100, 104)) <= 2 + 2 + 4


async def test_a_job_that_comes_back_keeps_its_place(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {"queue_seconds": 1}}) as stage:
        stage.sandbox.inject("too_many", vendor="sync", route="create", flavour="seats", times=3)
        await finish(stage, stage.account("sync", concurrency=1, polling={"first": "1s", "every": "1s"}), 8)
        assert order_of(stage, "sync") == list(range(8))


async def test_an_account_opens_with_one_create_and_doubles_with_each_that_is_accepted(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"aimlapi": {"fixed_seconds": 1}}) as stage:
        stage.sandbox.inject("slow", vendor="aimlapi", route="create", seconds=5, times=40)
        scheduler = stage.scheduler(stage.account("aimlapi", concurrency=40))
        async with scheduler, scheduler.run(stage.jobs(40)) as run:
            await asyncio.wait_for(run.wait(), 100)
        rows = stage.posts("aimlapi")
        starts, ends = [row["at"] for row in rows], sorted(row["at"] + row["took"] for row in rows)
        assert starts[1] >= ends[0], "the first create goes alone"
        for index, at in enumerate(starts):
            accepted = sum(end <= at for end in ends)
            assert index - accepted < 2**accepted or accepted >= 6, "no more are in the air than were earned"


async def test_limits_can_be_changed_while_jobs_run(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=100, settings={"sync": {"queue_seconds": 5, "concurrency": 8}}) as stage:
        account = stage.account("sync", concurrency=2, rates={"create": "6/min", "read": "100000/s"})
        scheduler = stage.scheduler(account)
        async with asyncio.timeout(100), scheduler, scheduler.run(stage.jobs(40)) as run:
            await until(lambda: stage.creates("sync") >= 4)
            assert stage.bill("sync")["peak"]["seats"] == 2
            stage.sandbox.configure("sync", queue_seconds=2000)
            scheduler.set_limits("sync", concurrency=8, rates={"create": "600/min"})
            await until(lambda: stage.bill("sync")["peak"]["seats"] > 2)
            stage.sandbox.configure("sync", queue_seconds=5)
            stage.clock.skip(2000)
            assert (await run.wait()).succeeded == 40
        assert 2 < stage.bill("sync")["peak"]["seats"] <= 8
        assert stage.bill("sync")["throttled"] == 0
