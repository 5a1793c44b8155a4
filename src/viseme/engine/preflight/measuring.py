"""Length, size and codecs of a medium by PyAV (extra ``media``), from as much of the file as is at hand. Blocking."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# PyAV's streams are generic, and its container's format leaves parameters open.

from __future__ import annotations

from typing import Any

from attrs import frozen

from viseme.engine.preflight.pieces import Pieces, PiecesFile

__all__ = ["Measured", "can_measure", "measure"]

_FORMATS = (
    "mov,matroska,webm,avi,wav,w64,mp3,ogg,flac,aac,aiff,caf,asf,flv,mpegts,mpeg,amr,ac3,m4v,mxf,dv,"
    "jpeg_pipe,png_pipe,webp_pipe,webp,bmp_pipe,gif,apng,tiff_pipe"
)
"""What is opened. Not playlists and their like: those would have FFmpeg open other files and addresses."""
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none", "probesize": "1000000"}
_BUFFER = 1 << 16
_ROUGH = frozenset({"mp3", "aac", "ac3", "amr", "mpegts", "mpeg", "m4v", "dv"})
"""Formats whose length FFmpeg reckons from size and bit rate, or from the last bytes."""
_STILL = ("gif", "apng", "webp")
_EMPTY = 0.001


@frozen(kw_only=True)
class Measured:
    """What PyAV made of it.

    Attributes:
        opened: whether it is a medium.
        broken: whether FFmpeg knows no format that it could be, or cannot read it.
        missed: the first byte that was asked for and is not at hand.
    """

    opened: bool = False
    broken: bool = False
    seconds: float | None = None
    rough: bool = False
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    video: str | None = None
    audio: str | None = None
    picture: bool = False
    missed: int | None = None

    @property
    def complete(self) -> bool:
        """Whether more bytes would tell nothing more."""
        return self.opened and (self.picture or self.seconds is not None)


def can_measure() -> bool:
    """Whether PyAV is installed."""
    try:
        import av  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        return False
    return True


def measure(pieces: Pieces) -> Measured:
    """Measure a file; nothing that is wrong with it is raised."""
    import av
    import av.error

    file = PiecesFile(pieces)
    try:
        with av.open(file, "r", options=_OPTIONS, buffer_size=_BUFFER) as container:  # type: ignore[call-overload]
            return _measured(container, file, whole=pieces.size is not None)
    except av.error.InvalidDataError:
        return Measured(broken=True, missed=file.missed)
    except (av.error.FFmpegError, ValueError, OSError, AttributeError, RuntimeError):
        return Measured(missed=file.missed)


def _measured(container: Any, file: PiecesFile, *, whole: bool) -> Measured:
    name = str(container.format.name)
    still = name.endswith("_pipe") or name in _STILL
    moving = next((stream for stream in container.streams.video if not _cover(stream)), None)
    sound = next(iter(container.streams.audio), None)
    rough = any(part in _ROUGH for part in name.split(","))
    shown = moving if moving is not None and moving.width > 0 else None
    return Measured(
        opened=True,
        seconds=None if still or (rough and not whole) else _seconds(container),
        rough=rough,
        width=shown.width if shown else None,
        height=shown.height if shown else None,
        fps=_fps(shown) if shown and not still else None,
        video=_codec(moving) if not still else None,
        audio=_codec(sound),
        picture=still,
        missed=file.missed,
    )


def _cover(stream: Any) -> bool:
    """Whether a picture stream is the cover of an audio file."""
    return "attached_pic" in str(stream.disposition)


def _fps(stream: Any) -> float | None:
    rate = float(stream.average_rate or 0)
    return rate if 0 < rate < 1000 else None


def _codec(stream: Any) -> str | None:
    if stream is None:
        return None
    context = stream.codec_context
    if context is None:
        return "unknown"
    return str(getattr(context.codec, "canonical_name", None) or context.name)  # the codec's name, not the decoder's


def _seconds(container: Any) -> float | None:
    """The longest of what the container and its streams say."""
    streams = [stream for stream in (*container.streams.video, *container.streams.audio) if not _cover(stream)]
    lengths = [float(stream.duration * stream.time_base) for stream in streams if stream.duration and stream.time_base]
    longest = max(lengths + ([container.duration / 1e6] if container.duration else []), default=0.0)
    return longest if longest > _EMPTY else None
