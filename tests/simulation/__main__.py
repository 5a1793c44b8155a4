"""``python -m tests.simulation --seeds N [--start K]``: run seeds K to K+N-1; exit status 1 if a law breaks in any."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.simulation.many import Sum, run_all
from tests.simulation.scenario import Shrink
from tests.simulation.story import replay, tell

__all__ = ["main"]

_STORIES = 3


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    told = _options(words)
    shrink = Shrink(
        jobs=told.jobs,
        kinds=None if told.kinds is None else frozenset(filter(None, told.kinds.split(","))),
        muted=frozenset(map(int, filter(None, told.mute.split(",")))),
        lives=told.lives,
        moves=not told.no_moves,
    )
    began, total = time.monotonic(), Sum()
    seeds = range(told.start, told.start + told.seeds)
    for ran in run_all(seeds, shrink, told.processes):
        total.add(ran)
        if ran.broken is not None:
            print(f"seed {ran.seed}: {ran.broken}", flush=True)
        elif told.seeds == 1:
            print("\n".join(replay(ran.seed, shrink).universe.trace))
    for ran in total.broken[: 0 if told.no_story else _STORIES]:
        print("\n".join(["", *tell(ran.seed, ran.broken or "")]))
    mix = ", ".join(f"{kind} {times}" for kind, times in sorted(total.struck.items(), key=lambda item: -item[1]))
    print(f"\ntroubles: {mix}")
    print(
        f"{total.seeds} seeds, {total.lives} lives of the process, {total.bookings} paid creates,"
        f" {sum(total.struck.values())} troubles, {len(total.broken)} seeds broke a law;"
        f" {time.monotonic() - began:.0f} s"
    )
    return 1 if total.broken else 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many seeds to run")
    parser.add_argument("--start", type=int, default=0, metavar="K", help="the first of them")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many run at once")
    parser.add_argument("--no-story", action="store_true", help="do not look for the shortest failing story")
    parser.add_argument("--kinds", help="only these troubles, with commas between them")
    parser.add_argument("--jobs", type=int, help="only so many of the jobs")
    parser.add_argument("--lives", type=int, help="only so many lives before the calm")
    parser.add_argument("--no-moves", action="store_true", help="the customer does nothing")
    parser.add_argument("--mute", default="", help="numbers of strikes that are held back")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
