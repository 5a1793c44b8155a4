"""A task's life as a pure function: what follows from what, and what never follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from viseme.attempts import Intent, Seat, TaskRow
from viseme.engine.lifecycle.advance import advance, last_event
from viseme.engine.lifecycle.signals import (
    Called,
    Fetched,
    Intended,
    Lost,
    Observed,
    Parks,
    Prepared,
    Prepares,
    Proved,
    Reconciles,
    Refound,
    Reopened,
    Resumed,
    Signal,
    Taken,
    Turned,
    Unfetched,
    Unheard,
    Unsettled,
)
from viseme.engine.lifecycle.steps import ACCOUNT_TROUBLE, BACK_IN_LINE, Next, Policy, Step, stage_after
from viseme.events import LAST, EventType
from viseme.failures import Failure, Kind
from viseme.jobs import Job
from viseme.ledger.base import UNDER_WAY
from viseme.providers.base import Accepted, Answer, Found, Observation, Seen, Verdict
from viseme.results import ENDED, Artifact, Cost, Reason, State, Timings

NOW = 1_763_600_000.0
POLICY = Policy()
JOB = Job(video="https://media.example/v.mp4", audio="https://media.example/a.wav", account="sync")
VIDEO = Artifact(url="https://cdn.example/out.mp4")
WORDS = {"message": "no", "code": None}
OPEN = [state for state in State if state not in ENDED and state is not State.PARKED]


def intent(attempt: int = 1, stage: str = "lipsync", **more: Any) -> Intent:
    given = {"endpoint": "https://api.example", "key": "k", "at": NOW - 5, "model": "m", **more}
    return Intent(id=f"i{attempt}{stage}", task="t", account="sync", attempt=attempt, stage=stage, **given)


def seat(attempt: int = 1) -> Seat:
    return Seat(id=f"t:{attempt}", pool="sync", account="sync", task="t", opened=NOW, until=NOW + 3600)


def task(state: State = State.QUEUED, **more: Any) -> TaskRow:
    given: dict[str, Any] = {"timings": Timings(queued=NOW - 10), "run": 1}
    if state is not State.QUEUED:
        given |= {"attempt": 1, "stage": "lipsync", "intent": intent()}
    if state in (State.WAITING, State.FETCHING, *ENDED):
        given |= {"handle": {"id": "v1"}, "since": NOW - 4, "intent": intent(ended=NOW - 4)}
    if state in (State.FETCHING, State.SUCCEEDED):
        given |= {"outputs": (VIDEO,)}
    if state is State.SUCCEEDED:
        given |= {"file": "out/t.mp4", "bytes": 9, "sha256": "aa"}
    return TaskRow(id="t", key="k", job=JOB, digest="d", account="sync", state=state, **{**given, **more})


def verdict(kind: Kind, **more: Any) -> Verdict:
    return Verdict(kind=kind, message=f"so it is: {kind}", code="c1", **more)


def failure(kind: Kind = Kind.JOB_FAILED) -> Failure:
    return Failure(kind=kind, message="no")


def looked(seen: Seen, at: float = NOW, **more: Any) -> Observed:
    return Observed(Observation(seen=seen, status=str(seen), at=at, **more))


def failed(at: float = NOW, **more: Any) -> Observed:
    return looked(Seen.FAILED, at, verdict=verdict(Kind.JOB_FAILED, **more))


def taken(**more: Any) -> Taken:
    return Taken(Accepted(handle={"id": "v1"}, **more))


def step(row: TaskRow, signal: Signal, policy: Policy = POLICY) -> Step:
    found = advance(row, signal, policy, NOW)
    assert found is not None
    return found


def told(found: Step) -> list[str]:
    return [str(kind) for kind, _ in found.events]


# -- creating ------------------------------------------------------------------------------------------------------


def test_an_intent_counts_the_attempt_and_takes_the_seat_before_the_request_leaves() -> None:
    found = step(task(failure=failure()), Intended(intent(), seat()))
    assert found.row.state is State.CREATING
    assert (found.row.attempt, found.row.stage, found.row.intent) == (1, "lipsync", intent())
    assert found.row.failure is None
    assert (found.intent, found.opens, found.closes) == (intent(), seat(), None)
    assert found.events == ((EventType.CREATING, {"account": "sync", "attempt": 1, "stage": "lipsync"}),)
    assert found.next is Next.NOTHING


def test_a_create_that_is_taken_has_its_handle_and_is_watched() -> None:
    found = step(task(State.CREATING), taken())
    assert (found.row.state, found.row.handle, found.row.since) == (State.WAITING, {"id": "v1"}, NOW)
    assert found.row.timings.created == NOW
    assert found.intent == intent(ended=NOW) == found.row.intent
    assert (found.opens, found.closes, found.next) == (None, None, Next.WATCH)
    assert found.events == ((EventType.CREATED, {"account": "sync", "handle": "v1", "stage": "lipsync"}),)


def test_a_create_whose_reply_already_holds_the_result_goes_to_fetching_at_once() -> None:
    done = Observation(seen=Seen.SUCCEEDED, status="done", outputs=(VIDEO,), cost=Cost(amount=2, unit="usd"))
    found = step(task(State.CREATING), taken(observation=done))
    assert told(found) == ["created", "fetching"]
    assert (found.row.state, found.row.outputs, found.row.cost) == (State.FETCHING, (VIDEO,), done.cost)
    assert (found.closes, found.next, found.intent) == ("t:1", Next.FETCH, intent(ended=NOW))


def test_a_create_whose_reply_already_says_that_it_failed_fails() -> None:
    sad = Observation(seen=Seen.FAILED, status="failed", verdict=verdict(Kind.CONTENT_REJECTED, blame="job"))
    found = step(task(State.CREATING), taken(observation=sad))
    assert told(found) == ["created", "failed"]
    assert (found.row.state, found.closes, found.intent) == (State.FAILED, "t:1", intent(ended=NOW))


def test_a_create_whose_reply_tells_its_cost_but_no_end_keeps_the_cost() -> None:
    seen = Observation(seen=Seen.QUEUED, status="queued", cost=Cost(amount=3, unit="credits"))
    found = step(task(State.CREATING), taken(observation=seen))
    assert (found.row.state, found.row.cost, found.next) == (State.WAITING, seen.cost, Next.WATCH)


@pytest.mark.parametrize("kind", sorted(BACK_IN_LINE))
def test_a_create_that_is_turned_down_in_passing_goes_back_in_line_without_its_seat(kind: Kind) -> None:
    found = step(task(State.CREATING), Turned(verdict(kind)))
    assert (found.row.state, found.row.attempt, found.row.parked) == (State.QUEUED, 0, None)
    assert (found.closes, found.next, found.intent) == ("t:1", Next.CREATE, intent(ended=NOW))
    (event,) = found.events
    assert event[0] is (EventType.RETRYING if kind is Kind.TRANSIENT else EventType.THROTTLED)
    assert event[1]["gate"] in {"rate", "seat", "limit", "network"}
    assert event[1]["message"]


@pytest.mark.parametrize(("kind", "reason"), ACCOUNT_TROUBLE.items())
def test_a_create_turned_down_for_the_accounts_sake_parks_the_job_and_does_not_fail_it(
    kind: Kind, reason: Reason
) -> None:
    found = step(task(State.CREATING), Turned(verdict(kind)))
    assert (found.row.state, found.row.attempt, found.row.parked) == (State.QUEUED, 0, reason)
    assert (found.closes, found.next, told(found)) == ("t:1", Next.NOTHING, ["parked"])
    assert found.events[0][1]["error"]["kind"] == kind


@pytest.mark.parametrize("kind", sorted(ACCOUNT_TROUBLE))
def test_a_job_whose_account_is_waited_for_stays_in_line(kind: Kind) -> None:
    found = step(task(State.CREATING), Turned(verdict(kind), keep_waiting=True))
    assert (found.row.state, found.row.parked, found.closes, told(found)) == (State.QUEUED, None, "t:1", [])


@pytest.mark.parametrize("kind", [Kind.INVALID, Kind.MEDIA_UNREACHABLE, Kind.CONTENT_REJECTED])
def test_a_create_turned_down_for_the_jobs_sake_fails_the_job(kind: Kind) -> None:
    found = step(task(State.CREATING), Turned(verdict(kind)))
    assert (found.row.state, found.closes, told(found)) == (State.FAILED, "t:1", ["failed"])
    assert found.row.failure == Failure(kind=kind, message=f"so it is: {kind}", code="c1")
    assert (found.row.timings.ended, found.intent) == (NOW, intent(ended=NOW))


def test_a_refusal_before_the_paid_request_takes_no_attempt_and_no_seat_away() -> None:
    """Say, an upload that fails before attempt 2, while the fate of attempt 1 is unknown."""
    waiting = task(attempt=1, intent=intent(ended=NOW - 9))
    for kind in (Kind.TRANSIENT, Kind.AUTH, Kind.INVALID):
        found = step(waiting, Turned(verdict(kind)))
        assert (found.row.attempt, found.closes) == (1, None)


def test_a_later_stage_that_is_turned_down_is_no_attempt_less() -> None:
    second = task(State.CREATING, handles={"media": {"id": "m1"}}, stage="lipsync")
    found = step(second, Turned(verdict(Kind.NO_SEAT)))
    assert (found.row.attempt, found.row.handles) == (1, {"media": {"id": "m1"}})
    lost = evolve(second, state=State.RECONCILING)
    assert step(lost, Proved()).row.attempt == 1


def test_between_its_stages_a_job_keeps_its_seat_until_it_is_parked_or_refused_for_good() -> None:
    second = task(State.CREATING, handles={"media": {"id": "m1"}}, stage="lipsync")
    assert step(second, Turned(verdict(Kind.NO_SEAT))).closes is None
    assert step(evolve(second, state=State.RECONCILING), Proved()).closes is None
    assert step(second, Turned(verdict(Kind.INVALID))).closes == "t:1"
    assert step(second, Turned(verdict(Kind.NO_CREDIT))).closes == "t:1"
    assert step(evolve(second, state=State.QUEUED), Parks(Reason.STOPPED)).closes == "t:1"
    assert step(evolve(second, state=State.QUEUED), Called(None)).closes == "t:1"


STAGES = Policy(stages=("media", "preview", "lipsync"))


def test_a_stage_that_costs_nothing_has_no_intent_and_begins_the_attempt() -> None:
    free = Taken(Accepted(handle={"id": "m1"}), free="media")
    found = step(task(attempt=0), free, STAGES)
    assert (found.row.state, found.row.stage, found.row.attempt) == (State.WAITING, "media", 1)
    assert (found.opens, found.closes, found.intent, found.row.intent) == (None, None, None, None)
    assert (told(found), found.row.timings.created) == (["preparing"], None)
    done = step(found.row, looked(Seen.SUCCEEDED), STAGES)
    assert (done.row.state, done.row.stage, done.next) == (State.QUEUED, "preview", Next.CREATE)
    assert (done.row.handles, done.row.handle, done.row.timings.started) == ({"media": {"id": "m1"}}, None, None)
    assert step(evolve(done.row, stage="media"), free, STAGES).row.attempt == 1


def test_what_a_stage_before_the_last_made_is_fetched_before_the_next_begins() -> None:
    preview = task(State.WAITING, stage="preview", handles={"media": {"id": "m1"}})
    seen = Observation(seen=Seen.SUCCEEDED, status="done", outputs=(VIDEO,), at=NOW)
    found = step(preview, Observed(seen), STAGES)
    assert (found.row.state, found.closes, found.next) == (State.FETCHING, None, Next.FETCH)
    then = step(found.row, Fetched("out/k.preview.mp4", 9, "s"), STAGES)
    assert (then.row.state, then.row.stage, then.row.preview) == (State.QUEUED, "lipsync", "out/k.preview.mp4")
    assert (then.row.file, then.next, told(then)) == (None, Next.CREATE, [])


def test_a_look_may_teach_a_handle_and_may_park() -> None:
    waiting = task(State.WAITING, stage="lipsync")
    learnt = step(waiting, Observed(Observation(seen=Seen.RUNNING, status="s", at=NOW, handle={"id": "1", "begun": 1})))
    assert (learnt.row.handle, learnt.next) == ({"id": "1", "begun": 1}, Next.KEEP)
    for reason in (Reason.NEEDS_PERSON, Reason.UNCONFIRMED):
        look = Observation(seen=Seen.RUNNING, status="s", at=NOW, park=reason, verdict=verdict(Kind.JOB_FAILED))
        found = step(waiting, Observed(look))
        assert (found.row.state, found.row.parked, found.closes) == (State.WAITING, reason, "t:1")
        assert told(found) == ["parked"]
        assert found.row.failure == Failure(kind=Kind.JOB_FAILED, message="so it is: job_failed", code="c1")
        assert step(evolve(waiting, parked=Reason.STOPPED), Observed(look)).row.parked is Reason.STOPPED


# -- fates unknown -------------------------------------------------------------------------------------------------


def test_a_lost_reply_is_reconciled_and_keeps_its_seat() -> None:
    found = step(task(State.CREATING), Lost(verdict(Kind.FATE_UNKNOWN)))
    assert (found.row.state, found.next, found.closes) == (State.RECONCILING, Next.RECONCILE, None)
    assert told(found) == ["fate_unknown"]
    assert found.intent == intent(ended=NOW)


def test_asking_after_a_lost_create_is_told() -> None:
    found = step(task(State.RECONCILING), Reconciles("replay"))
    assert (found.row.state, found.events) == (State.RECONCILING, ((EventType.RECONCILING, {"method": "replay"}),))


def test_a_lost_create_that_is_found_is_watched() -> None:
    found = step(task(State.RECONCILING), Refound(Found(handle={"id": "v7"})))
    assert (found.row.state, found.row.vendor_id, found.next, found.closes) == (State.WAITING, "v7", Next.WATCH, None)
    assert told(found) == ["created"]


def test_a_lost_create_that_never_was_gives_its_seat_and_attempt_back_and_is_created() -> None:
    found = step(task(State.RECONCILING), Proved())
    assert (found.row.state, found.row.attempt, found.closes, found.next) == (State.QUEUED, 0, "t:1", Next.CREATE)


@pytest.mark.parametrize(
    ("rule", "order", "state", "parked", "events"),
    [
        ("ask", None, State.RECONCILING, Reason.FATE_UNKNOWN, ["parked"]),
        ("fail", None, State.FAILED, None, ["failed"]),
        ("resubmit", None, State.QUEUED, None, ["reconciling"]),
        ("ask", "resubmit", State.QUEUED, None, ["reconciling"]),
        ("ask", "abandon", State.FAILED, None, ["failed"]),
        ("resubmit", "abandon", State.FAILED, None, ["failed"]),
        ("fail", "resubmit", State.QUEUED, None, ["reconciling"]),
    ],
)
def test_an_open_fate_is_decided_by_the_order_else_by_the_accounts_rule(
    rule: str, order: str | None, state: State, parked: Reason | None, events: list[str]
) -> None:
    found = step(task(State.RECONCILING), Unsettled("nobody knows", order), Policy(on_unknown_fate=rule))
    assert (found.row.state, found.row.parked, told(found)) == (state, parked, events)
    assert found.closes is None  # the vendor may run it
    assert found.row.attempt == 1
    assert found.next is (Next.CREATE if state is State.QUEUED else Next.NOTHING)
    if state is State.QUEUED:
        assert found.events[0][1] == {"method": "resubmit", "by": "order" if order else "on_unknown_fate"}


@pytest.mark.parametrize("order", ["resubmit", "abandon"])
def test_a_person_decides_about_a_parked_fate_too(order: str) -> None:
    found = step(task(State.RECONCILING, parked=Reason.FATE_UNKNOWN), Unsettled("a person says", order))
    assert found.row.parked is None
    assert found.row.state is (State.QUEUED if order == "resubmit" else State.FAILED)


def test_a_decision_closes_the_intent_that_a_crash_left_open() -> None:
    found = step(task(State.CREATING), Unsettled("a person says", "resubmit"))
    assert found.intent == intent(ended=NOW) == found.row.intent


# -- waiting -------------------------------------------------------------------------------------------------------


def test_a_look_at_a_queued_or_running_job_notes_its_status_and_goes_on() -> None:
    queued = step(task(State.WAITING, timings=Timings(created=NOW - 5)), looked(Seen.QUEUED))
    assert (queued.row.status, queued.row.timings.started, queued.next) == ("queued", None, Next.KEEP)
    running = step(queued.row, looked(Seen.RUNNING, NOW + 1))
    assert (running.row.status, running.row.timings.started, told(running)) == ("running", NOW, [])


def test_the_time_of_the_first_work_stays() -> None:
    row = task(State.WAITING, timings=Timings(started=NOW - 3))
    assert step(row, looked(Seen.RUNNING)).row.timings.started == NOW - 3


def test_a_success_gives_the_seat_back_and_is_fetched() -> None:
    seen = looked(Seen.SUCCEEDED, outputs=(VIDEO,), cost=Cost(amount=1, unit="usd"))
    found = step(task(State.WAITING), seen)
    assert (found.row.state, found.row.outputs, found.row.cost.amount) == (State.FETCHING, (VIDEO,), 1)  # type: ignore[union-attr]
    assert (found.closes, found.next) == ("t:1", Next.FETCH)
    assert found.events == ((EventType.FETCHING, {"handle": "v1"}),)
    assert found.row.timings.done == NOW


def test_a_stage_before_the_last_goes_on_to_the_next_in_its_seat() -> None:
    policy = Policy(stages=("media", "lipsync"))
    row = task(State.WAITING, stage="media")
    found = step(row, looked(Seen.SUCCEEDED), policy)
    assert (found.row.state, found.row.stage, found.row.handle) == (State.QUEUED, "lipsync", None)
    assert found.row.handles == {"media": {"id": "v1"}}
    assert (found.closes, found.next, told(found)) == (None, Next.CREATE, [])


@pytest.mark.parametrize("at", [NOW - 20, NOW - 10])
@pytest.mark.parametrize("seen", list(Seen))
def test_an_observation_older_than_the_one_known_changes_nothing(seen: Seen, at: float) -> None:
    row = task(State.WAITING, observed=NOW - 10)
    assert advance(row, looked(seen, at), POLICY, NOW) is None


@pytest.mark.parametrize(
    ("attempts", "pay_again", "blame", "charged", "again"),
    [
        (1, False, "vendor", False, False),
        (1, True, "vendor", True, False),
        (2, False, "vendor", False, True),
        (2, False, "vendor", True, False),
        (2, True, "vendor", True, True),
        (2, False, "job", False, False),
        (2, True, "job", True, False),
        (2, True, "account", False, False),
    ],
)
def test_a_further_attempt_is_made_only_where_the_fault_is_the_vendors_and_paying_again_is_allowed_or_unlikely(
    attempts: int, pay_again: bool, blame: str, charged: bool, again: bool
) -> None:
    policy = Policy(attempts=attempts, pay_again=pay_again)
    found = step(task(State.WAITING), failed(blame=blame, charged=charged), policy)
    assert found.closes == "t:1"
    assert (found.row.state, told(found)) == ((State.QUEUED, ["retrying"]) if again else (State.FAILED, ["failed"]))
    assert found.next is (Next.CREATE if again else Next.NOTHING)


def test_a_further_attempt_starts_with_a_clean_row() -> None:
    row = task(
        State.WAITING, handles={"media": {"id": "m"}}, observed=NOW - 1, status="running",
        timings=Timings(queued=1.0, created=2.0, started=3.0), outputs=(VIDEO,),
    )  # fmt: skip
    found = step(row, failed(), Policy(attempts=3)).row
    assert (found.handle, found.handles, found.stage, found.observed, found.since) == (None, {}, "", 0.0, None)
    assert (found.timings, found.outputs, found.status) == (Timings(queued=1.0), (), None)
    assert found.attempt == 1


def test_the_last_attempt_is_not_followed_by_another() -> None:
    row = task(State.WAITING, attempt=3)
    assert step(row, failed(), Policy(attempts=3, pay_again=True)).row.state is State.FAILED


def test_a_failure_without_a_reason_is_the_vendors() -> None:
    found = step(task(State.WAITING), looked(Seen.FAILED))
    assert (found.row.failure.kind, bool(found.row.failure.message)) == (Kind.JOB_FAILED, True)  # type: ignore[union-attr]


# -- fetching ------------------------------------------------------------------------------------------------------


def test_a_file_on_disk_is_success() -> None:
    row = task(State.FETCHING, cost=Cost(amount=2.5, unit="credits", usd=0.1), failure=failure())
    found = step(row, Fetched("out/t.mp4", 99, "abcd"))
    assert (found.row.state, found.row.failure, found.row.timings.ended) == (State.SUCCEEDED, None, NOW)
    cost = {"amount": 2.5, "unit": "credits", "usd": 0.1}
    assert found.events == ((EventType.SUCCEEDED, {"file": "out/t.mp4", "bytes": 99, "sha256": "abcd", "cost": cost}),)


def test_a_dead_link_is_asked_for_anew_three_times_and_then_a_person_has_to_look() -> None:
    row, parked = task(State.FETCHING), None
    for number in range(1, 4):
        found = step(row, Unfetched(failure(Kind.RESULT_EXPIRED), refresh=True))
        assert (found.row.state, found.row.outputs, found.next) == (State.WAITING, (), Next.REFRESH)
        assert (told(found), found.row.tries) == (["retrying"], number)
        row = step(found.row, looked(Seen.SUCCEEDED, outputs=(VIDEO,))).row
    parked = step(row, Unfetched(failure(Kind.RESULT_EXPIRED), refresh=True))
    assert (parked.row.state, parked.row.parked, parked.row.tries) == (State.FETCHING, Reason.NEEDS_PERSON, 0)


def test_a_link_that_died_before_it_was_used_is_no_try() -> None:
    row = evolve(task(State.FETCHING), tries=3)
    found = step(row, Unfetched(failure(Kind.RESULT_EXPIRED), refresh=True, tried=False))
    assert (found.row.state, found.row.tries, found.next) == (State.WAITING, 3, Next.REFRESH)


def test_a_full_disk_parks_the_task_and_keeps_its_links() -> None:
    found = step(task(State.FETCHING), Unfetched(failure(Kind.DISK)))
    assert (found.row.parked, found.row.outputs, found.next) == (Reason.NEEDS_PERSON, (VIDEO,), Next.NOTHING)


# -- cancelling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", OPEN)
def test_every_open_task_can_be_called_off(state: State) -> None:
    found = step(task(state), Called(None))
    assert (found.row.state, found.row.parked, told(found)) == (State.CANCELLED, None, ["cancelled"])
    assert found.next is Next.NOTHING
    assert found.closes == ("t:1" if state is State.FETCHING else None)
    assert found.row.timings.ended == NOW


@pytest.mark.parametrize("outcome", ["cancelled", "requested", "too_late", "unsupported"])
def test_only_a_cancel_that_the_vendor_confirms_gives_the_seat_back(outcome: Any) -> None:
    found = step(task(State.WAITING), Called(Answer(outcome=outcome, message="words")))
    assert found.closes == ("t:1" if outcome == "cancelled" else None)
    assert found.events == ((EventType.CANCELLED, {"vendor": "words"}),)
    assert found.row.vendor_says == "words"


def test_a_cancel_between_two_stages_gives_the_seat_back() -> None:
    row = task(attempt=1, stage="lipsync", handles={"media": {"id": "m"}})
    assert step(row, Called(None)).closes == "t:1"


def test_a_cancel_closes_the_intent_that_a_crash_left_open() -> None:
    assert step(task(State.CREATING), Called(None)).intent == intent(ended=NOW)


def test_a_parked_task_can_be_called_off() -> None:
    found = step(task(State.WAITING, parked=Reason.DEADLINE), Called(None))
    assert (found.row.state, found.row.parked, told(found)) == (State.CANCELLED, None, ["cancelled"])


# -- parking and going on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", OPEN)
def test_every_open_task_can_be_parked_where_it_stands(state: State) -> None:
    found = step(task(state), Parks(Reason.STOPPED))
    assert (found.row.state, found.row.parked, found.row.shown) == (state, Reason.STOPPED, State.PARKED)
    assert found.events == ((EventType.PARKED, {"reason": "stopped", "error": None}),)
    assert (found.closes, found.next) == ("t:1" if state is State.FETCHING else None, Next.NOTHING)


def test_parking_tells_why_or_what_was_wrong_last() -> None:
    why = Failure(kind=Kind.DEADLINE, message="too long")
    assert step(task(), Parks(Reason.DEADLINE, why)).events[0][1]["error"]["message"] == "too long"
    assert step(task(failure=failure()), Parks(Reason.STOPPED)).events[0][1]["error"]["message"] == "no"


def test_a_parked_task_is_parked_once_and_keeps_the_newest_reason() -> None:
    found = step(task(State.WAITING, parked=Reason.STOPPED), Parks(Reason.DEADLINE, failure(Kind.DEADLINE)))
    assert (found.row.parked, found.events) == (Reason.DEADLINE, ())


@pytest.mark.parametrize(
    ("state", "follows"),
    [
        (State.QUEUED, Next.CREATE),
        (State.CREATING, Next.RECONCILE),
        (State.RECONCILING, Next.RECONCILE),
        (State.WAITING, Next.WATCH),
        (State.FETCHING, Next.FETCH),
    ],
)
@pytest.mark.parametrize("parked", [None, Reason.STOPPED])
def test_a_task_that_is_taken_up_goes_on_where_it_stood(state: State, follows: Next, parked: Reason | None) -> None:
    found = step(task(state, parked=parked, observed=NOW - 1), Resumed(7))
    assert (found.row.state, found.row.parked, found.row.run, found.next) == (state, None, 7, follows)
    assert (found.opens, found.closes, found.events) == (None, None, ())


def test_a_task_that_was_taken_from_its_uploads_stands_in_line_again() -> None:
    found = step(task(State.PREPARING, parked=Reason.STOPPED), Resumed(7))
    assert (found.row.state, found.row.parked, found.next) == (State.QUEUED, None, Next.CREATE)


# -- media that are handed over before the create --------------------------------------------------------------------

MEDIA = {"video": {"asset": "a1"}}


def test_media_are_handed_over_without_a_seat_and_the_task_stands_in_line_again() -> None:
    preparing = step(task(), Prepares())
    assert (preparing.row.state, told(preparing)) == (State.PREPARING, ["preparing"])
    assert (preparing.opens, preparing.closes, preparing.next) == (None, None, Next.NOTHING)
    ready = step(preparing.row, Prepared(MEDIA))
    assert (ready.row.state, ready.row.inputs, told(ready)) == (State.QUEUED, MEDIA, [])
    assert step(task(), Prepared(MEDIA)).row.inputs == MEDIA


@pytest.mark.parametrize("state", [State.CREATING, State.WAITING, State.FETCHING, State.SUCCEEDED])
def test_media_that_come_late_change_nothing(state: State) -> None:
    assert advance(task(state), Prepared(MEDIA), Policy(), NOW) is None
    assert advance(task(state), Prepares(), Policy(), NOW) is None


def test_media_that_are_refused_take_no_seat_away_and_count_no_attempt() -> None:
    preparing = task(State.PREPARING, attempt=1)
    for kind, state in ((Kind.TRANSIENT, State.QUEUED), (Kind.INVALID, State.FAILED), (Kind.AUTH, State.QUEUED)):
        found = step(preparing, Turned(verdict(kind)))
        assert (found.row.state, found.row.attempt, found.closes) == (state, 1, None)
    assert step(preparing, Called(None)).row.state is State.CANCELLED


def test_a_further_attempt_asks_for_its_media_anew() -> None:
    failed = task(State.FAILED, inputs=MEDIA)
    assert step(failed, Reopened(7, create=True)).row.inputs == {}


def test_a_task_parked_for_its_deadline_gets_a_new_one_and_others_keep_theirs() -> None:
    assert step(task(State.WAITING, parked=Reason.DEADLINE), Resumed(2)).row.since == NOW
    assert step(task(State.WAITING, parked=Reason.STOPPED), Resumed(2)).row.since == NOW - 4


def test_a_result_that_appears_for_a_parked_task_is_kept_for_the_run_that_takes_it_up() -> None:
    found = step(task(State.WAITING, parked=Reason.DEADLINE), looked(Seen.SUCCEEDED, outputs=(VIDEO,)))
    assert (found.row.state, found.row.outputs, found.row.parked) == (State.FETCHING, (VIDEO,), Reason.DEADLINE)
    assert (found.events, found.closes, found.next) == ((), "t:1", Next.NOTHING)
    assert step(found.row, Resumed(2)).next is Next.FETCH


@pytest.mark.parametrize("policy", [Policy(), Policy(attempts=3)])
def test_a_failure_that_appears_for_a_parked_task_frees_the_seat_and_is_told_by_the_run_that_takes_it_up(
    policy: Policy,
) -> None:
    found = step(task(State.WAITING, parked=Reason.DEADLINE), failed(), policy)
    assert (found.row.state, found.row.parked) == (State.WAITING, Reason.DEADLINE)
    assert (found.events, found.closes, found.next) == ((), "t:1", Next.NOTHING)
    later = step(found.row, Resumed(2))
    assert later.next is Next.WATCH
    again = step(later.row, failed(at=NOW + 1), policy)
    assert told(again) == ["retrying" if policy.attempts > 1 else "failed"]


@pytest.mark.parametrize(("observed", "kept"), [(NOW - 1, NOW - 1), (NOW + 1, 0.0)])
def test_what_was_seen_by_a_clock_that_was_set_back_since_is_no_measure_for_a_run_that_takes_the_task_up(
    observed: float, kept: float
) -> None:
    found = step(task(State.WAITING, observed=observed), Resumed(2))
    assert found.row.observed == kept
    assert step(found.row, looked(Seen.SUCCEEDED, outputs=(VIDEO,))).next is Next.FETCH


@pytest.mark.parametrize("state", sorted(UNDER_WAY))
def test_a_task_that_its_run_takes_up_again_is_the_very_row(state: State) -> None:
    row = task(state, run=2, observed=NOW - 1)
    assert step(row, Resumed(2)).row is row


# -- after the end -------------------------------------------------------------------------------------------------

EVERYTHING: list[Signal] = [
    Intended(intent(2), seat(2)), taken(), Turned(verdict(Kind.INVALID)), Lost(verdict(Kind.FATE_UNKNOWN)),
    Reconciles("lookup"), Refound(Found(handle={"id": "x"})), Proved(), Unsettled("?", "resubmit"),
    looked(Seen.RUNNING), looked(Seen.SUCCEEDED), failed(), Fetched("f", 1, "s"), Unfetched(failure(), True),
    Called(None),
    Parks(Reason.STOPPED), Resumed(9), Reopened(9),
]  # fmt: skip


@pytest.mark.parametrize("state", sorted(ENDED))
@pytest.mark.parametrize("signal", EVERYTHING, ids=lambda signal: type(signal).__name__)
def test_nothing_is_told_of_an_ended_task_whatever_comes(state: State, signal: Signal) -> None:
    found = advance(task(state), signal, Policy(attempts=9, pay_again=True), NOW)
    assert found is None or (not found.events and found.opens is None)
    if found is not None and not isinstance(signal, Reopened):
        assert found.row == task(state)


@pytest.mark.parametrize("state", [State.WAITING, State.FETCHING, State.CANCELLED])
@pytest.mark.parametrize("seen", [Seen.SUCCEEDED, Seen.FAILED, Seen.RUNNING])
def test_a_look_at_an_earlier_attempts_job_frees_that_attempts_seat_and_nothing_else(state: State, seen: Seen) -> None:
    row = task(state, attempt=3, observed=0.0)
    look = evolve(looked(seen, outputs=(VIDEO,), cost=Cost(amount=1, unit="credits")), attempt=2)
    if seen is Seen.RUNNING:
        assert advance(row, look, POLICY, NOW) is None
    else:
        assert step(row, look) == Step(row=row, closes="t:2", next=Next.KEEP)


@pytest.mark.parametrize(("parked", "then"), [(None, Next.KEEP), (Reason.DEADLINE, Next.NOTHING)])
def test_a_seat_that_is_given_up_leaves_a_task_that_is_waited_for_watched(parked: Reason | None, then: Next) -> None:
    row = task(State.WAITING, parked=parked)
    assert step(row, Unheard("t:1")) == Step(row=row, closes="t:1", next=then)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_ended_task_gives_its_seat_back_when_the_vendors_end_is_seen(state: State) -> None:
    for seen in (looked(Seen.SUCCEEDED), failed()):
        assert step(task(state), seen).closes == "t:1"
    assert advance(task(state), looked(Seen.RUNNING), POLICY, NOW) is None


@pytest.mark.parametrize("state", [State.WAITING, State.FETCHING])
@pytest.mark.parametrize(
    "signal",
    [
        Intended(intent(2), seat(2)), taken(), Turned(verdict(Kind.TRANSIENT)), Turned(verdict(Kind.INVALID)),
        Lost(verdict(Kind.FATE_UNKNOWN)), Reconciles("replay"), Refound(Found(handle={"id": "x"})), Proved(),
        Unsettled("?", "resubmit"), Unsettled("?", "abandon"),
    ],
)  # fmt: skip
def test_late_news_of_a_create_changes_nothing_about_a_job_that_the_vendor_has(state: State, signal: Signal) -> None:
    assert advance(task(state), signal, Policy(attempts=9, on_unknown_fate="resubmit"), NOW) is None


@pytest.mark.parametrize("state", [state for state in OPEN if state is not State.FETCHING])
def test_only_a_task_that_is_fetched_can_have_been_fetched(state: State) -> None:
    assert advance(task(state), Fetched("f", 1, "s"), POLICY, NOW) is None
    assert advance(task(state), Unfetched(failure(), True), POLICY, NOW) is None


@pytest.mark.parametrize("state", [state for state in OPEN if state is not State.WAITING])
def test_only_a_job_that_the_vendor_has_can_be_looked_at(state: State) -> None:
    for seen in Seen:
        assert advance(task(state), looked(seen), POLICY, NOW) is None


@pytest.mark.parametrize("state", OPEN)
def test_an_open_task_is_not_reopened(state: State) -> None:
    assert advance(task(state), Reopened(2, create=True), POLICY, NOW) is None


def test_a_missing_file_is_fetched_again_by_a_fresh_look_and_told_as_replayed() -> None:
    found = step(task(State.SUCCEEDED), Reopened(5))
    assert (found.row.state, found.row.run, found.next, found.row.outputs) == (State.WAITING, 5, Next.REFRESH, ())
    assert found.opens is None
    row = step(found.row, looked(Seen.SUCCEEDED, outputs=(VIDEO,))).row
    (event,) = step(row, Fetched("out/t.mp4", 9, "aa")).events
    assert event[1]["replayed"] is True


def test_a_missing_file_that_the_vendor_no_longer_has_is_never_created_again() -> None:
    row = step(task(State.SUCCEEDED), Reopened(5)).row
    assert step(row, failed(), Policy(attempts=9, pay_again=True)).row.state is State.FAILED


@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_ended_task_is_created_anew_as_a_further_attempt_with_nothing_left_of_the_old(state: State) -> None:
    row = task(state, cost=Cost(amount=1, unit="usd"), failure=failure(), vendor_says="x", status="s", tries=2)
    found = step(row, Reopened(5, create=True))
    new = found.row
    assert (new.state, new.run, new.attempt, found.next) == (State.QUEUED, 5, 1, Next.CREATE)
    assert (new.handle, new.stage, new.handles, new.outputs) == (None, "", {}, ())
    assert (new.file, new.bytes, new.sha256, new.cost, new.failure, new.vendor_says) == (None,) * 6
    assert (new.status, new.since, new.tries, new.timings) == (None, None, 0, Timings(queued=NOW - 10))
    assert told(found) == []


def test_a_task_without_a_handle_cannot_be_fetched_again() -> None:
    assert advance(task(State.SUCCEEDED, handle=None), Reopened(5), POLICY, NOW) is None


@pytest.mark.parametrize(
    ("row", "kind", "fields"),
    [
        (task(State.SUCCEEDED, cost=Cost(amount=1, unit="usd")), "succeeded", {"file": "out/t.mp4", "bytes": 9}),
        (task(State.FAILED, failure=failure()), "failed", {"error": {"kind": "job_failed", **WORDS}}),
        (task(State.CANCELLED, vendor_says="gone"), "cancelled", {"vendor": "gone"}),
        (task(State.WAITING, parked=Reason.DEADLINE), "parked", {"reason": "deadline", "error": None}),
    ],
)  # fmt: skip
def test_a_last_event_is_made_again_from_the_row(row: TaskRow, kind: str, fields: dict[str, Any]) -> None:
    type_, data = last_event(row)
    assert str(type_) == kind
    assert data["replayed"] is True
    assert fields.items() <= data.items()


# -- any story -----------------------------------------------------------------------------------------------------

Maker = Callable[[TaskRow, float], Signal | None]


def _intends(row: TaskRow, at: float) -> Signal | None:
    """As the engine does: only from the line, and a later stage goes on in its attempt."""
    if row.state is not State.QUEUED or row.parked:
        return None
    attempt = row.attempt if row.stage and row.handles else row.attempt + 1
    return Intended(intent(attempt, row.stage or "media", at=at), seat(attempt))


KINDS = st.sampled_from(sorted(Kind))
LOOKS = st.tuples(st.sampled_from(list(Seen)), st.integers(-3, 3), st.sampled_from(["vendor", "job"]), st.booleans())


def _look(given: tuple[Seen, int, str, bool]) -> Maker:
    seen, shift, blame, charged = given
    why = verdict(Kind.JOB_FAILED, blame=blame, charged=charged) if seen is Seen.FAILED else None
    return lambda row, at: Observed(Observation(seen=seen, status="s", at=at + shift, verdict=why, outputs=(VIDEO,)))


def _always(signal: Signal) -> Maker:
    return lambda row, at: signal


def _unparked(make: Maker) -> Maker:
    return lambda row, at: None if row.parked else make(row, at)


MAKERS: st.SearchStrategy[Maker] = st.one_of(
    st.just(_intends),
    st.just(_unparked(_always(taken()))),
    st.just(_unparked(_always(taken()))),
    KINDS.map(lambda kind: _unparked(_always(Turned(verdict(kind))))),
    st.just(_unparked(_always(Lost(verdict(Kind.FATE_UNKNOWN))))),
    st.just(_unparked(_always(Reconciles("lookup")))),
    st.just(_unparked(_always(Refound(Found(handle={"id": "f"}))))),
    st.just(_unparked(_always(Proved()))),
    st.just(_unparked(_always(Unsettled("?")))),
    st.sampled_from(["resubmit", "abandon"]).map(lambda order: _always(Unsettled("?", order))),
    LOOKS.map(_look),
    LOOKS.map(_look),
    st.just(_unparked(_always(Fetched("f", 1, "s")))),
    st.booleans().map(lambda refresh: _unparked(_always(Unfetched(failure(), refresh)))),
    st.sampled_from([None, "cancelled", "too_late"]).map(
        lambda outcome: (
            lambda row, at: Called(
                None if outcome is None or row.state is not State.WAITING else Answer(outcome=outcome)  # type: ignore[arg-type]
            )
        )
    ),
    st.sampled_from(sorted(Reason)).map(lambda reason: _always(Parks(reason))),
    st.just(_always(Resumed(2))),
    st.booleans().map(lambda create: _always(Reopened(3, create))),
)
POLICIES = st.builds(
    Policy,
    attempts=st.integers(1, 3),
    pay_again=st.booleans(),
    on_unknown_fate=st.sampled_from(["ask", "fail", "resubmit"]),
    stages=st.sampled_from([("media",), ("media", "lipsync")]),
)


def _lets_go(row: TaskRow, signal: Signal, found: Step, policy: Policy) -> bool:
    """Whether nothing of the present attempt is under way at the vendor any more, and it is not about to go on."""
    idle = row.state is State.FETCHING or (row.state is State.QUEUED and bool(row.handles))
    parks = any(kind is EventType.PARKED for kind, _ in found.events)
    match signal:
        case Turned(refusal):
            goes_on = refusal.kind in BACK_IN_LINE and bool(row.handles)
            return not goes_on and (row.state in (State.CREATING, State.RECONCILING) or idle)
        case Proved():
            return not row.handles
        case Called(answer):
            return idle or (answer is not None and answer.outcome == "cancelled")
        case Parks() | Unfetched():
            return idle and parks
        case Observed(observation):
            goes_on = found.row.state in (State.QUEUED, State.FETCHING) and stage_after(row, policy) is not None
            again = any(kind is EventType.RETRYING for kind, _ in found.events)
            return observation.seen.terminal and (bool(row.parked) or again or not goes_on)
        case _:
            return False


@settings(max_examples=600, deadline=None)
@given(POLICIES, st.lists(MAKERS, max_size=30))
def test_no_story_breaks_the_rules(policy: Policy, story: list[Maker]) -> None:
    row, at = task(), NOW
    seats, at_the_vendor = set[str](), set[str]()
    streams_end, orders = False, 0
    for make in story:
        at += 1
        signal = make(row, at)
        if signal is None:
            continue
        found = advance(row, signal, policy, at)
        if found is None:
            continue
        kinds = [kind for kind, _ in found.events]

        # events: counted on, one last one per run, nothing behind it but what a person ordered
        assert found.row.seq == row.seq + len(kinds)
        if streams_end and kinds:
            assert isinstance(signal, Called | Unsettled), f"{kinds} behind the last event"
            assert row.state not in ENDED
        assert sum(kind in LAST for kind in kinds) <= 1
        assert not any(kind in LAST for kind in kinds[:-1])
        if isinstance(signal, Resumed | Reopened):
            streams_end = False
        streams_end = streams_end and not (isinstance(signal, Unsettled) and not found.row.parked)
        streams_end = streams_end or any(kind in LAST for kind in kinds)
        assert streams_end == (found.row.parked is not None or found.row.state in ENDED)

        # attempts: never more than allowed or ordered
        orders += isinstance(signal, Unsettled) and found.row.state is State.QUEUED
        orders += isinstance(signal, Reopened) and signal.create
        assert found.row.attempt <= policy.attempts + orders
        assert found.row.attempt >= 0

        # seats: open exactly as long as the vendor may be at work
        if found.opens is not None:
            seats.add(found.opens.id)
            at_the_vendor.add(found.opens.id)
        if _lets_go(row, signal, found, policy):
            at_the_vendor.discard(row.seat)
        if found.closes is not None:
            seats.discard(found.closes)
        assert seats == at_the_vendor

        # intents: none stays open once its create is decided
        if row.intent is not None and row.intent.ended is None and found.row.state is not State.CREATING:
            assert found.intent is not None
            assert found.intent.ended == at

        # looking back changes nothing
        if isinstance(signal, Observed) and row.state not in ENDED:
            assert signal.observation.at > row.observed
        assert found.row.id == row.id
        row = found.row


# -- several accounts ----------------------------------------------------------------------------------------------

ROUTED = evolve(JOB, account=("house", "next"))
OTHERS = Policy(others=("next",))


def routed(state: State = State.CREATING, **more: Any) -> TaskRow:
    return evolve(task(state), **{"job": ROUTED, "account": "house", "inputs": {"video": {"url": "u"}}, **more})


@pytest.mark.parametrize("kind", [Kind.NO_CREDIT, Kind.INVALID, Kind.CONTENT_REJECTED, Kind.MEDIA_UNREACHABLE])
def test_a_create_that_is_refused_goes_to_the_next_account(kind: Kind) -> None:
    found = step(routed(), Turned(verdict(kind)), OTHERS)
    assert (found.row.account, found.row.leg, found.row.state, found.left) == ("next", 1, State.QUEUED, "house")
    assert (found.row.attempt, found.row.behind, found.row.inputs, found.closes) == (0, 0, {}, "t:1")
    assert (found.next, told(found)) == (Next.CREATE, ["retrying"])
    assert found.events[0][1]["account"] == "next"
    assert step(routed(), Turned(verdict(kind)), Policy()).left is None


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.PROTOCOL, Kind.NO_SEAT, Kind.TRANSIENT])
def test_trouble_that_says_nothing_of_the_job_sends_it_nowhere(kind: Kind) -> None:
    found = step(routed(), Turned(verdict(kind)), OTHERS)
    assert (found.row.account, found.left) == ("house", None)


def test_a_line_without_credit_goes_to_the_next_account_and_what_has_begun_stays() -> None:
    no_credit = Parks(Reason.NO_CREDIT, failure())
    assert step(routed(State.QUEUED), no_credit, OTHERS).row.account == "next"
    assert step(routed(State.QUEUED), Parks(Reason.STOPPED), OTHERS).row.account == "house"
    begun = routed(State.QUEUED, stage="lipsync", handles={"dub": {"id": "1"}})
    for signal in (no_credit, Turned(verdict(Kind.NO_CREDIT)), Turned(verdict(Kind.INVALID))):
        assert step(begun, signal, OTHERS).left is None
    for state in (State.RECONCILING, State.WAITING):
        assert step(routed(state), no_credit, OTHERS).row.parked is Reason.NO_CREDIT
    for signal in (Lost(verdict(Kind.FATE_UNKNOWN)), Unsettled("?")):
        assert step(routed(), signal, OTHERS).left is None


@pytest.mark.parametrize(
    ("kind", "blame", "charged", "pay_again", "leaves"),
    [
        (Kind.JOB_FAILED, "vendor", False, False, True),
        (Kind.JOB_FAILED, "vendor", True, False, False),
        (Kind.JOB_FAILED, "vendor", True, True, True),
        (Kind.JOB_FAILED, "job", False, False, False),
        (Kind.CONTENT_REJECTED, "job", False, False, True),
        (Kind.MEDIA_UNREACHABLE, "job", True, False, False),
    ],
)
def test_a_job_that_failed_goes_to_the_next_account_where_that_pays_nothing_twice(
    kind: Kind, blame: str, charged: bool, pay_again: bool, leaves: bool
) -> None:
    why = verdict(kind, blame=blame, charged=charged)
    look = Observed(Observation(seen=Seen.FAILED, status="failed", at=NOW, verdict=why))
    found = step(routed(State.WAITING), look, evolve(OTHERS, pay_again=pay_again))
    assert (found.left == "house", found.row.state is State.FAILED) == (leaves, not leaves)
    assert found.closes == "t:1"


def test_each_account_has_its_own_attempts() -> None:
    policy = evolve(OTHERS, attempts=2)
    why = verdict(Kind.JOB_FAILED, charged=False)
    look = Observed(Observation(seen=Seen.FAILED, status="failed", at=NOW, verdict=why))
    first = step(routed(State.WAITING), look, policy)
    assert (first.row.account, first.row.attempt) == ("house", 1)
    second = step(routed(State.WAITING, attempt=2), look, policy)
    assert (second.row.account, second.row.behind) == ("next", 2)
    at_the_next = evolve(second.row, state=State.WAITING, attempt=3)
    again = step(at_the_next, look, evolve(policy, others=()))
    assert (again.row.state, again.row.account) == (State.QUEUED, "next")
    assert step(evolve(at_the_next, attempt=4), look, evolve(policy, others=())).row.state is State.FAILED


def test_a_later_run_begins_with_the_first_account_again_where_credit_was_what_it_wanted() -> None:
    last = routed(State.QUEUED, account="next", leg=1, parked=Reason.NO_CREDIT, attempt=0)
    found = step(last, Resumed(2), Policy())
    assert (found.row.account, found.row.leg, found.left, found.row.parked) == ("house", 0, "next", None)
    stopped = step(evolve(last, parked=Reason.STOPPED), Resumed(2), Policy())
    assert (stopped.row.account, stopped.left) == ("next", None)
