"""One try of a task at one account: what is written down before money moves, and what the vendor gave back."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from viseme.failures import Failure
from viseme.jobs import Job
from viseme.money import Charge
from viseme.results import Artifact, Cost, Reason, Result, State, Timings

__all__ = ["Handle", "Intent", "Seat", "TaskRow", "Upload"]

Handle = dict[str, Any]
"""What a vendor gave back for a stage: JSON, opaque to all but its provider; ``id`` is the vendor's id of the job."""


@frozen(kw_only=True, slots=False)
class Intent:
    """The promise to send one paid request, on disk before it leaves.

    Its fields are in a dictionary, as a task's row has them: each is made once and copied twice (1.0 against 1.8 µs).

    Attributes:
        id: names the create; unique for ever.
        attempt: which attempt of the task, from 1.
        stage: the provider's stage.
        key: the idempotency key or client reference that goes with the request.
        at: when the request may first have left, UTC seconds.
        ended: when its reply, or the end of its connection, was seen; None while that is open.
        digest: of the inputs sent, for a vendor that is asked by inputs.
        claim: what this create pays for, where that may be paid for once only over all tasks of the account.
        saved: what the provider wants to find again when it looks for a lost create.
        batch: names the request, where it starts many jobs at once.
    """

    id: str
    task: str
    account: str
    model: str | None
    endpoint: str
    attempt: int
    stage: str
    key: str
    at: float
    ended: float | None = None
    digest: str = ""
    claim: str = ""
    saved: Handle | None = None
    batch: str = ""


@frozen(kw_only=True)
class Seat:
    """The right to have one job under way at a vendor; outlives its task where it must.

    Attributes:
        id: the attempt it belongs to, ``<task>:<attempt>``.
        pool: the accounts that share it.
        until: when it is given up unheard, UTC seconds.
    """

    id: str
    pool: str
    account: str
    task: str
    opened: float
    until: float


@frozen(kw_only=True)
class Upload:
    """A medium that an account's vendor has, by the digest of its content.

    Attributes:
        digest: SHA-256, hexadecimal.
        at: when it was handed over, UTC seconds.
        expires: until when the vendor keeps it, UTC seconds; None where nobody knows.
    """

    account: str
    digest: str
    handle: Handle
    at: float
    expires: float | None = None


@frozen(kw_only=True, slots=False)
class TaskRow:
    """A task as the ledger keeps it; everything that a restart needs.

    Its fields are in a dictionary, since a copy of that is made in a third of the time that 38 slots take.

    Attributes:
        order: position in the ledger, given when the row is added.
        digest: of the job's inputs; equal key and equal digest are the same job.
        run: the run that the task belongs to.
        state: where it stands, never ``parked``: that is said beside it, so a later run knows where to go on.
        parked: why this run is done with it, or None.
        seq: of its last event.
        intent: the create under way or done, None before the first.
        handle: of the present stage; ``handles`` of the stages before it.
        inputs: what the vendor calls the media that were handed over to it, by the job's field.
        began: when the present stage was taken by the vendor, UTC seconds.
        observed: when the newest observation's request was sent, UTC seconds.
        since: when the deadline's clock started, UTC seconds.
        tries: how often its result was fetched in vain.
        preview: path of the preview on disk, for a job that makes one first.
        price: what an attempt costs at most, as far as known.
        mode: ``batch`` for a task that waits to be created together with others.
        leg: which of the job's accounts has it, from 0; ``behind`` how many attempts were made at those before.
        charge: of the present attempt.
        seconds: how long its result is at most, as far as it was measured.
        lasted: how long each stage took at the vendor, as far as its looks tell, seconds.
    """

    id: str
    key: str
    job: Job
    digest: str
    account: str
    run: int = 0
    order: int = 0
    state: State = State.QUEUED
    parked: Reason | None = None
    seq: int = 0
    attempt: int = 0
    stage: str = ""
    intent: Intent | None = None
    handle: Handle | None = None
    handles: dict[str, Handle] = field(factory=dict[str, Handle])
    inputs: dict[str, Handle] = field(factory=dict[str, Handle])
    began: float | None = None
    outputs: tuple[Artifact, ...] = ()
    observed: float = 0.0
    status: str | None = None
    failure: Failure | None = None
    cost: Cost | None = None
    file: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    vendor_says: str | None = None
    since: float | None = None
    tries: int = 0
    mode: str = ""
    leg: int = 0
    behind: int = 0
    preview: str | None = None
    price: Cost | None = None
    charge: Charge | None = None
    seconds: float | None = None
    lasted: dict[str, float] = field(factory=dict[str, float])
    timings: Timings = field(factory=Timings)

    @property
    def seat(self) -> str:
        """The name of the present attempt's seat."""
        return f"{self.id}:{self.attempt}"

    @property
    def vendor_id(self) -> str | None:
        """The vendor's id of the job, where there is one."""
        return None if self.handle is None else str(self.handle.get("id"))

    @property
    def shown(self) -> State:
        """The state as users see it."""
        return State.PARKED if self.parked else self.state

    def result(self) -> Result:
        """The row as the last word of this run."""
        return Result(
            key=self.key,
            task=self.id,
            state=self.shown,
            reason=self.parked,
            account=self.account,
            model=self.intent.model if self.intent else self.job.model,
            handle=self.vendor_id,
            file=self.file if self.state is State.SUCCEEDED else None,
            preview=self.preview,
            bytes=self.bytes,
            sha256=self.sha256,
            error=self.failure,
            cost=self.cost,
            timings=self.timings,
            attempt=self.attempt,
            metadata=dict(self.job.metadata),
        )
