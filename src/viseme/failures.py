"""What went wrong with a job or an input, as values: a kind for programs, a sentence for people."""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen

from viseme.wording import one_line, quote

__all__ = ["Failure", "Kind", "Problem"]


class Kind(StrEnum):
    """What a refusal or a fault means, whichever vendor said it and however."""

    TRANSIENT = "transient"
    """Nothing was decided; the same request may be sent again."""
    RATE_LIMITED = "rate_limited"
    """Too many requests in a window; wait."""
    NO_SEAT = "no_seat"
    """Too many jobs under way at the vendor; wait for one to end."""
    LIMITED = "limited"
    """A 429 that does not say which limit was met."""
    AUTH = "auth"
    """The key is missing, wrong, revoked or not allowed."""
    BUDGET = "budget"
    """The user's own budget does not allow it."""
    NO_CREDIT = "no_credit"
    """The account has no credit, or its plan does not pay for this."""
    INVALID = "invalid"
    """The vendor refuses the job as it stands."""
    MEDIA_UNREACHABLE = "media_unreachable"
    """The vendor could not read an input."""
    CONTENT_REJECTED = "content_rejected"
    """Moderation said no."""
    NOT_FOUND = "not_found"
    """The vendor does not know the path or the id."""
    FATE_UNKNOWN = "fate_unknown"
    """A paid request may or may not have been carried out."""
    JOB_FAILED = "job_failed"
    """The vendor took the job and could not do it."""
    RESULT_EXPIRED = "result_expired"
    """The result's link is dead."""
    DEADLINE = "deadline"
    """The job took longer than the user allows."""
    PROTOCOL = "protocol"
    """The reply makes no sense."""
    DISK = "disk"
    """The result could not be written here."""


def _code(value: str | None) -> str | None:
    return None if value is None else quote(value)


@frozen(kw_only=True)
class Failure:
    """Why a task failed or parked: a kind for programs and a sentence for people, legible whoever wrote it."""

    kind: Kind
    message: str = field(converter=one_line)
    code: str | None = field(default=None, converter=_code)
    """The vendor's own code, if it gave one."""


@frozen(kw_only=True)
class Problem:
    """One thing wrong with one place of an input.

    Attributes:
        kind: what the vendor would have made of it, where it was found by looking at the media.
        certain: whether it keeps the row from being run; else it is a warning.
    """

    message: str
    line: int | None = None
    field: str | None = None
    key: str | None = None
    kind: Kind = Kind.INVALID
    certain: bool = True

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        return f"{place}{self.message}"
