"""What is begun on someone's behalf is finished, also where that someone is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, TypeVar

from anyio import CancelScope
from attrs import define, field

__all__ = ["Ending", "uncut"]

T = TypeVar("T")


async def uncut(work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    """Await work to its end; a cancellation that comes meanwhile follows then.

    A shielded scope alone keeps off anyio's cancellation and not asyncio's own, which ``asyncio.timeout``, ``wait_for``
    and web servers whose client hangs up use on the callers of our API.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError as error:
        if task.cancelled():
            raise
        cut = error
    with CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cut = error
    if not task.cancelled():
        task.exception()  # seen, so that asyncio does not complain of it
    raise cut


@define(eq=False, repr=False)
class Ending(ABC):
    """What is begun here and brought to its end by a call, in the loop's thread: no task is spent on waiting for it.

    Attributes:
        error: why it failed, if it did.
    """

    error: BaseException | None = field(default=None, init=False)
    _over: bool = field(default=False, init=False)
    _waiter: asyncio.Future[None] | None = field(default=None, init=False)

    @abstractmethod
    def begin(self) -> None:
        """Begin; ``end`` is called later, once."""

    def end(self) -> None:
        """It is over; ``error`` is as it shall be."""
        self._over = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def to_the_end(self) -> None:
        """Begin, and wait for the end; a cancellation that comes meanwhile follows then, and goes before an error."""
        self.begin()
        try:
            await self._ended()
        except asyncio.CancelledError as error:
            cut = error
        else:
            if self.error is not None:
                raise self.error
            return
        with CancelScope(shield=True):
            while not self._over:
                try:
                    await self._ended()
                except asyncio.CancelledError as error:
                    cut = error
        raise cut

    def _ended(self) -> asyncio.Future[None]:
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter
