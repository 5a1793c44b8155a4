"""What a media file really holds, by opening it."""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from attrs import frozen

__all__ = ["Probe", "probe"]


@frozen
class Probe:
    """How long a film lasts, or what is wrong with it."""

    seconds: float
    fault: str | None = None


def probe(path: str) -> Probe:
    """Open a film and decode its first picture. Needs PyAV (extra ``media``)."""
    import av
    import av.error

    try:
        with av.open(path) as film:
            if not film.streams.video or not film.streams.audio:
                return Probe(0.0, "it lacks picture or sound")
            stream = film.streams.video[0]
            next(film.decode(stream))
            ticks = stream.duration or 0
            return Probe(float(ticks * stream.time_base) if stream.time_base else 0.0)
    except (av.error.FFmpegError, OSError, StopIteration) as error:
        return Probe(0.0, f"it does not open: {error}")
