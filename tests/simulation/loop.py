"""An event loop on the universe's time, which can be killed between any two steps."""

from __future__ import annotations

import asyncio
import gc
import inspect
import selectors
import sys
import warnings
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any, TypeVar

from tests.simulation.universe import Broken, Universe

__all__ = ["Killed", "live"]

T = TypeVar("T")
_TICK = 2e-9
"""Seconds that every wait is too long by, as a real clock's are: what is due is never found a little early."""
_MOST = 400_000
"""Steps of one life; more is a life that goes in circles."""


class Killed(BaseException):
    """The process is gone; nothing of it runs any more."""


class _Steps(deque[Any]):
    """The loop's callbacks that are ready: each that is taken may be the last."""

    def __init__(self, universe: Universe, after: int | None) -> None:
        super().__init__()
        self.universe = universe
        self.left = after
        self.taken = 0

    def popleft(self) -> Any:
        self.taken += 1
        if self.universe.doomed is not None:
            raise Killed(self.universe.doomed)
        if self.taken == self.left:
            self.universe.note("!! killed at step", self.taken)
            self.universe.struck["kill at a step"] += 1
            raise Killed("kill")
        if self.taken > _MOST:
            raise Broken("liveness: a life goes on and on without coming to an end")
        return super().popleft()


class _Time(selectors.SelectSelector):
    """Where a loop would wait, the universe's time passes."""

    def __init__(self, universe: Universe) -> None:
        super().__init__()
        self.universe = universe

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return []
        if not self.universe.advance(None if timeout is None else timeout + _TICK):
            raise Broken("liveness: every task waits for another, and nothing is left to happen")
        return []


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on where it lies in memory."""

    def __init__(self, *args: Any, number: int, **more: Any) -> None:
        self._number = number
        super().__init__(*args, **more)

    def __hash__(self) -> int:
        return self._number


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, universe: Universe, kill_at: int | None) -> None:
        self._universe = universe
        self._born = universe.now - 100.0
        super().__init__(_Time(universe))
        self._ready = _Steps(universe, kill_at)
        numbers = count()
        self.set_task_factory(lambda loop, coro, **more: _Task(coro, loop=loop, number=next(numbers), **more))

    def time(self) -> float:
        return self._universe.now - self._born


@cache
def _freeze() -> None:
    """Keep what was loaded once out of the sweep after each life, which takes a tenth of the time then."""
    gc.collect()
    gc.freeze()


def live(universe: Universe, main: Callable[[], Coroutine[Any, Any, T]], *, kill_at: int | None = None) -> T:
    """Run a life of our process to its end.

    Args:
        kill_at: the step before which it is killed.

    Raises:
        Killed: it did not come to its end.
        Broken: it never would.
    """
    _freeze()
    universe.doomed = None
    loop = _Loop(universe, kill_at)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        with _burial():
            universe.doomed = universe.doomed or "over"
            for task in asyncio.all_tasks(loop):
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coro: Any = task.get_coro()
                if inspect.iscoroutine(coro) and inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
                    coro.close()  # it never began
            loop._ready = deque()  # type: ignore[attr-defined]
            asyncio.set_event_loop(None)
            loop.close()
            del loop
            gc.collect()


@contextmanager
def _burial() -> Iterator[None]:
    """What a dead process's coroutines say when they are swept away is of no interest."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = hook
