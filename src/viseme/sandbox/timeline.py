"""Which source frame stands at each moment of a result: the length rules of the vendors, without any media."""

from collections.abc import Iterator
from enum import Enum

import attrs


class Fit(Enum):
    """What to do when video and audio differ in length."""

    BOUNCE = "bounce"
    """A shorter video runs forth and back (Sync `bounce`, JoggAI `normal_reverse`); a longer one is cropped."""
    LOOP = "loop"
    """A shorter video is repeated (Sync `loop`); a longer one is cropped."""
    CUT = "cut_off"
    """Whatever is longer is trimmed to the other (Sync `cut_off`)."""
    SILENCE = "silence"
    """The video keeps its length, and silence pads the audio (Sync `silence`)."""
    REMAP = "remap"
    """The video is played faster or slower until it fits (Sync `remap`)."""
    FREEZE = "freeze"
    """A shorter video stands still on its last frame (also an image); a longer one is cropped."""


@attrs.frozen
class Timeline:
    """A result's frames: `frames` output frames at `fps`, taken from `source` frames, and the sound's seconds."""

    fit: Fit
    source: int
    frames: int
    fps: float

    @property
    def seconds(self) -> float:
        """How long the result lasts."""
        return self.frames / self.fps

    def cut(self, seconds: float) -> "Timeline":
        """The same result, ended after so many seconds if it is longer."""
        return attrs.evolve(self, frames=max(1, min(self.frames, round(seconds * self.fps))))

    def __iter__(self) -> Iterator[int]:
        last = self.source - 1
        for at in range(self.frames):
            match self.fit:
                case Fit.BOUNCE if last:
                    turn = at % (2 * last)
                    yield min(turn, 2 * last - turn)
                case Fit.LOOP:
                    yield at % self.source
                case Fit.REMAP:
                    yield min(last, at * self.source // self.frames)
                case _:
                    yield min(last, at)


def plan(fit: Fit, source: int, fps: float, audio_seconds: float) -> Timeline:
    """Lays out a result.

    The lengths follow the sheet for Sync: the video is cropped to the audio wherever no mode says otherwise. What
    `silence` does with an audio that is longer than the video is not documented; here the audio is trimmed.
    """
    video_seconds = source / fps
    match fit:
        case Fit.CUT:
            seconds = min(video_seconds, audio_seconds)
        case Fit.SILENCE:
            seconds = video_seconds
        case _:
            seconds = audio_seconds
    return Timeline(fit, source, max(1, round(seconds * fps)), fps)
