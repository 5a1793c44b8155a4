"""The demo's last words: a bill that does not add up is never called even."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

from viseme.cli.demo_report import report
from viseme.cli.demo_stock import Estimate, Line
from viseme.cli.settings import places

BILL: dict[str, Any] = {
    "creates": 2, "duplicates": 0, "credits": 4.0, "usd": None, "currency": "minutes", "succeeded": 3, "failed": 0,
    "delivered": 3, "throttled": 0, "peak": {"seats": 2}, "projects": 2, "duplicate_projects": 0, "generates": 0,
    "charged_runs": 2, "previews": 1, "dub_minutes": 2, "lipsync_minutes": 2,
}  # fmt: skip
EVEN = Line(
    account="rask",
    jobs=2,
    files=2,
    previews=1,
    bytes=1_000_000,
    seconds=8.0,
    from_files=2,
    local=1,
    sent=["a1"],
    faults=[],
    estimate=Estimate(unit="minutes", amount=Decimal(4), known=2),
    bill=BILL,
)


def said(line: Line, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    even = report([line], places(str(folder), None), 5.0)
    return even, capsys.readouterr().out


def test_what_adds_up_is_said_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    even, told = said(EVEN, tmp_path, capsys)
    assert even
    assert "created 2 = paid 2 = delivered 2: each of the 2 jobs once" in told
    assert "2 jobs name local files; each vendor got each file once" in told
    assert "wrong" not in told


@pytest.mark.parametrize(
    "bill",
    [
        {"creates": 3},
        {"succeeded": 4},
        {"delivered": 2},
        {"duplicates": 1},
        {"projects": 3},
        {"duplicate_projects": 1},
        {"generates": 1},
        {"charged_runs": 3},
        {"previews": 2},
    ],
    ids=lambda bill: next(iter(bill)),
)
def test_a_line_of_the_bill_that_is_off_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bill: dict[str, int]
) -> None:
    even, told = said(attrs.evolve(EVEN, bill={**BILL, **bill}), tmp_path, capsys)
    assert not even
    assert "THE BILL DOES NOT ADD UP" in told


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sent": ["a1", "a1"]}, "wrong: rask was sent 2 files, and its jobs name 1"),
        ({"sent": []}, "wrong: rask was sent 0 files, and its jobs name 1"),
        ({"local": 2, "sent": ["a1", "a1"]}, "wrong: rask was sent one file twice"),
        ({"faults": ["rask-01 lasts 1.00 s, and 3.00 s were asked for"]}, "wrong: rask-01 lasts 1.00 s"),
        ({"estimate": Estimate(unit="minutes", amount=Decimal(3), known=2)}, "wrong: rask cost 4.00 minutes"),
        ({"previews": 0}, "THE BILL DOES NOT ADD UP"),
        ({"files": 1}, "THE BILL DOES NOT ADD UP"),
    ],
)
def test_what_else_is_off_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], sentence: str
) -> None:
    even, told = said(attrs.evolve(EVEN, **changes), tmp_path, capsys)
    assert not even
    assert sentence in told
    assert "THE BILL DOES NOT ADD UP" in told
    assert ("each vendor got each file once" in told) is ("sent" not in changes)


def test_an_estimate_of_some_jobs_only_is_no_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = Estimate(unit="minutes", amount=Decimal(2), known=1)
    even, told = said(attrs.evolve(EVEN, estimate=some), tmp_path, capsys)
    assert even
    assert "at most 2.00 minutes for 1 of 2 jobs" in told
