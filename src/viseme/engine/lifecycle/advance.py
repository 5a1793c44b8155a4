"""The life of a task, as a pure function: a row and what happened give the row that follows, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viseme.attempts import TaskRow
from viseme.engine.lifecycle.charging import charged
from viseme.engine.lifecycle.creates import before_this_create, entered, intended, lost, taken, turned, unsettled
from viseme.engine.lifecycle.looks import fetched, observed, unfetched
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
    Resent,
    Resumed,
    Signal,
    Singly,
    Taken,
    Turned,
    Unfetched,
    Unheard,
    Unsettled,
)
from viseme.engine.lifecycle.steps import (
    Next,
    Policy,
    Step,
    anew,
    closed_intent,
    failure_data,
    idle,
    may_leave,
    parks,
    to_the_next,
)
from viseme.events import EventType
from viseme.evolving import amended, evolve
from viseme.providers.base import Answer
from viseme.results import ENDED, UNSETTLED, Reason, State

__all__ = ["advance", "last_event"]

_OPEN = frozenset(State) - ENDED
_BEFORE = UNSETTLED | {State.QUEUED, State.PREPARING}
_BELONGS: Mapping[type, frozenset[State]] = {
    Prepares: frozenset({State.QUEUED}),
    Prepared: frozenset({State.QUEUED, State.PREPARING}),
    Intended: _BEFORE,
    Taken: _BEFORE,
    Turned: _BEFORE,
    Singly: _BEFORE,
    Lost: UNSETTLED,
    Reconciles: frozenset({State.RECONCILING}),
    Resent: frozenset({State.RECONCILING}),
    Refound: frozenset({State.RECONCILING}),
    Proved: frozenset({State.RECONCILING}),
    Unsettled: UNSETTLED,
    Fetched: frozenset({State.FETCHING}),
    Unfetched: frozenset({State.FETCHING}),
}
"""Where a signal means something: once the vendor has the job, nothing that is said of its create can start another."""


def advance(row: TaskRow, signal: Signal, policy: Policy, now: float) -> Step | None:
    """What follows from a signal; None where it changes nothing.

    Nothing changes an ended task but an order to reopen it, nothing that is known gives way to an older observation,
    and late news of a create changes nothing about a job that the vendor has.

    Args:
        now: UTC seconds.

    Returns:
        the step; its row's ``seq`` counts the events of it.
    """
    if isinstance(signal, Observed) and signal.attempt not in (None, row.attempt):
        return _of_an_earlier_attempt(row, signal)
    step = _follows(row, signal, policy, now)
    if step is None:
        return None
    after, told = step.row, len(step.events)
    money = charged(row, signal, after, stages=policy.stages, free=policy.free)
    if told or money is not None:
        charge = after.charge if money is None else money.row
        step.row = (evolve if after is row else amended)(after, seq=after.seq + told, charge=charge)
    if money is not None:
        step.charge, step.ends = money.writes, money.ends
    return step


def _follows(row: TaskRow, signal: Signal, policy: Policy, now: float) -> Step | None:
    if row.state in ENDED:
        return _after_the_end(row, signal, now)
    if row.state not in _BELONGS.get(type(signal), _OPEN):
        return None
    match signal:  # what every job goes through first
        case Intended():
            return intended(row, signal.intent, signal.seat)
        case Taken():
            accepted, free = signal.accepted, signal.free
            at_stage = row if free is None else entered(row, free)
            return taken(at_stage, accepted.handle, accepted.observation, policy, now, free=free is not None)
        case Observed():
            return observed(row, signal.observation, policy, now) if signal.stage in (None, row.stage) else None
        case Fetched():
            return fetched(row, signal, policy, now)
        case Prepares():
            told = (EventType.PREPARING, {"account": row.account})
            return Step(row=evolve(row, state=State.PREPARING), events=(told,))
        case Prepared(inputs):
            return Step(row=evolve(row, state=State.QUEUED, inputs=inputs, failure=None))
        case Refound(found):
            return taken(row, found.handle, found.observation, policy, now)
        case Turned():
            return turned(row, signal, policy, now)
        case Lost(verdict):
            return lost(row, verdict, now)
        case Reconciles(method):
            told = (EventType.RECONCILING, {"method": method})
            return Step(row=evolve(row, state=State.RECONCILING), events=(told,))
        case Resent(intent, seat):
            return Step(row=evolve(row, intent=intent), intent=intent, opens=seat)
        case Proved():
            back = evolve(row, state=State.QUEUED, attempt=before_this_create(row), failure=None)
            return Step(row=back, closes=None if row.handles else row.seat, next=Next.CREATE)
        case Unsettled():
            closed = closed_intent(row, now)
            return evolve(unsettled(evolve(row, intent=closed or row.intent), signal, policy, now), intent=closed)
        case Unfetched():
            return unfetched(row, signal)
        case Called(answer):
            return _called(row, answer, now)
        case Parks(Reason.NO_CREDIT, failure) if may_leave(row, policy):
            return to_the_next(row, policy, failure or row.failure)
        case Parks(reason, failure):
            return parks(row, reason, failure)
        case Resumed(run):
            return _resumed(row, run, now)
        case Reopened():
            return None
        case Unheard(seat):
            return Step(row=row, closes=seat, next=Next.NOTHING if row.parked else Next.KEEP)
        case Singly():
            closed = closed_intent(row, now)
            alone = evolve(row, mode="", state=State.QUEUED, attempt=before_this_create(row))
            return Step(row=evolve(alone, intent=closed or row.intent), intent=closed, next=Next.CREATE)


def _of_an_earlier_attempt(row: TaskRow, signal: Observed) -> Step | None:
    """A task that was reopened has another job by now; of the one before, only the seat is still of interest."""
    if not signal.observation.seen.terminal:
        return None
    return Step(row=row, closes=evolve(row, attempt=signal.attempt).seat, next=Next.KEEP)


def _called(row: TaskRow, answer: Answer | None, now: float) -> Step:
    says = None if answer is None else (answer.message or answer.outcome)
    if answer is not None and answer.outcome == "cancelled":
        over: str | None = row.seat
    else:
        over = row.seat if idle(row) else None
    intent = closed_intent(row, now)
    ended = evolve(row, state=State.CANCELLED, parked=None, vendor_says=says, intent=intent or row.intent)
    ended = evolve(ended, timings=evolve(row.timings, ended=now))
    return Step(row=ended, events=((EventType.CANCELLED, {"vendor": says}),), intent=intent, closes=over)


def _resumed(row: TaskRow, run: int, now: float) -> Step:
    since = now if row.parked is Reason.DEADLINE else row.since
    if row.parked is Reason.NO_CREDIT and row.leg and row.state is State.QUEUED and not row.handles:
        first = evolve(anew(row), account=row.job.route[0], leg=0, behind=row.attempt, price=None)
        return Step(row=evolve(first, run=run, parked=None), next=Next.CREATE, left=row.account)
    state = State.QUEUED if row.state is State.PREPARING else row.state
    observed = 0.0 if row.observed > now else row.observed  # by a clock that was set back since
    price = None if state is State.QUEUED else row.price  # it may have changed since
    after = {"state": state, "run": run, "parked": None, "since": since, "observed": observed, "price": price}
    if any(getattr(row, name) != value for name, value in after.items()):
        row = evolve(row, **after)
    follows = {
        State.QUEUED: Next.CREATE,
        State.CREATING: Next.RECONCILE,
        State.RECONCILING: Next.RECONCILE,
        State.WAITING: Next.WATCH,
        State.FETCHING: Next.FETCH,
    }
    return Step(row=row, next=follows.get(row.state, Next.NOTHING))


def _after_the_end(row: TaskRow, signal: Signal, now: float) -> Step | None:
    """An ended task whose job goes on at the vendor keeps its seat until the vendor's end is seen."""
    match signal:
        case Observed(observation, _, _) if observation.seen.terminal:
            return Step(row=row, closes=row.seat)
        case Unheard(seat):
            return Step(row=row, closes=seat)
        case Reopened(run, True):
            fresh = evolve(anew(row), run=run, failure=None, cost=None, price=None, vendor_says=None, tries=0)
            return Step(row=evolve(fresh, file=None, bytes=None, sha256=None), next=Next.CREATE)
        case Reopened(run) if row.handle is not None:
            again = evolve(row, run=run, state=State.WAITING, outputs=(), observed=0.0, since=now, tries=0)
            return Step(row=again, next=Next.REFRESH)
        case _:
            return None


def last_event(row: TaskRow) -> tuple[EventType, dict[str, Any]]:
    """The event that ended the task, made again from its row, marked ``replayed``."""
    failure = None if row.failure is None else failure_data(row.failure)
    data: dict[str, Any]
    match row.shown:
        case State.SUCCEEDED:
            cost = None if row.cost is None else {"amount": row.cost.amount, "unit": row.cost.unit, "usd": row.cost.usd}
            kind, data = EventType.SUCCEEDED, {"file": row.file, "bytes": row.bytes, "sha256": row.sha256, "cost": cost}
        case State.FAILED:
            kind, data = EventType.FAILED, {"error": failure}
        case State.CANCELLED:
            kind, data = EventType.CANCELLED, {"vendor": row.vendor_says}
        case _:
            kind, data = EventType.PARKED, {"reason": str(row.parked), "error": failure}
    return kind, {**data, "replayed": True}
