"""A job as Sync's JSON: camelCase around, snake_case inside options. Source: fact sheet sections 1 and 2.1."""

from __future__ import annotations

from typing import Any

import attrs

from viseme.jobs import Job
from viseme.providers.sync.options import SyncOptions, SyncSegment, SyncVoice

__all__ = ["create_body"]

_SPEAKS = "elevenlabs"
_IN_OPTIONS = (
    "sync_mode",
    "temperature",
    "occlusion_detection_enabled",
    "active_speaker_detection",
    "model_mode",
    "prompt",
)


def create_body(job: Job, model: str, options: SyncOptions) -> dict[str, Any]:
    """The body of a create; fields that the job leaves out are left out."""
    return _given(
        model=model,
        input=_inputs(job, options),
        options=_given(**{name: _plain(getattr(options, name)) for name in _IN_OPTIONS}) or None,
        segments=[_segment(segment) for segment in options.segments] or None,
        webhookUrl=options.webhook_url,
        outputFileName=options.output_file_name,
        projectId=options.project_id,
        dubParams=_dub(job),
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _inputs(job: Job, options: SyncOptions) -> list[dict[str, Any]]:
    picture = {"type": "image", "url": job.image} if job.image else {"type": "video", "url": job.video}
    if job.language:
        return [picture]
    own = options.ref_id if options.segments else None
    if job.audio:
        speech = _given(type="audio", url=job.audio, refId=own)
    else:
        speech = _spoken(job.text, job.voice, options.stability, options.similarity_boost, own)
    return [picture, speech, *(_voice(voice) for voice in options.audios)]


def _voice(voice: SyncVoice) -> dict[str, Any]:
    if voice.url is not None:
        return {"type": "audio", "url": voice.url, "refId": voice.ref_id}
    return _spoken(voice.text, voice.voice, voice.stability, voice.similarity_boost, voice.ref_id)


def _spoken(
    text: str | None, voice: str | None, stability: float | None, similarity: float | None, ref_id: str | None
) -> dict[str, Any]:
    provider = _given(
        name=_SPEAKS, voiceId=voice, script=text, stability=_plain(stability), similarityBoost=_plain(similarity)
    )
    return _given(type="text", provider=provider, refId=ref_id)


def _dub(job: Job) -> dict[str, Any] | None:
    if not job.language:
        return None
    return _given(providerName=_SPEAKS, targetLang=job.language, sourceLang=job.source_language)


def _segment(segment: SyncSegment) -> dict[str, Any]:
    voice = segment.audio_input
    return _given(
        startTime=_plain(segment.start_time),
        endTime=_plain(segment.end_time),
        audioInput=_given(refId=voice.ref_id, startTime=_plain(voice.start_time), endTime=_plain(voice.end_time)),
        optionsOverride=_plain(segment.options_override) or None,
    )


def _plain(value: Any) -> Any:
    """JSON of an option: nested values as objects, whole numbers without a decimal point."""
    if attrs.has(value.__class__):
        return _given(**{name: _plain(item) for name, item in attrs.asdict(value, recurse=False).items()})
    if isinstance(value, tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return int(value) if isinstance(value, float) and value.is_integer() else value
