"""What a job costs must not creep up: the calls that it takes, and its CPU beside a hand-written script's."""

from __future__ import annotations

import sys
from collections import Counter
from types import FrameType

import pytest
from benchmarks.lifecycle import compared
from tests.support.trio import house, job
from tests.support.virtual import virtually

CALLS = 1_225
"""Python functions called for a job, its vendor's and its ledger's twins in memory among them."""
VS_FAIR = 4.2
"""CPU per job beside the script that also hashes, syncs and renames; more than is measured, for loaded machines."""


@virtually
async def test_a_job_takes_no_more_calls_than_it_did() -> None:
    count, called = 200, Counter[str]()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called[frame.f_code.co_filename] += 1

    settings = {"concurrency": 50, "rates": {"create": "1000/1s", "read": "1000/1s"}}
    async with house("sync", **settings, polling={"first": "10s", "every": "5s", "bulk": False}) as one:
        await one.run(*(job(f"warm-{number}") for number in range(5)))
        sys.setprofile(note)
        try:
            rows = await one.run(*(job(f"job-{number}") for number in range(count)))
        finally:
            sys.setprofile(None)
    assert {row.state for row in rows.values()} == {"succeeded"}
    per_job = called.total() / count
    assert per_job <= CALLS, f"{per_job:.0f} calls a job, most of them in {called.most_common(12)}"


@pytest.mark.timeout(120)
def test_a_job_costs_no_more_beside_a_script_than_it_did() -> None:
    ratio = compared(jobs=150, rounds=3)
    assert ratio <= VS_FAIR, f"{ratio:.2f} times the CPU of the script"
