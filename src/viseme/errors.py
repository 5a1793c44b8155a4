"""What can go wrong, said by what the reader must do next."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from viseme.results import Result

__all__ = [
    "ConfigError",
    "Failure",
    "JobCancelled",
    "JobFailed",
    "JobInvalid",
    "Kind",
    "LedgerBusy",
    "LedgerError",
    "ManifestError",
    "MissingExtra",
    "Parked",
    "Problem",
    "ProviderError",
    "SchedulerClosed",
    "VisemeError",
    "legible",
    "no_room",
    "one_line",
    "quote",
]


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


def legible(text: str) -> str:
    """Text that may hold someone else's words, without what would steer a terminal or turn the writing around.

    Line breaks stay; other control characters, and those that change the direction of writing, are shown by number.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def one_line(text: str) -> str:
    """Legible text without line breaks, which could begin a line that looks like one of ours."""
    return legible(text).replace("\n", "\\x0a")


def quote(value: object, limit: int = 200) -> str:
    """Someone else's text, fit for one line of a message: control characters shown, at most ``limit`` characters."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= limit and text.isprintable():
        return text
    shown = one_line(text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def no_room(error: OSError) -> bool:
    """Whether a disk is full, or what the user may have of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


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


class VisemeError(Exception):
    """Something that viseme can explain went wrong."""


class ConfigError(VisemeError):
    """The configuration cannot be used; the message names the file and the field."""


class JobInvalid(VisemeError):
    """The job cannot be run as it stands; nothing was sent.

    Attributes:
        field: the job's field that is wrong, where one can be named.
        kind: ``media_unreachable`` for a medium that cannot be read, else ``invalid``.
    """

    def __init__(self, message: str, *, field: str | None = None, kind: Kind = Kind.INVALID) -> None:
        super().__init__(message)
        self.field = field
        self.kind = kind


class ManifestError(VisemeError):
    """The manifest has bad rows; none of it was started.

    Attributes:
        problems: every bad row with its line and reason.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class LedgerError(VisemeError):
    """The ledger cannot be opened or written; nothing that was paid for is lost."""


class LedgerBusy(LedgerError):
    """Another process owns the ledger.

    Attributes:
        pid: the owner's process id, where it is known.
    """

    def __init__(self, message: str, *, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class ProviderError(VisemeError):
    """An account cannot be used: no such provider, or its start-up check was refused."""


class MissingExtra(VisemeError):
    """An optional part of viseme is not installed; the message gives the command that installs it."""


class SchedulerClosed(VisemeError):
    """The scheduler is not running; use it inside ``async with``."""


class JobFailed(VisemeError):
    """The job ended in failure.

    Attributes:
        failure: the kind and the vendor's words.
        result: the task's last record, cost included.
    """

    def __init__(self, failure: Failure, result: Result) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.result = result


class JobCancelled(VisemeError):
    """The job was cancelled.

    Attributes:
        result: the task's last record, with what the vendor said of the cancel.
    """

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class Parked(VisemeError):
    """This run is done with the task, the task is not done: a later run, or a person, goes on.

    Attributes:
        reason: why, one of :class:`viseme.results.Reason`.
        result: the task's last record.
    """

    def __init__(self, message: str, reason: str, result: Result) -> None:
        super().__init__(message)
        self.reason = reason
        self.result = result
