"""What can happen to a task, as values; :func:`viseme.engine.lifecycle.advance.advance` says what follows."""

from __future__ import annotations

from attrs import field, frozen

from viseme.attempts import Handle, Intent, Seat
from viseme.failures import Failure
from viseme.money import Charge
from viseme.providers.base import Accepted, Answer, Found, Observation, Verdict
from viseme.results import Reason

__all__ = [
    "Called",
    "Fetched",
    "Intended",
    "Lost",
    "Observed",
    "Parks",
    "Prepared",
    "Prepares",
    "Proved",
    "Reconciles",
    "Refound",
    "Reopened",
    "Resent",
    "Resumed",
    "Signal",
    "Singly",
    "Taken",
    "Turned",
    "Unfetched",
    "Unheard",
    "Unsettled",
]


@frozen
class Prepares:
    """The task's media are about to be handed over to the vendor."""


@frozen
class Prepared:
    """The vendor has the task's media; ``inputs`` is what it calls them, by the job's field."""

    inputs: dict[str, Handle]


@frozen
class Singly:
    """The task is not created together with others after all."""


@frozen
class Intended:
    """A paid request is about to leave; ``seat`` is None for a member of a batch, which needs none."""

    intent: Intent
    seat: Seat | None
    charge: Charge | None = None
    """What is set aside for the attempt; None where that was done before."""


@frozen
class Taken:
    """The vendor took the job; ``free`` names the stage where it is one that costs nothing, and so had no intent."""

    accepted: Accepted
    free: str | None = None


@frozen
class Turned:
    """The vendor clearly refused the create, or it never left."""

    verdict: Verdict
    keep_waiting: bool = False
    """Whether the job stays in line while its account is in trouble, instead of being parked."""


@frozen
class Lost:
    """The create's reply was lost; ``verdict`` tells how."""

    verdict: Verdict


@frozen
class Reconciles:
    """The vendor is about to be asked what became of a lost create; ``method`` is ``replay`` or ``lookup``."""

    method: str


@frozen
class Resent:
    """The lost create is sent once more under its key, or that came to nothing: each sending counts in the rates.

    ``seat`` is taken anew where the attempt's own was given up.
    """

    intent: Intent
    seat: Seat | None = None


@frozen
class Unheard:
    """Nothing was heard of an attempt's job for the whole life of its ``seat``, which is given up."""

    seat: str


@frozen
class Refound:
    """The lost create turned out to have been carried out."""

    found: Found


@frozen
class Proved:
    """The lost create turned out not to have been carried out."""


@frozen
class Unsettled:
    """Nothing tells what became of the lost create; ``order`` is what a person decided, if one did."""

    message: str
    order: str | None = None


@frozen
class Observed:
    """The vendor was looked at; ``stage`` and ``attempt`` are those whose job was, None for the present ones."""

    observation: Observation
    stage: str | None = None
    attempt: int | None = None


@frozen
class Fetched:
    """The result is on disk."""

    file: str
    bytes: int
    sha256: str


@frozen
class Unfetched:
    """The result could not be fetched; ``refresh`` if another link may help.

    Attributes:
        tried: the download began; else the link's time ran out in the queue, which is not counted as a try.
    """

    failure: Failure
    refresh: bool = field(default=False)
    tried: bool = field(default=True)


@frozen
class Called:
    """The user called the task off; ``answer`` is what the vendor said, None if it was never asked."""

    answer: Answer | None


@frozen
class Parks:
    """This run is done with the task."""

    reason: Reason
    failure: Failure | None = None


@frozen
class Resumed:
    """A run takes the task up again."""

    run: int


@frozen
class Reopened:
    """The user wants an ended task again: ``fetch`` its file once more, or ``create`` (and pay for) it anew."""

    run: int
    create: bool = False


Signal = (
    Prepares
    | Prepared
    | Intended
    | Taken
    | Turned
    | Lost
    | Reconciles
    | Resent
    | Refound
    | Proved
    | Unsettled
    | Observed
    | Fetched
    | Unfetched
    | Called
    | Parks
    | Resumed
    | Reopened
    | Singly
    | Unheard
)
