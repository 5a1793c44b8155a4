"""Where a task stands, what came of it, and what it cost."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from attrs import field, frozen

from viseme.failures import Failure

__all__ = ["ENDED", "UNSETTLED", "Artifact", "Cost", "Reason", "Result", "State", "Timings"]


class State(StrEnum):
    """Where a task stands."""

    QUEUED = "queued"
    """Waits for its turn at the account; nothing has been sent."""
    PREPARING = "preparing"
    """Its inputs are on their way to the vendor."""
    CREATING = "creating"
    """The intent is on disk; the paid request is about to leave, or has left."""
    RECONCILING = "reconciling"
    """The create's reply was lost; finding out what became of it."""
    WAITING = "waiting"
    """The vendor has the job."""
    FETCHING = "fetching"
    """The vendor is done; the result is on its way to disk."""
    SUCCEEDED = "succeeded"
    """The file is on disk, complete and checked."""
    FAILED = "failed"
    """It ended without a result."""
    CANCELLED = "cancelled"
    """The user called it off."""
    PARKED = "parked"
    """This run is done with it; a later run, or a person, goes on."""


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
"""The states after which nothing follows."""

UNSETTLED = frozenset({State.CREATING, State.RECONCILING})
"""The states in which the fate of a create is open."""


class Reason(StrEnum):
    """Why a task is parked."""

    FATE_UNKNOWN = "fate_unknown"
    """A create's reply was lost and no rule decides; `viseme reconcile` shows the choices."""
    DEADLINE = "deadline"
    """It took longer than allowed; a later run collects what was paid for."""
    STOPPED = "stopped"
    """The run was stopped; run again to go on."""
    NO_CREDIT = "no_credit"
    """The account has no credit; top it up and run again."""
    BUDGET = "budget"
    """The budget is used up; raise it, or wait for its next period, and run again."""
    NEEDS_PERSON = "needs_person"
    """Someone has to act at the vendor or in the configuration (a refused key, an edited project)."""
    UNCONFIRMED = "unconfirmed"
    """The vendor still shows an old result, or none that can be fetched; the next run looks again."""


@frozen(kw_only=True)
class Artifact:
    """Something to fetch: ``role`` is ``video``, ``preview`` or ``cover``; ``expires_at`` UTC seconds, where known."""

    url: str
    role: str = "video"
    expires_at: float | None = None


@frozen(kw_only=True)
class Cost:
    """What a job cost, in the vendor's unit (``credits``, ``usd``, ``minutes``) and in USD where that is known.

    Attributes:
        estimated: true where the vendor gave no figure and a price table was used.
    """

    amount: float
    unit: str
    usd: float | None = None
    estimated: bool = False


@frozen(kw_only=True, slots=False)
class Timings:
    """When a task passed its stations, in UTC seconds; None where it has not.

    Its fields are in a dictionary, as a task's row has them: they are made once and copied three times.
    """

    queued: float | None = None
    created: float | None = None
    """The vendor accepted the job."""
    started: float | None = None
    """The vendor was first seen working on it."""
    done: float | None = None
    """The vendor was first seen to have finished."""
    ended: float | None = None


@frozen(kw_only=True)
class Result:
    """The last word on a task in this run; one line of ``results.jsonl``.

    Attributes:
        handle: the vendor's id of the job, or None if it has none.
        file: path of the result on disk; ``bytes`` its size, ``sha256`` its digest, hexadecimal.
        preview: path of the preview on disk, for a job that made one first.
        attempt: how many times the job was created, 0 if never.
    """

    key: str
    task: str
    state: State
    account: str
    reason: Reason | None = None
    model: str | None = None
    handle: str | None = None
    file: str | None = None
    preview: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    error: Failure | None = None
    cost: Cost | None = None
    timings: Timings = field(factory=Timings)
    attempt: int = 0
    metadata: dict[str, Any] = field(factory=dict[str, Any])
