"""A project at Rask as a function of time: its dub, its face check, its lip-syncs. Source: fact sheet 2 to 6."""

from __future__ import annotations

from random import Random

from attrs import define, field, frozen
from tests.simulation.laws import Booking

__all__ = ["Face", "Project", "Run"]

_OPENING = ("created", "uploading", "uploaded")
_STAGES = (
    "transcription",
    "transcribe_segments",
    "separate_background",
    "determine_speakers",
    "voice_suggest",
    "translation",
    "voiceover",
    "merging",
)
_STEPS = (*_OPENING, *(f"{stage}_{end}" for stage in _STAGES for end in ("started", "done")))
_ENDS = (
    "upload_failed",
    "transcription_failed",
    "translation_failed",
    "merging_failed",
    "failed",
    "no_audio",
    "no_words",
)


@frozen(kw_only=True)
class Face:
    """A face check.

    Attributes:
        word: how it ends: ``done`` or ``failed``.
        found: what it finds.
    """

    at: float
    ends: float
    word: str
    found: bool | None

    def told(self, now: float) -> tuple[str | None, bool | None]:
        """Status and finding."""
        if now < self.at:
            return None, None
        return (self.word, self.found) if now >= self.ends else ("started", None)


@frozen(kw_only=True)
class Run:
    """A lip-sync.

    Attributes:
        mode: ``preview`` or ``lipsync``.
        shown: before that, what was there before it is still in sight.
        linked: the link comes so late.
        film: where it lies; ``take`` counts those that lie there.
    """

    booking: Booking
    mode: str
    shown: float
    linked: float
    film: str
    take: int


@define(eq=False)
class Project:
    """A project, which dubs itself.

    Attributes:
        name: as we gave it.
        listed: it is not shown before, neither by its id nor in the list.
        linked: the dubbed video's link comes so late.
        end: the status that its dub ends with.
    """

    booking: Booking
    name: str
    listed: float
    linked: float
    end: str
    face: Face | None = None
    runs: list[Run] = field(factory=list[Run])

    @property
    def id(self) -> str:
        return self.booking.id

    def status(self, now: float) -> tuple[str, float]:
        """The status, and since when."""
        dub = self.booking
        if now >= dub.ends:
            return self.end, dub.ends
        if now < dub.starts:
            return _OPENING[0], dub.at
        before = _STEPS[1:-1]
        span = (dub.ends - dub.starts) / len(before)
        step = min(len(before) - 1, int((now - dub.starts) / span))
        return before[step], dub.starts + step * span

    def dubbed(self, now: float) -> bool:
        """Whether there is a dub to be lip-synced."""
        return now >= self.booking.ends and self.booking.good

    def working(self, now: float) -> bool:
        """Whether a lip-sync is under way."""
        return any(run.booking.at <= now < run.booking.ends for run in self.runs)

    def in_sight(self, now: float) -> Run | None:
        """The newest lip-sync that is shown already."""
        return next((run for run in reversed(self.runs) if now >= run.shown), None)


def draw_end(chance: Random, *, good: bool) -> str:
    """The status that a dub ends with."""
    return _STEPS[-1] if good else chance.choice(_ENDS)
