"""What the command line says: the summary, the live view, times."""

from __future__ import annotations

import io
from math import inf, nan
from typing import cast

import pytest
from rich.console import Console

from viseme import Reason, Run, State, Tally, Trouble
from viseme.cli.live import LiveView, table_of
from viseme.cli.progress import heading
from viseme.cli.settings import places
from viseme.cli.standing import Standing, clock, total
from viseme.cli.summary import NEXT, Outcome, lines


def standing(account: str, queued: int, in_flight: int, per_minute: float | None) -> Standing:
    return Standing(
        account=account, queued=queued, in_flight=in_flight, done=5, failed=1, parked=2, per_minute=per_minute
    )


def outcome(*, invalid: int = 0, interrupted: bool = False, **tally: int) -> Outcome:
    whole = Tally(**tally)
    return Outcome(
        run=1, tally=whole, by_account={"sync": whole}, troubles=(), invalid=invalid, interrupted=interrupted
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (inf, "-"), (nan, "-")],
)
def test_times_are_shown_as_a_clock_shows_them(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown


def test_the_time_left_is_what_the_pace_of_late_makes_of_it() -> None:
    assert standing("sync", 20, 10, 60.0).eta == 30.0
    assert standing("sync", 0, 0, 60.0).eta is None
    assert standing("sync", 20, 10, None).eta is None


def test_the_sum_of_accounts_is_ready_when_the_last_one_is() -> None:
    quick, slow = standing("a", 0, 10, 600.0), standing("b", 0, 10, 10.0)
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(table_of([slow, quick]))
    *_, last = console.export_text().splitlines()
    assert total([quick, slow]).in_flight == 20
    assert last.split() == ["all", "0", "20", "10", "2", "4", "610.0", "1:00"]


@pytest.mark.parametrize(("invalid", "told"), [(1, "1 row of the manifest was"), (3, "3 rows of the manifest were")])
def test_rows_that_were_left_out_are_counted(invalid: int, told: str) -> None:
    assert f"  {told} left out as invalid" in lines(outcome(invalid=invalid, total=2), places("films", None))


def test_while_media_are_looked_at_the_heading_says_how_far_that_is() -> None:
    class Looking:
        tally = Tally(total=300)
        looked_at = (120, 300)

    run = cast("Run", Looking())
    assert heading(run) == "0 of 300 jobs have ended; checking media 120/300"
    Looking.looked_at, Looking.tally.succeeded, Looking.tally.replayed = (300, 300), 7, 2
    assert heading(run) == "7 of 300 jobs have ended, 2 of them before this run"


def test_the_live_view_draws_and_leaves_no_trace_but_what_was_said() -> None:
    file = io.StringIO()
    view = LiveView(Console(file=file, force_terminal=True, width=100, color_system=None))
    view.show([standing("sync", 3, 2, None)], "5 of 10 jobs have ended")
    view.print(["viseme: look here"])
    view.stop()
    assert "5 of 10 jobs have ended" in file.getvalue()
    assert "look here" in file.getvalue()
    assert file.getvalue().endswith("\x1b[2K")


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (outcome(total=2, succeeded=2), 0),
        (outcome(total=2, succeeded=1, failed=1), 1),
        (outcome(total=2, succeeded=1, parked=1), 1),
        (outcome(total=2, succeeded=1, cancelled=1), 1),
        (outcome(total=2, succeeded=2, invalid=1), 1),
        (outcome(total=2, succeeded=1, parked=1, interrupted=True), 130),
    ],
)
def test_the_status_says_whether_all_succeeded(made: Outcome, status: int) -> None:
    assert made.status == status


def test_every_reason_for_parking_has_a_next_step() -> None:
    assert set(NEXT) == set(Reason)


def test_the_summary_names_one_of_those_that_parked_and_what_to_do() -> None:
    trouble = Trouble(account="jogg", state=State.PARKED, why="no_credit", tasks=3, key="k7", message="it is empty")
    tally = Tally(total=4, succeeded=1, parked=3)
    told = lines(Outcome(run=1, tally=tally, by_account={"jogg": tally}, troubles=(trouble,)), places("films", None))
    assert told == [
        "4 jobs: 1 succeeded, 3 parked",
        "  jogg: 3 parked (no_credit), such as 'k7': it is empty; top up the account, then run the same command again",
        "files and results.jsonl are in films",
    ]


@pytest.mark.parametrize("said", ["the download broke off; run again to go on", "viseme reconcile shows the choices"])
def test_what_a_message_advises_is_not_said_twice(said: str) -> None:
    trouble = Trouble(account="jogg", state=State.PARKED, why="needs_person", tasks=1, key="k7", message=said)
    tally = Tally(total=1, parked=1)
    told = lines(Outcome(run=1, tally=tally, by_account={"jogg": tally}, troubles=(trouble,)), places("films", None))
    assert told[1] == f"  jogg: 1 parked (needs_person), such as 'k7': {said}"
