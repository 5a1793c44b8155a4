"""Sync's options, typed, with what can be refused locally. Source: fact sheet section 2.1."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

import attrs
from attrs import field, frozen

from viseme.errors import JobInvalid
from viseme.strict import known_names, snake_names, structure
from viseme.wording import quote

__all__ = [
    "IGNORED_ELSEWHERE",
    "ActiveSpeaker",
    "AudioInput",
    "Mode",
    "SegmentOptions",
    "SyncOptions",
    "SyncSegment",
    "SyncVoice",
]

T = TypeVar("T")
MAIN = "main"
"""The name of the job's own speech among several voices."""

Mode = Literal["bounce", "loop", "cut_off", "silence", "remap"]

IGNORED_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "temperature": ("lipsync-2", "lipsync-2-pro"),
    "occlusion_detection_enabled": ("lipsync-2", "lipsync-2-pro", "lipsync-1.9.0-beta"),
    "active_speaker_detection": ("lipsync-2", "lipsync-2-pro", "sync-3"),
    "model_mode": ("react-1",),
    "prompt": ("react-1",),
}
"""On which models an option works. The vendor passes over it on the others, and bills the job all the same."""


def _refuse(message: str) -> JobInvalid:
    return JobInvalid(message, field="options")


def _unit(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise _refuse(f"{attribute.name} must be between 0 and 1, not {value:g}")


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not 0 <= value < 1e9:
        raise _refuse(f"{attribute.name} must be 0 or more, not {value:g}")


def _not_empty(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not value.strip():
        raise _refuse(f"{attribute.name} must not be empty; leave it out instead")


def _link(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not re.match(r"https?://[^\s/]+", value, re.IGNORECASE):
        raise _refuse(f"{attribute.name} {quote(value)!r} must be an http(s) URL")


def _file_name(_: object, __: object, value: str | None) -> None:
    if value is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", value):
        raise _refuse(
            f"output_file_name {quote(value)!r} may hold letters, digits, '_' and '-' only, at most 255; .mp4 is added"
        )


def _one(kind: type[T]) -> Callable[[T | Mapping[str, Any] | None], T | None]:
    """Read a nested object where it is not yet a value of its class."""

    def read(value: T | Mapping[str, Any] | None) -> T | None:
        if value is None or isinstance(value, kind):
            return value
        try:
            return structure(snake_names(value), kind)
        except ValueError as error:
            raise _refuse(str(error)) from None

    return read


def _many(kind: type[T]) -> Callable[[Iterable[T | Mapping[str, Any]]], tuple[T, ...]]:
    read = _one(kind)
    return lambda values: tuple(one for one in map(read, values) if one is not None)


def _span(start: float, end: float, what: str) -> None:
    if not start < end:
        raise _refuse(f"{what} must begin before it ends; {start:g} s to {end:g} s does not")


@frozen(kw_only=True)
class ActiveSpeaker:
    """Whose lips are moved.

    Attributes:
        auto_detect: let the vendor find who speaks.
        v3: use the third version of the detection.
        frame_number: the frame that ``coordinates`` point into.
        coordinates: x and y of the speaker's face, in pixels of the source.
        bounding_boxes: per frame the face as x1, y1, x2, y2, or null where there is none.
        bounding_boxes_url: a JSON file with the same.
    """

    auto_detect: bool | None = None
    v3: bool | None = None
    frame_number: int | None = field(default=None, validator=_not_negative)
    coordinates: tuple[float, ...] | None = None
    bounding_boxes: tuple[tuple[float, ...] | None, ...] | None = None
    bounding_boxes_url: str | None = field(default=None, validator=_link)

    def __attrs_post_init__(self) -> None:
        if all(getattr(self, name) is None for name in known_names(ActiveSpeaker)):
            raise _refuse(f"active_speaker_detection says nothing; give one of {', '.join(known_names(ActiveSpeaker))}")
        if self.coordinates is not None and len(self.coordinates) != 2:
            raise _refuse("coordinates must be two numbers, x and y")
        if any(box is not None and len(box) != 4 for box in self.bounding_boxes or ()):
            raise _refuse("bounding_boxes must hold four numbers per frame (x1, y1, x2, y2), or null")


@frozen(kw_only=True)
class AudioInput:
    """Which voice a segment speaks with; ``start_time`` and ``end_time`` (seconds) take a part of it."""

    ref_id: str = field(default=MAIN, validator=_not_empty)
    start_time: float | None = field(default=None, validator=_not_negative)
    end_time: float | None = field(default=None, validator=_not_negative)

    def __attrs_post_init__(self) -> None:
        if (self.start_time is None) != (self.end_time is None):
            raise _refuse("audio_input needs start_time and end_time together, or neither")
        if self.start_time is not None and self.end_time is not None:
            _span(self.start_time, self.end_time, "the part of the audio")


def _audio_input(value: AudioInput | Mapping[str, Any]) -> AudioInput:
    return _one(AudioInput)(value) or AudioInput()


@frozen(kw_only=True)
class SegmentOptions:
    """What differs in one segment."""

    sync_mode: Mode | None = None
    temperature: float | None = field(default=None, validator=_unit)
    occlusion_detection_enabled: bool | None = None
    active_speaker_detection: ActiveSpeaker | None = field(default=None, converter=_one(ActiveSpeaker))


@frozen(kw_only=True)
class SyncSegment:
    """A part of the video, in seconds, with the voice that it gets."""

    start_time: float = field(validator=_not_negative)
    end_time: float = field(validator=_not_negative)
    audio_input: AudioInput = field(factory=AudioInput, converter=_audio_input)
    options_override: SegmentOptions | None = field(default=None, converter=_one(SegmentOptions))

    def __attrs_post_init__(self) -> None:
        _span(self.start_time, self.end_time, "a segment")


@frozen(kw_only=True)
class SyncVoice:
    """A further voice for segments: an audio (``url``), or ``text`` spoken by ``voice``."""

    ref_id: str = field(validator=_not_empty)
    url: str | None = field(default=None, validator=_link)
    text: str | None = field(default=None, validator=_not_empty)
    voice: str | None = field(default=None, validator=_not_empty)
    stability: float | None = field(default=None, validator=_unit)
    similarity_boost: float | None = field(default=None, validator=_unit)

    def __attrs_post_init__(self) -> None:
        if (self.url is None) == (self.text is None):
            raise _refuse(f"audios: {quote(self.ref_id)!r} needs either url, or text with voice")
        if (self.text is None) != (self.voice is None):
            raise _refuse(f"audios: {quote(self.ref_id)!r} needs text and voice together")
        if self.text is None and (self.stability is not None or self.similarity_boost is not None):
            raise _refuse(f"audios: stability and similarity_boost go with text, and {quote(self.ref_id)!r} has none")


@frozen(kw_only=True)
class SyncOptions:
    """Options of Sync. Whatever is left out is left to the vendor.

    Attributes:
        sync_mode: what happens where video and speech differ in length.
        temperature: how lively the mouth moves, 0 to 1.
        occlusion_detection_enabled: mind what is in front of the face; slower.
        active_speaker_detection: whose lips are moved.
        model_mode: what moves, react-1 only.
        prompt: the emotion, react-1 only.
        stability: of the spoken ``text``'s voice, 0 to 1.
        similarity_boost: of the spoken ``text``'s voice, 0 to 1.
        segments: parts of the video with voices of their own. The job's speech is the voice named ``ref_id``.
        audios: further voices for the segments.
        ref_id: the name of the job's own speech among the voices.
        output_file_name: the vendor's name for the result, without ``.mp4``.
        project_id: the vendor's project that the job belongs to.
        webhook_url: whom the vendor tells when the job has ended.
    """

    sync_mode: Mode | None = None
    temperature: float | None = field(default=None, validator=_unit)
    occlusion_detection_enabled: bool | None = None
    active_speaker_detection: ActiveSpeaker | None = field(default=None, converter=_one(ActiveSpeaker))
    model_mode: Literal["lips", "face", "head"] | None = None
    prompt: Literal["happy", "sad", "angry", "disgusted", "surprised", "neutral"] | None = None
    stability: float | None = field(default=None, validator=_unit)
    similarity_boost: float | None = field(default=None, validator=_unit)
    segments: tuple[SyncSegment, ...] = field(default=(), converter=_many(SyncSegment))
    audios: tuple[SyncVoice, ...] = field(default=(), converter=_many(SyncVoice))
    ref_id: str = field(default=MAIN, validator=_not_empty)
    output_file_name: str | None = field(default=None, validator=_file_name)
    project_id: str | None = field(default=None, validator=_not_empty)
    webhook_url: str | None = field(default=None, validator=_link)

    def __attrs_post_init__(self) -> None:
        if self.audios and not self.segments:
            raise _refuse("audios go with segments; add segments that name them, or leave audios out")
        voices = [self.ref_id, *(voice.ref_id for voice in self.audios)]
        twice = next((name for name in voices if voices.count(name) > 1), None)
        if twice is not None:
            raise _refuse(f"audios: the ref_id {quote(twice)!r} is used twice; {self.ref_id!r} is the job's own speech")
        for index, segment in enumerate(self.segments):
            if segment.audio_input.ref_id not in voices:
                raise _refuse(
                    f"segments[{index}].audio_input: there is no voice {quote(segment.audio_input.ref_id)!r};"
                    f" known are {', '.join(map(quote, voices))}"
                )
