"""A job's whole life, one by one: create, three looks, 64 KiB to disk; CPU per job against hand-written scripts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

from benchmarks.children import SPEED, How, Taken, measured
from benchmarks.folders import folders
from benchmarks.reports import Bound, Options, Report
from benchmarks.samples import by_turns, ratio
from benchmarks.vendor import vendor

__all__ = ["compared", "run"]

_EVERY = 0.01
_WIDTHS = (10, 20, 50, 200)
_RIVAL = "benchmarks.lifecycle.peers:syncsdk"
_WORKS: dict[str, tuple[str, How, dict[str, Any]]] = {
    "bare": ("benchmarks.lifecycle.peers:bare", "plain", {}),
    "fair": ("benchmarks.lifecycle.peers:fair", "plain", {}),
    "viseme": ("benchmarks.lifecycle.ours:run", "plain", {}),
    "viseme on viseme.run": ("benchmarks.lifecycle.ours:run", "script", {}),
    "viseme[speed]": ("benchmarks.lifecycle.ours:run", "speed", {}),
    "viseme, bulk polls": ("benchmarks.lifecycle.ours:run", "plain", {"bulk": True}),
}
"""What is measured, and how it is run: all but two by ``asyncio.run``, as in a service."""


def run(options: Options) -> Report:
    """Measure. What is not installed here (uvloop and orjson, Sync's client) is left out, with its figures."""
    jobs, few, rounds = (500, 60, 3) if options.quick else (2000, 200, 7)
    with vendor(65536) as address, folders() as folder:
        works = {
            name: partial(_take, work, address, folder, jobs, 200, how=how, **more)
            for name, (work, how, more) in _WORKS.items()
            if how != "speed" or all(map(find_spec, SPEED))
        }
        width = _best_width(address, folder, few) if find_spec("sync") else None
        if width is not None:
            works["syncsdk"] = partial(_take, _RIVAL, address, folder, few, width)
        taken = by_turns(rounds, works)
    counts = {**dict.fromkeys(works, jobs), "syncsdk": few}
    cpu = {name: [one.cpu / counts[name] for one in samples] for name, samples in taken.items()}
    fast = {name: [counts[name] / one.wall for one in samples] for name, samples in taken.items()}
    figures: dict[str, float | None] = {}
    spread: dict[str, tuple[float, float]] = {}
    for figure, measured_by, above, below in (
        ("cpu_vs_fair", cpu, "viseme", "fair"),
        ("cpu_vs_fair_speed", cpu, "viseme[speed]", "fair"),
        ("cpu_vs_bare", cpu, "viseme", "bare"),
        ("cpu_vs_fair_script", cpu, "viseme on viseme.run", "fair"),
        ("cpu_vs_fair_bulk", cpu, "viseme, bulk polls", "fair"),
        ("throughput_vs_syncsdk", fast, "viseme", "syncsdk"),
        ("throughput_vs_syncsdk_speed", fast, "viseme[speed]", "syncsdk"),
    ):
        if above in taken and below in taken:
            figures[figure], spread[figure] = ratio(measured_by[above], measured_by[below])
        else:
            figures[figure] = None
    rival = f"syncsdk: {few} jobs, {width} in flight, the best of {', '.join(map(str, _WIDTHS))}"
    return Report(
        figures=figures,
        spread=spread,
        bounds={
            "cpu_vs_fair": Bound(most=1.15, goal=1.0),
            "cpu_vs_fair_speed": Bound(most=1.0, goal=0.85),
            "throughput_vs_syncsdk": Bound(least=10, goal=15),
        },
        headings=("", "CPU per job, ms", "jobs per s"),
        rows=[(name, f"{median(cpu[name]) * 1000:.2f}", f"{median(fast[name]):.0f}") for name in taken],
        notes=[
            f"{jobs} jobs, 200 in flight, {rounds} rounds by turns; a look each {_EVERY * 1000:g} ms,"
            " the vendor in a process of its own",
            rival if width is not None else "syncsdk is not installed",
        ],
    )


def compared(*, jobs: int, rounds: int) -> float:
    """CPU per job of viseme, without its speed-ups, beside the fair script's: the least of some rounds of each."""
    with vendor(65536) as address, folders() as folder:
        works = {
            name: partial(_take, _WORKS[name][0], address, folder, jobs, min(jobs, 200)) for name in ("fair", "viseme")
        }
        taken = by_turns(rounds, works)
    least = {name: min(one.cpu for one in samples) for name, samples in taken.items()}
    return least["viseme"] / least["fair"]


def _take(
    work: str,
    address: str,
    folder: Callable[[], str],
    jobs: int,
    in_flight: int,
    *,
    how: How = "plain",
    **more: Any,
) -> Taken:
    place = folder()
    arguments = {"address": address, "in_flight": in_flight, "every": _EVERY, **more}
    return measured(
        work,
        {**arguments, "jobs": jobs, "folder": f"{place}/measured"},
        warm={**arguments, "jobs": 5, "folder": f"{place}/warm"},
        how=how,
    )


def _best_width(address: str, folder: Callable[[], str], jobs: int) -> int:
    return min(_WIDTHS, key=lambda width: _take(_RIVAL, address, folder, jobs, width).wall)
