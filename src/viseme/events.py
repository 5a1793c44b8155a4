"""What happens to tasks, as values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from attrs import field, frozen

__all__ = ["LAST", "Event", "EventType", "timestamp"]

_EPOCH = datetime(1970, 1, 1)
_MILLI = tuple(f".{milli:03}Z" for milli in range(1000))
"""How the milliseconds of a time are written: 0.5 µs less for each of the five of a result's line."""
_FIRST_MOMENT, _LAST_MOMENT = "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"


class EventType(StrEnum):
    """The kinds of event, with the fields that each carries."""

    QUEUED = "queued"
    """``account``, ``model``. The first event of every task."""
    PREPARING = "preparing"
    """``account``. Its media are handed over to the vendor; with ``handle`` and ``stage``, a stage that costs nothing
    began."""
    CREATING = "creating"
    """``account``, ``attempt``, ``stage``. The intent is on disk, the paid request leaves next."""
    CREATED = "created"
    """``account``, ``handle``, ``stage``. The vendor has the job."""
    PROGRESS = "progress"
    """``status`` (the vendor's word), ``progress`` (0 to 100 or null), ``queue_position``. Not persisted."""
    THROTTLED = "throttled"
    """``account``, ``gate`` (rate, seat, limit), ``message``, ``until`` (null). The vendor put the create off."""
    RETRYING = "retrying"
    """``error``, ``attempt``: a further attempt, at another ``account`` where that is named, or a fresh link. With the
    fields of ``throttled`` instead (``gate`` network): a create that came to nothing goes back in line."""
    FATE_UNKNOWN = "fate_unknown"
    """``account``, ``error``. The create's reply was lost."""
    RECONCILING = "reconciling"
    """``method`` (replay, lookup, resubmit), and of a resubmit ``by`` whom it was ordered (order, on_unknown_fate)."""
    FETCHING = "fetching"
    """``handle``. The vendor is done, the download begins."""
    SUCCEEDED = "succeeded"
    """``file``, ``bytes``, ``sha256``, ``cost``; last event of the task. ``replayed`` where it is told once more."""
    FAILED = "failed"
    """``error`` (``kind``, ``message``, ``code``); last event of the task."""
    CANCELLED = "cancelled"
    """``vendor`` (what the vendor answered); last event of the task."""
    PARKED = "parked"
    """``reason``, ``error``; last event of the task in this run."""


LAST = frozenset({EventType.SUCCEEDED, EventType.FAILED, EventType.CANCELLED, EventType.PARKED})
"""The types that end a task's stream in a run."""


@frozen(kw_only=True)
class Event:
    """One thing that happened to one task.

    Attributes:
        seq: counts the task's events from 1; gaps are progress that was not kept.
        type: one of :class:`EventType`, a ``str``.
        at: UTC seconds.
        data: the type's own fields, JSON values only.
        run: the run that the task belonged to.
        order: position in the ledger, rising over all tasks; None for an event that is not persisted.
    """

    seq: int
    task: str
    key: str
    type: EventType
    at: float
    data: Mapping[str, Any] = field(factory=dict[str, Any])
    run: int = 0
    order: int | None = None

    @property
    def last(self) -> bool:
        """Whether the task's stream ends here in this run."""
        return self.type in LAST

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that ``--events`` writes: the common fields, then the event's own."""
        return {
            "seq": self.seq,
            "task": self.task,
            "key": self.key,
            "type": str(self.type),
            "at": timestamp(self.at),
            **self.data,
        }


def timestamp(at: float) -> str:
    """UTC seconds as RFC 3339 with milliseconds, e.g. ``2026-11-21T01:02:03.456Z``.

    What no date can say, numbers that are none included, is told as the first or the last moment that one can.
    """
    try:
        second, part = divmod(at, 1)
        milli = round(part * 1_000_000) // 1000
        if milli == 1000:
            second, milli = second + 1, 0
        return _told(second) + _MILLI[milli]
    except (OverflowError, ValueError):
        return _LAST_MOMENT if at > 0 else _FIRST_MOMENT


@lru_cache(maxsize=64)  # most of what is told happened just now (1.3 against 2.3 µs)
def _told(second: float) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()
