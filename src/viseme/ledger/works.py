"""What is handed to the one who writes, and what comes back: plain values in storage form.

They are not frozen, as each is made by one, read by one, and seen by nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field

from viseme.attempts import Intent, TaskRow, Upload
from viseme.events import Event
from viseme.ledger import charges, rows
from viseme.ledger.base import Change
from viseme.ledger.charges import Stored

__all__ = [
    "Add",
    "Commit",
    "Discard",
    "ForgetUpload",
    "Given",
    "KeepUpload",
    "Newcomer",
    "NextRun",
    "Outcome",
    "Release",
    "Step",
    "TakeOrders",
    "TakeOver",
    "Work",
    "WriteGates",
]


@define(kw_only=True)
class Newcomer:
    """A task to be added, with its texts."""

    row: TaskRow
    fixed: str
    standing: str
    queued: Event
    queued_text: str


@define(kw_only=True)
class Add:
    """Add tasks; comes back as a list of rows."""

    newcomers: tuple[Newcomer, ...]
    held: bool


@define
class Step:
    """A change with its texts.

    Attributes:
        standing: the row's text, and ``fixed`` the job's; None where the ledger has them.
        texts: of the events.
        vendor_id: of the handle, where that may be new; it finds the first task that had it.
        claim: what the intent pays for; it finds the task that did so last.
        opens: a seat's id and text.
    """

    change: Change
    standing: str | None = None
    fixed: str | None = None
    texts: Sequence[str] = ()
    vendor_id: str | None = None
    claim: str | None = None
    intent: tuple[str, str, float | None, str] | None = None
    opens: tuple[str, str] | None = None
    charge: Stored | None = None


@define
class Commit:
    """Write steps, all or nothing."""

    steps: Sequence[Step]


@define
class Release:
    """Show the held tasks of a run; their events come back as a span."""

    run: int


@define
class Discard:
    """Remove the held tasks of a run, or of all."""

    run: int | None


@define
class NextRun:
    """Comes back as a run number."""


@define
class TakeOrders:
    """Comes back as a list of orders."""


@define(kw_only=True)
class TakeOver:
    """Let a run have what dead ones left under way; comes back as ``TakenOver``.

    Attributes:
        accounts: as a JSON list, like ``but``.
    """

    run: int
    after: int
    limit: int
    before: int
    accounts: str
    but: str


@define
class WriteGates:
    """Show what accounts wait for."""

    text: str


@define
class KeepUpload:
    """Remember a medium that a vendor has, by account and digest."""

    account: str
    digest: str
    text: str


@define
class ForgetUpload:
    """The vendor no longer has it."""

    account: str
    digest: str


Work = Add | Commit | Release | Discard | NextRun | TakeOrders | TakeOver | WriteGates | KeepUpload | ForgetUpload


@define(kw_only=True)
class Given:
    """What a work that was written gives back.

    Attributes:
        value: to its caller.
        events: to the listener, with their orders.
        span: the orders of events that are too many to hold at once: beyond the first, up to the second.
    """

    value: Any = None
    events: Sequence[Event] = field(default=())
    span: tuple[int, int] | None = None


Outcome = Given | Exception


def newcomer(row: TaskRow) -> Newcomer:
    """A task to be added, in storage form."""
    queued = rows.queued_event(row)
    return Newcomer(
        row=row,
        fixed=rows.task_text(row),
        standing=rows.standing_text(row, seq=1),
        queued=queued,
        queued_text=rows.event_text(1, queued.type, queued.at, queued.data),
    )


def step(change: Change) -> Step:
    """A change in storage form."""
    row, was, made = change.row, change.was, Step(change)
    if change.intent is not None:
        made.intent, made.claim = _sent(change.intent, was), _claim(change.intent)
    if was is None or not rows.restated(was, row):
        made.standing = rows.standing_text(row)
    if was is None or was.job is not row.job:
        made.fixed = rows.task_text(row)
    if was is None or was.handle is not row.handle or was.account != row.account:
        made.vendor_id = rows.vendor_id(row.handle)
    if change.events:
        made.texts = [rows.event_text(event.seq, event.type, event.at, event.data) for event in change.events]
    if change.opens is not None:
        made.opens = change.opens.id, rows.seat_text(change.opens)
    if change.charge is not None:
        made.charge = charges.stored(change.charge)
    return made


def _sent(intent: Intent, was: TaskRow | None) -> tuple[str, str, float | None, str]:
    """An intent in storage form. It goes before its row, which says it too, as its text is made here at less cost."""
    text = rows.intent_text(intent, None if was is None else was.intent)
    return intent.id, intent.account, intent.ended, text


def _claim(intent: Intent) -> str | None:
    """What an intent that is about to leave pays for."""
    if intent.ended is not None or not intent.claim:
        return None
    return rows.searchable(intent.claim)


def keep_upload(upload: Upload) -> KeepUpload:
    """An upload in storage form."""
    return KeepUpload(upload.account, upload.digest, rows.upload_text(upload))
