"""Jobs that name several accounts: the next one is tried where that pays nothing twice, and only there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import ClientSession
from tests.support.sandboxes import Stage, check_bill, check_events, check_files, result_lines, staged

import viseme
from viseme import JobInvalid, Reason

BOTH = ("sync", "jogg")


async def run_all(stage: Stage, jobs: list[viseme.Job], *vendors: str, wait: bool = False) -> viseme.Run:
    accounts = [stage.account(vendor) for vendor in vendors]
    async with asyncio.timeout(100), stage.scheduler(*accounts, wait=wait) as scheduler, scheduler.run(jobs) as run:
        await run.wait()
        return run


def jobs(stage: Stage, count: int, *route: str, **more: Any) -> list[viseme.Job]:
    return [attrs.evolve(stage.job(number, **more), account=list(route)) for number in range(count)]


@pytest.mark.parametrize("wait", [False, True])
async def test_an_account_without_credit_costs_one_request_and_its_jobs_go_to_the_next(
    wait: bool, tmp_path: Path
) -> None:
    async with staged(tmp_path, settings={"sync": {"credits": 0}}) as stage:
        run = await run_all(stage, jobs(stage, 30, *BOTH), *BOTH, wait=wait)
        assert run.tally.succeeded == 30
        assert len(stage.posts("sync")) == 1
        assert (stage.creates("sync"), stage.creates("jogg")) == (0, 30)
        assert {name: tally.total for name, tally in run.by_account.items()} == {"sync": 0, "jogg": 30}
        assert {name: tally.succeeded for name, tally in run.by_account.items()} == {"sync": 0, "jogg": 30}
        books = await stage.books()
        check_events(books)
        check_files(stage, books)
        check_bill(stage, books, *BOTH)
        assert {line["account"] for line in result_lines(tmp_path / "out")} == {"jogg"}
        assert not books.seats


async def test_without_credit_anywhere_they_park_and_a_later_run_begins_with_the_first_account(tmp_path: Path) -> None:
    empty = {"credits": 0}
    async with staged(tmp_path, settings={"sync": empty, "jogg": empty}) as stage:
        run = await run_all(stage, jobs(stage, 10, *BOTH), *BOTH)
        assert run.tally.parked == 10
        assert {line["reason"] for line in result_lines(tmp_path / "out")} == {Reason.NO_CREDIT}
        assert (len(stage.posts("sync")), len(stage.posts("jogg"))) == (1, 1)
        async with ClientSession() as http:
            await http.post(f"{stage.base}/_sandbox/settings", json={"sync": {"credits": None}})
        run = await run_all(stage, jobs(stage, 10, *BOTH), *BOTH)
        assert run.tally.succeeded == 10
        assert (stage.creates("sync"), stage.creates("jogg")) == (10, 0)
        assert run.by_account["sync"].total == 10


async def test_a_job_that_the_vendor_failed_free_of_charge_goes_to_the_next_account(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.inject("job_failed", vendor="aimlapi", times=8)
        run = await run_all(stage, jobs(stage, 8, "aimlapi", "jogg"), "aimlapi", "jogg")
        assert stage.creates("aimlapi") == 8
        assert run.tally.succeeded == stage.creates("jogg") >= 4
        books = await stage.books()
        check_events(books)
        for key, row in books.rows.items():
            told = [event.data["account"] for event in books.events[key] if event.type == "retrying"]
            no_face = row.failure is not None and "face" in row.failure.message
            assert told == ([] if no_face else ["jogg"]), key


async def test_a_job_that_failed_after_it_was_charged_goes_nowhere(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.inject("job_failed", vendor="jogg", times=4)
        run = await run_all(stage, jobs(stage, 4, "jogg", "aimlapi"), "jogg", "aimlapi")
        assert (run.tally.failed, stage.creates("aimlapi")) == (4, 0)


async def test_a_lost_create_goes_nowhere(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.inject("lost_reply", vendor="jogg", route="create")
        run = await run_all(stage, jobs(stage, 1, "jogg", "sync"), "jogg", "sync")
        assert (run.tally.parked, stage.creates("jogg"), len(stage.posts("sync"))) == (1, 1, 0)
        assert result_lines(tmp_path / "out")[-1]["reason"] == Reason.FATE_UNKNOWN


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"options": {"sync_mode": "loop"}}, "at jogg: options: sync_mode = loop has no counterpart at jogg"),
        ({"options": {"temperature": 0.5}}, "at jogg: options: unknown name 'temperature'"),
        ({"model": "lipsync-2"}, "at jogg: jogg has no model 'lipsync-2'"),
        ({"account": ["sync", "nobody"]}, "account 'nobody' is not configured"),
    ],
)
async def test_what_one_of_the_accounts_cannot_do_is_refused_before_anything_is_sent(
    given: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    async with staged(tmp_path) as stage:
        job = attrs.evolve(stage.job(1), **{"account": list(BOTH), **given})
        async with stage.scheduler(*map(stage.account, BOTH)) as scheduler:
            with pytest.raises(JobInvalid) as refused:
                await scheduler.submit(job)
        assert sentence in str(refused.value)
        assert not stage.sandbox.log("sync")


@pytest.mark.parametrize("account", [["sync", "sync"], ["sync", ""], "sync,,jogg", [1]])
def test_a_route_that_makes_no_sense_is_refused(account: Any) -> None:
    with pytest.raises(JobInvalid, match=r"account|not text"):
        viseme.Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav", account=account)


def test_a_route_may_be_written_in_one_cell() -> None:
    job = viseme.Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav", account="sync, jogg")
    assert (job.account, job.route) == (("sync", "jogg"), ("sync", "jogg"))
    assert viseme.Job(video="v.mp4", audio="a.wav", account=["sync"]).account == "sync"
