"""A restart with a great many open tasks: how long until all are looked at again, and what the ledger writes."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.children import measured
from benchmarks.idle.prepared import prepare
from benchmarks.reports import Bound, Options, Report
from benchmarks.samples import by_turns
from benchmarks.vendor import started, vendor

__all__ = ["run"]

_MOST = 10 / 100_000
"""Seconds per task."""
_FEW, _WARM = 500, 50


def run(options: Options) -> Report:
    """Measure."""
    tasks, rounds = (20_000, 3) if options.quick else (100_000, 3)
    with tempfile.TemporaryDirectory(prefix="viseme-restart-") as made:
        folder = Path(made)
        with started("benchmarks.idle.vendor") as address:
            asyncio.run(prepare(str(folder / "warm" / "viseme.db"), _WARM, address))
            asyncio.run(prepare(str(folder / "prepared" / "viseme.db"), tasks, address))
            taken = by_turns(rounds, {"restart": partial(_restart, folder, address, tasks)})["restart"]
        with vendor(65536) as address:
            arguments = {"address": address, "folder": str(folder / "few"), "tasks": _FEW}
            whole: dict[str, float] = measured("benchmarks.restart.again:few", arguments).result
    seconds = [one["seconds"] for one in taken]
    last = taken[-1]
    return Report(
        figures={
            "restart_s": median(seconds),
            "restart_writes_per_job": last["steps"] / tasks,
            "restart_syncs_per_job": last["syncs"] / tasks,
            "ledger_writes_per_job": whole["steps"] / _FEW,
            "ledger_syncs_per_job": whole["syncs"] / _FEW,
        },
        bounds={"restart_s": Bound(most=_MOST * tasks)},
        spread={"restart_s": (min(seconds), max(seconds))},
        headings=("", "s", "CPU s", "memory MiB", "writes", "syncs"),
        rows=[
            *(_row(f"restart, {tasks:,} open", one) for one in taken),
            (f"{_FEW} jobs from start to end", "", "", "", f"{whole['steps']:.0f}", f"{whole['syncs']:.0f}"),
        ],
        notes=(
            "From the opening of the scheduler until every task is watched, the ledger has it under the new run, and"
            " the vendor was asked after them again; one account, a seat each, list requests, 10 a second; imports"
            " excluded, as a few tasks went before.",
            "A write is a step of a task with its events, intent, seat and charge; many share a sync to disk.",
        ),
    )


def _restart(folder: Path, address: str, tasks: int) -> dict[str, float]:
    place = folder / "restarted"
    shutil.copytree(folder / "prepared", place)
    try:
        warm = {"address": address, "folder": str(folder / "warm"), "tasks": _WARM}
        many = {"address": address, "folder": str(place), "tasks": tasks}
        taken = measured("benchmarks.restart.again:restart", many, warm=warm)
    finally:
        shutil.rmtree(place)
    return {**taken.result, "cpu": taken.cpu, "grown": taken.peak - taken.base}


def _row(name: str, taken: dict[str, float]) -> tuple[str, ...]:
    seconds, cpu, grown = f"{taken['seconds']:.2f}", f"{taken['cpu']:.2f}", f"{taken['grown'] / 2**20:.0f}"
    return name, seconds, cpu, grown, f"{taken['steps']:.0f}", f"{taken['syncs']:.0f}"
