"""Exact limits, as the vendor counts them: requests per sliding window, and jobs under way at once."""

import heapq
import re
from collections import deque
from collections.abc import Sequence

import attrs

_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0, "day": 86400.0}
_SHORTEST_WAIT = 1e-9
_RATE = re.compile(r"(\d+)\s*/\s*(\d*\.?\d*)\s*([a-z]+)")


@attrs.frozen
class Rate:
    """At most `limit` requests in any half-open window of `seconds` (vendor seconds)."""

    limit: int
    seconds: float = 60.0

    @classmethod
    def of(cls, value: "Rate | str | Sequence[float]") -> "Rate":
        """Reads `"100/min"`, `"20/60s"` or `(100, 60)`."""
        if isinstance(value, Rate):
            return value
        if not isinstance(value, str):
            return cls(int(value[0]), float(value[1]))
        found = _RATE.fullmatch(value.strip().lower())
        if found is None or found[3] not in _UNITS:
            raise ValueError(f"not a rate: {value!r}; write it as '100/min' or '20/60s'")
        return cls(int(found[1]), float(found[2] or 1) * _UNITS[found[3]])


@attrs.define
class Window:
    """A sliding log of one request class: what was let through, and what arrived."""

    _passed: deque[float] = attrs.field(factory=deque[float])
    _arrived: deque[float] = attrs.field(factory=deque[float])
    peak_passed: int = 0
    peak_arrived: int = 0
    refused: int = 0

    def take(self, now: float, rate: Rate | None) -> float:
        """Counts an arrival. Returns 0 if it may pass, else the seconds until one would."""
        if rate is None:
            return 0.0
        _forget(self._arrived, now - rate.seconds)
        _forget(self._passed, now - rate.seconds)
        self._arrived.append(now)
        self.peak_arrived = max(self.peak_arrived, len(self._arrived))
        if len(self._passed) >= rate.limit:
            self.refused += 1
            free = self._passed[-rate.limit] + rate.seconds if rate.limit else now + rate.seconds
            return max(free - now, _SHORTEST_WAIT)
        self._passed.append(now)
        self.peak_passed = max(self.peak_passed, len(self._passed))
        return 0.0


def _forget(times: deque[float], until: float) -> None:
    while times and times[0] <= until:
        times.popleft()


@attrs.define
class Seats:
    """The jobs of one account that are under way; a job whose end is known leaves by itself when it comes."""

    _open: set[str] = attrs.field(factory=set[str])
    _ends: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])
    peak: int = 0
    refused: int = 0

    def count(self, now: float) -> int:
        """How many jobs are under way at this vendor second."""
        while self._ends and self._ends[0][0] <= now:
            self._open.discard(heapq.heappop(self._ends)[1])
        return len(self._open)

    def full(self, now: float, limit: int | None) -> bool:
        """Says whether another job must be refused, and counts the refusal."""
        if limit is None or self.count(now) < limit:
            return False
        self.refused += 1
        return True

    def take(self, now: float, job: str) -> None:
        """Gives a job a seat."""
        count = self.count(now)
        self._open.add(job)
        self.peak = max(self.peak, count + 1)

    def until(self, end: float, job: str) -> None:
        """Says when a seated job ends."""
        heapq.heappush(self._ends, (end, job))
