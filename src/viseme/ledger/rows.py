"""Ledger values as text, and back: whatever was written is rebuilt equal.

Fields at their default are left out. Text that the ordinary codec cannot write (a lone surrogate or a whole number
beyond 64 bits, in a vendor's words) is written by the standard library and starts with a tab. No JSON text holds a raw
tab otherwise, so it marks, in a whole page of rows, that the standard library must read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import compress
from math import isfinite
from operator import attrgetter, itemgetter, ne
from typing import Any, Final

import attrs
from attrs import define, field

from viseme import codec
from viseme.attempts import Handle, Intent, Seat, TaskRow, Upload
from viseme.errors import LedgerError
from viseme.events import Event, EventType
from viseme.evolving import evolve
from viseme.failures import Failure, Kind
from viseme.jobs import FIELDS, Job
from viseme.money import Charge
from viseme.results import Artifact, Cost, Reason, State, Timings
from viseme.wording import quote

__all__ = [
    "event",
    "event_text",
    "intent",
    "intent_text",
    "numbered",
    "parse",
    "placed",
    "queued_event",
    "rank",
    "restated",
    "searchable",
    "seat",
    "seat_text",
    "standing_text",
    "task",
    "task_text",
    "text",
    "upload",
    "upload_text",
    "vendor_id",
]

_SPECIAL: Final = "\t"
_RANKS: Final = 1 << 62
_KEPT: Final = 512
"""Texts of a kind that are remembered, beside as many older ones."""

_STATES = {state.value: state for state in State}
_REASONS = {reason.value: reason for reason in Reason}
_TYPES = {kind.value: kind for kind in EventType}
_KINDS = {kind.value: kind for kind in Kind}


def text(value: Any) -> str:
    """A value as JSON text that :func:`parse` reads.

    Raises:
        LedgerError: it is none that JSON can say.
    """
    try:
        return codec.text(value)
    except (TypeError, ValueError, RecursionError):
        return _special(value)


def _special(value: Any) -> str:
    try:
        return _SPECIAL + json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(
            f"the ledger cannot write {quote(value)}: {quote(str(error))}; give JSON values only"
        ) from error


def parse(text: str) -> Any:
    """JSON text of this module, or several of them joined into a list, as plain values."""
    return json.loads(text) if _SPECIAL in text else codec.loads(text)


def _defaults(cls: type, names: Iterable[str]) -> tuple[tuple[str, Any], ...]:
    fields = attrs.fields_dict(cls)
    return tuple((name, fields[name].default) for name in names)


def _given(cls: type, names: Sequence[str]) -> Callable[[object], dict[str, Any]]:
    """What tells the fields of a value that differ from their default; two or more are looked at."""
    defaults = [default for _, default in _defaults(cls, names)]
    read: Callable[[object], tuple[Any, ...]] = attrgetter(*names)

    def given(value: object) -> dict[str, Any]:
        values = read(value)
        return dict(compress(zip(names, values), map(ne, values, defaults)))  # noqa: B905

    return given


class _Moments(dict[float, str]):
    """Moments as text. Each is told some four times in a job's life, and seventeen digits cost ten times as much as a
    look here."""

    def __missing__(self, at: float) -> str:
        if len(self) >= 4 * _KEPT:
            self.clear()
        made = self[at] = repr(float(at)) if isfinite(at) else text(at)
        return made


_moment: Final[Callable[[float], str]] = _Moments().__getitem__


def _whole(text: str) -> str:
    """A text that was joined of several, with its mark in front if one of them has it."""
    return _SPECIAL + text.replace(_SPECIAL, "") if _SPECIAL in text else text


@define(eq=False, repr=False)
class _Kept:
    """Texts of values that are written several times and stay the same."""

    make: Callable[..., str]
    _texts: dict[int, tuple[object, str]] = field(factory=dict[int, "tuple[object, str]"], init=False)
    """By the value's ``id``, which is no other's as long as the value is kept here."""
    _older: dict[int, tuple[object, str]] = field(factory=dict[int, "tuple[object, str]"], init=False)
    """Those before them."""

    def text(self, value: Any, before: Any = None) -> str:
        """The text of a value; ``before`` is the one that it follows, if that is known."""
        kept = self._texts.get(id(value))
        if kept is None:
            kept = self._older.get(id(value)) or (value, self.make(value, before))
            if len(self._texts) >= _KEPT:
                self._older, self._texts = self._texts, {}
            self._texts[id(value)] = kept
        return kept[1]


# -- tasks ---------------------------------------------------------------------------------------------------------

_JOB = tuple(name for name in FIELDS if name not in ("options", "metadata"))
_job_given = _given(Job, _JOB)
_NAMES = ("id", "key", "job", "digest", "order")
_COLUMNS = ("run", "account", "state", "parked")
_USUAL = (
    *("seq", "attempt", "stage", "handle", "status", "file", "bytes", "sha256"),
    *("intent", "outputs", "cost", "charge", "lasted", "timings", "began", "observed", "since"),
)
"""What most steps write, each by its own line; the rest is looked for only where any of it is not as it was."""
_SELDOM = tuple(name for name in attrs.fields_dict(TaskRow) if name not in (*_NAMES, *_COLUMNS, *_USUAL))
_seldom: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*_SELDOM)  # pyright: ignore[reportUnknownVariableType]
_DEFAULTS = {name: one.default for name, one in attrs.fields_dict(TaskRow).items() if one.default is not attrs.NOTHING}
_EMPTY: Final[Mapping[str, Any]] = {"handles": {}, "inputs": {}}
_SELDOM_DEFAULTS = tuple((_DEFAULTS | _EMPTY)[name] for name in _SELDOM)
_FIELDS: Final = len(attrs.fields(TaskRow))
_NO_TIMES = Timings()
_JOB_SLOTS = tuple((name, default, getattr(Job, name).__set__) for name, default in _defaults(Job, _JOB))
_new: Final = object.__new__
_ROLE: Final = attrs.fields(Artifact).role.default


def task_text(row: TaskRow) -> str:
    """What stays of a task: its names and its job."""
    job = _job_given(row.job)
    if row.job.options:
        job["options"] = row.job.options
    if row.job.metadata:
        job["metadata"] = row.job.metadata
    return text({"id": row.id, "key": row.key, "digest": row.digest, "job": job})


def standing_text(row: TaskRow, seq: int | None = None) -> str:
    """What changes of a task: everything else but its ``order`` and what stands in columns.

    Args:
        seq: stands in for the row's own.
    """
    body: dict[str, Any] = {"seq": row.seq if seq is None else seq}
    if row.attempt:
        body["attempt"] = row.attempt
    if row.stage:
        body["stage"] = row.stage
    if row.handle is not None:
        body["handle"] = row.handle
    if row.status is not None:
        body["status"] = row.status
    if row.file is not None:
        body["file"] = row.file
    if row.bytes is not None:
        body["bytes"] = row.bytes
    if row.sha256 is not None:
        body["sha256"] = row.sha256
    if row.cost is not None:
        body["cost"] = _cost_body(row.cost)
    if row.charge is not None:
        body["charge"] = _charge_body(row.charge)
    if row.outputs:
        body["outputs"] = [_output_body(output) for output in row.outputs]
    if row.lasted:
        body["lasted"] = row.lasted
    seldom = _seldom(row.__dict__)
    if seldom != _SELDOM_DEFAULTS:
        _add_seldom(body, seldom)
    return _whole(f"{text(body)[:-1]}{_moments(row)}}}")


def _add_seldom(body: dict[str, Any], values: Iterable[Any]) -> None:
    """Add those that differ from their default."""
    given = zip(_SELDOM, values, _SELDOM_DEFAULTS, strict=True)
    body.update({name: value for name, value, default in given if value != default})
    if "failure" in body:
        body["failure"] = _failure_body(body["failure"])
    if "price" in body:
        body["price"] = _cost_body(body["price"])


def _moments(row: TaskRow) -> str:
    """The moments and the intent, whose texts an earlier step may have made: they stand behind the others."""
    said, moment = "", _moment
    if row.began is not None:
        said += f',"began":{moment(row.began)}'
    if row.observed:
        said += f',"observed":{moment(row.observed)}'
    if row.since is not None:
        said += f',"since":{moment(row.since)}'
    times = ",".join([f'"{name}":{moment(at)}' for name, at in row.timings.__dict__.items() if at is not None])
    if times:
        said += f',"timings":{{{times}}}'
    if row.intent is not None:
        said += f',"intent":{intent_text(row.intent)}'
    return said


def restated(was: TaskRow, row: TaskRow) -> bool:
    """Whether a row's texts say what those of the row before it said: only columns changed."""
    if was.seq != row.seq:  # as with each step that is told of
        return False
    now = row.__dict__
    return {**was.__dict__, **{name: now[name] for name in _COLUMNS}} == now


def _failure_body(failure: Failure) -> list[str | None]:
    return [str(failure.kind), failure.message, failure.code]


def _cost_body(cost: Cost) -> dict[str, Any]:
    body: dict[str, Any] = {"amount": cost.amount, "unit": cost.unit}
    if cost.usd is not None:
        body["usd"] = cost.usd
    if cost.estimated:
        body["estimated"] = True
    return body


def _output_body(output: Artifact) -> dict[str, Any]:
    body: dict[str, Any] = {"url": output.url}
    if output.role != _ROLE:
        body["role"] = output.role
    if output.expires_at is not None:
        body["expires_at"] = output.expires_at
    return body


_CHARGE = tuple(attrs.fields_dict(Charge))
_charged = attrgetter(*_CHARGE)


def _charge_body(charge: Charge) -> list[str | None]:
    *names, amount, usd = _charged(charge)
    return [*names, None if amount is None else str(amount), None if usd is None else str(usd)]


def _charge(body: list[str | None]) -> Charge:
    values: dict[str, Any] = dict(zip(_CHARGE, body, strict=True))
    for name in ("amount", "usd"):
        if values[name] is not None:
            values[name] = Decimal(values[name])
    return Charge(**values)


def _job(body: dict[str, Any]) -> Job:
    """A job as it was, without the checks that a newer release may have sharpened."""
    job = _new(Job)
    given = body.get
    for name, default, put in _JOB_SLOTS:
        put(job, given(name, default))
    if isinstance(job.account, list):  # several, in order, as JSON has them
        object.__setattr__(job, "account", tuple(body["account"]))
    object.__setattr__(job, "options", given("options", {}))
    object.__setattr__(job, "metadata", given("metadata", {}))
    return job


def task(order: int, fixed: dict[str, Any], standing: dict[str, Any], columns: Sequence[Any]) -> TaskRow:
    """A task from its two texts, parsed (and used up), and what stands in columns: run, account, state, parked.

    Texts of the first two versions say the latter too, as it was when they were written.
    """
    run, account, state, parked = columns
    standing["run"] = run
    standing["account"] = account
    standing["state"] = _STATES[state]
    standing["parked"] = None if parked is None else _REASONS[parked]
    if "intent" in standing:
        standing["intent"] = intent(standing["intent"])
    if "outputs" in standing:
        standing["outputs"] = tuple(Artifact(**output) for output in standing["outputs"])
    if "failure" in standing:
        kind, message, code = standing["failure"]
        standing["failure"] = Failure(kind=_KINDS[kind], message=message, code=code)
    if "cost" in standing:
        standing["cost"] = Cost(**standing["cost"])
    if "price" in standing:
        standing["price"] = Cost(**standing["price"])
    if "charge" in standing:
        standing["charge"] = _charge(standing["charge"])
    if "timings" in standing:
        standing["timings"] = Timings(**standing["timings"])
    fixed["job"] = _job(fixed["job"])
    empty: dict[str, Any] = {"handles": {}, "inputs": {}, "lasted": {}, "timings": _NO_TIMES}
    fields = {**_DEFAULTS, **empty, **fixed, "order": order, **standing}
    if len(fields) != _FIELDS:
        raise TypeError("a task's texts name fields that no task has, or not all that each has")
    row = _new(TaskRow)  # as its own method would make it, in a third of the time
    object.__setattr__(row, "__dict__", fields)
    return row


def placed(row: TaskRow, order: int) -> TaskRow:
    """The row as it stands once it is added: with its ``order``, and its ``queued`` event as its last."""
    return evolve(row, order=order, seq=1)


def rank(priority: int) -> int:
    """The first half of a task's rank, within what a column holds."""
    return -priority if -_RANKS <= priority <= _RANKS else max(-_RANKS, min(_RANKS, -priority))


def vendor_id(handle: Handle | None) -> str | None:
    """The vendor's id in a handle as searchable text, if it has one."""
    found = None if handle is None else handle.get("id")
    return None if found is None else searchable(str(found))


def searchable(text: str) -> str:
    """A vendor's words as text that can be stored in a column."""
    return text.encode("utf-8", "backslashreplace").decode()


# -- intents, seats, uploads, events -------------------------------------------------------------------------------


def _intent_made(value: Intent, before: Intent | None = None) -> str:
    ended = "" if value.ended is None else f',"ended":{_moment(value.ended)}'
    if before is not None and before.ended is None and before.__dict__ | {"ended": value.ended} == value.__dict__:
        return f"{intent_text(before)[:-1]}{ended}}}"
    names: dict[str, Any] = {
        "id": value.id,
        "task": value.task,
        "account": value.account,
        "model": value.model,
        "endpoint": value.endpoint,
        "attempt": value.attempt,
        "stage": value.stage,
        "key": value.key,
    }
    if value.digest:
        names["digest"] = value.digest
    if value.claim:
        names["claim"] = value.claim
    if value.saved is not None:
        names["saved"] = value.saved
    if value.batch:
        names["batch"] = value.batch
    return f'{text(names)[:-1]},"at":{_moment(value.at)}{ended}}}'


intent_text: Final = _Kept(_intent_made).text
"""An intent as text, made from that of the intent before, where it is told and only ended since."""


def intent(body: dict[str, Any]) -> Intent:
    """An intent from its text, parsed."""
    return Intent(**body)


def seat_text(value: Seat) -> str:
    """A seat as text."""
    names = text([value.id, value.pool, value.account, value.task])
    return f"{names[:-1]},{_moment(value.opened)},{_moment(value.until)}]"


def seat(body: list[Any]) -> Seat:
    """A seat from its text, parsed."""
    name, pool, account, owner, opened, until = body
    return Seat(id=name, pool=pool, account=account, task=owner, opened=opened, until=until)


def upload_text(value: Upload) -> str:
    """An upload as text."""
    return text([value.account, value.digest, value.handle, value.at, value.expires])


def upload(body: list[Any]) -> Upload:
    """An upload from its text, parsed."""
    account, digest, handle, at, expires = body
    return Upload(account=account, digest=digest, handle=handle, at=at, expires=expires)


def event_text(seq: int, kind: EventType, at: float, data: Mapping[str, Any]) -> str:
    """What an event says, without its place in the ledger and the task's names."""
    return _whole(f'[{seq},"{kind}",{_moment(at)},{text(data)}]')


def event(order: int, run: int, task_id: str, key: str, body: list[Any]) -> Event:
    """An event from its text, parsed."""
    seq, kind, at, data = body
    return Event(seq=seq, task=task_id, key=key, type=_TYPES[kind], at=at, data=data, run=run, order=order)


def numbered(value: Event, order: int) -> Event:
    """An event with its place in the ledger: the same one, as nobody else has it before it is told."""
    object.__setattr__(value, "order", order)
    return value


def queued_event(row: TaskRow) -> Event:
    """A task's first event."""
    data = {"account": row.account, "model": row.job.model}
    at = row.timings.queued or 0.0
    return Event(seq=1, task=row.id, key=row.key, type=EventType.QUEUED, at=at, data=data, run=row.run)
