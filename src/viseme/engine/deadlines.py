"""What may take only so long, all on one timer.

aiohttp and asyncio set a timer for each, in a heap that compares them in Python: 8 µs a request, and 1 here.
"""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType
from typing import Protocol, Self

from attrs import define, field

__all__ = ["Bounded", "Deadline", "Deadlines"]


class Bounded(Protocol):
    """Something that may take only so long."""

    def cut(self) -> None:
        """Its time is over. It may be given more."""
        ...


@define(eq=False, repr=False)
class Deadlines:
    """What is under way. The timer rings for the first that may be over, and then for the next. For one event loop.

    Attributes:
        due: when each is over, by the event loop's clock.
    """

    due: dict[Bounded, float] = field(factory=dict[Bounded, float])
    _timer: asyncio.TimerHandle | None = None
    _rings: float = inf
    _loop: asyncio.AbstractEventLoop = field(init=False, factory=asyncio.get_running_loop)

    def within(self, seconds: float) -> Deadline:
        """A block (``with``) of so many seconds; where it takes longer, it ends with a ``TimeoutError``."""
        return Deadline(self, seconds)

    def put(self, one: Bounded, at: float) -> None:
        """Let it take until a time, by the event loop's clock."""
        self.due[one] = at
        if at < self._rings:
            self.close()
            self._rings, self._timer = at, self._loop.call_at(at, self._ring)

    def drop(self, one: Bounded) -> bool:
        """It is done. Tells whether that was in time."""
        return self.due.pop(one, None) is not None

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._rings, self._timer = inf, None

    def _ring(self) -> None:
        now = self._loop.time()
        for one in [one for one, at in self.due.items() if at <= now]:
            del self.due[one]
            one.cut()
        self._rings, self._timer = min(self.due.values(), default=inf), None
        if self.due:
            self._timer = self._loop.call_at(self._rings, self._ring)


@define(eq=False, repr=False)
class Deadline:
    """A block that may take only so long. Its task is cancelled at its end, as ``asyncio.timeout`` does it."""

    _deadlines: Deadlines
    _seconds: float
    _task: asyncio.Task[object] | None = None
    _before: int = 0
    """How often the task was asked to end before the block began."""

    def __enter__(self) -> Self:
        task = self._task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for a task")
        self._before = task.cancelling()
        self._put(self._seconds)
        return self

    def _put(self, seconds: float) -> None:
        self._deadlines.put(self, asyncio.get_running_loop().time() + seconds)

    def put_off(self, seconds: float) -> None:
        """Let it take so many seconds from now on, unless it is over."""
        if self in self._deadlines.due:
            self._put(seconds)

    def cut(self) -> None:
        """Its time is over."""
        if self._task is not None:
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._deadlines.drop(self) or self._task is None:
            return
        # Nobody else wants the task to end: then the cancellation was ours, and goes no further than this.
        if self._task.uncancel() <= self._before and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error
