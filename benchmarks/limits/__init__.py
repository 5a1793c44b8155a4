"""How close to an account's limits the engine works: where the create rate binds, and where the seats do."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from collections.abc import Sequence
from statistics import median

from attrs import evolve, frozen

from benchmarks.children import measured
from benchmarks.reports import Bound, Options, Report
from benchmarks.vendor import started

__all__ = ["run"]

_LOOK = 1.0
"""Vendor seconds between looks."""


@frozen(kw_only=True)
class _Case:
    """An account and its jobs; times are the vendor's seconds, of which ``speed`` pass in one of ours."""

    speed: float
    seconds: float
    jobs: int
    rate: int
    window: float
    seats: int


@frozen(kw_only=True)
class _Books:
    """What the vendor saw; times in its seconds.

    Attributes:
        took: from the first job that the engine was given to the last file on its disk.
        delay: from a job's end to the look that showed it, on average.
    """

    took: float
    delay: float
    throttled: int
    booked: Sequence[float]
    ends: Sequence[float]


@frozen(kw_only=True)
class _Outcome:
    """How close a case came to its bound, which is ``bound`` vendor seconds."""

    books: _Books
    took: float
    bound: float
    utilisation: float | None = None

    @property
    def ratio(self) -> float:
        return self.took / self.bound


_RATE_BINDS = _Case(speed=3, seconds=2, jobs=2400, rate=600, window=60, seats=1000)
_SEATS_BIND = _Case(speed=10, seconds=60, jobs=250, rate=1_000_000, window=1, seats=50)


def run(options: Options) -> Report:
    """Measure."""
    rounds, speed = (1, _RATE_BINDS.speed) if options.quick else (3, 2)
    by_rate = [_rate_bound(evolve(_RATE_BINDS, speed=speed)) for _ in range(rounds)]
    by_seats = [_seat_bound(_SEATS_BIND) for _ in range(rounds)]
    worst = max(by_rate, by_seats, key=lambda case: median(one.ratio for one in case))
    used = [one.utilisation for one in by_seats if one.utilisation is not None]
    ratios = [one.ratio for one in worst]
    return Report(
        figures={
            "makespan_vs_bound": median(ratios),
            "seat_utilisation": median(used),
            "throttled": sum(one.books.throttled for one in by_rate + by_seats),
        },
        bounds={
            "makespan_vs_bound": Bound(most=1.03),
            "seat_utilisation": Bound(least=0.97),
            "throttled": Bound(most=0),
        },
        spread={"makespan_vs_bound": (min(ratios), max(ratios)), "seat_utilisation": (min(used), max(used))},
        headings=("", "took, s", "bound, s", "ratio", "seen after, s"),
        rows=[
            _row(f"A: {_RATE_BINDS.rate} creates a minute, {_RATE_BINDS.jobs} jobs of 2 s", by_rate),
            _row(f"B: {_SEATS_BIND.seats} seats, {_SEATS_BIND.jobs} jobs of 60 s", by_seats),
        ],
        notes=[
            f"times are the vendor's; {speed:g} of its seconds (A) or {_SEATS_BIND.speed:g} (B) pass in one of ours, so"
            f" our CPU counts as many times; a look each vendor second, bulk polls on; rounds: {rounds}",
            "A's bound: the last create at the first moment that exact windows allow, then the job and its detection;"
            " taken until the last file is on disk",
            "B's bound: each seat's jobs follow upon each other as soon as the end was seen; without the first and the"
            " last job of each seat",
            "makespan_vs_bound is the worse of the two; seat_utilisation is the vendor's count over its seats, over"
            " what the detection delay allows",
        ],
    )


def _rate_bound(case: _Case) -> _Outcome:
    """The create rate binds: the last job can be created when the window before its own is over."""
    books = _carried_out(case)
    last = (case.jobs - 1) // case.rate * case.window
    return _Outcome(books=books, took=books.took, bound=last + case.seconds + books.delay)


def _seat_bound(case: _Case) -> _Outcome:
    """The seats bind: without warm-up and drain, which are the first and the last job of each seat."""
    books = _carried_out(case)
    turns = case.jobs // case.seats - 2
    first, last = books.booked[case.seats : 2 * case.seats], books.booked[-case.seats :]
    took = sum(late - early for early, late in zip(first, last, strict=True)) / case.seats
    begin, end = first[0], first[0] + took
    used = sum(max(0.0, min(b, end) - max(a, begin)) for a, b in zip(books.booked, books.ends, strict=True))
    allowed = case.seconds / (case.seconds + books.delay)
    return _Outcome(
        books=books,
        took=took,
        bound=turns * (case.seconds + books.delay),
        utilisation=used / (case.seats * took) / allowed,
    )


def _carried_out(case: _Case) -> _Books:
    window, seconds = case.window / case.speed, case.seconds / case.speed
    limits = {"rate": case.rate, "window": window, "seats": case.seats}
    with (
        started("benchmarks.limits.vendor", json.dumps({"seconds": seconds, **limits})) as address,
        tempfile.TemporaryDirectory() as folder,
    ):
        every = _LOOK / case.speed
        arguments = {"address": address, "jobs": case.jobs, "every": every, "folder": folder, **limits}
        taken = measured("benchmarks.limits.ours:run", arguments)
        with urllib.request.urlopen(f"{address}/books") as reply:
            told = json.load(reply)
    late = [seen - end for seen, end in zip(told["seen"], told["ends"], strict=True)]
    return _Books(
        took=taken.result * case.speed,
        delay=sum(late) / len(late) * case.speed,
        throttled=told["throttled"],
        booked=[at * case.speed for at in told["booked"]],
        ends=[at * case.speed for at in told["ends"]],
    )


def _row(name: str, outcomes: Sequence[_Outcome]) -> tuple[str, ...]:
    took, bound = median(one.took for one in outcomes), median(one.bound for one in outcomes)
    ratio, delay = median(one.ratio for one in outcomes), median(one.books.delay for one in outcomes)
    return name, f"{took:.1f}", f"{bound:.1f}", f"{ratio:.4f}", f"{delay:.2f}"
