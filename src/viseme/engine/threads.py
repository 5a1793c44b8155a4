"""Threads for what blocks. A call handed over costs the event loop some 8 µs, where an executor's costs 25."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar
from weakref import finalize

from attrs import define, field

from viseme.engine.uncut import Ending

__all__ = ["Threads"]

T = TypeVar("T")
_FEW = 3
"""So many threads are enough while none is held up; more fight for the interpreter (a job's CPU beside a script's is
2.2 with sixteen, 1.9 with three)."""
_LONG = 0.1
"""Where a call has waited for so many seconds, one more thread begins: the others wait for a slow disk."""


@define(eq=False, repr=False)
class Threads:
    """A few threads, and up to ``most`` where they are held up. They go when they are let go of, or nobody has this.

    What ended in them is told to the event loop together: it is woken once for all that ends before it has looked.
    """

    most: int
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    _calls: SimpleQueue[_Call | None] = field(factory=SimpleQueue["_Call | None"])
    _ended: deque[_Call] = field(factory=deque["_Call"])
    _woken: bool = False
    _begun: int = 0
    _open: int = 0
    """Calls that have not ended, as far as the event loop was told."""
    _handed: int = 0
    """Calls that were handed over."""
    _watching: bool = False
    """Whether a timer is set that looks after those that wait."""
    _closed: bool = False
    _let_go: Callable[[], Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._let_go = finalize(self, self._calls.put, None)

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function in one of the threads; who is cancelled meanwhile waits for its end first."""
        call = _Call(self, function)
        await call.to_the_end()
        return call.result

    def close(self) -> None:
        """Let the threads go once they have done what they were handed; nobody waits for that."""
        self._closed = True
        self._let_go()

    def begin(self, call: _Call) -> None:
        """Hand a call to the next thread that is free."""
        if self._closed:
            raise RuntimeError("the threads were let go of; nothing more can be done in them")
        self._open += 1
        self._handed += 1
        self._calls.put(call)
        if self._open > self._begun:
            if self._begun < min(_FEW, self.most):
                self._hire()
            elif not self._watching:
                self._watch()

    def _hire(self) -> None:
        self._begun += 1
        threading.Thread(target=_serve, args=(self._calls,), name=f"viseme {self._begun}", daemon=True).start()

    def _watch(self) -> None:
        """Look after a while whether those that wait now are still waiting."""
        self._watching = self._begun < self.most
        if self._watching:
            self._loop.call_later(_LONG, self._relieve, self._handed)

    def _relieve(self, handed: int) -> None:
        """One more thread begins where not all of so many calls have been begun."""
        self._watching = False
        waiting = 0 if self._closed else self._calls.qsize()
        if self._handed - waiting < handed:
            self._hire()
        if waiting:
            self._watch()

    def over(self, call: _Call) -> None:
        """A call has ended; said by its thread."""
        self._ended.append(call)
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._woken = False  # from here on whoever ends wakes the loop again
        ended = self._ended
        while ended:
            self._open -= 1
            ended.popleft().end()


@define(eq=False, repr=False)
class _Call(Ending):
    """A function on its way to a thread and back."""

    threads: Threads
    function: Callable[[], Any]
    result: Any = None

    def begin(self) -> None:
        self.threads.begin(self)

    def carry_out(self) -> None:
        try:
            self.result = self.function()
        except BaseException as error:
            self.error = error
        self.threads.over(self)


def _serve(calls: SimpleQueue[_Call | None]) -> None:
    while (call := calls.get()) is not None:
        call.carry_out()
        del call  # who waits for more keeps nothing alive
    calls.put(None)  # the next one goes too
