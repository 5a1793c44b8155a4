"""Time, chance and trouble: what goes on whether or not a process of ours is alive."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count
from random import Random
from typing import Any

from attrs import define, field, frozen

__all__ = ["EPOCH", "Broken", "Odds", "Universe"]

EPOCH = 1_763_600_000.0
"""UTC seconds at the beginning of time."""

Odds = Mapping[str, float]
"""How likely each kind of trouble is whenever it could strike."""


class Broken(Exception):
    """A law does not hold; the message says which, and for whom."""


@frozen
class _Event:
    when: float
    number: int
    act: Callable[[], None] = field(eq=False, order=False)

    def __lt__(self, other: _Event) -> bool:
        return (self.when, self.number) < (other.when, other.number)


@define(eq=False)
class Universe:
    """One run of the world.

    Attributes:
        seed: all chance comes from it.
        odds: the troubles of this world.
        muted: numbers of strikes that are held back; a story is made smaller with it.
        now: true seconds since the beginning; never jumps.
        skew: what our machine's wall clock is wrong by, in seconds; ``jumped`` is when that last changed.
        calm: no trouble strikes any more.
        trace: what happened, in order.
        struck: how often each kind of trouble struck.
        doomed: the process of ours that runs now ends before its next step.
    """

    seed: int
    odds: Odds = field(factory=dict[str, float])
    muted: frozenset[int] = frozenset()
    now: float = 1000.0
    skew: float = 0.0
    jumped: float = 0.0
    calm: bool = False
    trace: list[str] = field(factory=list[str])
    struck: Counter[str] = field(factory=Counter[str])
    strikes: int = 0
    doomed: str | None = None
    _events: list[_Event] = field(factory=list[_Event])
    _numbers: Any = field(factory=count)
    _streams: dict[str, Random] = field(factory=dict[str, Random])

    # -- chance ------------------------------------------------------------------------------------------------------

    def chance(self, subject: str) -> Random:
        """The stream of chance for a subject; what others draw does not change it."""
        stream = self._streams.get(subject)
        if stream is None:
            stream = self._streams[subject] = Random(f"{self.seed}/{subject}")
        return stream

    def strike(self, kind: str, where: str = "") -> bool:
        """Whether trouble of a kind strikes here and now."""
        odds = self.odds.get(kind, 0.0)
        if self.calm or not odds or self.chance(kind).random() >= odds:
            return False
        self.strikes += 1
        if self.strikes in self.muted:
            return False
        self.struck[kind] += 1
        self.note(f"!{self.strikes}", kind, where)
        return True

    def peril(self, where: str) -> None:
        """A place where our process may be killed, or the machine's power fail."""
        if self.doomed is None and self.strike("kill", where):
            self.doomed = "kill"
        if self.doomed is None and self.strike("power cut", where):
            self.doomed = "power cut"

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def wall(self) -> float:
        """UTC seconds as our machine's clock shows them."""
        return EPOCH + self.now + self.skew

    @property
    def true_utc(self) -> float:
        """UTC seconds as they are, which is what vendors show."""
        return EPOCH + self.now

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something happen in so many seconds, whoever is alive then."""
        heapq.heappush(self._events, _Event(self.now + seconds, next(self._numbers), act))

    def advance(self, seconds: float | None) -> bool:
        """Let time pass, up to the next thing that happens. False: there is nothing to wait for."""
        until = None if seconds is None else self.now + seconds
        if self._events and (until is None or self._events[0].when <= until):
            event = heapq.heappop(self._events)
            self.now = max(self.now, event.when)
            event.act()
            return True
        if until is None:
            return False
        self.now = until
        return True

    def sit_out(self, seconds: float) -> None:
        """Let time pass while no process of ours runs."""
        until = self.now + seconds
        while self._events and self._events[0].when <= until:
            self.advance(None)
        self.now = until

    # -- telling -----------------------------------------------------------------------------------------------------

    def note(self, *words: object) -> None:
        """Write down what happens."""
        self.trace.append(f"{self.now:.6f} {' '.join(map(str, words))}")

    def digest(self) -> str:
        """Tells two runs apart that differ anywhere."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()
