"""What is known of one medium without having paid for anything."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

__all__ = ["Facts", "Reach"]


class Reach(StrEnum):
    """Whether a medium can be had, as seen from here and without credentials."""

    HERE = "here"
    """It was read."""
    GONE = "gone"
    """Its host says that there is no such file; nobody gets it."""
    REFUSED = "refused"
    """Its host does not give it to us; it may give it to the vendor."""
    SILENT = "silent"
    """Its host did not answer, or could not; the vendor may have more luck."""


@frozen(kw_only=True)
class Facts:
    """What one source is.

    Attributes:
        reach: whether it can be had; ``answer`` says in words what it answers where it cannot.
        fault: what is certainly wrong with it, said of it (``"is empty"``).
        doubt: what could not be found out and why, said of it.
        content_type: what its host calls it, lower case, without parameters.
        bytes: its size.
        container: what the file is, as a file name's ending (``mp4``, ``wav``, ``png``), by its first bytes.
        measured: whether its streams are known; without it nothing is known of them.
        seconds: its length.
        rough: whether the length is estimated from the size, as it is for MP3 and MPEG-TS.
        width: of the picture in pixels, with ``height``; ``fps`` its pictures a second.
        video: the codec of its moving picture by FFmpeg's name; a cover in an audio file is none.
        audio: the codec of its sound.
        picture: whether it is a still picture.
        expires: until when its link is signed, UTC seconds.
    """

    reach: Reach = Reach.HERE
    answer: str = ""
    fault: str | None = None
    doubt: str | None = None
    content_type: str | None = None
    bytes: int | None = None
    container: str | None = None
    measured: bool = False
    seconds: float | None = None
    rough: bool = False
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    video: str | None = None
    audio: str | None = None
    picture: bool = False
    expires: float | None = None
