"""Ever more jobs from a generator: each costs as much as the one before, and memory stays where it is."""

from __future__ import annotations

import tempfile
from functools import partial
from itertools import pairwise
from statistics import median

from benchmarks.children import Taken, measured
from benchmarks.reports import Bound, Options, Report
from benchmarks.samples import by_turns
from benchmarks.vendor import vendor

__all__ = ["run"]

_EVERY = 0.05
_WIDE, _NARROW = 1000, 100


def run(options: Options) -> Report:
    """Measure."""
    sizes = (500, 2_500, 12_500) if options.quick else (1_000, 10_000, 100_000)
    rounds = 1 if options.quick else 2
    with vendor(4096) as address:
        works = {str(size): partial(_take, address, size, _WIDE) for size in sizes}
        works["narrow"] = partial(_take, address, sizes[1], _NARROW)
        taken = by_turns(rounds, works)
    cpu = {size: min(one.cpu for one in taken[str(size)]) for size in sizes}
    peak = {name: median(one.peak for one in samples) for name, samples in taken.items()}
    early, late = ((cpu[more] - cpu[less]) / (more - less) for less, more in pairwise(sizes))
    per_active = (peak[str(sizes[1])] - peak["narrow"]) / (_WIDE - _NARROW) / 1024
    return Report(
        figures={
            "marginal_cpu": late / early,
            "rss_100k_vs_10k": peak[str(sizes[2])] / peak[str(sizes[1])],
            "kb_per_active_job": per_active,
        },
        bounds={
            "marginal_cpu": Bound(most=1.1),
            "rss_100k_vs_10k": Bound(most=1.2),
            "kb_per_active_job": Bound(most=20),
        },
        headings=("jobs", "CPU, s", "CPU per job, ms", "peak memory, MB"),
        rows=[_row(f"{size:,}", size, taken[str(size)]) for size in sizes]
        + [_row(f"{sizes[1]:,}, {_NARROW} in flight", sizes[1], taken["narrow"])],
        notes=[
            f"{_WIDE} in flight, one look each {_EVERY * 1000:g} ms, one by one; 4 KiB a film; all with its ledger",
            *(["with --quick the sizes are an eighth or less, and the ratios are of these"] if options.quick else []),
        ],
    )


def _take(address: str, jobs: int, in_flight: int) -> Taken:
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"address": address, "in_flight": in_flight, "every": _EVERY}
        return measured(
            "benchmarks.lifecycle.ours:run",
            {**arguments, "jobs": jobs, "folder": f"{folder}/measured"},
            warm={**arguments, "jobs": 5, "folder": f"{folder}/warm"},
            timeout=3600,
        )


def _row(name: str, jobs: int, taken: list[Taken]) -> tuple[str, str, str, str]:
    cpu, peak = min(one.cpu for one in taken), median(one.peak for one in taken)
    return name, f"{cpu:.1f}", f"{cpu / jobs * 1000:.2f}", f"{peak / 1e6:.0f}"
