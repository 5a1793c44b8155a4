"""The sandbox's clock: vendor seconds run `speed` times as fast as real ones."""

import asyncio
import time
from datetime import UTC, datetime

import attrs


@attrs.define
class Clock:
    """Time as the stand-in vendors live it.

    Durations (processing, limit windows, link lifetimes) are vendor seconds. Dates on the wire are real UTC, so that
    a client may compare them with its own clock whatever the speed.
    """

    speed: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    _zero: float = attrs.field(init=False, factory=time.monotonic)
    _epoch: float = attrs.field(init=False, factory=time.time)

    def now(self) -> float:
        """Vendor seconds since the sandbox began, on a monotonic clock."""
        return (time.monotonic() - self._zero) * self.speed

    def unix(self, at: float) -> float:
        """The real UTC time (Unix seconds) of the vendor second `at`."""
        return self._epoch + at / self.speed

    def iso(self, at: float) -> str:
        """The real UTC time of the vendor second `at`, as JavaScript back ends print it."""
        text = datetime.fromtimestamp(self.unix(at), UTC).isoformat(timespec="milliseconds")
        return text.removesuffix("+00:00") + "Z"

    async def sleep_until(self, at: float) -> None:
        """Returns once `now()` has reached the vendor second `at`."""
        while (left := at - self.now()) > 0:  # noqa: ASYNC110 - a timer may come a little early
            await asyncio.sleep(left / self.speed)

    async def sleep(self, seconds: float) -> None:
        """Sleeps for that many vendor seconds."""
        await self.sleep_until(self.now() + seconds)


class ManualClock(Clock):
    """A clock that moves only when told to: time in tests whose subject is time."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Moves the clock on and wakes whoever sleeps on it."""
        self._now += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep_until(self, at: float) -> None:
        while self._now < at:
            await self._moved.wait()
