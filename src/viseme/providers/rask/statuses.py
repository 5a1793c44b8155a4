"""A project as Rask tells of it: 37 documented statuses in five classes. Source: fact sheet section 3."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import frozen

from viseme.failures import Kind
from viseme.providers.base import Blame
from viseme.providers.rask.values import bare
from viseme.providers.reading import moment, word

__all__ = ["PHASES", "Phase", "Project", "ended_badly", "phase_of"]


class Phase(Enum):
    """Where a project stands."""

    NOT_BEGUN = "not begun"
    WORKING = "working"
    DONE = "done"
    """Dubbed, once there is a dubbed video too."""
    EDITED = "edited"
    """A person changed it; its dub is stale."""
    FAILED = "failed"


_STEPS = (
    "transcription",
    "transcribe_segments",
    "separate_background",
    "determine_speakers",
    "voice_suggest",
    "translation",
    "voice_update",
    "voiceover",
)
PHASES: Mapping[str, Phase] = {
    **dict.fromkeys(("created", "uploading", "uploaded"), Phase.NOT_BEGUN),
    **{f"{step}_{end}": Phase.WORKING for step in _STEPS for end in ("started", "done")},
    "merging_started": Phase.WORKING,
    "merging_done": Phase.DONE,
    **dict.fromkeys(("transcript_edited", "voice_edited"), Phase.EDITED),
    **{f"{step}_failed": Phase.FAILED for step in (*_STEPS, "upload", "merging")},
    **dict.fromkeys(("failed", "no_audio", "no_words", "forbidden_link"), Phase.FAILED),
}
"""Every documented status. The last three failures do not say so in their names."""

_OF_THE_JOB: Mapping[str, tuple[Kind, str]] = {
    "no_audio": (Kind.INVALID, "the video has no sound; give one with speech"),
    "no_words": (Kind.INVALID, "nobody speaks in the video; give one with speech"),
    "forbidden_link": (Kind.MEDIA_UNREACHABLE, "the video's link must be public and direct"),
    "upload_failed": (Kind.MEDIA_UNREACHABLE, "the video must be a readable file behind a public, direct link"),
}


def phase_of(status: str | None) -> Phase:
    """The class of a status. Of words that nobody knows, those that end in ``_failed`` have failed; the rest work."""
    if status is None:
        return Phase.NOT_BEGUN
    known = PHASES.get(status)
    if known is not None:
        return known
    return Phase.FAILED if status.endswith("_failed") else Phase.WORKING


def ended_badly(status: str) -> tuple[Kind, Blame, str]:
    """What a failure means, whose fault it is, and what may be done."""
    kind, advice = _OF_THE_JOB.get(status, (Kind.JOB_FAILED, "write to support@rask.ai and name the project"))
    return kind, "job" if status in _OF_THE_JOB else "vendor", advice


@frozen(kw_only=True)
class Project:
    """One look at a project.

    Attributes:
        status: the vendor's word, None before there is one.
        stamp: ``status_updated_at`` as it came.
        video: the link to the dubbed video.
    """

    id: str
    status: str | None
    stamp: str | None
    video: str | None

    @classmethod
    def read(cls, id: str, found: Mapping[str, Any]) -> Project:
        """A project from its JSON."""
        status = word(found.get("status"))
        stamp = found.get("status_updated_at")
        return cls(
            id=id,
            status=None if status is None else status.strip().lower(),
            stamp=word(stamp) if moment(stamp) is not None and isinstance(stamp, str) else None,
            video=word(found.get("translated_video")),
        )

    @property
    def phase(self) -> Phase:
        return phase_of(self.status)

    @property
    def dubbed(self) -> bool:
        """Two conditions, of which the vendor names one here and one there (sheet section 10)."""
        return self.phase is Phase.DONE and self.video is not None

    @property
    def version(self) -> str:
        """What tells one dub of the project from the next."""
        return self.stamp or bare(self.video) or ""

    def later(self, stamp: str | None, *, begun: bool) -> bool:
        """Whether its status is newer than a stamp; where a stamp is unknown, whether work was seen since."""
        ours, theirs = moment(self.stamp), moment(stamp)
        return begun if ours is None or theirs is None else ours > theirs
