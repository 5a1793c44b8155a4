"""Rask's jobs while everything fails at once: every job ends or parks, and no project or lip-sync is bought twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandboxes import Stage, check_events, staged

import viseme
from viseme.results import ENDED, Reason, State

JOBS = 20
ROUTES = ("token", "link", "media", "project", "list", "dub", "face", "create", "poll", "result")
FAULTS = ("reset_before", "server_error", "lost_reply", "server_error_booked", "html", "truncated", "slow", "too_many")


def jobs(stage: Stage) -> list[viseme.Job]:
    modes: list[dict[str, Any]] = [{}, {"preview": "first"}, {"preview": True}, {"is_multiple_speakers": False}]
    return [stage.job(n, "rask", options=modes[n % len(modes)]) for n in range(JOBS)]


async def run(stage: Stage) -> None:
    account = stage.account("rask", stale_grace="30s", face_check_grace="20s")
    async with asyncio.timeout(90), stage.scheduler(account) as scheduler, scheduler.run(jobs(stage)) as batch:
        await batch.wait()


@pytest.mark.parametrize("storm", ["mild", "hostile", "scripted"])
async def test_a_storm_buys_nothing_twice(storm: str, tmp_path: Path) -> None:
    faults = {} if storm == "scripted" else {"faults": storm, "seed": 7}
    settings = {"rask": {"free_minutes": JOBS, "face_check": "never", "token_seconds": 200.0}}
    async with staged(tmp_path, speed=250.0, settings=settings, **faults) as stage:
        if storm == "scripted":
            for route in ROUTES:
                for fault in FAULTS:
                    stage.sandbox.inject(fault, vendor="rask", route=route, times=2)
            for fault, route in (("unknown_status", "poll"), ("unknown_status", "dub"), ("revoked", "create")):
                stage.sandbox.inject(fault, vendor="rask", route=route, times=3)
        for _ in range(3):
            await run(stage)
            books = await stage.books()
            check_events(books)
            if all(row.state in ENDED for row in books.rows.values()):
                break
        bill = stage.bill("rask")
        assert (bill["duplicate_projects"], bill["duplicates"]) == (0, 0), bill
        assert bill["projects"] <= JOBS
        assert bill["charged_runs"] <= JOBS // 4 * 3
        for row in books.rows.values():
            assert row.state in ENDED or row.parked in (Reason.UNCONFIRMED, Reason.FATE_UNKNOWN), (row.key, row.failure)
        done = [row for row in books.rows.values() if row.state is State.SUCCEEDED]
        assert len(done) >= JOBS // 2, books.states()
        served = {row["sha256"]: row["inputs"]["mode"] for row in stage.sandbox.results("rask")}
        for row in done:
            assert served[str(row.sha256)] == ("preview" if row.job.options.get("preview") is True else "full"), row.key
        assert bill["projects"] == len({row["job"] for row in stage.sandbox.log("rask", "project") if row["job"]})
