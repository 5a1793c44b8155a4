"""``python -m tests.simulation --seeds N [--start K]``: run seeds K to K+N-1; exit status 1 if a law breaks in any."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import get_context

from attrs import define, field, frozen
from tests.simulation.scenario import Shrink
from tests.simulation.story import replay, tell

__all__ = ["main"]

_CHUNK = 20
_CHUNKS = 5
"""So many chunks are run by one process: what dead lives leave behind is swept after each, and grows."""
_STORIES = 3


@frozen
class _Ran:
    """What came of a seed."""

    seed: int
    broken: str | None
    digest: str
    struck: Counter[str]
    lives: int
    bookings: int
    steps: int


@define
class _Sum:
    """What came of all of them."""

    seeds: int = 0
    lives: int = 0
    bookings: int = 0
    struck: Counter[str] = field(factory=Counter[str])
    broken: list[_Ran] = field(factory=list[_Ran])

    def add(self, ran: _Ran) -> None:
        self.seeds += 1
        self.lives += ran.lives
        self.bookings += ran.bookings
        self.struck.update(ran.struck)
        if ran.broken is not None:
            self.broken.append(ran)


def _run(seeds: Sequence[int], shrink: Shrink) -> list[_Ran]:
    found: list[_Ran] = []
    for seed in seeds:
        outcome = replay(seed, shrink)
        universe = outcome.universe
        found.append(
            _Ran(
                seed,
                outcome.broken,
                universe.digest(),
                universe.struck,
                outcome.lives,
                len(outcome.laws.bookings),
                len(universe.trace),
            )
        )
    return found


def _all(seeds: range, shrink: Shrink, processes: int) -> Iterator[_Ran]:
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    if processes == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield from _run(chunk, shrink)
        return
    with get_context("spawn").Pool(processes, maxtasksperchild=_CHUNKS) as pool:
        for found in pool.imap(partial(_run, shrink=shrink), chunks):
            yield from found


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
    began, total = time.monotonic(), _Sum()
    seeds = range(told.start, told.start + told.seeds)
    for ran in _all(seeds, shrink, told.processes):
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
