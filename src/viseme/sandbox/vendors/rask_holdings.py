"""What one account has at Rask: media, projects, transcripts; and what it was sold beside the lip-syncs."""

import math
import uuid
from collections.abc import Mapping
from typing import Any

import attrs

from ..bill import digest_of
from ..jobs import Job, Phase
from ..limits import Seats
from ..media import Kind, MediaFault
from ..probing import Probe
from ..studio import Link
from .rask_dub import DONE, Cycle
from .rask_segments import Segment


def minutes_of(seconds: float) -> int:
    """What a length is charged: begun minutes, at least one."""
    return max(1, math.ceil(round(seconds / 60, 6)))


@attrs.define(kw_only=True, eq=False)
class Media:
    """A file in the library. `identity` tells what it is: the link as given, or the digest of what was uploaded."""

    name: str
    at: float
    url: str
    origin: str
    owner: str
    identity: str
    local: bool
    mime: str | None
    kind: Kind | None = None
    probe: Probe | None = None
    fault: MediaFault | None = None
    settled_at: float | None = None
    preview: "Media | None" = None
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))

    @property
    def source(self) -> Link:
        """The file, for the studio."""
        return Link(self.url)

    def status(self, now: float) -> str:
        """Where it stands: `processing`, `ready`, `failed`."""
        if self.settled_at is None or now < self.settled_at:
            return "processing"
        return "failed" if self.fault is not None else "ready"

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.probe.seconds if self.probe is not None else 0.0


@attrs.frozen
class FaceCheck:
    """The search for a face: when it begins, when it ends, what it finds (`found`, `none`, `failed`)."""

    at: float
    until: float
    result: str

    def told(self, now: float) -> tuple[str | None, bool | None]:
        """The status of the task, and whether there is a face."""
        if now < self.at:
            return None, None
        if now < self.until:
            return "started", None
        return ("failed", None) if self.result == "failed" else ("done", self.result == "found")


@attrs.frozen(kw_only=True)
class Run:
    """One lip-sync: of which version of the dub, in which mode (`full`, `preview`), hidden behind the one before."""

    job: Job
    edition: int
    mode: str
    stale_until: float


@attrs.define(kw_only=True, eq=False)
class Project:
    """A video that is dubbed into one language, and lip-synced."""

    id: str
    name: str
    at: float
    media: Media
    dst_lang: str
    src_lang: str | None = None
    num_speakers: int | None = None
    transcript_id: str | None = None
    glossary_id: str | None = None
    segments: list[Segment] = attrs.field(factory=list[Segment])
    voice: dict[str, Any] = attrs.field(factory=dict[str, Any])
    cycles: list[Cycle] = attrs.field(factory=list[Cycle])
    edited: tuple[str, float] | None = None
    face: FaceCheck | None = None
    runs: list[Run] = attrs.field(factory=list[Run])
    paid: bool = False

    @property
    def latest(self) -> Cycle:
        """The newest dub, done or not."""
        return self.cycles[-1]

    def status(self, now: float) -> tuple[str, float]:
        """The status that is in sight, and since when."""
        if len(self.cycles) > 1 and now < self.latest.stale_until:
            dub = self.dub(now)
            return (DONE, dub.job.ended_at or 0.0) if dub else self.cycles[-2].status(now)
        return self.edited or self.latest.status(now)

    def dub(self, now: float) -> Cycle | None:
        """The newest version of the dubbed video, if there is one."""
        return next((cycle for cycle in reversed(self.cycles) if cycle.done(now)), None)

    def dubbed(self, now: float) -> bool:
        """Whether it is dubbed and nothing was edited since, whatever is in sight."""
        return self.latest.done(now) and self.edited is None

    def busy(self, now: float) -> bool:
        """Whether a lip-sync is under way."""
        return any(not run.job.phase(now).ended for run in self.runs)

    def had(self, edition: int, mode: str, now: float) -> bool:
        """Whether a lip-sync of that version and mode was made."""
        return Phase.DONE in self._phases(edition, mode, now)

    def failures(self, edition: int, mode: str, now: float) -> int:
        """How many lip-syncs of that version and mode failed."""
        return self._phases(edition, mode, now).count(Phase.FAILED)

    def _phases(self, edition: int, mode: str, now: float) -> list[Phase]:
        return [run.job.phase(now) for run in self.runs if (run.edition, run.mode) == (edition, mode)]


@attrs.define(eq=False)
class Holdings:
    """One account's shelves and counters."""

    media: dict[str, Media] = attrs.field(factory=dict[str, Media])
    projects: dict[str, Project] = attrs.field(factory=dict[str, Project])
    transcripts: dict[str, list[Segment]] = attrs.field(factory=dict[str, list[Segment]])
    dubs: Seats = attrs.field(factory=Seats)
    tokens: int = 0
    generates: int = 0
    previews: int = 0
    charged_runs: int = 0
    dub_minutes: int = 0
    lipsync_minutes: int = 0
    free_used: int = 0
    duplicate_projects: int = 0
    dubs_delivered: int = 0
    _inputs: set[str] = attrs.field(factory=set[str], repr=False)

    def add(self, project: Project) -> None:
        """Puts a new project on the shelf; one whose inputs were dubbed before is a duplicate."""
        digest = digest_of([project.media.identity, project.dst_lang, project.src_lang, project.transcript_id])
        self.duplicate_projects += digest in self._inputs
        self._inputs.add(digest)
        self.projects[project.id] = project

    def lines(self, now: float) -> Mapping[str, Any]:
        """The lines of the bill that only Rask has."""
        return {
            "projects": len(self.projects),
            "duplicate_projects": self.duplicate_projects,
            "dub_failures": sum(
                cycle.ended(now) and cycle.failure is not None
                for project in self.projects.values()
                for cycle in project.cycles
            ),
            "generates": self.generates,
            "previews": self.previews,
            "charged_runs": self.charged_runs,
            "dub_minutes": self.dub_minutes,
            "lipsync_minutes": self.lipsync_minutes,
            "free_minutes": self.free_used,
            "tokens": self.tokens,
            "dubs_delivered": self.dubs_delivered,
            "dubs_open": self.dubs.count(now),
            "dubs_peak": self.dubs.peak,
        }
