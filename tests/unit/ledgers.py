"""What the ledger's tests share: values, strategies, and one house for either kind of ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import pytest
from attrs import define, evolve, fields_dict, frozen
from hypothesis import strategies as st

from viseme import codec
from viseme.attempts import Intent, Seat, TaskRow, Upload
from viseme.events import Event, EventType
from viseme.failures import Failure, Kind
from viseme.jobs import Job
from viseme.ledger import Change, Ledger, MemoryDisk, MemoryLedger, SqliteLedger
from viseme.money import Charge
from viseme.results import Artifact, Cost, Reason, State, Timings

T = TypeVar("T")

KINDS = ("sqlite", "memory")


async def in_thread(function: Callable[[], T]) -> T:
    """`blocking` as the real world has it."""
    return await anyio.to_thread.run_sync(function)


async def in_line(function: Callable[[], T]) -> T:
    """`blocking` as the simulation has it."""
    return function()


@frozen
class House:
    """A place where ledgers of one kind open one after the other, or side by side, on the same record."""

    kind: str
    path: Path
    disk: MemoryDisk

    def ledger(self, *, read_only: bool = False, blocking: Any = in_thread) -> Ledger:
        if self.kind == "memory":
            return MemoryLedger(self.disk, read_only=read_only)
        return SqliteLedger(self.path, blocking=blocking, read_only=read_only)


@define(eq=False)
class SlowDisk:
    """Where a ledger in memory writes to: each group takes a second, and the next so many are refused."""

    refuses: int = 0

    async def sync(self) -> None:
        await anyio.sleep(1)
        if self.refuses:
            self.refuses -= 1
            raise OSError("full")


def house(kind: str, folder: Path) -> House:
    return House(kind, folder / "viseme.db", MemoryDisk())


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """With one codec or the other, whichever is installed."""
    with pytest.MonkeyPatch.context() as patch:
        if name == "stdlib":
            patch.setattr(codec, "dumps", codec._stdlib_dumps)
            patch.setattr(codec, "text", codec._stdlib_text)
            patch.setattr(codec, "loads", codec._stdlib_loads)
        yield


# -- values --------------------------------------------------------------------------------------------------------


def job(**given: Any) -> Job:
    return Job(**{"video": "https://media.example/a.mp4", "audio": "https://media.example/a.wav", **given})


def row(
    name: str, *, key: str | None = None, run: int = 1, account: str = "sync", priority: int = 0, **given: Any
) -> TaskRow:
    """A new task, as the engine gives it to ``add``."""
    return TaskRow(
        id=name,
        key=key or f"key-{name}",
        job=given.pop("job", None) or job(priority=priority),
        digest="d" * 64,
        account=account,
        run=run,
        timings=Timings(queued=1000.0),
        **given,
    )


def event(of: TaskRow, kind: EventType, seq: int, **data: Any) -> Event:
    return Event(seq=seq, task=of.id, key=of.key, type=kind, at=1000.0 + seq, data=data, run=of.run)


def intent(of: TaskRow, *, name: str | None = None, ended: float | None = None) -> Intent:
    return Intent(
        id=name or f"{of.id}:1:generate",
        task=of.id,
        account=of.account,
        model=None,
        endpoint="/v2/generate",
        attempt=1,
        stage="generate",
        key=f"idem-{of.id}",
        at=1001.0,
        ended=ended,
    )


def seat(of: TaskRow) -> Seat:
    return Seat(id=of.seat, pool="pool", account=of.account, task=of.id, opened=1001.0, until=9000.0)


def charge(of: TaskRow, amount: str | None = "2.5", **given: Any) -> Charge:
    """What an attempt of the task is to cost, in credits of which one is four cents."""
    exact = None if amount is None else Decimal(amount)
    usd = None if exact is None else exact * Decimal("0.04")
    values: dict[str, Any] = {"id": of.seat, "unit": "credits", "amount": exact, "usd": usd, **given}
    return Charge(task=of.id, account=of.account, pool="pool", day=values.pop("day", "2026-11-21"), **values)


def upload(digest: str, **given: Any) -> Upload:
    values: dict[str, Any] = {"account": "sync", "handle": {"id": f"asset-{digest}"}, "at": 1000.0, **given}
    return Upload(digest=digest, **values)


def moved(of: TaskRow, kind: EventType, **given: Any) -> Change:
    """A step: the row with these fields, and one event."""
    after = evolve(of, seq=of.seq + 1, **given)
    return Change(row=after, events=(event(after, kind, after.seq),))


def creating(of: TaskRow) -> Change:
    """The step before a paid request: intent and seat."""
    first = intent(of)
    change = moved(of, EventType.CREATING, state=State.CREATING, attempt=1, stage="generate", intent=first)
    return evolve(change, intent=first, opens=seat(change.row))


# -- strategies ----------------------------------------------------------------------------------------------------

times = st.floats(min_value=0, max_value=4e9)
words = st.text(max_size=12)
anything_said = st.text(st.characters(), max_size=12)  # lone surrogates too: vendors say what they like
whole = st.integers(min_value=-(2**53), max_value=2**53)


def json_values(text: st.SearchStrategy[str], numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | text
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6
    )


def objects(
    text: st.SearchStrategy[str] = words, numbers: st.SearchStrategy[int] = whole
) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(text, json_values(text, numbers), max_size=3)


def optional(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


vendor_objects = objects(anything_said, st.integers())


def every(cls: type[T], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Values of a class with every field drawn; a field without a strategy here is an error."""
    assert given.keys() == fields_dict(cls).keys(), given.keys() ^ fields_dict(cls).keys()
    return st.builds(cls, **given)


speeches = st.sampled_from(
    [
        {},
        {"audio": "https://media.example/é.wav"},
        {"text": "Hi\nyou\t\x00", "voice": "v"},
        {"language": "de", "source_language": "en"},
    ]
)
jobs = st.builds(
    lambda picture, speech, rest: Job(**{picture: "take 1.mp4"}, **speech, **rest),
    st.sampled_from(["video", "image"]),
    speeches,
    st.fixed_dictionaries(
        {"options": objects(), "metadata": objects(), "priority": st.integers()},
        optional={
            "account": st.sampled_from(["sync", "", "a b", ("sync", "jogg")]),
            "model": words,
            "key": words,
            "output": st.just("a/b.mp4"),
        },
    ),
)
billionths = st.integers(0, 2**63 - 1).map(lambda number: Decimal(number).scaleb(-9))
charges = every(
    Charge,
    id=words,
    task=words,
    account=words,
    pool=words,
    day=words,
    state=st.sampled_from(["reserved", "spent", "failed"]),
    unit=optional(words),
    amount=optional(billionths),
    usd=optional(billionths),
)
costs = every(Cost, amount=times, unit=words, usd=optional(times), estimated=st.booleans())
uploads = every(Upload, account=words, digest=words, handle=vendor_objects, at=times, expires=optional(times))
intents = every(
    Intent,
    id=words,
    task=words,
    account=words,
    model=optional(words),
    endpoint=words,
    attempt=st.integers(0, 9),
    stage=words,
    key=words,
    at=times,
    ended=optional(times),
    digest=words,
    claim=words,
    batch=words,
    saved=optional(vendor_objects),
)
seats = every(Seat, id=words, pool=words, account=words, task=words, opened=times, until=times)
rows = every(
    TaskRow,
    id=words,
    key=words,
    job=jobs,
    digest=words,
    account=words,
    run=st.integers(0, 99),
    order=st.integers(1, 99),
    state=st.sampled_from([state for state in State if state is not State.PARKED]),
    parked=optional(st.sampled_from(Reason)),
    seq=st.integers(0, 99),
    attempt=st.integers(0, 9),
    stage=words,
    intent=optional(intents),
    handle=optional(vendor_objects),
    handles=st.dictionaries(words, vendor_objects, max_size=2),
    inputs=st.dictionaries(words, vendor_objects, max_size=2),
    began=optional(times),
    preview=optional(words),
    outputs=st.lists(every(Artifact, url=anything_said, role=words, expires_at=optional(times)), max_size=2).map(tuple),
    observed=times,
    status=optional(anything_said),
    failure=optional(every(Failure, kind=st.sampled_from(Kind), message=anything_said, code=optional(words))),
    cost=optional(costs),
    price=optional(costs),
    charge=optional(charges),
    file=optional(words),
    bytes=optional(whole),
    sha256=optional(words),
    vendor_says=optional(anything_said),
    since=optional(times),
    tries=st.integers(0, 9),
    leg=st.integers(0, 3),
    behind=st.integers(0, 3),
    mode=st.sampled_from(["", "batch"]),
    seconds=optional(times),
    lasted=st.dictionaries(words, times, max_size=2),
    timings=st.builds(Timings, **{name: optional(times) for name in fields_dict(Timings)}),
)
events = every(
    Event,
    seq=st.integers(1, 99),
    task=words,
    key=words,
    type=st.sampled_from(EventType),
    at=times,
    data=vendor_objects,
    run=st.integers(0, 9),
    order=st.integers(1, 99),
)


def run(main: Any) -> Any:
    """Run a coroutine where hypothesis is in charge."""
    return asyncio.run(main)
