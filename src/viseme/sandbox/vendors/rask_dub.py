"""A dub at Rask: the statuses that it walks through, as a function of time, without any media or HTTP."""

from collections.abc import Sequence

import attrs

from ..jobs import Job

_TRANSCRIBING = ("transcription", "transcribe_segments")
_BETWEEN = ("separate_background", "determine_speakers", "voice_suggest", "translation")
_VOICING = ("voice_update", "voiceover", "merging")
_STAGES = (*_TRANSCRIBING, *_BETWEEN, *_VOICING)
_OPENING = ("created", "uploading", "uploaded")

DONE = "merging_done"
EDITED = ("transcript_edited", "voice_edited")
_AFTER = {
    "upload_failed": "uploading",
    "forbidden_link": "uploading",
    "no_audio": "uploaded",
    "no_words": "transcription_started",
    "failed": "translation_done",
    **{f"{stage}_failed": f"{stage}_started" for stage in _STAGES},
}
"""Each way for a dub to fail, and the last status before it."""

FAILURES = frozenset(_AFTER)
STATUSES = frozenset({*_OPENING, *(f"{s}_{end}" for s in _STAGES for end in ("started", "done")), *EDITED, *FAILURES})
"""All 37 documented values."""


def walk(failure: str | None = None, *, again: bool = False, transcribed: bool = False) -> tuple[str, ...]:
    """The statuses of one dub in their order (which is not documented: assumed), the last being its end.

    Args:
        failure: How it fails, if it does; a word that no document names is taken too.
        again: It is a new voice-over of a dub that exists.
        transcribed: The customer sent the transcript.
    """
    between = _BETWEEN if transcribed else (*_TRANSCRIBING, *_BETWEEN)
    stages: Sequence[str] = _VOICING if again else (*between, *_VOICING)
    opening = () if again else _OPENING
    steps = (*opening, *(f"{stage}_{end}" for stage in stages for end in ("started", "done")))
    if failure is None:
        return steps
    last = _AFTER.get(failure, "translation_done")
    return (*steps[: steps.index(last) + 1 if last in steps else 1], failure)


@attrs.define(kw_only=True, eq=False)
class Cycle:
    """One making of a dub. `number` is the version that it makes, 1 for the first.

    Attributes:
        planned: When it ends if the film is made by then.
        job: The dub as a job: its film, its end, its links. It is on no bill of its own.
        stale_until: Until then the version before is still in sight.
        minutes: What it was charged.
    """

    number: int
    steps: tuple[str, ...]
    planned: float
    job: Job
    stale_until: float
    minutes: int

    @property
    def failure(self) -> str | None:
        """The status with which it fails, if it does."""
        return None if self.steps[-1] == DONE else self.steps[-1]

    def status(self, now: float) -> tuple[str, float]:
        """The status at a vendor second, and since when."""
        last = len(self.steps) - 1
        if self.job.ended_at is not None and now >= self.job.ended_at:
            return self.steps[last], self.job.ended_at
        step = (self.planned - self.job.at) / last
        index = min(last - 1, int((now - self.job.at) / step)) if step > 0 else last - 1
        return self.steps[index], self.job.at + index * step

    def ended(self, now: float) -> bool:
        """Whether it is over, well or not."""
        return self.job.ended_at is not None and now >= self.job.ended_at

    def done(self, now: float) -> bool:
        """Whether there is a dubbed video."""
        return self.ended(now) and self.failure is None

    def passed(self, status: str, now: float) -> bool:
        """Whether a status has been reached, or is not on the way."""
        return status not in self.steps or self.steps.index(self.status(now)[0]) >= self.steps.index(status)
