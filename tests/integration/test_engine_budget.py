"""Budgets over the engine: never exceeded, nothing set aside for ever, over kills, days and runs."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.driver import order, start
from tests.support.sandboxes import Stage, check_events, result_lines, staged, until

import viseme
from viseme import JobInvalid, Reason, Tally
from viseme.errors import ConfigError
from viseme.ledger import SqliteLedger
from viseme.ledger.base import Order
from viseme.money import Spending

PRICE = "1 credits/job"


async def run_all(stage: Stage, accounts: list[viseme.Account], jobs: list[viseme.Job], **given: Any) -> Tally:
    async with asyncio.timeout(100), stage.scheduler(*accounts, **given) as scheduler, scheduler.run(jobs) as run:
        return await run.wait()


async def spent(folder: Path) -> list[Spending]:
    async with SqliteLedger(folder / "out" / "viseme.db", blocking=asyncio.to_thread, read_only=True) as ledger:
        return await ledger.spending()


async def sums(folder: Path) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for one in await spent(folder):
        found[one.state] = found.get(one.state, Decimal(0)) + one.amount
    return found


@pytest.mark.parametrize("whole", [False, True])
async def test_two_hundred_jobs_against_a_budget_for_120_end_with_120_creates_and_80_parked(
    whole: bool, tmp_path: Path
) -> None:
    async with staged(tmp_path) as stage:
        account = stage.account("sync", concurrency=200, price=PRICE, budget=() if whole else "120 credits")
        tally = await run_all(stage, [account], stage.jobs(200), budget="120 credits" if whole else None)
        assert (tally.succeeded, tally.parked) == (120, 80)
        assert stage.creates("sync") == len(stage.posts("sync")) == 120
        parked = [line for line in result_lines(tmp_path / "out") if line["reason"] == "budget"]
        assert len(parked) == 80
        assert parked[0]["error"]["kind"] == "budget"
        assert "the budget 120 credits of" in parked[0]["error"]["message"]
        assert await sums(tmp_path) == {"spent": Decimal(120)}
        check_events(await stage.books())
        # A later run with more to spend goes on with them, and counts what was spent before.
        account = stage.account("sync", concurrency=200, price=PRICE)
        tally = await run_all(stage, [account], stage.jobs(200), budget="150 credits")
        assert (tally.succeeded, tally.parked) == (150, 50)
        assert stage.creates("sync") == 150


async def test_a_budget_is_exact_though_the_run_is_killed_and_started_again(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=60, settings={"sync": {"create": "200/min"}}) as stage:
        account = {
            "provider": "sync",
            "concurrency": 50,
            "price": PRICE,
            "budget": "120 credits",
            "rates": {"create": "200/min", "read": "100000/s"},
        }
        told = order(stage, 200, [account])
        for milestone in (15, 60, 110):
            process = await start(told)
            await until(lambda limit=milestone: stage.creates("sync") >= limit)
            process.kill()
            _, errors = await process.communicate()
            assert process.returncode == -9, errors.decode()
        process = await start(told)
        said, errors = await asyncio.wait_for(process.communicate(), 100)
        assert '"succeeded": 120, "parked": 80' in said.decode(), (said, errors)
        assert stage.creates("sync") == 120
        assert stage.bill("sync")["duplicates"] == 0
        assert await sums(tmp_path) == {"spent": Decimal(120)}


async def test_accounts_of_a_pool_share_a_budget_and_the_whole_ledgers_holds_besides(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        shared = {"pool": "acme", "price": PRICE, "budget": "30 credits"}
        one, two = (stage.account("sync", name=name, **shared) for name in ("one", "two"))
        other = stage.account("jogg", price=PRICE)
        jobs = stage.jobs(100, "one", "two", "jogg", "jogg")
        tally = await run_all(stage, [one, two, other], jobs, budget="50 credits")
        assert tally.succeeded == 50
        assert stage.creates("sync") <= 30
        assert stage.creates("sync") + stage.creates("jogg") == 50


async def test_a_refused_create_gives_back_what_was_set_aside(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.inject("refused", vendor="sync", route="create", times=10)
        account = stage.account("sync", concurrency=1, price=PRICE, budget="20 credits")
        tally = await run_all(stage, [account], stage.jobs(30))
        assert (tally.succeeded, tally.failed, tally.parked) == (20, 10, 0)
        assert await sums(tmp_path) == {"spent": Decimal(20)}


async def test_a_fate_that_stays_unknown_keeps_what_was_set_aside_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.inject("lost_reply", vendor="jogg", route="create")
        account = stage.account("jogg", price=PRICE, budget="5 credits")
        tally = await run_all(stage, [account], stage.jobs(10))
        assert (tally.succeeded, tally.parked) == (4, 6)
        assert stage.creates("jogg") == 5
        assert await sums(tmp_path) == {"spent": Decimal(4), "reserved": Decimal(1)}
        lost = next(line["key"] for line in result_lines(tmp_path / "out") if line["reason"] == Reason.FATE_UNKNOWN)
        async with stage.scheduler(account) as scheduler:
            assert await scheduler.obey(Order(verb="abandon", key=lost)) == []
        assert await sums(tmp_path) == {"spent": Decimal(4), "failed": Decimal(1)}


async def test_a_job_that_fails_is_taken_to_cost_what_was_set_aside_unless_the_vendor_says_otherwise(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path) as stage:
        for vendor in ("jogg", "aimlapi"):
            stage.sandbox.inject("job_failed", vendor=vendor, route="create", times=3)
        jogg = stage.account("jogg", concurrency=1, price=PRICE, budget="10 credits")
        aiml = stage.account("aimlapi", concurrency=1, budget="10usd")
        tally = await run_all(stage, [jogg, aiml], stage.jobs(40, "jogg", "aimlapi"))
        assert (tally.failed, tally.succeeded, tally.parked) == (6, 7 + 10, 17)
        found = {(one.account, one.state): (one.tasks, one.amount, one.usd) for one in await spent(tmp_path)}
        assert found["jogg", "spent"][:2] == (7, Decimal(7))
        assert found["jogg", "failed"][:2] == (3, Decimal(3))
        assert found["aimlapi", "spent"] == (10, Decimal(20_000_000), Decimal(10))
        assert ("aimlapi", "failed") not in found


async def test_a_price_that_is_not_known_is_refused_before_anything_is_created(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        account = stage.account("jogg", price="1 credits/job")
        async with stage.scheduler(account, budget="25usd") as scheduler:
            with pytest.raises(JobInvalid, match=r"not known in usd.* state it in accounts\.jogg, like price = "):
                await scheduler.submit(stage.job(1))
            with pytest.raises(viseme.ManifestError) as caught:
                async with scheduler.run(stage.jobs(3), whole=True) as run:
                    await run.wait()
            assert len(caught.value.problems) == 3
        assert not stage.posts("jogg")


async def test_a_budget_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        with pytest.raises(ConfigError, match="budget: lots is not a budget"):
            stage.scheduler(stage.account("sync"), budget="lots")


async def test_what_a_job_costs_by_its_length_is_measured_and_asked_of_the_vendor(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        sync, jogg = stage.account("sync"), stage.account("jogg", budget="1 credits")
        async with stage.scheduler(sync, jogg) as scheduler:
            asked = await scheduler.estimate(stage.job(1, "sync"))
            assert asked.source == "the vendor's estimate"
            assert asked.cost is not None
            assert asked.cost.usd
            assert asked.seconds
            published = await scheduler.estimate(stage.job(1, "jogg"))
            assert published.cost is not None
            assert (published.source, published.cost.unit, published.dated) == ("published", "credits", "2026-11-20")
            task = await scheduler.submit(stage.job(1, "jogg"))
            await task.result()
        (charge,) = [one for one in await spent(tmp_path) if one.account == "jogg"]
        assert charge.amount == Decimal(str(published.cost.amount))


async def test_a_days_budget_lets_the_rest_go_on_the_next_day(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=300) as stage:
        stage.clock._epoch += -stage.world().now() % 86400 - 43_200.0  # noon, UTC
        account = stage.account("sync", price=PRICE, budget="5 credits/day")
        tally = await run_all(stage, [account], stage.jobs(10))
        assert (tally.succeeded, tally.parked) == (5, 5)
        (today,) = await spent(tmp_path)
        assert (today.state, today.amount) == ("spent", 5)
        stage.clock.skip(-stage.world().now() % 86400 - 300.0)  # five minutes to midnight
        tally = await run_all(stage, [account], stage.jobs(10), wait=True)
        assert (tally.succeeded, tally.replayed) == (10, 5)
        first, second = await spent(tmp_path)
        assert (first, second.state, second.amount) == (today, "spent", 5)
        assert first.day < second.day


async def test_a_task_that_waits_for_the_budget_says_so(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {"queue_seconds": 2000}}) as stage:
        account = stage.account("sync", price=PRICE, budget="1 credits")
        async with stage.scheduler(account) as scheduler:
            first = await scheduler.submit(stage.job(1))
            await until(lambda: stage.creates("sync") == 1)
            second = await scheduler.submit(stage.job(2))
            await until(lambda: scheduler._open.core.offices["sync"].desk.broke)  # type: ignore[union-attr]
            why = await second.why()
            assert (why.gate, why.until) == ("budget", None)
            assert "the budget 1 credits of the account sync has 0 left" in why.message
            stage.clock.skip(2000)
            await first.result()
            with pytest.raises(viseme.Parked) as caught:
                await second.result()
            assert caught.value.reason == "budget"


async def test_a_task_that_is_called_off_before_its_create_gives_back_its_share(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {"queue_seconds": 60}}) as stage:
        account = stage.account("sync", price=PRICE, budget="2 credits", rates={"create": "1/min", "read": "1000/s"})
        async with stage.scheduler(account, wait=True) as scheduler:
            tasks = [await scheduler.submit(stage.job(number)) for number in range(4)]
            await until(lambda: stage.creates("sync") == 1)
            for task in tasks[1:3]:
                await task.cancel()
            await tasks[0].result()
            await tasks[3].result()
        assert stage.creates("sync") == 2
        assert await sums(tmp_path) == {"spent": Decimal(2)}


async def test_what_the_vendor_says_it_cost_makes_room_again(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"aimlapi": {"final_meta": True}}) as stage:
        account = stage.account("aimlapi", concurrency=1, price="3 usd/job", budget="9usd")
        tally = await run_all(stage, [account], stage.jobs(20))
        # Each sets 3 aside and turns out to cost 1: the seventh is set aside with 6 spent, the eighth no more.
        assert (tally.succeeded, tally.parked) == (7, 13)
        (found,) = await spent(tmp_path)
        assert (found.state, found.tasks, found.usd) == ("spent", 7, Decimal(7))
