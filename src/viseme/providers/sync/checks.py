"""What can be refused before Sync is asked. Source: fact sheet section 2.1."""

from __future__ import annotations

from collections.abc import Iterable

from viseme.errors import JobInvalid
from viseme.jobs import Job
from viseme.providers.sheet import Model
from viseme.providers.sync.options import IGNORED_ELSEWHERE, SegmentOptions, SyncOptions

__all__ = ["check"]


def check(job: Job, model: Model, options: SyncOptions, *, known: bool) -> None:
    """Refuse what Sync refuses, and what it would pass over silently on this model.

    Args:
        known: whether the model is one of this release; of a newer one nothing is assumed.

    Raises:
        JobInvalid: the message says what to change.
    """
    _check_text(job, options, model.text)
    if known:
        _check_ignored(model.name, options, "options")
        for index, segment in enumerate(options.segments):
            if segment.options_override is not None:
                _check_ignored(model.name, segment.options_override, f"options.segments[{index}].options_override")
    if job.image:
        _check_image(job, options)
    if job.language and options.segments:
        raise JobInvalid("segments need voices, and a dubbed language brings its own; leave one out", field="options")


def _check_ignored(model: str, options: SyncOptions | SegmentOptions, place: str) -> None:
    for name, models in IGNORED_ELSEWHERE.items():
        if getattr(options, name, None) is not None and model not in models:
            raise JobInvalid(
                f"{place}: {model} passes over {name} and bills the job all the same;"
                f" it works on {', '.join(models)}, or leave it out",
                field="options",
            )


def _check_image(job: Job, options: SyncOptions) -> None:
    speaker = options.active_speaker_detection
    wrong = (
        "segments do not go with an image" * bool(options.segments)
        or "sync_mode means nothing for an image, which has no length" * (options.sync_mode is not None)
        or "auto_detect does not go with an image" * bool(speaker and speaker.auto_detect)
        or "an image cannot be dubbed; give audio or text" * bool(job.language)
    )
    if wrong:
        raise JobInvalid(f"{wrong}; leave it out, or give a video", field="options")


def _check_text(job: Job, options: SyncOptions, limit: int | None) -> None:
    if job.text and not job.voice:
        raise JobInvalid("text needs a voice: the id of an ElevenLabs voice", field="voice")
    if not job.text and (options.stability is not None or options.similarity_boost is not None):
        raise JobInvalid("stability and similarity_boost go with text; leave them out, or give text", field="options")
    if limit is not None and (job.text or options.audios):
        _check_lengths([job.text or "", *(voice.text or "" for voice in options.audios)], limit)


def _check_lengths(texts: Iterable[str], limit: int) -> None:
    longest = max(map(len, texts))
    if longest > limit:
        raise JobInvalid(
            f"text has {longest} characters, sync takes {limit}; shorten it, or split it over segments",
            field="text",
        )
