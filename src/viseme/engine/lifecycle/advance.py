"""The life of a task, as a pure function: a row and what happened give the row that follows, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from attrs import evolve, frozen

from viseme.attempts import Handle, Intent, Seat, TaskRow
from viseme.engine.lifecycle.charging import charged
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
    Unsettled,
)
from viseme.errors import Failure, Kind
from viseme.events import EventType
from viseme.money import Charge
from viseme.providers.base import Answer, Observation, Seen, Verdict
from viseme.results import ENDED, Reason, State, Timings

__all__ = ["ACCOUNT_TROUBLE", "BACK_IN_LINE", "Next", "Policy", "Step", "advance", "failure_data", "last_event"]

BACK_IN_LINE = frozenset({Kind.RATE_LIMITED, Kind.NO_SEAT, Kind.LIMITED, Kind.TRANSIENT})
"""Refusals of a create that decide nothing: the task waits for its turn again."""

ACCOUNT_TROUBLE = {
    Kind.NO_CREDIT: Reason.NO_CREDIT,
    Kind.AUTH: Reason.NEEDS_PERSON,
    Kind.NOT_FOUND: Reason.NEEDS_PERSON,
    Kind.PROTOCOL: Reason.NEEDS_PERSON,
}
"""Refusals of a create that are the account's trouble and not the job's: the job is kept."""

_TO_THE_NEXT = frozenset({Kind.NO_CREDIT, Kind.INVALID, Kind.CONTENT_REJECTED, Kind.MEDIA_UNREACHABLE})
"""Refusals of a create after which the job's next account is tried."""
_REFUSED_INPUT = _TO_THE_NEXT - {Kind.NO_CREDIT}

_MAX_REFETCH = 3


class Next(Enum):
    """What the engine does with a task after a step."""

    NOTHING = auto()
    CREATE = auto()
    RECONCILE = auto()
    WATCH = auto()
    KEEP = auto()
    """It is looked at already, and goes on so."""
    REFRESH = auto()
    FETCH = auto()


@frozen(kw_only=True)
class Policy:
    """What the user allows: how many attempts, paying again, what to do about a fate that stays unknown.

    Attributes:
        others: the accounts that are tried after the present one, in order.
        free: stages that cost nothing.
    """

    attempts: int = 1
    others: tuple[str, ...] = ()
    pay_again: bool = False
    on_unknown_fate: str = "ask"
    stages: tuple[str, ...] = ("lipsync",)
    free: frozenset[str] = frozenset()


@frozen(kw_only=True)
class Step:
    """The row that follows, the events that tell of it, the seat it takes or gives back, and what comes next.

    Attributes:
        left: the account that the task was at, where it goes on at another one.
        charge: to be written.
        ends: what was set aside until now; ``charge`` settles it, or it came to nothing.
    """

    row: TaskRow
    events: tuple[tuple[EventType, Mapping[str, Any]], ...] = ()
    intent: Intent | None = None
    opens: Seat | None = None
    closes: str | None = None
    next: Next = Next.NOTHING
    left: str | None = None
    charge: Charge | None = None
    ends: Charge | None = None


_OPEN = frozenset(State) - ENDED
_UNSETTLED = frozenset({State.CREATING, State.RECONCILING})
_BEFORE = _UNSETTLED | {State.QUEUED, State.PREPARING}
_BELONGS: Mapping[type, frozenset[State]] = {
    Prepares: frozenset({State.QUEUED}),
    Prepared: frozenset({State.QUEUED, State.PREPARING}),
    Intended: _BEFORE,
    Taken: _BEFORE,
    Turned: _BEFORE,
    Singly: _BEFORE,
    Lost: _UNSETTLED,
    Reconciles: frozenset({State.RECONCILING}),
    Resent: frozenset({State.RECONCILING}),
    Refound: frozenset({State.RECONCILING}),
    Proved: frozenset({State.RECONCILING}),
    Unsettled: _UNSETTLED,
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
    """
    step = _follows(row, signal, policy, now)
    if step is None:
        return None
    money = charged(row, signal, step.row, stages=policy.stages, free=policy.free)
    if money.row is step.row.charge and money.writes is None and money.ends is None:
        return step
    return evolve(step, row=evolve(step.row, charge=money.row), charge=money.writes, ends=money.ends)


def _follows(row: TaskRow, signal: Signal, policy: Policy, now: float) -> Step | None:
    if row.state in ENDED:
        return _after_the_end(row, signal, now)
    if row.state not in _BELONGS.get(type(signal), _OPEN):
        return None
    match signal:
        case Prepares():
            told = (EventType.PREPARING, {"account": row.account})
            return Step(row=evolve(row, state=State.PREPARING), events=(told,))
        case Prepared(inputs):
            return Step(row=evolve(row, state=State.QUEUED, inputs=inputs, failure=None))
        case Intended(intent, seat, _):
            return _intended(row, intent, seat)
        case Taken(accepted, free):
            entered = row if free is None else _entered(row, free)
            return _taken(entered, accepted.handle, accepted.observation, policy, now, free=free is not None)
        case Refound(found):
            return _taken(row, found.handle, found.observation, policy, now)
        case Turned():
            return _turned(row, signal, policy, now)
        case Lost(verdict):
            return _lost(row, verdict, now)
        case Reconciles(method):
            told = (EventType.RECONCILING, {"method": method})
            return Step(row=evolve(row, state=State.RECONCILING), events=(told,))
        case Resent(intent):
            return Step(row=evolve(row, intent=intent), intent=intent)
        case Proved():
            back = evolve(row, state=State.QUEUED, attempt=_before_this_create(row), failure=None)
            return Step(row=back, closes=None if row.handles else row.seat, next=Next.CREATE)
        case Unsettled():
            closed = _closed(row, now)
            return evolve(_unsettled(evolve(row, intent=closed or row.intent), signal, policy, now), intent=closed)
        case Observed(observation):
            return _observed(row, observation, policy, now)
        case Fetched():
            return _fetched(row, signal, policy, now)
        case Unfetched():
            return _unfetched(row, signal)
        case Called(answer):
            return _called(row, answer, now)
        case Parks(Reason.NO_CREDIT, failure) if _may_leave(row, policy):
            return _to_the_next(row, policy, failure or row.failure)
        case Parks(reason, failure):
            return _parks(row, reason, failure)
        case Resumed(run):
            return _resumed(row, run, now)
        case Reopened():
            return None
        case Singly():
            closed = _closed(row, now)
            alone = evolve(row, mode="", state=State.QUEUED, attempt=_before_this_create(row))
            return Step(row=evolve(alone, intent=closed or row.intent), intent=closed, next=Next.CREATE)


def failure_data(failure: Failure) -> dict[str, Any]:
    """A failure as events carry it."""
    return {"kind": str(failure.kind), "message": failure.message, "code": failure.code}


def _failure(verdict: Verdict) -> Failure:
    return Failure(kind=verdict.kind, message=verdict.message, code=verdict.code)


def _intended(row: TaskRow, intent: Intent, seat: Seat | None) -> Step:
    data = {"account": intent.account, "attempt": intent.attempt, "stage": intent.stage}
    return Step(
        row=evolve(row, state=State.CREATING, attempt=intent.attempt, stage=intent.stage, intent=intent, failure=None),
        events=((EventType.CREATING, data),),
        intent=intent,
        opens=seat,
    )


def _closed(row: TaskRow, now: float) -> Intent | None:
    return None if row.intent is None or row.intent.ended is not None else evolve(row.intent, ended=now)


def _entered(row: TaskRow, stage: str) -> TaskRow:
    """The row at a stage without an intent; the first stage of all begins the attempt."""
    return evolve(row, stage=stage, attempt=row.attempt if row.handles else row.attempt + 1)


def _taken(
    row: TaskRow, handle: Handle, seen: Observation | None, policy: Policy, now: float, *, free: bool = False
) -> Step:
    intent = None if free else _closed(row, now)
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
        step = _observed(taken, seen, policy, now)
        if step is not None:
            return evolve(step, intent=step.intent or intent, events=(created, *step.events))
    return Step(row=taken, events=(created,), intent=intent, next=Next.WATCH)


def _turned(row: TaskRow, signal: Turned, policy: Policy, now: float) -> Step:
    verdict, intent = signal.verdict, _closed(row, now)
    failure, seat = _failure(verdict), _seat_of_this_create(row)
    back = evolve(
        row, state=State.QUEUED, intent=intent or row.intent, failure=failure, attempt=_before_this_create(row)
    )
    if verdict.park is not None:
        return evolve(_parks(back, verdict.park, failure), intent=intent, closes=seat)
    if verdict.kind in BACK_IN_LINE:
        kind = EventType.RETRYING if verdict.kind is Kind.TRANSIENT else EventType.THROTTLED
        data = {"account": row.account, "gate": _gate(verdict.kind), "message": verdict.message, "until": None}
        over = None if row.handles else seat  # between its stages a job keeps its seat
        return Step(row=back, events=((kind, data),), intent=intent, closes=over, next=Next.CREATE)
    if verdict.kind in _TO_THE_NEXT and policy.others and not row.handles and not row.parked:
        return evolve(_to_the_next(back, policy, failure), intent=intent, closes=seat)
    reason = ACCOUNT_TROUBLE.get(verdict.kind)
    if reason is None:
        return evolve(_fails(evolve(row, intent=intent or row.intent), failure, now), intent=intent, closes=seat)
    if signal.keep_waiting:
        return Step(row=back, intent=intent, closes=seat, next=Next.CREATE)
    return evolve(_parks(back, reason, failure), intent=intent, closes=seat)


def _may_leave(row: TaskRow, policy: Policy) -> bool:
    """Whether a task may go to its next account: nothing of it is under way, or was made, at this one."""
    return bool(policy.others) and row.state is State.QUEUED and not row.handles and not row.parked


def _to_the_next(row: TaskRow, policy: Policy, failure: Failure | None) -> Step:
    """The job's next account is tried, as if it were the first."""
    account = policy.others[0]
    moved = evolve(
        _anew(row), account=account, leg=row.leg + 1, behind=row.attempt, mode="", price=None, failure=failure
    )
    data = {"attempt": row.attempt + 1, "account": account, "error": None if failure is None else failure_data(failure)}
    return Step(row=moved, events=((EventType.RETRYING, data),), next=Next.CREATE, left=row.account)


def _seat_of_this_create(row: TaskRow) -> str | None:
    """The seat that comes free when the create under way, or about to be, comes to nothing.

    Before an attempt's first create that is none: the row still names the attempt before, whose job may run on.
    """
    return row.seat if row.state in _UNSETTLED or row.handles else None


def _before_this_create(row: TaskRow) -> int:
    """How many attempts there were before the create that came to nothing; a later stage's is no new attempt."""
    return row.attempt - 1 if row.state in _UNSETTLED and not row.handles else row.attempt


def _gate(kind: Kind) -> str:
    return {Kind.RATE_LIMITED: "rate", Kind.NO_SEAT: "seat", Kind.LIMITED: "limit"}.get(kind, "network")


def _lost(row: TaskRow, verdict: Verdict, now: float) -> Step:
    intent, failure = _closed(row, now), _failure(verdict)
    return Step(
        row=evolve(row, state=State.RECONCILING, intent=intent or row.intent, failure=failure),
        events=((EventType.FATE_UNKNOWN, {"account": row.account, "error": failure_data(failure)}),),
        intent=intent,
        next=Next.RECONCILE,
    )


def _unsettled(row: TaskRow, signal: Unsettled, policy: Policy, now: float) -> Step:
    failure = Failure(kind=Kind.FATE_UNKNOWN, message=signal.message, code=row.failure.code if row.failure else None)
    choice = signal.order or policy.on_unknown_fate
    if choice == "resubmit":
        told = (EventType.RECONCILING, {"method": "resubmit", "by": "order" if signal.order else "on_unknown_fate"})
        row = evolve(row, state=State.QUEUED, parked=None, handle=None)
        return Step(row=row, events=(told,), next=Next.CREATE)
    if choice in ("fail", "abandon"):
        return _fails(row, failure, now)
    return _parks(row, Reason.FATE_UNKNOWN, failure)


def _observed(row: TaskRow, seen: Observation, policy: Policy, now: float) -> Step | None:
    if row.state is not State.WAITING or (seen.at and seen.at <= row.observed):
        return None
    started = row.timings.started or (None if seen.seen is Seen.QUEUED or not row.timings.created else now)
    row = evolve(
        row,
        observed=seen.at,
        status=seen.status,
        handle=seen.handle or row.handle,
        cost=seen.cost or row.cost,
        timings=evolve(row.timings, started=started),
    )
    if seen.seen is Seen.SUCCEEDED:
        return _done(row, seen, policy, now)
    if seen.seen is Seen.FAILED:
        return _vendor_failed(row, seen, policy, now)
    if seen.park is not None and not row.parked:
        failure = None if seen.verdict is None else _failure(seen.verdict)
        return evolve(_parks(row, seen.park, failure), closes=row.seat if seen.park is Reason.NEEDS_PERSON else None)
    return Step(row=row, next=Next.NOTHING if row.parked else Next.KEEP)


def _stage_after(row: TaskRow, policy: Policy) -> str | None:
    """The stage that follows the present one; None if it is the last."""
    position = policy.stages.index(row.stage) if row.stage in policy.stages else len(policy.stages)
    return policy.stages[position + 1] if position + 1 < len(policy.stages) else None


def _goes_on(row: TaskRow, stage: str) -> Step:
    """The next stage follows, in the seat of the attempt; a row that is parked has nothing under way any more."""
    handles = {**row.handles, row.stage: row.handle or {}}
    row = evolve(row, state=State.QUEUED, stage=stage, handles=handles, handle=None, outputs=(), tries=0)
    return Step(row=row, closes=row.seat) if row.parked else Step(row=row, next=Next.CREATE)


def _done(row: TaskRow, seen: Observation, policy: Policy, now: float) -> Step:
    after = _stage_after(row, policy)
    if after is not None and not seen.outputs:
        return _goes_on(row, after)
    timings = row.timings if after is not None else evolve(row.timings, done=row.timings.done or now)
    row = evolve(row, state=State.FETCHING, outputs=seen.outputs, timings=timings)
    if row.parked:
        return Step(row=row, closes=row.seat)
    over = row.seat if after is None else None
    return Step(row=row, events=((EventType.FETCHING, {"handle": row.vendor_id}),), closes=over, next=Next.FETCH)


def _vendor_failed(row: TaskRow, seen: Observation, policy: Policy, now: float) -> Step:
    if row.parked:  # told by the run that takes the task up again, which looks at once
        return Step(row=row, closes=row.seat)
    verdict = seen.verdict or Verdict(kind=Kind.JOB_FAILED, message="the vendor failed the job without saying why")
    failure = _failure(verdict)
    free = policy.pay_again or not verdict.charged
    again = verdict.blame == "vendor" and free and row.file is None
    if row.attempt - row.behind < policy.attempts and again:
        told = (EventType.RETRYING, {"attempt": row.attempt + 1, "error": failure_data(failure)})
        return Step(row=evolve(_anew(row), failure=failure), events=(told,), closes=row.seat, next=Next.CREATE)
    if policy.others and row.file is None and (again or (free and verdict.kind in _REFUSED_INPUT)):
        return evolve(_to_the_next(row, policy, failure), closes=row.seat)
    return evolve(_fails(row, failure, now), closes=row.seat)


def _anew(row: TaskRow) -> TaskRow:
    """The row before a further attempt: nothing is left of the one before but its number."""
    return evolve(
        row,
        state=State.QUEUED,
        stage="",
        handle=None,
        handles={},
        inputs={},
        outputs=(),
        observed=0.0,
        status=None,
        since=None,
        began=None,
        preview=None,
        timings=Timings(queued=row.timings.queued),
    )


def _fails(row: TaskRow, failure: Failure, now: float) -> Step:
    ended = evolve(row, state=State.FAILED, parked=None, failure=failure, timings=evolve(row.timings, ended=now))
    return Step(row=ended, events=((EventType.FAILED, {"error": failure_data(failure)}),))


def _fetched(row: TaskRow, signal: Fetched, policy: Policy, now: float) -> Step:
    after = _stage_after(row, policy)
    if after is not None:
        return _goes_on(evolve(row, preview=signal.file), after)
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
    return Step(row=ended, events=((EventType.SUCCEEDED, data),))


def _unfetched(row: TaskRow, signal: Unfetched) -> Step:
    if signal.refresh and row.tries < _MAX_REFETCH:
        told = (EventType.RETRYING, {"attempt": row.attempt, "error": failure_data(signal.failure)})
        again = evolve(row, state=State.WAITING, outputs=(), tries=row.tries + 1, observed=0.0)
        return Step(row=again, events=(told,), next=Next.REFRESH)
    return _parks(evolve(row, tries=0), Reason.NEEDS_PERSON, signal.failure)


def _called(row: TaskRow, answer: Answer | None, now: float) -> Step:
    says = None if answer is None else (answer.message or answer.outcome)
    if answer is not None and answer.outcome == "cancelled":
        over: str | None = row.seat
    else:
        over = row.seat if _idle(row) else None
    intent = _closed(row, now)
    ended = evolve(row, state=State.CANCELLED, parked=None, vendor_says=says, intent=intent or row.intent)
    ended = evolve(ended, timings=evolve(row.timings, ended=now))
    return Step(row=ended, events=((EventType.CANCELLED, {"vendor": says}),), intent=intent, closes=over)


def _parks(row: TaskRow, reason: Reason, failure: Failure | None) -> Step:
    if row.parked is not None:
        return Step(row=evolve(row, parked=reason, failure=failure or row.failure))
    kept = failure or row.failure
    data = {"reason": str(reason), "error": None if kept is None else failure_data(kept)}
    parked = evolve(row, parked=reason, failure=kept)
    return Step(row=parked, events=((EventType.PARKED, data),), closes=row.seat if _idle(row) else None)


def _idle(row: TaskRow) -> bool:
    """Whether nothing of the attempt is under way at the vendor: it is between two stages, or done."""
    return row.state is State.FETCHING or (row.state is State.QUEUED and bool(row.handles))


def _resumed(row: TaskRow, run: int, now: float) -> Step:
    since = now if row.parked is Reason.DEADLINE else row.since
    if row.parked is Reason.NO_CREDIT and row.leg and row.state is State.QUEUED and not row.handles:
        first = evolve(_anew(row), account=row.job.route[0], leg=0, behind=row.attempt, price=None)
        return Step(row=evolve(first, run=run, parked=None), next=Next.CREATE, left=row.account)
    state = State.QUEUED if row.state is State.PREPARING else row.state
    observed = 0.0 if row.state is State.WAITING else row.observed
    row = evolve(row, state=state, run=run, parked=None, since=since, observed=observed)
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
        case Observed(observation) if observation.seen.terminal:
            return Step(row=row, closes=row.seat)
        case Reopened(run, True):
            fresh = evolve(_anew(row), run=run, failure=None, cost=None, vendor_says=None, tries=0)
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
