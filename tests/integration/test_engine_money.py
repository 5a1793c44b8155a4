"""What is never paid for in vain: accounts without credit, wrong keys, and creates whose reply was lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.sandboxes import Books, Stage, check_events, check_files, result_lines, staged, until

import viseme
from viseme import Reason, Tally
from viseme.sandbox.vendors import base

JOBS = 40


async def post(stage: Stage, path: str, body: Any) -> None:
    async with aiohttp.ClientSession() as http, http.post(stage.base + path, json=body) as reply:
        assert reply.status == 200, await reply.text()


async def run_all(stage: Stage, account: viseme.Account, jobs: list[viseme.Job], **options: Any) -> Tally:
    async with asyncio.timeout(100), stage.scheduler(account) as scheduler, scheduler.run(jobs, **options) as run:
        return await run.wait()


# -- accounts that cannot go on --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["sync", "jogg", "aimlapi"])
async def test_an_account_without_credit_costs_one_create_and_its_jobs_go_on_once_it_is_topped_up(
    vendor: str, tmp_path: Path
) -> None:
    async with staged(tmp_path, settings={vendor: {"credits": 0}}) as stage:
        tally = await run_all(stage, stage.account(vendor), stage.jobs(JOBS))
        assert tally.parked == JOBS
        assert len(stage.posts(vendor)) == 1
        lines = result_lines(tmp_path / "out")
        assert {line["reason"] for line in lines} == {Reason.NO_CREDIT}
        assert all("run again" in line["error"]["message"] for line in lines), lines[0]["error"]["message"]
        assert not (await stage.books()).seats
        await post(stage, "/_sandbox/settings", {vendor: {"credits": None}})
        tally = await run_all(stage, stage.account(vendor), stage.jobs(JOBS))
        assert tally.succeeded == JOBS
        assert stage.creates(vendor) == JOBS
        assert len(stage.posts(vendor)) == JOBS + 1
        check_events(await stage.books())


@pytest.mark.parametrize("vendor", ["sync", "jogg", "aimlapi"])
async def test_a_wrong_key_costs_one_request_and_its_jobs_go_on_with_the_right_one(vendor: str, tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        tally = await run_all(stage, stage.account(vendor, api_key="wrong"), stage.jobs(JOBS))
        assert tally.parked == JOBS
        assert len(stage.sandbox.log(vendor)) == 1
        lines = result_lines(tmp_path / "out")
        assert {line["reason"] for line in lines} == {Reason.NEEDS_PERSON}
        assert all("api_key" in line["error"]["message"] for line in lines), lines[0]["error"]["message"]
        tally = await run_all(stage, stage.account(vendor), stage.jobs(JOBS))
        assert tally.succeeded == JOBS
        assert stage.creates(vendor) == JOBS


async def test_a_key_that_is_refused_in_the_middle_parks_what_waits_and_a_later_run_collects_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(tmp_path, settings={"sync": {"queue_seconds": 2000}}) as stage:
        account = stage.account("sync", concurrency=20)
        async with asyncio.timeout(100), stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(JOBS)) as run:
            await until(lambda: stage.creates("sync") == 20)
            with monkeypatch.context() as revoked:
                revoked.setattr(base, "account_name", lambda vendor, key: None)
                tally = await run.wait()
        assert tally.parked == JOBS
        lines = result_lines(tmp_path / "out")
        assert {line["reason"] for line in lines} == {Reason.NEEDS_PERSON}
        assert all("api_key" in line["error"]["message"] for line in lines)
        stage.sandbox.configure("sync", queue_seconds=10)
        stage.clock.skip(2000)
        tally = await run_all(stage, account, stage.jobs(JOBS))
        assert tally.succeeded == JOBS
        assert stage.creates("sync") == JOBS
        check_events(await stage.books())


async def test_a_wrong_prefix_is_found_out_before_anything_is_paid(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"jogg": {"prefixes": ("/open/v2",)}}) as stage:
        tally = await run_all(stage, stage.account("jogg"), stage.jobs(JOBS))
        assert tally.parked == JOBS
        assert not stage.posts("jogg")
        assert "/open/v2" in result_lines(tmp_path / "out")[0]["error"]["message"]
        tally = await run_all(stage, stage.account("jogg", path_prefix="/open/v2"), stage.jobs(JOBS))
        assert tally.succeeded == JOBS == stage.creates("jogg")


async def test_credit_that_ends_in_the_middle_parks_the_rest(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"aimlapi": {"credits": 10 * 2_000_000, "fixed_seconds": 1}}) as stage:
        account = stage.account("aimlapi", concurrency=4)
        tally = await run_all(stage, account, stage.jobs(JOBS))
        assert (tally.succeeded, tally.parked) == (10, JOBS - 10)
        assert len(stage.posts("aimlapi")) <= 10 + 4
        await post(stage, "/_sandbox/settings", {"aimlapi": {"credits": None}})
        tally = await run_all(stage, account, stage.jobs(JOBS))
        assert (tally.succeeded, tally.replayed) == (JOBS, 10)
        assert stage.creates("aimlapi") == JOBS


# -- lost replies ----------------------------------------------------------------------------------------------------

LOST = ("lost_reply", "server_error_booked", "html", "truncated")


async def lose(stage: Stage, vendor: str, fault: str, **account: Any) -> Books:
    stage.sandbox.inject(fault, vendor=vendor, route="create")
    await run_all(stage, stage.account(vendor, **account), [stage.job(1)])
    books = await stage.books()
    check_events(books)
    return books


def kinds(books: Books, key: str = "job-00001") -> list[str]:
    return [str(event.type) for event in books.events[key]]


@pytest.mark.parametrize("fault", [*LOST, "reset_before", "server_error", "outcome_unknown"])
async def test_sync_gets_the_same_job_for_the_same_key(fault: str, tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        books = await lose(stage, "sync", fault)
        assert books.states() == {"succeeded": 1}
        bill = stage.bill("sync")
        assert (bill["creates"], bill["duplicates"]) == (1, 0)
        assert len({row["reference"] for row in stage.posts("sync")} - {None}) == 1
        assert not books.seats
        check_files(stage, books)


@pytest.mark.parametrize("fault", [*LOST, "reset_before"])
async def test_jogg_parks_a_lost_create_is_not_asked_again_and_its_seat_stays_taken(fault: str, tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        books = await lose(stage, "jogg", fault)
        assert books.states() == {Reason.FATE_UNKNOWN: 1}
        assert len(stage.posts("jogg")) == 1
        assert kinds(books) == ["queued", "creating", "fate_unknown", "parked"]
        assert [seat.task for seat in books.seats] == [books.rows["job-00001"].id]
        message = result_lines(tmp_path / "out")[-1]["error"]["message"]
        assert "reconcile --resubmit job-00001" in message
        # The next run takes it up, cannot tell either, and creates nothing.
        tally = await run_all(stage, stage.account("jogg", concurrency=1), [stage.job(1)])
        assert tally.parked == 1
        assert len(stage.posts("jogg")) == 1


async def test_the_seat_of_a_lost_create_counts_against_the_limit(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"jogg": {"concurrency": 2, "queue_seconds": 20}}) as stage:
        stage.sandbox.inject("lost_reply", vendor="jogg", route="create")
        tally = await run_all(stage, stage.account("jogg", concurrency=2), stage.jobs(8))
        assert (tally.succeeded, tally.parked) == (7, 1)
        assert stage.bill("jogg")["peak"]["seats"] <= 2
        assert stage.bill("jogg")["throttled"] == 0


@pytest.mark.parametrize("fault", LOST)
async def test_jogg_is_asked_by_inputs_where_its_account_says_so(fault: str, tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        books = await lose(stage, "jogg", fault, lookup=True)
        assert books.states() == {"succeeded": 1}
        assert stage.creates("jogg") == 1
        assert len(stage.sandbox.log("jogg", "lookup")) == 1
        assert books.handles() == stage.vendor_ids("jogg")
        check_files(stage, books)


async def test_two_jobs_with_equal_inputs_never_share_one_job_of_the_vendor(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        account = stage.account("jogg", lookup=True)
        # The first is booked and known; the second, with the same inputs, never reaches the vendor.
        await run_all(stage, account, [stage.job(1, key="first")])
        stage.sandbox.inject("reset_before", vendor="jogg", route="create")
        await run_all(stage, account, [stage.job(1, key="second")])
        books = await stage.books()
        assert books.states() == {"succeeded": 1, Reason.FATE_UNKNOWN: 1}
        assert books.rows["second"].vendor_id is None
        # Both replies lost, both booked: each gets one of the two, or stays unknown; none gets the other's.
        stage.sandbox.inject("lost_reply", vendor="jogg", route="create", times=2)
        await run_all(stage, account, [stage.job(2, key="third"), stage.job(2, key="fourth")])
        books = await stage.books()
        owned = [books.rows[key].vendor_id for key in ("first", "third", "fourth")]
        known = [vendor_id for vendor_id in owned if vendor_id is not None]
        assert len(known) == len(set(known))


async def test_aimlapi_is_found_in_its_request_log_by_its_label(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"aimlapi": {"log_seconds": 5}}) as stage:
        for number, fault in enumerate(LOST):
            stage.sandbox.inject(fault, vendor="aimlapi", route="create")
            tally = await run_all(stage, stage.account("aimlapi"), [stage.job(number)])
            assert tally.succeeded == 1, fault
        books = await stage.books()
        check_events(books)
        assert stage.creates("aimlapi") == len(LOST) == len(stage.posts("aimlapi"))
        assert books.handles() == stage.vendor_ids("aimlapi")
        check_files(stage, books)


async def test_aimlapi_stays_unknown_while_its_log_is_late_and_a_later_run_finds_it(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"aimlapi": {"log_seconds": 600}}) as stage:
        books = await lose(stage, "aimlapi", "lost_reply")
        assert books.states() == {Reason.FATE_UNKNOWN: 1}
        assert len(books.seats) == 1
        asked = [row["at"] for row in stage.sandbox.log("aimlapi", "logs")]
        assert asked[-1] - asked[0] < 300
        await post(stage, "/_sandbox/settings", {"aimlapi": {"log_seconds": 0}})
        tally = await run_all(stage, stage.account("aimlapi"), [stage.job(1)])
        assert tally.succeeded == 1
        assert len(stage.posts("aimlapi")) == 1
        books = await stage.books()
        check_events(books)
        assert not books.seats


async def test_on_unknown_fate_fail_ends_the_job_and_says_so(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        books = await lose(stage, "jogg", "lost_reply", on_unknown_fate="fail")
        assert kinds(books) == ["queued", "creating", "fate_unknown", "failed"]
        assert result_lines(tmp_path / "out")[-1]["error"]["kind"] == "fate_unknown"
        assert len(stage.posts("jogg")) == 1


async def test_on_unknown_fate_resubmit_pays_again_and_records_whose_order_it_was(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        books = await lose(stage, "jogg", "lost_reply", on_unknown_fate="resubmit")
        assert books.states() == {"succeeded": 1}
        assert stage.creates("jogg") == 2
        assert stage.bill("jogg")["duplicates"] == 1
        told = [event for event in books.events["job-00001"] if event.type == "reconciling"]
        assert [event.data for event in told] == [{"method": "resubmit", "by": "on_unknown_fate"}]


@pytest.mark.parametrize("vendor", ["jogg", "aimlapi"])
async def test_a_create_whose_kept_connection_drops_is_not_repeated_by_the_transport(
    vendor: str, tmp_path: Path
) -> None:
    async with staged(tmp_path, settings={"aimlapi": {"log_seconds": 0}}) as stage:
        account = stage.account(vendor, concurrency=1)
        async with stage.scheduler(account) as scheduler:
            for number in range(3):
                if number:
                    stage.sandbox.inject("lost_reply", vendor=vendor, route="create", reset=number == 1)
                async with scheduler.run([stage.job(number)]) as run:
                    await run.wait()
                if vendor == "jogg" and number:
                    break  # its only seat stays taken
        assert len(stage.posts(vendor)) == number + 1 == stage.creates(vendor)
