"""Durations, rates and sizes as people write them: ``"10s"``, ``"100/min"``, ``"4MiB"``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

from attrs import frozen

from viseme.wording import quote

__all__ = ["Rate", "Seconds", "Size", "duration", "rates", "size"]

Seconds = Annotated[float, "seconds"]
"""A duration in a table of settings, where it may be spelled ``"10s"``."""

Size = Annotated[int, "bytes"]
"""A size in a table of settings, where it may be spelled ``"4MiB"``."""

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SIZE = re.compile(r"\s*(\d{1,15})\s*([A-Za-z]{0,3})\s*", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "day": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|sec|s|min|m|h|day|d)", re.ASCII)
_RATE = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{0,9})\s*(s|sec|m|min|h|d|day)\s*", re.ASCII)

_LONG = 1e15
"""No duration has so many seconds."""
_WORDY = 100
"""No duration is spelled in so many characters."""


@frozen
class Rate:
    """At most ``count`` requests in any ``window`` seconds."""

    count: int
    window: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read ``"100/min"``, ``"5/s"``, ``"20/60s"``, ``"1000/h"`` or ``"5000/day"``.

        Raises:
            ValueError: the text is no rate.
        """
        match = _RATE.fullmatch(text) if isinstance(text, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if match is None or int(match[1]) == 0 or not int(match[2] or 1):
            raise ValueError(f"{quote(text)} is not a rate; write it as '5/s', '100/min', '1000/h' or '5000/day'")
        return cls(int(match[1]), int(match[2] or 1) * _UNITS[match[3]])

    def __str__(self) -> str:
        for name in ("day", "h", "min", "s"):
            if self.window == _UNITS[name]:
                return f"{self.count}/{name}"
        return f"{self.count}/{self.window:g}s"


def duration(value: str | float | timedelta) -> float:
    """Seconds from ``"10s"``, ``"1h30m"``, ``"250ms"``, a number of seconds or a timedelta.

    Raises:
        ValueError: the value is no duration, or a negative one.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        seconds = _spelled(value)
    elif isinstance(value, bool) or not isinstance(value, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
        seconds = -1.0
    else:
        seconds = float(value) if abs(value) < _LONG else math.inf
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{quote(value)} is not a duration; write it as '10s', '5min' or '2h'")
    return seconds


def _spelled(text: str) -> float:
    compact = text[:_WORDY].strip()
    parts = _PART.findall(compact) if len(text) < _WORDY else []
    if not parts or _PART.sub("", compact).strip():
        raise ValueError(f"{quote(text)} is not a duration; write it as '10s', '5min', '2h' or '1h30m'")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def size(value: str | int) -> int:
    """Bytes from ``"4MiB"``, ``"512 kB"`` or a whole number.

    Raises:
        ValueError: the value is no size, or a negative one.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2].lower() not in _SIZES:
        raise ValueError(f"{quote(value)} is not a size; write it as '512KiB', '4MiB' or a number of bytes")
    return int(match[1]) * _SIZES[match[2].lower()]


def rates(value: str | Rate | Iterable[str | Rate]) -> tuple[Rate, ...]:
    """One rate or several, each a string or a :class:`Rate`; a request must pass them all.

    Raises:
        ValueError: one of them is no rate.
    """
    several = value if isinstance(value, (list, tuple)) else [value]
    return tuple(item if isinstance(item, Rate) else Rate.parse(item) for item in several)  # type: ignore[arg-type]
