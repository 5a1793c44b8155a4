"""``python -m benchmarks [NAME ...] [--quick] [--json FILE]``: measure, print a table, write the figures as JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import described
from benchmarks.reports import Options, Report, shown

__all__ = ["main"]

NAMES = ("floor", "lifecycle", "scale", "idle", "limits", "polling", "downloads", "restart", "events", "startup")
"""Each is a module of this package with ``run(options) -> Report``."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 1 if a figure is out of its bound."""
    told = _options(words)
    machine = described()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    written: dict[str, object] = {"machine": machine, "quick": told.quick}
    missed: list[str] = []
    for name in told.names or NAMES:
        began = time.perf_counter()
        report: Report = importlib.import_module(f"benchmarks.{name}").run(Options(quick=told.quick))
        print("\n".join(shown(name, report)))
        print(f"   took {time.perf_counter() - began:.0f} s\n", flush=True)
        written[name] = {**report.figures, "spread": report.spread}
        missed += [f"{name}.{figure}" for figure in _out_of_bounds(report)]
        if told.json is not None:
            Path(told.json).write_text(json.dumps(written, indent=2) + "\n")
    if missed:
        print(f"out of bounds: {', '.join(missed)}")
    return 1 if missed else 0


def _out_of_bounds(report: Report) -> list[str]:
    values = ((name, bound, report.figures.get(name)) for name, bound in report.bounds.items())
    return [name for name, bound, value in values if value is not None and not bound.holds(value)]


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="measure less; all of it takes under ten minutes")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    told = parser.parse_args(words)
    if told.json is not None:
        try:
            Path(told.json).open("a").close()
        except OSError as error:
            parser.error(f"--json {told.json} cannot be written: {error.strerror}; give another file")
    return told


if __name__ == "__main__":
    sys.exit(main())
