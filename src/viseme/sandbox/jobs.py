"""The life of a job at a vendor: queued, running, ended; a function of time once its inputs are measured."""

import uuid
from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs

from .blob import Blob
from .studio import Rendered


class Phase(Enum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Nothing more will happen."""
        return self in (Phase.DONE, Phase.FAILED)


@attrs.frozen
class Failure:
    """Why a job failed, in the vendor's words; `status` where a vendor has several words for failed."""

    code: str
    message: str
    status: str | None = None


@attrs.frozen(kw_only=True)
class Pace:
    """How long a vendor takes, in vendor seconds: a queue, then a fixed part and one that grows with the output."""

    queue: float
    fixed: float = 0.0
    per_second: float = 0.0

    def end(self, at: float, output_seconds: float) -> float:
        """When a job booked at `at` is done."""
        return at + self.queue + self.fixed + self.per_second * output_seconds


@attrs.define(kw_only=True, eq=False)
class Job:
    """One booked job. `inputs` are its normalised inputs, `body` what the vendor echoes, `at` the booking time."""

    id: str
    vendor: str
    account: str
    at: float
    inputs: Mapping[str, Any]
    pace: Pace
    body: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    reference: str | None = None
    token: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    deleted: bool = False
    origin: str = ""
    doom: Failure | None = None
    failure: Failure | None = None
    film: Rendered | None = attrs.field(default=None, repr=False)
    ended_at: float | None = None
    cost: float = 0.0
    edition: int = 1
    link_serial: int = 0
    link_until: float | None = None
    received: int = 0
    deliveries: int = 0
    _blob: tuple[int, Blob] | None = attrs.field(default=None, repr=False)

    def phase(self, now: float) -> Phase:
        """Where the job stands at a vendor second."""
        if self.ended_at is not None and now >= self.ended_at:
            return Phase.FAILED if self.failure else Phase.DONE
        return Phase.QUEUED if now < self.at + self.pace.queue else Phase.RUNNING

    def progress(self, now: float) -> float:
        """How much of the processing is done, 0 to 1."""
        begin = self.at + self.pace.queue
        if self.ended_at is None or self.ended_at <= begin:
            return 1.0 if self.phase(now).ended else 0.0
        return min(1.0, max(0.0, (now - begin) / (self.ended_at - begin)))

    @property
    def blob(self) -> Blob:
        """This job's own copy of the film."""
        if self.film is None:
            raise LookupError(f"job {self.id} has no film")
        if self._blob is None or self._blob[0] != self.edition:
            self._blob = (self.edition, self.film.edition.copy_for(f"{self.vendor} {self.id} {self.edition}"))
        return self._blob[1]

    def deliver(self, start: int, end: int) -> bool:
        """Notes that bytes left; True when with these the whole result has left for the first time since the last."""
        if start <= self.received < end:
            self.received = end
        if self.received < self.blob.size:
            return False
        self.received = 0
        self.deliveries += 1
        return True
