"""Blocking calls that may never return: a read from a silent producer, a write to a reader that has gone to sleep."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["abandonable", "read_some", "write_all"]

T = TypeVar("T")


async def abandonable(function: Callable[[], T]) -> T:
    """Call a blocking function in a thread of its own, which nobody waits for once this is cancelled.

    The usual worker threads are waited for when the process ends; one that reads a silent pipe would keep it alive.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # pyright: ignore[reportArgumentType]

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except BaseException as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="viseme abandonable", daemon=True).start()
    return await future


def read_some(descriptor: int, count: int) -> bytes:
    """Bytes as they come, empty at the end; whoever opened the descriptor may have made it non-blocking."""
    while True:
        try:
            return os.read(descriptor, count)
        except BlockingIOError:
            select.select([descriptor], [], [])


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, however slow the reader."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
