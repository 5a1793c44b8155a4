"""Many seeds, in several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import get_context

from attrs import define, field, frozen
from tests.simulation.scenario import Shrink
from tests.simulation.story import replay

__all__ = ["Ran", "Sum", "run_all"]

_CHUNK = 20
_CHUNKS = 5
"""So many chunks are run by one process: what dead lives leave behind is swept after each, and grows."""


@frozen
class Ran:
    """What came of a seed."""

    seed: int
    broken: str | None
    digest: str
    struck: Counter[str]
    lives: int
    bookings: int
    steps: int


@define
class Sum:
    """What came of all of them."""

    seeds: int = 0
    lives: int = 0
    bookings: int = 0
    struck: Counter[str] = field(factory=Counter[str])
    broken: list[Ran] = field(factory=list[Ran])

    def add(self, ran: Ran) -> None:
        self.seeds += 1
        self.lives += ran.lives
        self.bookings += ran.bookings
        self.struck.update(ran.struck)
        if ran.broken is not None:
            self.broken.append(ran)


def _run(seeds: Sequence[int], shrink: Shrink) -> list[Ran]:
    found: list[Ran] = []
    for seed in seeds:
        outcome = replay(seed, shrink)
        universe = outcome.universe
        found.append(
            Ran(
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


def run_all(seeds: range, shrink: Shrink, processes: int) -> Iterator[Ran]:
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    if processes == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield from _run(chunk, shrink)
        return
    with get_context("spawn").Pool(processes, maxtasksperchild=_CHUNKS) as pool:
        for found in pool.imap(partial(_run, shrink=shrink), chunks):
            yield from found
