"""What the facts mean for a job: what is certainly wrong, and what may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from attrs import evolve, frozen

from viseme.engine.preflight.facts import Facts, Reach
from viseme.engine.preflight.kinds import PICTURES
from viseme.failures import Kind
from viseme.jobs import Job, is_url
from viseme.providers.base import Limits, Provider
from viseme.wording import quote

__all__ = ["MEDIA", "Flaw", "flaws", "read_by_vendor"]

MEDIA = ("video", "image", "audio")
"""The fields of a job that name media."""

_LONGER = 0.5
"""Seconds by which speech may be longer than the video before anyone misses something."""
_LENIENT = 0.25
"""Seconds beyond a limit that a container's rounding may be; from there on a breach is certain."""
_UNKNOWN_LENGTH = 60.0
"""What a medium of unknown length is taken for when it is reckoned how long its job takes."""
_SAME = (frozenset({"mp4", "m4a", "mov", "m4v"}), frozenset({"jpg", "jpeg"}))
"""Endings of one family, whose members differ in name more than in content."""


@frozen(kw_only=True)
class Flaw:
    """One thing that is, or may be, wrong with one medium of a job.

    Attributes:
        field: the job's.
        message: a sentence with the value, the limit and what to do.
        certain: whether the vendor would surely fail the job; else a warning.
        kind: ``media_unreachable`` where the vendor could not read it, and may charge for the attempt.
    """

    field: str
    message: str
    certain: bool = False
    kind: Kind = Kind.INVALID

    def __str__(self) -> str:
        return self.message


@frozen
class _Medium:
    """One medium of a job."""

    job: Job
    field: str
    source: str
    facts: Facts
    provider: Provider

    def certain(self, words: str, kind: Kind = Kind.INVALID) -> Flaw:
        return Flaw(field=self.field, message=f"{self.field} {self.shown} {words}", certain=True, kind=kind)

    def doubtful(self, words: str, kind: Kind = Kind.INVALID) -> Flaw:
        return evolve(self.certain(words, kind), certain=False)

    @property
    def shown(self) -> str:
        """The source without its query, which may be signed."""
        return repr(quote(self.source.split("?", 1)[0].split("#", 1)[0] if is_url(self.source) else self.source, 120))


def flaws(
    job: Job,
    provider: Provider,
    facts: Mapping[str, Facts],
    *,
    now: float,
    turns: int = 0,
    together: bool = False,
) -> list[Flaw]:
    """Everything that speaks against a job, by what is known of its media.

    Args:
        facts: by the job's field.
        now: UTC seconds.
        turns: how many jobs like it have to end before it gets its seat.
        together: whether it goes with a batch.
    """
    media = [_Medium(job, name, getattr(job, name), known, provider) for name, known in facts.items()]
    took = _took(job, provider, facts) * (1 + turns)
    found: list[Flaw] = []
    for medium in media:
        if read_by_vendor(provider, medium.source):
            continue
        wrong = list(_unreadable(medium, now)) or list(_streams(medium)) or [*_limits(medium), *_doubts(medium)]
        if together and not wrong:
            wrong = list(_batch_limit(medium))
        found += [*wrong, *(() if any(flaw.certain for flaw in wrong) else _expiry(medium, now, took))]
    return found + list(_cut(job, provider, facts))


def _took(job: Job, provider: Provider, facts: Mapping[str, Facts]) -> float:
    """Seconds from the create to the result, as far as can be told."""
    model = provider.model(job)
    longest = max((known.seconds for known in facts.values() if known.seconds is not None), default=_UNKNOWN_LENGTH)
    return model.lag + model.pace * longest


def read_by_vendor(provider: Provider, source: str) -> bool:
    """Whether a link leads to a page on which the vendor itself finds the medium, so that nobody here can judge it."""
    try:
        host = (urlsplit(source).hostname or "").lower() if is_url(source) else ""
    except ValueError:
        return False
    return any(host == known or host.endswith(f".{known}") for known in provider.sheet.page_hosts)


# -- can it be had -------------------------------------------------------------------------------------------------


def _unreadable(medium: _Medium, now: float) -> Iterator[Flaw]:
    facts, local = medium.facts, not is_url(medium.source)
    if facts.reach is Reach.GONE:
        advice = "name a file that is there" if local else "give a link that leads to the file"
        words = f"cannot be read: {facts.answer}" if local else f"answers {facts.answer}"
        yield medium.certain(f"{words}; {advice}", Kind.MEDIA_UNREACHABLE)
    elif facts.reach is Reach.REFUSED:
        yield _refused(medium, now)
    elif facts.reach is Reach.SILENT:
        yield medium.doubtful(
            f"cannot be reached from here ({quote(facts.answer)}); make sure that {medium.provider.name} can",
            Kind.MEDIA_UNREACHABLE,
        )
    elif facts.fault is not None:
        advice = "give the clip itself" if local else "give the direct link to a whole file"
        yield medium.certain(f"{facts.fault}; {advice}", Kind.MEDIA_UNREACHABLE)


def _refused(medium: _Medium, now: float) -> Flaw:
    facts = medium.facts
    if facts.expires is not None and facts.expires <= now:
        return medium.certain(
            f"answers {facts.answer}, for its link expired at {_clock(facts.expires)}; sign it anew",
            Kind.MEDIA_UNREACHABLE,
        )
    return medium.doubtful(
        f"answers {facts.answer} to a request without credentials; make sure that {medium.provider.name} may read it",
        Kind.MEDIA_UNREACHABLE,
    )


def _expiry(medium: _Medium, now: float, took: float) -> Iterator[Flaw]:
    expires = medium.facts.expires
    if expires is None or expires > now + took or medium.facts.reach is Reach.REFUSED:
        return
    left = f"expires at {_clock(expires)}" if expires > now else f"expired at {_clock(expires)} by its own words"
    yield medium.doubtful(
        f"has a link that {left}, and the job may need until {_clock(now + took)}; sign it for longer",
        Kind.MEDIA_UNREACHABLE,
    )


def _doubts(medium: _Medium) -> Iterator[Flaw]:
    facts = medium.facts
    if facts.doubt is not None:
        yield medium.doubtful(facts.doubt)
    elif facts.measured and facts.seconds is None and medium.field != "image" and not facts.picture:
        yield medium.doubtful("does not say how long it is, so its length is not checked")


# -- is it the right thing -----------------------------------------------------------------------------------------


def _streams(medium: _Medium) -> Iterator[Flaw]:
    facts = medium.facts
    still = facts.picture or facts.container in PICTURES
    if medium.field == "image":
        if facts.measured and not still:
            yield medium.certain(f"is no still picture but {_named(facts)}; give a picture, or name it as video")
        return
    if still:
        yield medium.certain(f"is a still picture ({facts.container or 'image'}); give {_article(medium.field)}")
    elif facts.measured and medium.field == "video" and facts.video is None:
        yield medium.certain(f"has no video stream ({_named(facts)}); give a file with a moving picture")
    elif facts.measured and facts.audio is None and _must_sound(medium):
        yield medium.certain(f"has no audio stream ({_named(facts)}); give a file in which somebody speaks")


def _must_sound(medium: _Medium) -> bool:
    """Whether speech is taken from this medium: the job's audio, or the video of a job that is dubbed."""
    job = medium.job
    return medium.field == "audio" or (medium.field == "video" and not job.audio and not job.text)


def _named(facts: Facts) -> str:
    codecs = [codec for codec in (facts.video, facts.audio) if codec is not None]
    return f"{facts.container or 'a file'} with {' and '.join(codecs) or 'nothing to see or hear'}"


def _article(field: str) -> str:
    return "a video" if field == "video" else "an audio file"


# -- is it within the limits ---------------------------------------------------------------------------------------


def _limits(medium: _Medium) -> Iterator[Flaw]:
    model = medium.provider.model(medium.job)
    limits = model.limits.get(medium.field)
    if limits is None:
        return
    for words, beyond in _breaches(medium.facts, limits, model.name):
        sure = limits.sure and beyond
        yield medium.certain(words) if sure else medium.doubtful(words + _unsure(limits))


def _batch_limit(medium: _Medium) -> Iterator[Flaw]:
    """The vendor fails what is too long for a batch, with the time of the batch lost."""
    batch, facts = medium.provider.sheet.batch, medium.facts
    if batch is None or batch.seconds is None or facts.seconds is None or facts.seconds <= batch.seconds:
        return
    words = f"lasts {facts.seconds:.1f} s, a batch takes {batch.seconds:g} s; shorten it, or run it singly"
    sure = not facts.rough and facts.seconds > batch.seconds + _LENIENT
    yield medium.certain(words) if sure else medium.doubtful(words)


def _unsure(limits: Limits) -> str:
    return "" if limits.sure else " (a limit that the vendor may not enforce)"


def _breaches(facts: Facts, limits: Limits, taker: str) -> Iterator[tuple[str, bool]]:
    """Each limit that is passed, said of the medium, and whether it is passed beyond doubt."""
    if limits.bytes is not None and facts.bytes is not None and facts.bytes > limits.bytes:
        yield f"has {_size(facts.bytes)}, {taker} takes {_size(limits.bytes)}; make it smaller", True
    if limits.seconds is not None and facts.seconds is not None and facts.seconds > limits.seconds:
        about = "about " if facts.rough else ""
        beyond = not facts.rough and facts.seconds > limits.seconds + _LENIENT
        yield f"lasts {about}{facts.seconds:.1f} s, {taker} takes {limits.seconds:g} s; shorten it", beyond
    side = max(facts.width or 0, facts.height or 0)
    if limits.side is not None and side > limits.side:
        words = f"is {facts.width} x {facts.height} pixels, {taker} takes {limits.side} on the longer side"
        yield f"{words}; scale it down", True
    if facts.container is not None and limits.containers and not _among(facts.container, limits.containers):
        taken = ", ".join(sorted(limits.containers))
        yield f"is {facts.container}, {taker} takes {taken}; convert it", True
    codec = facts.video or facts.audio
    if codec is not None and limits.codecs and codec not in limits.codecs:
        yield f"is coded as {codec}, {taker} takes {', '.join(sorted(limits.codecs))}; encode it anew", True


def _among(container: str, taken: frozenset[str]) -> bool:
    return container in taken or any(container in family and family & taken for family in _SAME)


# -- do picture and speech fit -------------------------------------------------------------------------------------


def _cut(job: Job, provider: Provider, facts: Mapping[str, Facts]) -> Iterator[Flaw]:
    video, audio = facts.get("video"), facts.get("audio")
    mode = provider.cuts_speech(job)
    if mode is None or video is None or audio is None or video.seconds is None or audio.seconds is None:
        return
    if audio.seconds > video.seconds + _LONGER:
        medium = _Medium(job, "audio", job.audio or "", audio, provider)
        yield medium.doubtful(f"lasts {audio.seconds:.1f} s and the video {video.seconds:.1f} s: {mode}")


def _size(count: int) -> str:
    if count < 1_000_000:
        return f"{count} bytes"
    return f"{count / 1024**2:.1f} MiB"


def _clock(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "a time far away"
