"""Ledger values as text, and back: whatever was written is rebuilt equal.

Fields at their default are left out. Text that the ordinary codec cannot write (a lone surrogate or a whole number
beyond 64 bits, in a vendor's words) is written by the standard library and starts with a tab. No JSON text holds a raw
tab otherwise, so it marks, in a whole page of rows, that the standard library must read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import compress
from math import isfinite
from operator import attrgetter, ne
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


@lru_cache(maxsize=2048)
def _number(value: float) -> str:
    """A moment as text. Each is told some four times in a job's life, and seventeen digits cost ten times as much as a
    look here."""
    return repr(float(value)) if isfinite(value) else text(value)


def _whole(text: str) -> str:
    """A text that was joined of several, with its mark in front if one of them has it."""
    return _SPECIAL + text.replace(_SPECIAL, "") if _SPECIAL in text else text


@define(eq=False)
class _Kept:
    """Texts of values that stay the same over several steps of their task: half of what a step writes."""

    make: Callable[..., str]
    _texts: dict[int, tuple[object, str]] = field(factory=dict[int, "tuple[object, str]"], init=False)
    """By the value's ``id``, which is no other's as long as the value is kept here."""
    _older: dict[int, tuple[object, str]] = field(factory=dict[int, "tuple[object, str]"], init=False)
    """Those before them."""

    def __call__(self, value: object, *hints: Any) -> str:
        kept = self._texts.get(id(value))
        if kept is None:
            kept = self._older.get(id(value)) or (value, self.make(value, *hints))
            if len(self._texts) >= _KEPT:
                self._older, self._texts = self._texts, {}
            self._texts[id(value)] = kept
        return kept[1]


# -- tasks ---------------------------------------------------------------------------------------------------------

_JOB = tuple(name for name in FIELDS if name not in ("options", "metadata"))
_job_given = _given(Job, _JOB)
_NAMES = ("id", "key", "job", "digest", "order")
_COLUMNS = ("run", "account", "state", "parked")
_BUILT = (
    *("intent", "handles", "inputs", "outputs"),
    *("failure", "cost", "price", "charge", "lasted", "timings"),
    *("began", "observed", "since"),
)
_PLAIN = tuple(name for name in attrs.fields_dict(TaskRow) if name not in (*_NAMES, *_COLUMNS, *_BUILT))
_plain_given = _given(TaskRow, _PLAIN)
_DEFAULTS = {name: one.default for name, one in attrs.fields_dict(TaskRow).items() if one.default is not attrs.NOTHING}
_FIELDS: Final = len(attrs.fields(TaskRow))
_NO_TIMES = Timings()
_JOB_SLOTS = tuple((name, default, getattr(Job, name).__set__) for name, default in _defaults(Job, _JOB))
_new: Final = object.__new__
_artifact_given = _given(Artifact, ("role", "expires_at"))
_cost_given = _given(Cost, ("usd", "estimated"))


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
    body = _plain_given(row)
    if seq is not None:
        body["seq"] = seq
    _build(row, body)
    plain, before = text(body), _written_before(row)
    return _whole(f"{plain[:-1]}{',' if body else ''}{','.join(before)}}}") if before else plain


def restated(was: TaskRow, row: TaskRow) -> bool:
    """Whether a row's texts say what those of the row before it said: only columns changed."""
    if was.seq != row.seq:  # as with each step that is told of
        return False
    now = row.__dict__
    return {**was.__dict__, **{name: now[name] for name in _COLUMNS}} == now


def _build(row: TaskRow, body: dict[str, Any]) -> None:
    """Add the fields that are values of their own."""
    if row.handles:
        body["handles"] = row.handles
    if row.inputs:
        body["inputs"] = row.inputs
    if row.failure is not None:
        body["failure"] = _failure_body(row.failure)
    if row.cost is not None:
        body["cost"] = _cost_body(row.cost)
    if row.price is not None:
        body["price"] = _cost_body(row.price)
    if row.lasted:
        body["lasted"] = row.lasted


def _written_before(row: TaskRow) -> list[str]:
    """The fields whose text an earlier step may have made, or this one for another of them."""
    found: list[str] = []
    if row.began is not None:
        found.append(f'"began":{_number(row.began)}')
    if row.observed:
        found.append(f'"observed":{_number(row.observed)}')
    if row.since is not None:
        found.append(f'"since":{_number(row.since)}')
    times = [f'"{name}":{_number(at)}' for name, at in row.timings.__dict__.items() if at is not None]
    if times:
        found.append(f'"timings":{{{",".join(times)}}}')
    if row.intent is not None:
        found.append(f'"intent":{intent_text(row.intent)}')
    if row.charge is not None:
        found.append(f'"charge":{_charge_text(row.charge)}')
    if row.outputs:
        found.append(f'"outputs":{_outputs_text(row.outputs)}')
    return found


def _failure_body(failure: Failure) -> list[str | None]:
    return [str(failure.kind), failure.message, failure.code]


def _cost_body(cost: Cost) -> dict[str, Any]:
    return {"amount": cost.amount, "unit": cost.unit, **_cost_given(cost)}


_CHARGE = tuple(attrs.fields_dict(Charge))
_charged = attrgetter(*_CHARGE)


def _charge_made(charge: Charge) -> str:
    *names, amount, usd = _charged(charge)
    return text([*names, None if amount is None else str(amount), None if usd is None else str(usd)])


def _outputs_made(outputs: Iterable[Artifact]) -> str:
    return text([{"url": output.url, **_artifact_given(output)} for output in outputs])


_charge_text = _Kept(_charge_made)
_outputs_text = _Kept(_outputs_made)


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
    return max(-_RANKS, min(_RANKS, -priority))


def vendor_id(handle: Handle | None) -> str | None:
    """The vendor's id in a handle as searchable text, if it has one."""
    found = None if handle is None else handle.get("id")
    return None if found is None else searchable(str(found))


def searchable(text: str) -> str:
    """A vendor's words as text that can be stored in a column."""
    return text.encode("utf-8", "backslashreplace").decode()


# -- intents, seats, uploads, events -------------------------------------------------------------------------------

_INTENT_NEEDS = ("id", "task", "account", "model", "endpoint", "attempt", "stage", "key")
_intended = attrgetter(*_INTENT_NEEDS)
_intent_given = _given(Intent, ("digest", "claim", "saved", "batch"))


def _intent_made(value: Intent, before: Intent | None = None) -> str:
    ended = "" if value.ended is None else f',"ended":{_number(value.ended)}'
    if before is not None and before.ended is None and before.__dict__ | {"ended": value.ended} == value.__dict__:
        return f"{intent_text(before)[:-1]}{ended}}}"
    names = text({**dict(zip(_INTENT_NEEDS, _intended(value), strict=True)), **_intent_given(value)})
    return f'{names[:-1]},"at":{_number(value.at)}{ended}}}'


intent_text = _Kept(_intent_made)
"""An intent as text, made from that of the intent before, where it is told and only ended since."""


def intent(body: dict[str, Any]) -> Intent:
    """An intent from its text, parsed."""
    return Intent(**body)


def seat_text(value: Seat) -> str:
    """A seat as text."""
    names = text([value.id, value.pool, value.account, value.task])
    return f"{names[:-1]},{_number(value.opened)},{_number(value.until)}]"


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
    return _whole(f'[{seq},"{kind}",{_number(at)},{text(data)}]')


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
