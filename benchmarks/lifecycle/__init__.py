"""A job's whole life, one by one: create, three looks, 64 KiB to disk; CPU per job against hand-written scripts."""

from __future__ import annotations

import tempfile
from functools import partial
from statistics import median
from typing import Any

from benchmarks.children import Taken, measured
from benchmarks.reports import Bound, Options, Report
from benchmarks.samples import by_turns, ratio
from benchmarks.vendor import vendor

__all__ = ["compared", "run"]

_EVERY = 0.01
_WIDTHS = (10, 20, 50, 200)
_WORKS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "bare": ("benchmarks.lifecycle.peers:bare", False, {}),
    "fair": ("benchmarks.lifecycle.peers:fair", False, {}),
    "viseme": ("benchmarks.lifecycle.ours:run", False, {}),
    "viseme[speed]": ("benchmarks.lifecycle.ours:run", True, {}),
    "viseme, bulk polls": ("benchmarks.lifecycle.ours:run", False, {"bulk": True}),
}
"""What is measured, on `viseme.run` with uvloop and orjson, or on `asyncio.run` without."""


def run(options: Options) -> Report:
    """Measure."""
    jobs, few, rounds = (500, 60, 3) if options.quick else (2000, 200, 7)
    with vendor(65536) as address:
        works = {
            name: partial(_take, work, address, jobs, 200, speed=speed, **more)
            for name, (work, speed, more) in _WORKS.items()
        }
        taken = by_turns(rounds, works)
        width, rival = _best_rival(address, few)
    cpu = {name: [one.cpu / jobs for one in samples] for name, samples in taken.items()}
    fast = median(jobs / one.wall for one in taken["viseme"])
    figures: dict[str, float | None] = {}
    spread: dict[str, tuple[float, float]] = {}
    for figure, above, below in (
        ("cpu_vs_fair", "viseme", "fair"),
        ("cpu_vs_fair_speed", "viseme[speed]", "fair"),
        ("cpu_vs_bare", "viseme", "bare"),
        ("cpu_vs_fair_bulk", "viseme, bulk polls", "fair"),
    ):
        figures[figure], spread[figure] = ratio(cpu[above], cpu[below])
    figures["throughput_vs_syncsdk"] = fast * rival.wall / few
    rows = [_row(name, taken[name], jobs) for name in taken]
    rows.append(_row(f"syncsdk, {width} in flight", [rival], few))
    return Report(
        figures=figures,
        spread=spread,
        bounds={
            "cpu_vs_fair": Bound(most=1.15, goal=1.0),
            "cpu_vs_fair_speed": Bound(most=1.0, goal=0.85),
            "throughput_vs_syncsdk": Bound(least=10, goal=15),
        },
        headings=("", "CPU per job, ms", "jobs per s"),
        rows=rows,
        notes=[
            f"{jobs} jobs, 200 in flight, {rounds} rounds by turns; a look each {_EVERY * 1000:g} ms,"
            " the vendor in a process of its own",
            f"syncsdk: {few} jobs at the best of {', '.join(map(str, _WIDTHS))} in flight",
        ],
    )


def compared(*, jobs: int, rounds: int) -> float:
    """CPU per job of viseme, without its speed-ups, beside the fair script's: the least of some rounds of each."""
    with vendor(65536) as address:
        works = {name: partial(_take, _WORKS[name][0], address, jobs, min(jobs, 200)) for name in ("fair", "viseme")}
        taken = by_turns(rounds, works)
    least = {name: min(one.cpu for one in samples) for name, samples in taken.items()}
    return least["viseme"] / least["fair"]


def _take(work: str, address: str, jobs: int, in_flight: int, *, speed: bool = False, **more: Any) -> Taken:
    with tempfile.TemporaryDirectory() as folder:
        arguments = {"address": address, "in_flight": in_flight, "every": _EVERY, **more}
        return measured(
            work,
            {**arguments, "jobs": jobs, "folder": f"{folder}/measured"},
            warm={**arguments, "jobs": 5, "folder": f"{folder}/warm"},
            speed=speed,
        )


def _best_rival(address: str, jobs: int) -> tuple[int, Taken]:
    taken = [(width, _take("benchmarks.lifecycle.peers:syncsdk", address, jobs, width)) for width in _WIDTHS]
    return min(taken, key=lambda one: one[1].wall)


def _row(name: str, taken: list[Taken], jobs: int) -> tuple[str, str, str]:
    cpu = median(one.cpu / jobs * 1000 for one in taken)
    fast = median(jobs / one.wall for one in taken)
    return name, f"{cpu:.2f}", f"{fast:.0f}"
