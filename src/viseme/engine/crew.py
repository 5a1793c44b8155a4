"""Hands that go from one piece of work to the next: who rests is at work again for a fifth of what a task costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from anyio.abc import TaskGroup
from attrs import define, field

__all__ = ["Crew"]

_AT_REST = 256
"""So many hands at most wait for work, with 2 KB each; more than that go home."""

Work = tuple[Callable[..., Awaitable[None]], tuple[Any, ...]]


@define(eq=False)
class Crew:
    """Does what it is given, each piece at once and beside the others, as a group of anyio's does.

    To begin a task there costs 20 µs, to wake a hand 4. The hands are the group's tasks, so all else is as with it: who
    cancels it cancels what they do, as far as that is not shielded, and what one of them raises ends the group.
    """

    group: TaskGroup
    _resting: list[asyncio.Future[Work]] = field(factory=list["asyncio.Future[Work]"])
    _loop: asyncio.AbstractEventLoop = field(init=False, factory=asyncio.get_running_loop)

    def start_soon(self, function: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Begin a piece of work."""
        while self._resting:
            turn = self._resting.pop()
            if not turn.done():  # or the group was cancelled
                turn.set_result((function, args))
                return
        self.group.start_soon(self._hand, (function, args))

    async def _hand(self, work: Work) -> None:
        while True:
            function, args = work
            await function(*args)
            if len(self._resting) >= _AT_REST:
                return
            del function, args, work  # who rests keeps nothing alive
            turn: asyncio.Future[Work] = self._loop.create_future()
            self._resting.append(turn)
            work = await turn
