"""What a file is: its kind, length, codecs and cover, measured with PyAV. All functions here block."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# PyAV's Packet is generic, and its methods leave the parameter open.

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import av
import av.error
from av.container import InputContainer

from .media import Kind, MediaFault, jpeg

_PICTURES = ("image2", "gif", "webp_pipe")
_COVER_SIDE = 320


@attrs.frozen(kw_only=True)
class Probe:
    """A file's kind, its length in seconds (0 for a picture), and what a media library tells about it."""

    kind: Kind
    seconds: float
    sound: bool
    meta: Mapping[str, Any]
    cover: bytes | None = attrs.field(default=None, repr=False)


def probe(path: Path, kind: Kind | None = None) -> Probe:
    """Measures a file; `kind` is what its sender says it is.

    Raises:
        MediaFault: It is not media, or not of that kind.
    """
    expected: Kind = kind or "video"
    try:
        with av.open(str(path)) as source:
            found = _probe(source, path.stat().st_size)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaFault(expected, "invalid", str(error)) from error
    if found.kind != (kind or found.kind):
        raise MediaFault(expected, "invalid", f"it is {found.kind}")
    return found


def _probe(source: InputContainer, size: int) -> Probe:
    kind = _kind(source)
    meta: dict[str, Any] = {"size_bytes": size, "original_meta": {"format": source.format.name}}
    if kind == "image":
        picture = _first(source)
        meta |= {"image_width": picture.width, "image_height": picture.height, "image_format": source.format.name}
        return Probe(kind=kind, seconds=0.0, sound=False, meta=meta, cover=_cover(picture))
    meta["duration_seconds"] = seconds = round(_seconds(source), 3)
    if source.streams.audio:
        meta |= _sound(source)
    if kind == "audio":
        return Probe(kind=kind, seconds=seconds, sound=True, meta=meta)
    meta |= _picture(source)
    cover = _cover(_first(source))
    return Probe(kind=kind, seconds=seconds, sound=bool(source.streams.audio), meta=meta, cover=cover)


def _kind(source: InputContainer) -> Kind:
    if source.format.name in _PICTURES or source.format.name.endswith("_pipe"):
        return "image"
    if source.streams.video:
        return "video"
    if source.streams.audio:
        return "audio"
    raise ValueError("no streams")


def _first(source: InputContainer) -> av.VideoFrame:
    frame = next(source.decode(source.streams.video[0]), None)
    if frame is None:
        raise ValueError("no frames")
    return frame


def _seconds(source: InputContainer) -> float:
    stream = source.streams.video[0] if source.streams.video else source.streams.audio[0]
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (source.duration or 0) / 1e6


def _sound(source: InputContainer) -> dict[str, Any]:
    sound = source.streams.audio[0]
    return {
        "audio_rate": sound.rate,
        "audio_layout": sound.layout.name,
        "audio_channels": sound.channels,
        "audio_codec_name": sound.codec_context.name,
    }


def _picture(source: InputContainer) -> dict[str, Any]:
    picture = source.streams.video[0]
    return {
        "video_codec_name": picture.codec_context.name,
        "video_frame_rate": float(picture.average_rate or 0),
        "video_frame_width": picture.width,
        "video_frame_height": picture.height,
    }


def _cover(frame: av.VideoFrame) -> bytes:
    scale = min(1.0, _COVER_SIDE / max(frame.width, frame.height))
    width, height = (max(2, int(side * scale) // 2 * 2) for side in (frame.width, frame.height))
    return jpeg(frame.reformat(width=width, height=height, format="yuvj420p"))
