"""When to look at a job: the user's word, else the vendor's advice, else what this run has seen."""

from __future__ import annotations

from bisect import insort
from collections import deque

from attrs import define, field

from viseme.config import Polling
from viseme.providers.base import Observation, Sheet

__all__ = ["Cadence"]

_SEEN = 64
_LATE = 1.25
"""A batch may take so many times as long as its vendor wants it to."""
_SOON = 0.5
"""The shortest time between two looks that a vendor's hint can bring about, seconds."""
_SLOW = 300.0
"""How often a job is looked at that nobody waits for, seconds."""


@define(eq=False)
class Cadence:
    """The looks at one account's jobs. What the user gives is honoured as it stands."""

    sheet: Sheet
    polling: Polling
    _order: deque[float] = field(factory=deque[float])
    _durations: list[float] = field(factory=list[float])

    def learn(self, seconds: float) -> None:
        """A job took so long from its create until its end was seen."""
        insort(self._durations, seconds)
        self._order.append(seconds)
        if len(self._order) > _SEEN:
            self._durations.remove(self._order.popleft())

    def deadline(self, *, batch: bool = False) -> float:
        """Seconds that a task may take in all."""
        if self.polling.deadline is not None:
            return self.polling.deadline
        return _LATE * self.sheet.batch.turnaround if batch and self.sheet.batch is not None else self.sheet.deadline

    def first(self) -> float:
        """Seconds from a create to the first look."""
        return self.sheet.first if self.polling.first is None else self.polling.first

    def tolerance(self) -> float:
        """How early a look may be taken so as to share a request with another."""
        every = self.polling.every
        return self.sheet.every * 0.25 if every is None else min(0.5, every * 0.1)

    def next(self, age: float, seen: Observation | None, *, background: bool, chance: float) -> float:
        """Seconds to the next look.

        Args:
            age: seconds since the create.
            seen: what the last look showed, None if it failed.
            chance: a random number in [0, 1), so that jobs made together are not looked at together for ever.
        """
        if background:
            return max(_SLOW, self.polling.every or 0.0)
        if self.polling.every is not None:
            return self.polling.every
        if seen is not None and seen.hint is not None:
            return max(_SOON, seen.hint)
        slower = 1.0 if age < 120 else 2.0 if age < 600 else 3.0
        return self.sheet.every * slower * (1 + chance / 10)

    def hold(self, age: float) -> float:
        """How long the vendor may hold a single look back: only when the end is likely to be near."""
        if not self.sheet.hold or self.polling.every is not None or len(self._durations) < 8:
            return 0.0
        median = self._durations[len(self._durations) // 2]
        return self.sheet.hold if 0.9 * median <= age <= 1.5 * median else 0.0
