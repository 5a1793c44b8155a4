"""Steps of a task: what follows from a signal, as a value, and the turns that several signals share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from attrs import define, frozen

from viseme.attempts import Intent, Seat, TaskRow
from viseme.events import EventType
from viseme.evolving import evolve
from viseme.failures import Failure, Kind
from viseme.money import Charge
from viseme.results import Reason, State, Timings

__all__ = [
    "ACCOUNT_TROUBLE",
    "BACK_IN_LINE",
    "REFUSED_INPUT",
    "TO_THE_NEXT",
    "Next",
    "Policy",
    "Step",
    "anew",
    "closed_intent",
    "fails",
    "failure_data",
    "goes_on",
    "idle",
    "may_leave",
    "parks",
    "stage_after",
    "to_the_next",
]

BACK_IN_LINE = frozenset({Kind.RATE_LIMITED, Kind.NO_SEAT, Kind.LIMITED, Kind.TRANSIENT})
"""Refusals of a create that decide nothing: the task waits for its turn again."""

ACCOUNT_TROUBLE = {
    Kind.NO_CREDIT: Reason.NO_CREDIT,
    Kind.AUTH: Reason.NEEDS_PERSON,
    Kind.NOT_FOUND: Reason.NEEDS_PERSON,
    Kind.PROTOCOL: Reason.NEEDS_PERSON,
}
"""Refusals of a create that are the account's trouble and not the job's: the job is kept."""

TO_THE_NEXT = frozenset({Kind.NO_CREDIT, Kind.INVALID, Kind.CONTENT_REJECTED, Kind.MEDIA_UNREACHABLE})
"""Refusals of a create after which the job's next account is tried."""
REFUSED_INPUT = TO_THE_NEXT - {Kind.NO_CREDIT}
"""What says of a failed job that its input was refused."""


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


@define
class Step:
    """The row that follows, the events that tell of it, the seat it takes or gives back, and what comes next.

    It is not frozen, as ``advance`` makes it in two parts: what follows, then what that does to the charge. A copy in
    between, and the slower making of what is frozen, cost 4 µs a step.

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


def failure_data(failure: Failure) -> dict[str, Any]:
    """A failure as events carry it."""
    return {"kind": str(failure.kind), "message": failure.message, "code": failure.code}


def fails(row: TaskRow, failure: Failure, now: float) -> Step:
    ended = evolve(row, state=State.FAILED, parked=None, failure=failure, timings=evolve(row.timings, ended=now))
    return Step(row=ended, events=((EventType.FAILED, {"error": failure_data(failure)}),))


def parks(row: TaskRow, reason: Reason, failure: Failure | None) -> Step:
    if row.parked is not None:
        return Step(row=evolve(row, parked=reason, failure=failure or row.failure))
    kept = failure or row.failure
    data = {"reason": str(reason), "error": None if kept is None else failure_data(kept)}
    parked = evolve(row, parked=reason, failure=kept)
    return Step(row=parked, events=((EventType.PARKED, data),), closes=row.seat if idle(row) else None)


def idle(row: TaskRow) -> bool:
    """Whether nothing of the attempt is under way at the vendor: it is between two stages, or done."""
    return row.state is State.FETCHING or (row.state is State.QUEUED and bool(row.handles))


def anew(row: TaskRow) -> TaskRow:
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
        lasted={},
        timings=Timings(queued=row.timings.queued),
    )


def goes_on(row: TaskRow, stage: str) -> Step:
    """The next stage follows, in the seat of the attempt; a row that is parked has nothing under way any more."""
    handles = {**row.handles, row.stage: row.handle or {}}
    row = evolve(row, state=State.QUEUED, stage=stage, handles=handles, handle=None, outputs=(), tries=0)
    return Step(row=row, closes=row.seat) if row.parked else Step(row=row, next=Next.CREATE)


def stage_after(row: TaskRow, policy: Policy) -> str | None:
    """The stage that follows the present one; None if it is the last."""
    position = policy.stages.index(row.stage) if row.stage in policy.stages else len(policy.stages)
    return policy.stages[position + 1] if position + 1 < len(policy.stages) else None


def may_leave(row: TaskRow, policy: Policy) -> bool:
    """Whether a task may go to its next account: nothing of it is under way, or was made, at this one."""
    return bool(policy.others) and row.state is State.QUEUED and not row.handles and not row.parked


def to_the_next(row: TaskRow, policy: Policy, failure: Failure | None) -> Step:
    """The job's next account is tried, as if it were the first."""
    account = policy.others[0]
    moved = evolve(
        anew(row), account=account, leg=row.leg + 1, behind=row.attempt, mode="", price=None, failure=failure
    )
    data = {"attempt": row.attempt + 1, "account": account, "error": None if failure is None else failure_data(failure)}
    return Step(row=moved, events=((EventType.RETRYING, data),), next=Next.CREATE, left=row.account)


def closed_intent(row: TaskRow, now: float) -> Intent | None:
    return None if row.intent is None or row.intent.ended is not None else evolve(row.intent, ended=now)
