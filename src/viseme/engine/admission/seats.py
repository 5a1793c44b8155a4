"""Seats: how many jobs may be under way at a vendor, counted until their end is seen, not until our interest ends."""

from __future__ import annotations

import sys
from collections.abc import Callable

from attrs import define, field

from viseme.attempts import Seat

__all__ = ["Seats"]

_AGAIN = 300.0
"""So long after the vendor said that it is full one more seat is tried, and after as long again another, seconds."""
_FADES = 5.0
"""Where that was said once only, and so proves little: one more is tried at once, and after as long as this twice as
many, seconds."""
_MOST_DOUBLINGS = 30

_ROUNDING = 1e-3


@define(eq=False, repr=False)
class Seats:
    """A pool's seats. What is taken here is written to the ledger with the intent, and outlives this process there.

    Attributes:
        stated: how many there are, as the user or the provider's sheet says.
        halved_until: half of them are used before this monotonic time.
        full_at: how many the vendor had when it was full last; None where it has had more since.
        taught: how many the vendor was seen to allow, when, and whether that is proved.
    """

    stated: int
    clock: Callable[[], float]
    _taken: dict[str, int] = field(factory=dict[str, int])
    """Whose seats are taken: by task, a bit for each attempt. No text but the one that the task's watch has too."""
    _number: int = 0
    _changed: list[Callable[[], None]] = field(factory=list[Callable[[], None]])
    halved_until: float = 0.0
    full_at: int | None = None
    taught: tuple[int, float, bool] | None = None

    @property
    def limit(self) -> int:
        """How many may be taken: as many as are stated, or as the vendor taught lately."""
        if self.taught is None:
            return self.stated
        most, since, proved = self.taught
        return min(self.stated, most + _tried(self.clock() - since + _ROUNDING, proved))

    @property
    def rises(self) -> float | None:
        """When more may be tried than now, monotonic; None where that is what is stated."""
        if self.taught is None or self.limit >= self.stated:
            return None
        _, since, proved = self.taught
        step = _AGAIN if proved else _FADES
        return since + step * ((self.clock() - since + _ROUNDING) // step + 1)

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._number

    @property
    def free(self) -> int:
        """How many more jobs may be started now."""
        limit = max(1, self.limit // 2) if self.clock() < self.halved_until else self.limit
        return max(0, limit - self._number)

    def on_change(self, function: Callable[[], None]) -> None:
        """Call a function whenever a seat comes free."""
        self._changed.append(function)

    def take(self, name: str) -> bool:
        """Take a seat for an attempt that is about to be created; False if it has its seat already."""
        task, _, attempt = name.rpartition(":")
        attempts, bit = self._taken.get(task, 0), 1 << int(attempt)
        if attempts & bit:
            return False
        self._taken[sys.intern(task)] = attempts | bit
        self._number += 1
        return True

    def restore(self, seat: Seat) -> None:
        """Take up a seat that the ledger holds open, also beyond the limit: the vendor's count is what it is."""
        self.take(seat.id)

    def holds(self, name: str) -> bool:
        """Whether an attempt has a seat."""
        task, _, attempt = name.rpartition(":")
        return task in self._taken and bool(self._taken[task] >> int(attempt) & 1)

    def give_back(self, name: str) -> None:
        """The attempt's end was seen, or it never began."""
        task, _, attempt = name.rpartition(":")
        if task not in self._taken:
            return
        attempts, bit = self._taken[task], 1 << int(attempt)
        if not attempts & bit:
            return
        if attempts == bit:
            del self._taken[task]
        else:
            self._taken[task] = attempts ^ bit
        self._number -= 1
        self.changed()

    def set_limit(self, limit: int) -> None:
        """Change what is stated, and forget what was learned; seats beyond it are given back as their jobs end."""
        self.stated, self.taught, self.full_at = limit, None, None
        self.changed()

    def teach(self, most: int, *, proved: bool = True) -> bool:
        """The vendor is full with so many; True where that is less than was taken for its limit."""
        if most >= self.limit:
            return False
        self.taught = max(1, most), self.clock(), proved
        return True

    def had(self, number: int) -> bool:
        """The vendor has so many; True where that disproves what was learned, and more may be tried soon."""
        if self.full_at is not None and number > self.full_at:
            self.full_at = None
        if self.taught is None or number <= self.taught[0] or not self.taught[2]:
            return False
        self.taught = max(number, self.limit - 1), self.clock(), False
        return True

    def changed(self) -> None:
        """Tell that seats may have come free."""
        for function in self._changed:
            function()


def _tried(seconds: float, proved: bool) -> int:
    """How many more seats than the vendor was seen to allow are tried so long after."""
    return int(seconds // _AGAIN) if proved else 1 << min(int(seconds // _FADES), _MOST_DOUBLINGS)
