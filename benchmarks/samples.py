"""Samples taken by turns, so that a machine that slows down slows all alike; and what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

__all__ = ["by_turns", "ratio"]

K = TypeVar("K")
T = TypeVar("T")


def by_turns(rounds: int, works: Mapping[K, Callable[[], T]]) -> dict[K, list[T]]:
    """Run each piece of work once a round, in the other order every second round."""
    taken: dict[K, list[T]] = {name: [] for name in works}
    for number in range(rounds):
        names = list(works)
        for name in names if number % 2 == 0 else reversed(names):
            taken[name].append(works[name]())
    return taken


def ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The median of the rounds' ratios, and the least and the greatest of them."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return median(ratios), (min(ratios), max(ratios))
