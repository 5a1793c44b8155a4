"""What only one may have at a time, by name: a task, a file. Whoever lets go hands it to who has waited longest."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from attrs import define, field

__all__ = ["Holdings"]


@define(eq=False, repr=False)
class Holdings:
    """Who has what. A thing that nobody waits for costs no lock, and no queue."""

    _had: set[str] = field(factory=set[str], init=False)
    """The things that someone has."""
    _waiting: dict[str, deque[asyncio.Future[None]]] = field(
        factory=dict[str, "deque[asyncio.Future[None]]"], init=False
    )
    """Who waits for each, in order, where someone does."""

    def __len__(self) -> int:
        return len(self._had)

    def __contains__(self, name: str) -> bool:
        """Whether someone has a thing."""
        return name in self._had

    def __iter__(self) -> Iterator[str]:
        """The things that someone has."""
        return iter(self._had)

    def take_now(self, name: str) -> bool:
        """Have a thing, if nobody has it."""
        if name in self._had:
            return False
        self._had.add(name)
        return True

    async def take(self, name: str) -> None:
        """Wait until nobody has a thing, and have it; ``let_go`` of it then."""
        if self.take_now(name):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # it had become ours already
                self.let_go(name)
            turn.cancel()
            raise

    def let_go(self, name: str) -> None:
        """The next one has the thing."""
        waiting = self._waiting.get(name)
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(name, None)
        self._had.remove(name)
