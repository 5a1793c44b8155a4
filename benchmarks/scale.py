"""Ever more jobs from a generator: each costs as much as the one before, and memory stays where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from statistics import median

from benchmarks.children import Taken, measured
from benchmarks.folders import folders
from benchmarks.reports import Bound, Options, Report
from benchmarks.vendor import vendor

__all__ = ["run"]

_EVERY = 0.05
_WIDE, _NARROW = 1000, 100
_Round = Mapping[int, Taken]
"""What so many jobs took."""


def run(options: Options) -> Report:
    """Measure."""
    few, some, many = sizes = (500, 2_500, 12_500) if options.quick else (1_000, 10_000, 100_000)
    with vendor(4096) as address, folders() as own, folders() as folder, ThreadPoolExecutor(1) as beside:
        take = partial(_take, address, folder)
        longest = beside.submit(_take, address, own, many, _WIDE)
        meanwhile: list[_Round] = []
        while not longest.done():
            meanwhile.append({few: take(few, _WIDE), some: take(some, _WIDE)})
        largest = longest.result()
        paired = meanwhile[:-1] or meanwhile  # the last one was alone in the end
        rounds = [{**each, many: largest} for each in paired]
        narrow = take(some, _NARROW)
    told = [_figures(sizes, each, narrow) for each in rounds]
    rows = [_row(f"{size:,}", size, [each[size] for each in rounds]) for size in sizes]
    rows.append(_row(f"{some:,}, {_NARROW} in flight, alone", some, [narrow]))
    return Report(
        figures={name: median(each[name] for each in told) for name in told[0]},
        spread={name: (min(each[name] for each in told), max(each[name] for each in told)) for name in told[0]},
        bounds={
            "marginal_cpu": Bound(most=1.1),
            "rss_100k_vs_10k": Bound(most=1.2),
            "kb_per_active_job": Bound(most=20),
        },
        headings=("jobs", "CPU, s", "CPU per job, ms", "peak memory, MB"),
        rows=rows,
        notes=[
            f"{_WIDE} in flight, one look each {_EVERY * 1000:g} ms, one by one; 4 KiB a film; all with its ledger",
            f"the smaller numbers ran {len(rounds)} times beside the largest, one after the other, for the machine's"
            " pace changes within minutes",
            *(["with --quick the sizes are an eighth or less, and the ratios are of these"] if options.quick else []),
        ],
    )


def _figures(sizes: tuple[int, int, int], taken: _Round, narrow: Taken) -> dict[str, float]:
    """What a round says."""
    _, some, many = sizes
    early, late = ((taken[more].cpu - taken[less].cpu) / (more - less) for less, more in pairwise(sizes))
    return {
        "marginal_cpu": late / early,
        "rss_100k_vs_10k": taken[many].peak / taken[some].peak,
        "kb_per_active_job": (taken[some].peak - narrow.peak) / (_WIDE - _NARROW) / 1024,
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


def _row(name: str, jobs: int, taken: Sequence[Taken]) -> tuple[str, str, str, str]:
    cpu, peak = median(one.cpu for one in taken), median(one.peak for one in taken)
    return name, f"{cpu:.1f}", f"{cpu / jobs * 1000:.2f}", f"{peak / 1e6:.0f}"
