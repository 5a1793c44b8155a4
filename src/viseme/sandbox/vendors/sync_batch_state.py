"""One batch at Sync as a function of time, and what an account's bill says of its batches."""

import uuid
from collections.abc import Sequence

import attrs

from ..bill import digest_of
from ..jobs import Job, Phase
from .sync_batch_body import Record
from .sync_body import digestible


@attrs.define(eq=False)
class Batch:
    """One batch. `begin` is when its generations are created, `work` when they are taken up; `stillborn` has none."""

    at: float
    begin: float
    work: float
    total: int
    origin: str
    webhook: str | None
    stillborn: bool = False
    jobs: dict[str, Job] = attrs.field(factory=dict[str, Job])
    id: str = attrs.field(factory=lambda: f"batch_{uuid.uuid4().hex}")
    token: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    link_serial: int = 0

    def count(self, phase: Phase, now: float) -> int:
        """How many of its generations are in a phase."""
        return sum(job.phase(now) is phase for job in self.jobs.values())

    def end(self) -> float | None:
        """When it ends, once that is known."""
        ends = [job.ended_at for job in self.jobs.values()]
        known = [end for end in ends if end is not None]
        return max([self.begin, *known]) if len(known) == len(ends) else None

    def ended(self, now: float) -> bool:
        """Whether all of it is over."""
        end = self.end()
        return end is not None and now >= end

    def status(self, now: float) -> str:
        """Its status, in the vendor's words."""
        if now < self.begin:
            return "PENDING"
        if self.ended(now):
            return "COMPLETED" if self.count(Phase.DONE, now) else "FAILED"
        return "JOBS_CREATED" if now < self.work else "PROCESSING"


@attrs.define
class Tally:
    """What an account's bill says of its batches: `duplicates` are those whose records all equal an earlier one's."""

    creates: int = 0
    records: int = 0
    duplicates: int = 0
    peak: int = 0
    refused: int = 0
    _known: set[str] = attrs.field(factory=set[str], repr=False)

    def book(self, records: Sequence[Record]) -> None:
        """Counts a batch."""
        digest = digest_of([digestible(record.payload) for record in records])
        self.creates, self.records = self.creates + 1, self.records + len(records)
        self.duplicates += digest in self._known
        self._known.add(digest)
