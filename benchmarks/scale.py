"""Ever more jobs from a generator: each costs as much as the one before, and memory stays where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from statistics import median

from benchmarks.children import Taken, measured
from benchmarks.folders import folders
from benchmarks.reports import Bound, Options, Report
from benchmarks.samples import by_turns
from benchmarks.vendor import vendor

__all__ = ["run"]

_EVERY = 0.05
_WIDE, _NARROW = 1000, 100
_Turn = tuple[int, int]
"""How many jobs, and how many of them in flight."""


def run(options: Options) -> Report:
    """Measure."""
    few, some, many = sizes = (500, 2_500, 12_500) if options.quick else (1_000, 10_000, 100_000)
    rounds = 1 if options.quick else 2
    turns = [(few, _WIDE), (some, _WIDE), (many, _WIDE), (some, _WIDE), (few, _WIDE), (some, _NARROW)]
    with vendor(4096) as address, folders() as folder:
        works = {number: partial(_take, address, folder, *turn) for number, turn in enumerate(turns)}
        by_number = by_turns(rounds, works)
    taken: dict[_Turn, list[Taken]] = {turn: [] for turn in turns}
    for number, turn in enumerate(turns):
        taken[turn] += by_number[number]
    told = [_figures(sizes, {turn: samples[at::rounds] for turn, samples in taken.items()}) for at in range(rounds)]
    return Report(
        figures={name: median(each[name] for each in told) for name in told[0]},
        spread={name: (min(each[name] for each in told), max(each[name] for each in told)) for name in told[0]},
        bounds={
            "marginal_cpu": Bound(most=1.1),
            "rss_100k_vs_10k": Bound(most=1.2),
            "kb_per_active_job": Bound(most=20),
        },
        headings=("jobs", "CPU, s", "CPU per job, ms", "peak memory, MB"),
        rows=[_row(jobs, in_flight, samples) for (jobs, in_flight), samples in taken.items()],
        notes=[
            f"{_WIDE} in flight, one look each {_EVERY * 1000:g} ms, one by one; 4 KiB a film; all with its ledger",
            "the smaller numbers before and after the largest, while which the machine's pace may change",
            *(["with --quick the sizes are an eighth or less, and the ratios are of these"] if options.quick else []),
        ],
    )


def _figures(sizes: tuple[int, int, int], taken: Mapping[_Turn, Sequence[Taken]]) -> dict[str, float]:
    """What a round says."""
    _, some, many = sizes
    cpu = {size: median(one.cpu for one in taken[size, _WIDE]) for size in sizes}
    peak = {turn: median(one.peak for one in samples) for turn, samples in taken.items()}
    early, late = ((cpu[more] - cpu[less]) / (more - less) for less, more in pairwise(sizes))
    return {
        "marginal_cpu": late / early,
        "rss_100k_vs_10k": peak[many, _WIDE] / peak[some, _WIDE],
        "kb_per_active_job": (peak[some, _WIDE] - peak[some, _NARROW]) / (_WIDE - _NARROW) / 1024,
    }


def _take(address: str, folder: Callable[[], str], jobs: int, in_flight: int) -> Taken:
    place = folder()
    arguments = {"address": address, "in_flight": in_flight, "every": _EVERY}
    return measured(
        "benchmarks.lifecycle.ours:run",
        {**arguments, "jobs": jobs, "folder": f"{place}/measured"},
        warm={**arguments, "jobs": 5, "folder": f"{place}/warm"},
        timeout=3600,
    )


def _row(jobs: int, in_flight: int, taken: list[Taken]) -> tuple[str, str, str, str]:
    name = f"{jobs:,}" if in_flight == _WIDE else f"{jobs:,}, {in_flight} in flight"
    cpu, peak = median(one.cpu for one in taken), median(one.peak for one in taken)
    return name, f"{cpu:.1f}", f"{cpu / jobs * 1000:.2f}", f"{peak / 1e6:.0f}"
