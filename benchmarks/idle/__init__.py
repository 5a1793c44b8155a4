"""What tasks cost that wait at a vendor which takes hours: memory for each of them, and CPU for the looks."""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from statistics import median

from benchmarks.children import measured
from benchmarks.idle.prepared import prepare
from benchmarks.reports import Bound, Options, Report
from benchmarks.samples import by_turns
from benchmarks.vendor import started

__all__ = ["run"]

_TASKS, _FEW, _WARM = 100_000, 20_000, 50
_MOST, _FIXED = 100.0, 8.0
"""Megabytes that so many tasks may take, and those among them that do not grow with their number."""
_READS = 600 / 60
"""Reads a second, which both ways of looking use up."""


def run(options: Options) -> Report:
    """Measure."""
    tasks, seconds, rounds = (_FEW, 15.0, 1) if options.quick else (_TASKS, 30.0, 2)
    works = {
        "many ids per call": partial(_idle, tasks, seconds, True),
        "one by one": partial(_idle, tasks, seconds, False),
    }
    taken = by_turns(rounds, works)
    megabytes = [max(one["bytes"] for one in each) / 1e6 for each in zip(*taken.values(), strict=True)]
    share = [max(one["cpu"] / one["wall"] for one in each) for each in zip(*taken.values(), strict=True)]
    told = (
        "" if tasks == _TASKS else f"; the bound on memory is that of {_TASKS:,}, in proportion but for {_FIXED:g} MB"
    )
    return Report(
        figures={"idle_mb": median(megabytes), "idle_core_share": median(share)},
        spread={"idle_mb": (min(megabytes), max(megabytes)), "idle_core_share": (min(share), max(share))},
        bounds={"idle_mb": Bound(most=_FIXED + (_MOST - _FIXED) * tasks / _TASKS), "idle_core_share": Bound(most=0.05)},
        headings=("", "MB over the base", "share of a core", "reads a minute", "us per read", "attached in, s"),
        rows=[_row(name, one) for name, samples in taken.items() for one in samples],
        notes=[
            f"{tasks:,} tasks that an earlier run left at the vendor, each with its seat, taken up by a process that"
            f" then looks on for {seconds:g} s without a reader{told}",
            "the base is the same process after it carried out the same with a few tasks; both figures are the worse"
            " one of the two ways of looking, each at the whole read rate",
        ],
    )


def _idle(tasks: int, seconds: float, bulk: bool) -> dict[str, float]:
    with started("benchmarks.idle.vendor") as address, tempfile.TemporaryDirectory() as folder:
        asyncio.run(prepare(f"{folder}/warm/viseme.db", _WARM, address))
        asyncio.run(prepare(f"{folder}/many/viseme.db", tasks, address))
        arguments = {"address": address, "bulk": bulk, "rate": f"{_READS:g}/s"}
        warm = {**arguments, "folder": f"{folder}/warm", "tasks": _WARM, "seconds": 1.0}
        many = {**arguments, "folder": f"{folder}/many", "tasks": tasks, "seconds": seconds}
        return measured("benchmarks.idle.ours:run", many, warm=warm, timeout=3600).result


def _row(name: str, one: dict[str, float]) -> tuple[str, ...]:
    per_read = one["cpu"] / max(1.0, one["reads"]) * 1e6
    return (
        name,
        f"{one['bytes'] / 1e6:.1f}",
        f"{one['cpu'] / one['wall']:.4f}",
        f"{one['reads'] / one['wall'] * 60:.0f}",
        f"{per_read:.0f}",
        f"{one['attached']:.1f}",
    )
