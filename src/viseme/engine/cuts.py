"""Blocks that others may end. A scope of anyio's can do more, and takes 4 µs instead of 0.6, and 0.5 KB more."""

from __future__ import annotations

import asyncio
from types import TracebackType

from attrs import define, field

__all__ = ["Cut"]


@define(eq=False, repr=False)
class Cut:
    """A block (``with``) that others may end: what it waits for is cancelled then, and that goes no further than this.

    Attributes:
        made: whether it shall end. Who has not begun it yet does not begin it.
    """

    made: bool = field(default=False, init=False)
    _task: asyncio.Task[object] | None = field(default=None, init=False)
    _before: int = field(default=0, init=False)
    """How often the task was asked to end before the block began."""
    _asked: bool = field(default=False, init=False)
    """Whether it was asked to end by this."""

    def make(self) -> None:
        """End the block at what it waits for, or, for the task that is in it, at what it waits for next."""
        if self.made:
            return
        self.made = True
        if self._task is not None and self._task is asyncio.current_task():
            asyncio.get_running_loop().call_soon(self._end)
        else:
            self._end()

    def _end(self) -> None:
        if self._task is not None:
            self._asked = True
            self._task.cancel()

    def __enter__(self) -> None:
        task = self._task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a block that may be cut is for a task")
        self._before = task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        if not self._asked or task is None:
            return False
        # Nobody else wants the task to end: then the cancellation was ours, and goes no further than this.
        return task.uncancel() <= self._before and isinstance(error, asyncio.CancelledError)
