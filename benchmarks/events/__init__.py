"""Events to readers: what one costs in memory, what a slow reader costs the others, and the same through the ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from statistics import mean, median
from typing import Any

from benchmarks.children import measured
from benchmarks.reports import Bound, Options, Report
from benchmarks.samples import by_turns, ratio

__all__ = ["run"]

_KINDS = {
    "1 reader": (1, 0),
    "10 readers": (10, 0),
    "10 readers, one of them slow": (9, 1),
}
"""How many readers take each event at once, and how many do not."""
_LEDGER = "1 reader, and the ledger at full sync"


def run(options: Options) -> Report:
    """Measure."""
    count, stored, rounds = (200_000, 20_000, 3) if options.quick else (1_000_000, 200_000, 5)
    works = {name: partial(_in_memory, count, quick, slow) for name, (quick, slow) in _KINDS.items()}
    works[_LEDGER] = partial(_through_the_ledger, stored)
    taken = by_turns(rounds, works)
    pairs: dict[str, list[float]] = _measured("alternating", count=50_000, pairs=40)
    _, spread = ratio(pairs["with"], pairs["without"])
    one = taken["1 reader"]
    return Report(
        figures={
            "us_per_event": median(one),
            "slow_reader_loss": 1 - _undisturbed(pairs["without"]) / _undisturbed(pairs["with"]),
            "us_per_event_10_readers": median(taken["10 readers"]),
            "us_per_event_ledger": median(taken[_LEDGER]),
        },
        bounds={"us_per_event": Bound(most=3.0), "slow_reader_loss": Bound(most=0.02)},
        spread={
            "us_per_event": (min(one), max(one)),
            "slow_reader_loss": (1 - 1 / spread[0], 1 - 1 / spread[1]),
        },
        headings=("", "us per event", "least", "most"),
        rows=[
            (name, *(f"{value:.2f}" for value in (median(each), min(each), max(each)))) for name, each in taken.items()
        ],
        notes=(
            f"{count:,} events in memory, {stored:,} through the ledger, four in a step; CPU of the whole process, the"
            " making of the events in it, until all quick readers have the last.",
            "slow_reader_loss: 40 rounds of 50,000 events to one reader, with another beside it that waits 10 ms over"
            " each event, by turns with 40 without; the fastest eighth of each, as other work on the machine only adds."
            " The spread is that of all pairs.",
        ),
    )


def _undisturbed(rounds: Sequence[float]) -> float:
    """The mean of the fastest eighth."""
    return mean(sorted(rounds)[: len(rounds) // 8])


def _in_memory(count: int, quick: int, slow: int) -> float:
    return 1e6 * _measured("in_memory", count=count, quick=quick, slow=slow)


def _through_the_ledger(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="viseme-events-") as folder:
        return 1e6 * _measured("through_the_ledger", count=count, path=f"{folder}/viseme.db")


def _measured(work: str, **arguments: Any) -> Any:
    return measured(f"benchmarks.events.delivery:{work}", arguments).result
