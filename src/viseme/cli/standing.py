"""How an account's jobs stand, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from attrs import frozen

__all__ = ["Standing", "clock", "total"]


@frozen(kw_only=True)
class Standing:
    """How an account stands, in jobs; ``per_minute`` is None while that cannot be told yet."""

    account: str
    queued: int
    in_flight: int
    done: int
    failed: int
    parked: int
    per_minute: float | None

    @property
    def left(self) -> int:
        """Jobs that have not ended."""
        return self.queued + self.in_flight

    @property
    def eta(self) -> float | None:
        """Seconds until its last job ends, if it goes on like this."""
        return self.left * 60 / self.per_minute if self.left and self.per_minute else None


def total(rows: Sequence[Standing]) -> Standing:
    """All accounts together."""
    paces = [row.per_minute for row in rows if row.per_minute is not None]
    return Standing(
        account="all",
        queued=sum(row.queued for row in rows),
        in_flight=sum(row.in_flight for row in rows),
        done=sum(row.done for row in rows),
        failed=sum(row.failed for row in rows),
        parked=sum(row.parked for row in rows),
        per_minute=sum(paces) if paces else None,
    )


def clock(seconds: float | None) -> str:
    """Seconds as ``1:02:03``, or a dash."""
    if seconds is None or not isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
