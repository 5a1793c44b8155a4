"""Hands that go from one piece of work to the next: who rests is at work again for a fifth of what a task costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from anyio import CancelScope
from anyio.abc import TaskGroup
from attrs import define, field

__all__ = ["Crew", "insist"]

_AT_REST = 256
"""So many hands at most wait for work, with 2 KB each; more than that go home."""

Work = tuple[Callable[..., Awaitable[None]], tuple[Any, ...]]

_shield: ContextVar[CancelScope] = ContextVar("the shield of the hand at work")


def insist() -> None:
    """Whoever cancels the group from now on does not cancel the piece of work that calls this.

    A shielded scope for each piece costs 8 µs; a hand has one for all that it does, and to raise it costs 0.5.
    """
    _shield.get().shield = True


@define(eq=False, repr=False)
class Crew:
    """Does what it is given, each piece at once and beside the others, as a group of anyio's does.

    To begin a task there costs 20 µs, to wake a hand 4. The hands are the group's tasks, so all else is as with it: who
    cancels it cancels what they do, as far as that does not ``insist``, and what one of them raises ends the group.
    """

    group: TaskGroup
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _resting: list[asyncio.Future[Work]] = field(factory=list["asyncio.Future[Work]"], init=False)

    def start_soon(self, function: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Begin a piece of work."""
        while self._resting:
            turn = self._resting.pop()
            if not turn.done():  # or the group was cancelled
                turn.set_result((function, args))
                return
        self.group.start_soon(self._hand, (function, args))

    async def _hand(self, work: Work) -> None:
        with CancelScope() as shield:
            _shield.set(shield)
            while True:
                function, args = work
                await function(*args)
                if shield.shield:
                    shield.shield = False
                if len(self._resting) >= _AT_REST:
                    return
                del function, args, work  # who rests keeps nothing alive
                turn: asyncio.Future[Work] = self._loop.create_future()
                self._resting.append(turn)
                work = await turn
