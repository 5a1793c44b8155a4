"""Lost creates and races with the vendor, with the sandbox's bill and log as the judge."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandboxes import VENDORS, Stage, check_bill, check_events, check_files, result_lines, staged, until

import viseme
from viseme import Downloads, Reason, State, Tally
from viseme.sandbox.vendors import base, rask_auth


async def run_all(stage: Stage, account: viseme.Account, jobs: list[viseme.Job], **options: Any) -> Tally:
    scheduler = stage.scheduler(account, **options)
    async with asyncio.timeout(100), scheduler, scheduler.run(jobs) as run:
        return await run.wait()


def forget_faults(stage: Stage) -> None:
    stage.sandbox._desk._orders.clear()


# -- Sync's keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bare", "sent"), [(False, 1), (True, 2)])
async def test_an_unknown_outcome_is_watched_under_its_id_and_without_one_its_key_is_sent_again(
    bare: bool, sent: int, tmp_path: Path
) -> None:
    async with staged(tmp_path, speed=100) as stage:
        stage.sandbox.inject("outcome_unknown", vendor="sync", bare=bare)
        assert (await run_all(stage, stage.account("sync"), [stage.job(1)])).succeeded == 1
        assert (stage.creates("sync"), len(stage.posts("sync"))) == (1, sent)
        assert len({row["reference"] for row in stage.posts("sync")}) == 1
        assert stage.bill("sync")["replays"] == sent - 1
        check_files(stage, await stage.books())


@pytest.mark.parametrize("status", [200, 201])
async def test_the_status_of_a_replay_does_not_matter(status: int, tmp_path: Path) -> None:
    async with staged(tmp_path, speed=100, settings={"sync": {"replay_status": status}}) as stage:
        stage.sandbox.inject("lost_reply", vendor="sync", route="create")
        assert (await run_all(stage, stage.account("sync"), [stage.job(1)])).succeeded == 1
        assert (stage.creates("sync"), stage.bill("sync")["replays"]) == (1, 1)


@pytest.mark.parametrize("code", ["IDEMPOTENCY_KEY_REUSED", "generation_conflict"])
async def test_a_409_leaves_the_fate_open_and_no_other_key_is_ever_made(code: str, tmp_path: Path) -> None:
    async with staged(tmp_path, speed=200) as stage:
        stage.sandbox.inject("lost_reply", vendor="sync", route="create")
        stage.sandbox.inject("refused", vendor="sync", route="create", status=409, code=code, times=1000)
        assert (await run_all(stage, stage.account("sync"), [stage.job(1)])).parked == 1
        assert (await stage.books()).states() == {Reason.FATE_UNKNOWN: 1}
        forget_faults(stage)
        assert (await run_all(stage, stage.account("sync"), [stage.job(1)])).succeeded == 1
        assert stage.creates("sync") == 1
        assert len({row["reference"] for row in stage.posts("sync")} - {None}) == 1
        check_events(await stage.books())


async def test_a_key_that_the_vendor_may_have_forgotten_is_not_sent_again(tmp_path: Path) -> None:
    """The sandbox forgets keys after ten minutes and would book the job once more."""
    async with staged(tmp_path, speed=2000, settings={"sync": {"idempotency_seconds": 600}}) as stage:
        stage.sandbox.inject("lost_reply", vendor="sync", route="create")
        stage.sandbox.inject("server_error", vendor="sync", route="create", times=1000)
        account = stage.account("sync", replay_lifetime="10min")
        assert (await run_all(stage, account, [stage.job(1)])).parked == 1
        forget_faults(stage)
        sent = len(stage.posts("sync"))
        await stage.clock.sleep(660)
        assert (await run_all(stage, account, [stage.job(1)])).parked == 1
        assert (stage.creates("sync"), len(stage.posts("sync"))) == (1, sent)
        assert "older than" in result_lines(tmp_path / "out")[-1]["error"]["message"]


# -- equal jobs ------------------------------------------------------------------------------------------------------


async def test_equal_jobs_in_a_storm_of_lost_replies_each_have_a_job_of_their_own_or_none(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=200, faults="hostile", seed=5) as stage:
        account = stage.account("jogg", lookup=True, concurrency=8)
        jobs = [stage.job(number // 4, key=f"k{number:02}") for number in range(24)]
        await run_all(stage, account, jobs)
        books = await stage.books()
        check_events(books)
        owned = [row.vendor_id for row in books.rows.values() if row.vendor_id is not None]
        assert len(owned) == len(set(owned))
        assert stage.creates("jogg") <= 24
        strays = stage.vendor_ids("jogg") - set(owned)
        unknown = [row for row in books.rows.values() if row.parked is Reason.FATE_UNKNOWN]
        assert len(strays) <= len(unknown)


# -- late ends, dead links, dead keys --------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["sync", "jogg", "aimlapi"])
async def test_what_is_done_after_the_deadline_is_collected_by_the_next_run(vendor: str, tmp_path: Path) -> None:
    """It is seen to be done while nobody waits for it, and its link is dead when the next run wants it."""
    settings = {vendor: {"queue_seconds": 20_000, "link_seconds": 100}}
    async with staged(tmp_path, speed=400, settings=settings) as stage:
        account = stage.account(vendor, polling={"first": "5s", "every": "5s", "deadline": "60s"})
        async with stage.scheduler(account) as scheduler:
            async with asyncio.timeout(100), scheduler.run(stage.jobs(3, vendor)) as run:
                assert (await run.wait()).parked == 3
            books = await stage.books()
            assert {(row.state, row.parked) for row in books.rows.values()} == {(State.WAITING, Reason.DEADLINE)}
            assert len(books.seats) == 3
            stage.clock.skip(20_000)
            async with asyncio.timeout(100):
                while books.seats:
                    await stage.clock.sleep(100)
                    books = await stage.books()
        assert {(row.state, row.parked) for row in books.rows.values()} == {(State.FETCHING, Reason.DEADLINE)}
        await stage.clock.sleep(150)
        assert (await run_all(stage, account, stage.jobs(3, vendor))).succeeded == 3
        assert stage.creates(vendor) == 3
        books = await stage.books()
        check_events(books)
        check_files(stage, books)


async def test_links_that_die_in_the_queue_of_downloads_are_had_anew(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=40, settings={"sync": {"link_seconds": 45}}) as stage:
        stage.sandbox.inject("slow", vendor="sync", route="result", seconds=20, times=1000)
        account, one = stage.account("sync"), Downloads(concurrency=1)
        assert (await run_all(stage, account, stage.jobs(6), downloads=one)).succeeded == 6
        statuses = [row["status"] for row in stage.sandbox.log("sync", "result")]
        assert 403 in statuses, "some did die"
        assert stage.creates("sync") == 6
        check_files(stage, await stage.books())


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_key_that_is_revoked_in_the_middle_pauses_the_account_and_loses_nothing(
    vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(tmp_path, speed=100, settings={vendor: {"queue_seconds": 60}}) as stage:
        account = stage.account(vendor, concurrency=5)
        jobs = stage.jobs(12, vendor)
        async with asyncio.timeout(100), stage.scheduler(account) as scheduler, scheduler.run(jobs) as run:
            await until(lambda: stage.vendor_ids(vendor))
            with monkeypatch.context() as revoked:
                revoked.setattr(base, "account_name", lambda vendor, key: None)
                revoked.setattr(rask_auth, "account_name", lambda vendor, key: None)
                stage.sandbox.configure("rask", token_generation=1)
                tally = await run.wait()
        assert tally.parked + tally.succeeded == 12
        assert {line["reason"] for line in result_lines(tmp_path / "out") if line["state"] == "parked"} == {
            Reason.NEEDS_PERSON
        }
        assert (await run_all(stage, account, jobs)).succeeded == 12
        books = await stage.books()
        check_events(books)
        check_bill(stage, books, vendor)
        assert stage.creates(vendor) == 12
