"""Real media with PyAV: read a source once into a reel, then every result is packets copied and sound encoded.

A *reel* is the source video as small H.264 frames that each stand alone, so that forward, backward, repeated and
frozen playback are all packet copies. A *track* is the target audio as plain samples. All functions here block.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# PyAV's Packet is generic, and its methods leave the parameter open.

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import attrs
import av
import av.error
from av.container import OutputContainer
from av.video.stream import VideoStream

from .timeline import Timeline

SAMPLE_RATE = 44_100
_LARGEST_SIDE = 1280
_CHUNK = 1024
_VIDEO_OPTIONS = {"preset": "ultrafast", "crf": "26", "g": "1", "bf": "0"}

Kind = Literal["video", "audio", "image"]


@attrs.define
class MediaFault(Exception):
    """An input that the vendor could not use: which one, and whether it was out of reach or not media."""

    kind: Kind
    reason: Literal["inaccessible", "invalid", "too_long", "input_too_long"]
    detail: str = ""


@attrs.frozen
class Reel:
    """A source video ready to be cut: one packet per frame, its frame rate, its cover picture."""

    path: Path
    frames: tuple[bytes, ...] = attrs.field(repr=False)
    fps: Fraction
    cover: bytes = attrs.field(repr=False)

    @property
    def seconds(self) -> float:
        """The length of the source."""
        return float(len(self.frames) / self.fps)


@attrs.frozen
class Track:
    """Sound as signed 16-bit mono samples at 44.1 kHz."""

    samples: bytes = attrs.field(repr=False)

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return len(self.samples) / 2 / SAMPLE_RATE

    def cut(self, seconds: float) -> "Track":
        """The same sound, trimmed or padded with silence to a length."""
        size = 2 * round(seconds * SAMPLE_RATE)
        return Track(self.samples[:size].ljust(size, b"\0"))

    def laid_over(self, voice: "Track", start: float, end: float, skip: float) -> "Track":
        """This sound with another in the seconds `start` to `end`, taken from its second `skip` on."""
        begin, stop = (min(len(self.samples), 2 * round(at * SAMPLE_RATE)) for at in (start, end))
        piece = Track(voice.samples[2 * round(skip * SAMPLE_RATE) :]).cut((stop - begin) / 2 / SAMPLE_RATE)
        return Track(self.samples[:begin] + piece.samples + self.samples[stop:])


def read_track(path: Path, kind: Kind = "audio") -> Track:
    """Decodes the first audio stream of a file.

    Raises:
        MediaFault: The file is not media, or has no sound.
    """
    try:
        with av.open(str(path)) as source:
            if not source.streams.audio:
                raise MediaFault(kind, "invalid", "no audio stream")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            samples = bytearray()
            for frame in source.decode(source.streams.audio[0]):
                for piece in resampler.resample(frame):
                    samples += bytes(piece.planes[0])[: piece.samples * 2]
            for piece in resampler.resample(None):
                samples += bytes(piece.planes[0])[: piece.samples * 2]
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaFault(kind, "invalid", str(error)) from error
    if not samples:
        raise MediaFault(kind, "invalid", "no sound")
    return Track(bytes(samples))


def read_reel(path: Path, into: Path, kind: Kind = "video") -> Reel:
    """Decodes a video (or a picture) and writes it as a reel.

    Raises:
        MediaFault: The file is not media, or has no picture.
    """
    try:
        with av.open(str(path)) as source:
            if not source.streams.video:
                raise MediaFault(kind, "invalid", "no video stream")
            stream = source.streams.video[0]
            fps = Fraction(25) if kind == "image" else _frame_rate(stream)
            cover = _write_reel(_steady(source.decode(stream), fps), fps, into)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaFault(kind, "invalid", str(error)) from error
    with av.open(str(into)) as reel:
        frames = tuple(bytes(packet) for packet in reel.demux(reel.streams.video[0]) if packet.size)
    return Reel(into, frames, fps, cover)


def _frame_rate(stream: VideoStream) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    rate = Fraction(rate.numerator, rate.denominator)
    return min(max(rate, Fraction(10)), Fraction(60)).limit_denominator(1001)


def _steady(frames: Iterable[av.VideoFrame], fps: Fraction) -> Iterator[av.VideoFrame]:
    """Gives frames at a constant rate, whatever the source's own timing is."""
    step = float(1 / fps)
    begin: float | None = None
    due = 0
    for frame in frames:
        time = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else due * step
        begin = time if begin is None else begin
        while due * step <= time - begin + step / 2:
            yield frame
            due += 1


def _write_reel(frames: Iterator[av.VideoFrame], fps: Fraction, into: Path) -> bytes:
    first = next(frames, None)
    if first is None:
        raise MediaFault("video", "invalid", "no frames")
    width, height = _fitted(first.width, first.height)
    with av.open(str(into), "w", format="mp4") as reel:
        stream = reel.add_stream("libx264", rate=fps, options=_VIDEO_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, frame in enumerate(_with(first, frames)):
            picture = frame.reformat(width=width, height=height, format="yuv420p")
            picture.pts, picture.time_base = number, 1 / fps
            picture.pict_type = 0
            reel.mux(stream.encode(picture))
        reel.mux(stream.encode(None))
    return jpeg(first.reformat(width=width, height=height, format="yuvj420p"))


def _with(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from rest


def _fitted(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, _LARGEST_SIDE / max(width, height))
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)


def jpeg(frame: av.VideoFrame) -> bytes:
    """Encodes one picture."""
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    packets: list[Any] = [*encoder.encode(frame), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def write_result(reel: Reel, timeline: Timeline, track: Track, into: Path) -> None:
    """Writes the result: the reel's frames in the timeline's order, carrying the track at the same length."""
    with (
        av.open(str(reel.path)) as template,
        av.open(str(into), "w", format="mp4", options={"movflags": "faststart"}) as result,
    ):
        video = result.add_stream_from_template(template.streams.video[0])
        sound = _Sound(result, track.cut(timeline.seconds))
        for number, index in enumerate(timeline):
            packet = av.Packet(reel.frames[index])
            packet.stream, packet.time_base = video, 1 / reel.fps
            packet.pts = packet.dts = number
            packet.duration, packet.is_keyframe = 1, True
            result.mux_one(packet)
            sound.write_until(float(number / reel.fps))
        sound.finish()


class _Sound:
    """Encodes a track into a container, interleaved with the picture."""

    def __init__(self, container: OutputContainer, track: Track) -> None:
        self._container = container
        self._samples = track.samples
        self._at = 0
        self._stream = container.add_stream("aac", rate=SAMPLE_RATE, options={"aac_coder": "fast"}, layout="mono")
        self._stream.bit_rate = 96_000

    def write_until(self, seconds: float) -> None:
        end = min(len(self._samples) // 2, int(seconds * SAMPLE_RATE))
        while self._at < end:
            chunk = self._samples[2 * self._at : 2 * (self._at + _CHUNK)]
            frame = av.AudioFrame("s16", "mono", len(chunk) // 2)
            frame.planes[0].update(chunk)
            frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), self._at
            self._container.mux(self._stream.encode(frame))
            self._at += len(chunk) // 2

    def finish(self) -> None:
        self.write_until(len(self._samples) / 2 / SAMPLE_RATE + 1)
        self._container.mux(self._stream.encode(None))
