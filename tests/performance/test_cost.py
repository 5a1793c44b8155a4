"""What a job costs must not creep up: the calls and bytecodes it takes, and its CPU beside a hand-written script's."""

from __future__ import annotations

import sys
from collections import Counter
from types import CodeType, FrameType
from typing import Any

import pytest
from benchmarks.lifecycle import compared
from tests.support.trio import house, job
from tests.support.virtual import virtually

JOBS = 200
CALLS = 1_175
"""Python functions called for a job, its vendor's and its ledger's twins in memory among them."""
BYTECODES = 29_000
"""Instructions of the interpreter for a job, with the same twins, under Python 3.11."""
VS_FAIR = 2.4
"""CPU per job beside the script that also hashes, syncs and renames; more than is measured, for loaded machines."""


async def run_jobs(begin: Any, end: Any) -> None:
    """Run jobs in memory between ``begin`` and ``end``, after a few that are not counted."""
    settings = {"concurrency": 50, "rates": {"create": "1000/1s", "read": "1000/1s"}}
    async with house("sync", **settings, polling={"first": "10s", "every": "5s", "bulk": False}) as one:
        await one.run(*(job(f"warm-{number}") for number in range(60)))
        begin()
        try:
            rows = await one.run(*(job(f"job-{number}") for number in range(JOBS)))
        finally:
            end()
    assert {row.state for row in rows.values()} == {"succeeded"}


@virtually
async def test_a_job_takes_no_more_calls_than_it_did() -> None:
    called = Counter[str]()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called[frame.f_code.co_filename] += 1

    await run_jobs(lambda: sys.setprofile(note), lambda: sys.setprofile(None))
    per_job = called.total() / JOBS
    assert per_job <= CALLS, f"{per_job:.0f} calls a job, most of them in {called.most_common(12)}"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="each version of Python has bytecodes of its own")
@virtually
async def test_a_job_takes_no_more_bytecodes_than_it_did() -> None:
    done = Counter[CodeType]()

    def count(frame: FrameType, event: str, _: object) -> Any:
        if event == "opcode":
            done[frame.f_code] += 1
        return count

    def begin(frame: FrameType, _event: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return count

    before = sys.gettrace()
    await run_jobs(lambda: sys.settrace(begin), lambda: sys.settrace(before))
    per_job = done.total() / JOBS
    most = [(code.co_qualname, number / JOBS) for code, number in done.most_common(12)]
    assert per_job <= BYTECODES, f"{per_job:.0f} bytecodes a job, most of them in {most}"


@pytest.mark.timeout(120)
def test_a_job_costs_no_more_beside_a_script_than_it_did() -> None:
    ratio = compared(jobs=150, rounds=3)
    assert ratio <= VS_FAIR, f"{ratio:.2f} times the CPU of the script"
