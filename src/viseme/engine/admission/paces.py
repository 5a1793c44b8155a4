"""The pace that a vendor teaches: a 429 for haste lowers it, time without one raises it again.

The windows say what is stated; a pace lies beneath them, so what was learned never lets more pass than is stated. It
rises as TCP's CUBIC does: soon back to where the vendor refused, slowly past that, then ever faster until what is
stated holds alone. That is a function of time, so nobody has to wake up to raise it.
"""

from __future__ import annotations

import sys
from collections import deque

from attrs import define, field

__all__ = ["SPAN", "Pace"]

SPAN = 60.0
"""A pace is a matter of this many seconds: a rate per hour or day may be used up in one go."""
_LEAST = 1 / SPAN
"""Requests a second that are always tried: without any, nothing would be learned."""
_BACK = 180.0
"""After so many seconds without a 429 the pace is where the vendor refused it; after twice that, half as fast again."""
_STEEP = 4.0
"""One refusal lowers the pace to no less than an eighth, whatever was sent before it."""
_LATE = 0.1
"""What a timer that rings late has cost is made good, up to so many seconds."""


@define(eq=False, repr=False)
class Pace:
    """How fast one class of requests may go, one after the other.

    Attributes:
        most: requests a second as stated; None where nothing is, and so nothing can be learned.
        held_until: nothing passes before this monotonic time (a ``Retry-After``).
    """

    most: float | None
    held_until: float = 0.0
    _refused: float | None = None
    """The pace that the vendor refused; None while what is stated holds."""
    _since: float = 0.0
    """Since when there was no 429."""
    _next: float = 0.0
    _refusals: deque[float] = field(factory=deque[float])
    """When requests were refused, of late."""
    _tried: bool = False
    """Whether a request has left at the pace that was learned last."""

    def hold(self, until: float) -> None:
        """Let nothing pass before a monotonic time. No time without a 429 begins before that."""
        self.held_until = max(self.held_until, until)
        self._since = max(self._since, self.held_until)
        self._next = max(self._next, self.held_until)

    def lower(self, requests: int, span: float, now: float) -> None:
        """A request was refused as too fast; so many left in the last ``span`` seconds.

        Of many that are refused together only the first counts: the others left before it was known. What the vendor
        let pass meanwhile it can be trusted to take.
        """
        at = self.at(now)
        if at is None:
            return
        self._refusals.append(now)
        while self._refusals[0] <= now - span:
            self._refusals.popleft()
        if self._refused is not None and not self._tried:
            return
        going, passed = requests / span, (requests - len(self._refusals)) / span
        self._refused = max(min(at, max(going, at / _STEEP)), passed, 2 * _LEAST)
        self._since, self._next = now, now + self._gap(now)
        self._tried = False

    def at(self, now: float) -> float | None:
        """Requests a second; None where nothing is stated or learned."""
        if self.most is None or self._refused is None:
            return self.most
        way = max(-1.0, (now - self._since) / _BACK - 1)
        return min(self.most, self._refused * (1 + way**3 / 2))

    def restate(self, most: float | None) -> None:
        """Another rate is stated: what was learned beneath the old one is forgotten."""
        self.most, self._refused = most, None

    def learned(self, now: float) -> bool:
        """Whether it is slower than what is stated."""
        return self._refused is not None and self.at(now) != self.most

    def over(self, now: float) -> bool:
        """Whether there is nothing left of it."""
        return now >= self.held_until and not self.learned(now)

    # -- as a gate -------------------------------------------------------------------------------------------------

    def room(self, now: float) -> int:
        """How many more requests may be sent now."""
        if now < self.held_until:
            return 0
        return sys.maxsize if self._refused is None else int(now >= self._next)

    def next_room(self, now: float) -> float:
        """When there may be room."""
        return max(now, self.held_until, 0.0 if self._refused is None else self._next)

    def back(self, now: float) -> float:
        """When a place that is taken now is there for another."""
        return now + self._gap(now)

    def take(self, now: float) -> None:
        """A request is about to leave."""
        self._next, self._tried = max(self._next, now - _LATE) + self._gap(now), True

    def end(self, now: float) -> None:
        """Its reply was seen, which changes nothing here."""

    def cancel(self, now: float) -> None:
        """It never left."""
        self._next -= self._gap(now)

    def _gap(self, now: float) -> float:
        at = self.at(now)
        return 0.0 if self._refused is None or at is None else 1 / at
