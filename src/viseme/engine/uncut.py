"""What is begun on someone's behalf is finished, also where that someone is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from anyio import CancelScope

__all__ = ["uncut"]

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
