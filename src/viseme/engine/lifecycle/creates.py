"""What follows from the fate of a create: taken, turned down, lost, or settled by a person."""

from __future__ import annotations

from viseme.attempts import Handle, Intent, Seat, TaskRow
from viseme.engine.lifecycle.looks import observed
from viseme.engine.lifecycle.signals import Turned, Unsettled
from viseme.engine.lifecycle.steps import (
    ACCOUNT_TROUBLE,
    BACK_IN_LINE,
    TO_THE_NEXT,
    Next,
    Policy,
    Step,
    closed_intent,
    fails,
    failure_data,
    parks,
    to_the_next,
)
from viseme.events import EventType
from viseme.evolving import evolve
from viseme.failures import Failure, Kind
from viseme.providers.base import Observation, Verdict, failure_of
from viseme.results import UNSETTLED, Reason, State

__all__ = ["before_this_create", "entered", "intended", "lost", "taken", "turned", "unsettled"]


def intended(row: TaskRow, intent: Intent, seat: Seat | None) -> Step:
    data = {"account": intent.account, "attempt": intent.attempt, "stage": intent.stage}
    after = evolve(row, state=State.CREATING, attempt=intent.attempt, stage=intent.stage, intent=intent, failure=None)
    return Step(after, ((EventType.CREATING, data),), intent, seat)


def entered(row: TaskRow, stage: str) -> TaskRow:
    """The row at a stage without an intent; the first stage of all begins the attempt."""
    return evolve(row, stage=stage, attempt=row.attempt if row.handles else row.attempt + 1)


def taken(
    row: TaskRow, handle: Handle, seen: Observation | None, policy: Policy, now: float, *, free: bool = False
) -> Step:
    intent = None if free else closed_intent(row, now)
    taken = evolve(
        row,
        state=State.WAITING,
        handle=handle,
        intent=intent or row.intent,
        since=row.since or now,
        began=now,
        observed=0.0,
        failure=None,
        cost=(seen.cost if seen is not None else None) or row.cost,
        timings=row.timings if free else evolve(row.timings, created=row.timings.created or now),
    )
    kind = EventType.PREPARING if free else EventType.CREATED
    created = (kind, {"account": row.account, "handle": taken.vendor_id, "stage": row.stage})
    if seen is not None and seen.seen.terminal:
        step = observed(taken, seen, policy, now)
        if step is not None:
            return evolve(step, intent=step.intent or intent, events=(created, *step.events))
    return Step(taken, (created,), intent, next=Next.WATCH)


def turned(row: TaskRow, signal: Turned, policy: Policy, now: float) -> Step:
    verdict, intent = signal.verdict, closed_intent(row, now)
    failure, seat = failure_of(verdict), _seat_of_this_create(row)
    back = evolve(
        row, state=State.QUEUED, intent=intent or row.intent, failure=failure, attempt=before_this_create(row)
    )
    if verdict.park is not None:
        return evolve(parks(back, verdict.park, failure), intent=intent, closes=seat)
    if verdict.kind in BACK_IN_LINE:
        kind = EventType.RETRYING if verdict.kind is Kind.TRANSIENT else EventType.THROTTLED
        data = {"account": row.account, "gate": _gate(verdict.kind), "message": verdict.message, "until": None}
        over = None if row.handles else seat  # between its stages a job keeps its seat
        return Step(row=back, events=((kind, data),), intent=intent, closes=over, next=Next.CREATE)
    if verdict.kind in TO_THE_NEXT and policy.others and not row.handles and not row.parked:
        return evolve(to_the_next(back, policy, failure), intent=intent, closes=seat)
    reason = ACCOUNT_TROUBLE.get(verdict.kind)
    if reason is None:
        return evolve(fails(evolve(row, intent=intent or row.intent), failure, now), intent=intent, closes=seat)
    if signal.keep_waiting:
        return Step(row=back, intent=intent, closes=seat, next=Next.CREATE)
    return evolve(parks(back, reason, failure), intent=intent, closes=seat)


def _seat_of_this_create(row: TaskRow) -> str | None:
    """The seat that comes free when the create under way, or about to be, comes to nothing.

    Before an attempt's first create that is none: the row still names the attempt before, whose job may run on.
    """
    return row.seat if row.state in UNSETTLED or row.handles else None


def before_this_create(row: TaskRow) -> int:
    """How many attempts there were before the create that came to nothing; a later stage's is no new attempt."""
    return row.attempt - 1 if row.state in UNSETTLED and not row.handles else row.attempt


def _gate(kind: Kind) -> str:
    return {Kind.RATE_LIMITED: "rate", Kind.NO_SEAT: "seat", Kind.LIMITED: "limit"}.get(kind, "network")


def lost(row: TaskRow, verdict: Verdict, now: float) -> Step:
    intent, failure = closed_intent(row, now), failure_of(verdict)
    return Step(
        row=evolve(row, state=State.RECONCILING, intent=intent or row.intent, failure=failure),
        events=((EventType.FATE_UNKNOWN, {"account": row.account, "error": failure_data(failure)}),),
        intent=intent,
        next=Next.RECONCILE,
    )


def unsettled(row: TaskRow, signal: Unsettled, policy: Policy, now: float) -> Step:
    failure = Failure(kind=Kind.FATE_UNKNOWN, message=signal.message, code=row.failure.code if row.failure else None)
    choice = signal.order or policy.on_unknown_fate
    if choice == "resubmit":
        told = (EventType.RECONCILING, {"method": "resubmit", "by": "order" if signal.order else "on_unknown_fate"})
        row = evolve(row, state=State.QUEUED, parked=None, handle=None)
        return Step(row=row, events=(told,), next=Next.CREATE)
    if choice in ("fail", "abandon"):
        return fails(row, failure, now)
    return parks(row, Reason.FATE_UNKNOWN, failure)
