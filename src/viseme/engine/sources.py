"""Where jobs come from: any iterable or async iterable, read one by one or in lots, without holding up the loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import TypeVar

from anyio.lowlevel import checkpoint

__all__ = ["each", "in_lots"]

T = TypeVar("T")
_STRETCH = 64
"""So many items of a plain iterable are read before others have their turn."""


async def each(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """The items in order, each read when it is asked for."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    for number, item in enumerate(items, 1):
        yield item
        if not number % _STRETCH:
            await checkpoint()


async def in_lots(items: Iterable[T] | AsyncIterable[T], size: int) -> AsyncGenerator[list[T]]:
    """The items in lists of ``size``; the last may be shorter."""
    lot: list[T] = []
    async for item in each(items):
        lot.append(item)
        if len(lot) == size:
            yield lot
            lot = []
    if lot:
        yield lot
