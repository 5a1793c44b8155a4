"""What a step does to the charge of its task's attempt, as a pure function."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import frozen

from viseme.attempts import TaskRow
from viseme.engine.lifecycle.signals import (
    Called,
    Intended,
    Observed,
    Proved,
    Refound,
    Reopened,
    Signal,
    Taken,
    Turned,
    Unsettled,
)
from viseme.money import Charge
from viseme.providers.base import Observation, Seen
from viseme.results import ENDED, UNSETTLED, State

__all__ = ["Charged", "charged"]


@frozen(kw_only=True)
class Charged:
    """What becomes of a charge.

    Attributes:
        row: the charge that the task's row shows from now on.
        writes: the charge to be written, if one is.
        ends: the charge that was set aside until now and is settled by ``writes``, or came to nothing without it.
    """

    row: Charge | None
    writes: Charge | None = None
    ends: Charge | None = None


def charged(
    before: TaskRow, signal: Signal, after: TaskRow, *, stages: Sequence[str] = (), free: Collection[str] = ()
) -> Charged | None:
    """What a step does to the charge of the attempt; None where that stays as it is.

    Set aside with the first paid create of an attempt. It comes to nothing where that create was clearly refused or
    proved absent, and where the vendor says of a failed job that it cost nothing. It is spent once the vendor's end of
    the last stage is seen, and lost (``failed``) once the attempt ended otherwise. An unknown fate, a park and a cancel
    whose end is not known leave it set aside.

    Args:
        before: the row before the step.
        after: the row after it.
        stages: of the job, in order.
        free: stages that cost nothing.
    """
    if isinstance(signal, Intended):
        return None if signal.charge is None else Charged(row=signal.charge, writes=signal.charge)
    if isinstance(signal, Reopened) and signal.create:
        return Charged(row=None)
    held = before.charge
    if held is None or held.state != "reserved":
        return None
    paid_before = bool(before.handles) and any(stage not in free for stage in before.handles)
    if isinstance(signal, (Turned, Proved)) and before.state in UNSETTLED and not paid_before:
        return Charged(row=None, ends=held)
    return _ended(before, signal, after, held, stages, paid_before=paid_before)


def _ended(
    before: TaskRow, signal: Signal, after: TaskRow, held: Charge, stages: Sequence[str], *, paid_before: bool
) -> Charged | None:
    """The end of the attempt as the vendor or the user decided it; None while it goes on, or nobody knows."""
    seen = _seen(signal)
    if seen is not None and seen.seen is Seen.FAILED and not _still_waits(after, signal):
        return _failed(held, seen, paid_before=paid_before)
    if seen is not None and seen.seen is Seen.SUCCEEDED and (before.state in ENDED or _is_last(after, stages)):
        return _settled(held, held.settled("spent", seen.cost or before.cost))
    match signal:
        case Unsettled() if after.state is State.FAILED or (after.state is State.QUEUED and not after.handles):
            return _settled(held, held.settled("failed"))
        case Called(answer) if (answer is not None and answer.outcome == "cancelled") or _between(before):
            return _settled(held, held.settled("failed"))
        case _ if after.state is State.SUCCEEDED:
            return _settled(held, held.settled("spent", after.cost))
        case _ if after.state is State.FAILED and before.state is not State.FAILED:
            return _settled(held, held.settled("failed"))
        case _:
            return None


def _settled(held: Charge, charge: Charge) -> Charged:
    return Charged(row=charge, writes=charge, ends=held)


def _failed(held: Charge, seen: Observation, *, paid_before: bool) -> Charged:
    """A failed job is taken to cost what was set aside, unless the vendor says otherwise."""
    if paid_before or seen.cost is None:
        return _settled(held, held.settled("failed"))
    if seen.cost.amount == 0:
        return Charged(row=None, ends=held)
    return _settled(held, held.settled("failed", seen.cost))


def _seen(signal: Signal) -> Observation | None:
    """The look at the vendor that a signal brings."""
    match signal:
        case Observed():
            return signal.observation
        case Taken():
            return signal.accepted.observation
        case Refound():
            return signal.found.observation
        case _:
            return None


def _still_waits(after: TaskRow, signal: Signal) -> bool:
    """Whether the vendor's end, told with an acceptance, was not taken for one."""
    return not isinstance(signal, Observed) and after.state is State.WAITING


def _is_last(after: TaskRow, stages: Sequence[str]) -> bool:
    """Whether the row has come to the end of the job's last stage."""
    return after.state in (State.FETCHING, State.SUCCEEDED) and after.stage in (*stages[-1:], "")


def _between(row: TaskRow) -> bool:
    return row.state is State.QUEUED and bool(row.handles)
