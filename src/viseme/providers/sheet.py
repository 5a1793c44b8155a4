"""What a vendor can do and what it costs, as data that the engine plans with."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from viseme.money import Price
from viseme.units import Rate

__all__ = ["Batch", "Limits", "Model", "NoOptions", "NoSettings", "Price", "Safety", "Sheet"]


class Safety(StrEnum):
    """How a create whose reply was lost may be settled."""

    NONE = "none"
    """Not at all: a person decides."""
    REPLAY = "replay"
    """The same request with the same key yields the same job."""
    CORRELATE = "correlate"
    """The vendor can be asked for it."""


@frozen(kw_only=True)
class Limits:
    """What a vendor takes of one medium; None where it states nothing.

    Attributes:
        bytes: the largest file.
        seconds: the longest clip.
        side: the longest side of the picture in pixels.
        containers: file name endings that it takes, like ``mp4``.
        codecs: names of codecs as FFmpeg has them, like ``h264``.
        sure: whether the vendor documents that it refuses what is beyond; else a breach is a warning only.
    """

    bytes: int | None = None
    seconds: float | None = None
    side: int | None = None
    containers: frozenset[str] = frozenset()
    codecs: frozenset[str] = frozenset()
    sure: bool = True


@frozen(kw_only=True)
class Model:
    """What one model takes.

    Attributes:
        pictures: of ``video`` and ``image``.
        speech: of ``audio``, ``text`` and ``language``.
        lag: seconds from create to result that do not depend on the media's length.
        pace: seconds of work per second of media, a starting value that observation replaces.
        limits: of its media, by the job's field (``video``, ``image``, ``audio``).
        text: the longest text in characters; None where the vendor states nothing.
    """

    name: str
    pictures: frozenset[str] = frozenset({"video"})
    speech: frozenset[str] = frozenset({"audio"})
    price: Price | None = None
    lag: float = 10.0
    pace: float = 1.0
    limits: Mapping[str, Limits] = field(factory=dict[str, Limits])
    text: int | None = None


@frozen(kw_only=True)
class Batch:
    """What a vendor takes of many jobs in one request.

    Attributes:
        least: how many jobs at least; ``most`` how many at most.
        bytes: the largest request.
        seconds: the longest medium of a job.
        turnaround: seconds within which the vendor wants to be done.
    """

    least: int
    most: int
    bytes: int
    seconds: float | None
    turnaround: float


@frozen(kw_only=True)
class Sheet:
    """What a vendor can do, as far as the engine has to know. Sources stand where each provider fills it in.

    Attributes:
        base_url: the vendor's API.
        models: by name; the first is the default.
        rates: requests per window and class, used where the account states none.
        concurrency: seats, used where the account states none.
        seat_ttl: seconds after which a seat that nothing is heard of is given up.
        safety: how a lost create may be settled.
        complete: whether the lookup of ``correlate`` can prove absence.
        replay_lifetime: seconds for which the vendor remembers a key.
        bulk: how many ids one list request can look at; 0 for none.
        hold: the longest long-poll in seconds; 0 for none.
        first: seconds from create to the first look.
        every: seconds between looks.
        sparing: whether looks may be left out while a job's end is not likely; not where the flows have to see each
            step that a job takes.
        cancel: whether a job under way can be called off.
        result_lifetime: seconds that a result's link lives, as far as known.
        local_files: whether the adapter hands local files over to the vendor; without it, only URLs are taken.
        page_hosts: hosts whose pages the vendor finds the medium on (``youtube.com``); elsewhere a page is no medium.
        free_stages: stages that cost nothing: no seat, no intent, and a lost reply is no matter.
        batch: how many jobs one request may start, beside the seats; None where there are no batches.
        settle: seconds for which a lost create is asked after before the user's rule decides.
        deadline: seconds that a task may take in all before it is parked, used where the account states none.
    """

    base_url: str
    models: Mapping[str, Model]
    rates: Mapping[str, tuple[Rate, ...]]
    concurrency: int
    seat_ttl: float = 6 * 3600.0
    safety: Safety = Safety.NONE
    complete: bool = False
    replay_lifetime: float = 24 * 3600.0
    bulk: int = 0
    hold: float = 0.0
    first: float = 10.0
    every: float = 10.0
    sparing: bool = True
    cancel: bool = False
    result_lifetime: float | None = None
    local_files: bool = False
    page_hosts: frozenset[str] = frozenset()
    free_stages: frozenset[str] = frozenset()
    batch: Batch | None = None
    settle: float = 30.0
    deadline: float = 7200.0


@frozen(kw_only=True)
class NoOptions:
    """A provider without options."""


@frozen(kw_only=True)
class NoSettings:
    """A provider without settings of its own."""
