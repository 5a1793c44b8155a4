"""What a vendor's answers mean: refusals and faults judged, jobs seen, lost creates found or not."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from attrs import field, frozen

from viseme.attempts import Handle, Intent
from viseme.errors import VisemeError
from viseme.failures import Failure, Kind
from viseme.jobs import Job
from viseme.results import Artifact, Cost, Reason
from viseme.wording import one_line, quote

__all__ = [
    "Absent",
    "Accepted",
    "Answer",
    "Blame",
    "Finding",
    "Found",
    "Member",
    "Observation",
    "Refused",
    "Seen",
    "Undecided",
    "Uploaded",
    "Verdict",
    "failure_of",
    "of_another",
    "without_link",
]

Blame = Literal["job", "account", "vendor", "network"]


@frozen(kw_only=True)
class Verdict:
    """What a refusal or a fault means.

    Attributes:
        message: one sentence for people, the vendor's words quoted.
        code: the vendor's own code.
        retry_after: seconds that the vendor asks to wait.
        blame: whose fault it is: the ``job``'s, the ``account``'s, the ``vendor``'s or the ``network``'s.
        charged: whether a charge is likely all the same.
        handle: the job that the vendor names in its refusal, if it does.
        limit: the limit that the vendor names (jobs under way), if it does.
        line: which of the members of a batch is to blame, from 1, if the vendor says.
        park: of a create: its job alone is kept for a later run, for this reason, and the account goes on.
    """

    kind: Kind
    message: str = field(converter=one_line)
    code: str | None = None
    retry_after: float | None = None
    blame: Blame = "vendor"
    charged: bool = False
    handle: Handle | None = None
    limit: int | None = None
    line: int | None = None
    park: Reason | None = None


def failure_of(verdict: Verdict) -> Failure:
    """A verdict as the task that it ends or parks carries it."""
    return Failure(kind=verdict.kind, message=verdict.message, code=verdict.code)


class Refused(VisemeError):
    """Thrown into a flow at a request that was refused for good.

    Attributes:
        verdict: what the refusal means.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


def of_another(name: str, found: str | None, vendor: str) -> None:
    """Take nothing from a look that shows another job than it was asked for; one that names none is believed.

    Raises:
        Refused: it does, in passing: some cache has mixed the two up.
    """
    if found is not None and found != name:
        message = f"{vendor} was asked for the job {quote(name)} and showed {quote(found)}"
        raise Refused(Verdict(kind=Kind.TRANSIENT, message=message))


class Seen(StrEnum):
    """What a look at a stage showed. Statuses that nobody knows count as running: alive until the deadline."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        return self in _ENDS


_ENDS = frozenset({Seen.SUCCEEDED, Seen.FAILED})


@frozen(kw_only=True, slots=False)  # such are made in half the time, and each look makes one
class Observation:
    """One look at a stage.

    Attributes:
        status: the vendor's own word.
        progress: 0 to 100, where the vendor tells.
        outputs: what there is to fetch, once it succeeded.
        verdict: why it failed, once it did. Of a job that is still running: what makes no sense about it (see
            ``without_link``); where that stays so, the task is parked as unconfirmed.
        hint: seconds until another look is worth it, by the vendor's word.
        handle: the stage's handle from now on, where the look taught something that has to be kept.
        park: why this run can do no more for the stage (``verdict`` says it in words); a later run looks again. Its
            seat is given back: as far as can be seen, nothing is under way at the vendor.
        at: when the look's request was sent, UTC seconds; the engine fills it in.
    """

    seen: Seen
    status: str = field(converter=quote)
    progress: float | None = None
    queue_position: int | None = None
    outputs: tuple[Artifact, ...] = ()
    verdict: Verdict | None = None
    cost: Cost | None = None
    hint: float | None = None
    handle: Handle | None = None
    park: Reason | None = None
    at: float = 0.0


@frozen(kw_only=True)
class Accepted:
    """The vendor took the job. ``observation`` is what its reply already told of it."""

    handle: Handle
    observation: Observation | None = None


@frozen(kw_only=True)
class Member:
    """One job of a batch; ``handles`` as for a create of its own."""

    job: Job
    intent: Intent
    handles: Mapping[str, Handle]


@frozen(kw_only=True)
class Uploaded:
    """A medium was handed over. ``handle`` is what the vendor calls it; ``create`` gets it under the job's field.

    Attributes:
        lifetime: seconds for which the vendor keeps it, None for as long as nobody knows better; 0 for one that stands
            for this job only.
    """

    handle: Handle
    lifetime: float | None = None


@frozen(kw_only=True)
class Found:
    """The lost create was carried out; ``created`` in UTC seconds where the vendor tells.

    Attributes:
        by_inputs: it was found by its inputs alone, which another create may share; ``created`` is needed then.
    """

    handle: Handle
    created: float | None = None
    observation: Observation | None = None
    by_inputs: bool = False


@frozen(kw_only=True)
class Absent:
    """The lost create was not carried out. Only a lookup that is declared complete may say so."""


@frozen(kw_only=True)
class Undecided:
    """Nothing was found, and that proves nothing; ``again`` tells whether asking again soon may help."""

    message: str = field(converter=one_line)
    again: bool = True


Finding = Found | Absent | Undecided


@frozen(kw_only=True)
class Answer:
    """What a vendor said of a cancel: ``cancelled``, ``requested``, ``too_late`` or ``unsupported``."""

    outcome: Literal["cancelled", "requested", "too_late", "unsupported"]
    message: str = field(default="", converter=one_line)


def without_link(vendor: str, status: str, link: object) -> Verdict:
    """What makes no sense about a job that is called done: nothing can be fetched. The link may yet come."""
    shown = "gives no link to its result" if link in (None, "") else f"its link to the result is none: {quote(link)}"
    return Verdict(
        kind=Kind.PROTOCOL,
        message=f"{vendor} calls the job {quote(status)} and {shown}; it is paid for and not created again; run again"
        " to look once more",
        charged=True,
    )
