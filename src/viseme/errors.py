"""What can go wrong, said by what the reader must do next."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from viseme.failures import Failure, Kind, Problem
from viseme.results import Result

__all__ = [
    "ConfigError",
    "JobCancelled",
    "JobFailed",
    "JobInvalid",
    "LedgerBusy",
    "LedgerError",
    "ManifestError",
    "MissingExtra",
    "Parked",
    "ProviderError",
    "SchedulerClosed",
    "VisemeError",
    "first_of",
    "no_room",
]


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


def no_room(error: OSError) -> bool:
    """Whether a disk is full, or what the user may have of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def first_of(error: BaseException) -> BaseException:
    """The error to show of several that came together."""
    return first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error  # pyright: ignore
