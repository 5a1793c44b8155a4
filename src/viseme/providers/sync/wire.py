"""A job as Sync's JSON: camelCase around, snake_case inside options; or as a form, where files go with it.

Source: fact sheet sections 1, 2.1 and 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import attrs

from viseme.attempts import Handle
from viseme.codec import dumps
from viseme.jobs import Job
from viseme.providers.base import FilePart, Multipart
from viseme.providers.media import file_of
from viseme.providers.sync.options import SyncOptions, SyncSegment, SyncVoice

__all__ = ["create_body", "create_form"]

_SPEAKS = "elevenlabs"
_IN_OPTIONS = (
    "sync_mode",
    "temperature",
    "occlusion_detection_enabled",
    "active_speaker_detection",
    "model_mode",
    "prompt",
)
_of = attrgetter(*_IN_OPTIONS)
_MEDIA = ("video", "image", "audio")
_NO_MEDIA: Mapping[str, Handle] = {}


def create_body(job: Job, model: str, options: SyncOptions, media: Mapping[str, Handle] = _NO_MEDIA) -> dict[str, Any]:
    """The body of a create; fields that the job leaves out are left out.

    Args:
        media: what was handed over before, by the job's field; a file among it is left out, and goes beside the body.
    """
    body: dict[str, Any] = {"model": model, "input": _inputs(job, options, media)}
    told = zip(_IN_OPTIONS, _of(options), strict=True)
    if stated := {name: _plain(value) for name, value in told if value is not None}:
        body["options"] = stated
    if options.segments:
        body["segments"] = [_segment(segment) for segment in options.segments]
    if options.webhook_url is not None:
        body["webhookUrl"] = options.webhook_url
    if options.output_file_name is not None:
        body["outputFileName"] = options.output_file_name
    if options.project_id is not None:
        body["projectId"] = options.project_id
    if job.language:
        body["dubParams"] = _dub(job)
    return body


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def create_form(body: Mapping[str, Any], media: Mapping[str, Handle]) -> Multipart | None:
    """The body as a form with the files beside it; None where no file goes with it."""
    files = [(name, file) for name in _MEDIA if (file := file_of(media.get(name))) is not None] if media else None
    if not files:
        return None
    texts = {name: value if isinstance(value, str) else dumps(value).decode() for name, value in body.items() if value}
    parts: list[tuple[str, str | FilePart]] = [*texts.items(), *files]
    return Multipart(tuple(parts))


def _inputs(job: Job, options: SyncOptions, media: Mapping[str, Handle]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if job.image:
        items.append(_medium("image", job.image, media))
    if job.video:
        items.append(_medium("video", job.video, media))
    own = options.ref_id if options.segments else None
    if job.audio:
        items.append(_medium("audio", job.audio, media, own))
    elif not job.language:
        items.append(_spoken(job.text, job.voice, options.stability, options.similarity_boost, own))
    if not job.language:
        items += map(_voice, options.audios)
    return [item for item in items if item]


def _medium(name: str, source: str, media: Mapping[str, Handle], ref_id: str | None = None) -> dict[str, Any]:
    """A medium by its link, or by the asset that it was registered as; empty for one that goes beside the body."""
    handle = media.get(name)
    if handle is None:
        return {"type": name, "url": source} if ref_id is None else {"type": name, "url": source, "refId": ref_id}
    if file_of(handle) is not None:
        return {}
    asset = handle.get("asset")
    return _given(type=name, assetId=asset, url=None if asset else handle.get("url"), refId=ref_id)


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


def _dub(job: Job) -> dict[str, Any]:
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
    if value is None or isinstance(value, (str, bool)):
        return value
    if attrs.has(value.__class__):
        return _given(**{name: _plain(item) for name, item in attrs.asdict(value, recurse=False).items()})
    if isinstance(value, tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return int(value) if isinstance(value, float) and value.is_integer() else value
