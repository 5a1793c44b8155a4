"""What follows from a look at the vendor's job, and from the download of what it made."""

from __future__ import annotations

from viseme.attempts import TaskRow
from viseme.engine.lifecycle.signals import Fetched, Unfetched
from viseme.engine.lifecycle.steps import (
    REFUSED_INPUT,
    Next,
    Policy,
    Step,
    anew,
    fails,
    failure_data,
    goes_on,
    parks,
    stage_after,
    to_the_next,
)
from viseme.events import EventType
from viseme.evolving import amended, evolve
from viseme.failures import Kind
from viseme.providers.base import Observation, Seen, Verdict, failure_of
from viseme.results import Reason, State

__all__ = ["fetched", "observed", "unfetched"]

_MAX_REFETCH = 3


def observed(row: TaskRow, seen: Observation, policy: Policy, now: float) -> Step | None:
    if row.state is not State.WAITING or (seen.at and seen.at <= row.observed):
        return None
    timings, after = row.timings, stage_after(row, policy)
    started = timings.started or (None if seen.seen is Seen.QUEUED or not timings.created else now)
    done = timings.done or (now if seen.seen is Seen.SUCCEEDED and after is None else None)
    row = evolve(
        row,
        observed=seen.at,
        status=seen.status,
        handle=seen.handle or row.handle,
        cost=seen.cost or row.cost,
        timings=evolve(timings, started=started, done=done),
    )
    if seen.seen is Seen.SUCCEEDED:
        return _done(row, seen, after)
    if seen.seen is Seen.FAILED:
        return _vendor_failed(row, seen, policy, now)
    if seen.park is not None and not row.parked:
        failure = None if seen.verdict is None else failure_of(seen.verdict)
        return evolve(parks(row, seen.park, failure), closes=row.seat)
    return Step(row=row, next=Next.NOTHING if row.parked else Next.KEEP)


def _done(row: TaskRow, seen: Observation, after: str | None) -> Step:
    """The stage is done; ``row`` was made for this step, and ``after`` is the stage that follows."""
    if after is not None and not seen.outputs:
        return goes_on(row, after)
    amended(row, state=State.FETCHING, outputs=seen.outputs)
    if row.parked:
        return Step(row=row, closes=row.seat)
    over = row.seat if after is None else None
    return Step(row, ((EventType.FETCHING, {"handle": row.vendor_id}),), closes=over, next=Next.FETCH)


def _vendor_failed(row: TaskRow, seen: Observation, policy: Policy, now: float) -> Step:
    if row.parked:  # told by the run that takes the task up again, which looks at once
        return Step(row=row, closes=row.seat)
    verdict = seen.verdict or Verdict(kind=Kind.JOB_FAILED, message="the vendor failed the job without saying why")
    failure = failure_of(verdict)
    free = policy.pay_again or not verdict.charged
    again = verdict.blame == "vendor" and free and row.file is None
    if row.attempt - row.behind < policy.attempts and again:
        told = (EventType.RETRYING, {"attempt": row.attempt + 1, "error": failure_data(failure)})
        return Step(row=evolve(anew(row), failure=failure), events=(told,), closes=row.seat, next=Next.CREATE)
    if policy.others and row.file is None and (again or (free and verdict.kind in REFUSED_INPUT)):
        return evolve(to_the_next(row, policy, failure), closes=row.seat)
    return evolve(fails(row, failure, now), closes=row.seat)


def fetched(row: TaskRow, signal: Fetched, policy: Policy, now: float) -> Step:
    after = stage_after(row, policy)
    if after is not None:
        return goes_on(evolve(row, preview=signal.file), after)
    ended = evolve(
        row,
        state=State.SUCCEEDED,
        parked=None,
        failure=None,
        file=signal.file,
        bytes=signal.bytes,
        sha256=signal.sha256,
        timings=evolve(row.timings, ended=now),
    )
    cost = None if row.cost is None else {"amount": row.cost.amount, "unit": row.cost.unit, "usd": row.cost.usd}
    data = {"file": signal.file, "bytes": signal.bytes, "sha256": signal.sha256, "cost": cost}
    if row.file is not None:
        data["replayed"] = True
    return Step(ended, ((EventType.SUCCEEDED, data),))


def unfetched(row: TaskRow, signal: Unfetched) -> Step:
    if signal.refresh and (row.tries < _MAX_REFETCH or not signal.tried):
        told = (EventType.RETRYING, {"attempt": row.attempt, "error": failure_data(signal.failure)})
        again = evolve(row, state=State.WAITING, outputs=(), tries=row.tries + signal.tried, observed=0.0)
        return Step(row=again, events=(told,), next=Next.REFRESH)
    return parks(evolve(row, tries=0), Reason.NEEDS_PERSON, signal.failure)
