"""What becomes of a charge as its task moves, step by step through `advance`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from viseme.attempts import Intent, Seat, TaskRow
from viseme.engine.lifecycle.advance import advance
from viseme.engine.lifecycle.signals import (
    Called,
    Fetched,
    Intended,
    Lost,
    Observed,
    Parks,
    Proved,
    Refound,
    Reopened,
    Signal,
    Taken,
    Turned,
    Unsettled,
)
from viseme.engine.lifecycle.steps import Policy, Step
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.money import Charge
from viseme.providers.base import Accepted, Answer, Found, Observation, Seen, Verdict
from viseme.results import Artifact, Cost, Reason, State

NOW = 1_763_600_000.0
ONE = Policy()
RASK = Policy(stages=("media", "project", "face", "lipsync"), free=frozenset({"media", "face"}))
DONE = (Artifact(url="https://vendor.example/v.mp4"),)


def reserve(attempt: int = 1) -> Charge:
    price = Cost(amount=5.0, unit="credits", usd=1.0)
    return Charge.reserve("t", attempt, account="sync", pool="acme", day="2026-11-21", price=price)


def intent(stage: str = "lipsync", attempt: int = 1) -> Intent:
    return Intent(
        id="i", task="t", account="sync", model=None, endpoint="e", attempt=attempt, stage=stage, key="k", at=NOW
    )


def row(state: State, **given: Any) -> TaskRow:
    job = Job(video="https://media.example/a.mp4", audio="https://media.example/a.wav")
    values = {"attempt": 1, "stage": "lipsync", "intent": intent(), "charge": reserve(), **given}
    if state is State.WAITING:
        values.setdefault("handle", {"id": "v"})
    return TaskRow(id="t", key="k", job=job, digest="d", account="sync", state=state, **values)


def step(before: TaskRow, signal: Signal, policy: Policy = ONE) -> Step:
    found = advance(before, signal, policy, NOW)
    assert found is not None
    return found


def seen(what: Seen, cost: Cost | None = None, **given: Any) -> Observation:
    return Observation(seen=what, status=str(what), cost=cost, at=NOW, **given)


def refused(kind: Kind = Kind.INVALID, **given: Any) -> Verdict:
    return Verdict(kind=kind, message="no", **given)


def test_a_create_that_leaves_writes_its_charge_down() -> None:
    seat = Seat(id="t:1", pool="acme", account="sync", task="t", opened=NOW, until=NOW + 1)
    after = step(row(State.QUEUED, attempt=0, charge=None, intent=None), Intended(intent(), seat, reserve()))
    assert (after.charge, after.ends, after.row.charge) == (reserve(), None, reserve())
    later = step(row(State.QUEUED, handles={"project": {}}), Intended(intent(), seat), RASK)
    assert (later.charge, later.ends, later.row.charge) == (None, None, reserve())


@pytest.mark.parametrize(
    "signal",
    [
        Turned(refused()),
        Turned(refused(Kind.NO_SEAT)),
        Turned(refused(Kind.NO_CREDIT)),
        Turned(refused(Kind.TRANSIENT)),
        Turned(refused(Kind.AUTH), keep_waiting=True),
    ],
)
def test_a_clear_refusal_gives_it_back(signal: Signal) -> None:
    after = step(row(State.CREATING), signal)
    assert (after.charge, after.ends, after.row.charge) == (None, reserve(), None)


def test_a_create_that_is_proved_absent_gives_it_back() -> None:
    after = step(row(State.RECONCILING), Proved())
    assert (after.charge, after.ends, after.row.charge) == (None, reserve(), None)


def test_a_refusal_after_an_earlier_stage_was_paid_gives_nothing_back() -> None:
    paid = row(State.CREATING, handles={"media": {}, "project": {"id": "p"}, "face": {}})
    waits = step(paid, Turned(refused(Kind.NO_SEAT)), RASK)
    assert (waits.charge, waits.ends, waits.row.charge) == (None, None, reserve())
    fails = step(paid, Turned(refused()), RASK)
    assert (fails.charge, fails.ends) == (evolve(reserve(), state="failed"), reserve())


def test_a_refusal_after_stages_that_cost_nothing_gives_it_back() -> None:
    free = row(State.CREATING, stage="project", handles={"media": {}})
    after = step(free, Turned(refused()), RASK)
    assert (after.charge, after.ends, after.row.charge) == (None, reserve(), None)


@pytest.mark.parametrize("signal", [Lost(refused(Kind.FATE_UNKNOWN)), Unsettled("unknown"), Parks(Reason.DEADLINE)])
def test_an_unknown_fate_and_a_park_keep_it(signal: Signal) -> None:
    after = step(row(State.CREATING), signal)
    assert (after.charge, after.ends, after.row.charge) == (None, None, reserve())


@pytest.mark.parametrize("order", ["abandon", "resubmit", "fail"])
def test_a_create_that_is_given_up_is_taken_to_have_cost_it(order: str) -> None:
    after = step(row(State.RECONCILING), Unsettled("nobody knows", order))
    assert (after.charge, after.ends) == (evolve(reserve(), state="failed"), reserve())


@pytest.mark.parametrize(
    ("cost", "amount"),
    [
        (None, "5"),
        (Cost(amount=3, unit="credits", usd=0.6), "3"),
        (Cost(amount=3, unit="credits", usd=0.6, estimated=True), "5"),
    ],
)
def test_success_spends_it_by_the_vendors_figure(cost: Cost | None, amount: str) -> None:
    told = seen(Seen.SUCCEEDED, cost, outputs=DONE)
    for before, signal in (
        (row(State.WAITING), Observed(told)),
        (row(State.WAITING, parked=Reason.DEADLINE), Observed(told)),
        (row(State.CREATING), Taken(Accepted(handle={"id": "v"}, observation=told))),
        (row(State.RECONCILING), Refound(Found(handle={"id": "v"}, observation=told))),
    ):
        after = step(before, signal)
        assert after.charge is not None
        assert (after.charge.state, after.charge.amount, after.ends) == ("spent", Decimal(amount), reserve())
        assert after.row.charge == after.charge


def test_only_the_end_of_the_last_stage_spends_it() -> None:
    project = row(State.WAITING, stage="project", handles={"media": {}})
    after = step(project, Observed(seen(Seen.SUCCEEDED)), RASK)
    assert (after.charge, after.ends, after.row.charge) == (None, None, reserve())
    preview = row(State.WAITING, stage="project", handles={"media": {}})
    fetches = step(preview, Observed(seen(Seen.SUCCEEDED, outputs=DONE)), RASK)
    assert (fetches.row.state, fetches.charge) == (State.FETCHING, None)


@pytest.mark.parametrize(
    ("cost", "state", "amount"),
    [
        (None, "failed", "5"),
        (Cost(amount=2, unit="credits"), "failed", "2"),
        (Cost(amount=2, unit="credits", estimated=True), "failed", "5"),
        (Cost(amount=0, unit="credits", estimated=True), None, None),
    ],
)
@pytest.mark.parametrize("parked", [None, Reason.DEADLINE])
def test_a_failed_job_keeps_it_unless_the_vendor_says_otherwise(
    cost: Cost | None, state: str | None, amount: str | None, parked: Reason | None
) -> None:
    after = step(row(State.WAITING, parked=parked), Observed(seen(Seen.FAILED, cost, verdict=refused())))
    assert after.ends == reserve()
    found = after.charge and (after.charge.state, str(after.charge.amount).rstrip("0").rstrip("."))
    assert found == (None if state is None else (state, amount))


def test_a_free_failure_after_a_paid_stage_gives_nothing_back() -> None:
    before = row(State.WAITING, handles={"project": {}, "face": {}})
    after = step(before, Observed(seen(Seen.FAILED, Cost(amount=0, unit="credits"), verdict=refused())), RASK)
    assert after.charge == evolve(reserve(), state="failed")


def test_a_further_attempt_ends_the_charge_of_the_one_before() -> None:
    failed = Observed(seen(Seen.FAILED, verdict=refused(Kind.JOB_FAILED)))
    after = step(row(State.WAITING), failed, Policy(attempts=2))
    assert (after.row.state, after.charge) == (State.QUEUED, evolve(reserve(), state="failed"))


def test_a_cancelled_job_keeps_it_until_the_vendors_end_is_seen() -> None:
    runs_on = step(row(State.WAITING), Called(Answer(outcome="requested")))
    assert (runs_on.row.state, runs_on.charge, runs_on.row.charge) == (State.CANCELLED, None, reserve())
    done = step(runs_on.row, Observed(seen(Seen.SUCCEEDED, outputs=DONE)))
    assert (done.charge, done.ends) == (evolve(reserve(), state="spent"), reserve())
    refunded = step(runs_on.row, Observed(seen(Seen.FAILED, Cost(amount=0, unit="credits"))))
    assert (refunded.charge, refunded.ends) == (None, reserve())
    called_off = step(row(State.WAITING), Called(Answer(outcome="cancelled")))
    assert called_off.charge == evolve(reserve(), state="failed")


def test_a_job_that_is_created_anew_starts_without_a_charge_and_one_that_is_fetched_anew_keeps_its_own() -> None:
    spent = evolve(reserve(), state="spent")
    ended = row(State.SUCCEEDED, handle={"id": "v"}, file="out/k.mp4", charge=spent)
    anew = step(ended, Reopened(2, create=True))
    assert (anew.row.charge, anew.charge, anew.ends) == (None, None, None)
    again = step(ended, Reopened(2))
    assert again.row.charge == spent
    fetched = step(evolve(again.row, state=State.FETCHING), Fetched(file="out/k.mp4", bytes=1, sha256="s"))
    assert (fetched.charge, fetched.row.charge) == (None, spent)
