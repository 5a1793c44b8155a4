"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second for an end at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType

from anyio import CancelScope
from attrs import define, field

__all__ = ["Interrupts", "interrupts"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@define(eq=False, repr=False)
class Interrupts:
    """What signals end: ``scope`` is cancelled by the first, ``patience`` by the second.

    Attributes:
        on_first: called at the first.
        on_second: called at the second and all that follow.
    """

    on_first: Callable[[], None]
    on_second: Callable[[], None]
    scope: CancelScope = field(factory=CancelScope)
    patience: CancelScope = field(factory=CancelScope)
    count: int = 0

    def arrived(self) -> None:
        """A signal came."""
        self.count += 1
        if self.count == 1:
            self.on_first()
            self.scope.cancel()
        else:
            self.on_second()
            self.patience.cancel()


@contextmanager
def interrupts(on_first: Callable[[], None], on_second: Callable[[], None]) -> Generator[Interrupts]:
    """Listen to the signals, also where they are inherited as ignored, which a background job's SIGINT is."""
    heard = Interrupts(on_first, on_second)
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        _listen(loop, number, heard.arrived)
    try:
        yield heard
    finally:
        for number, handler in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _listen(loop: asyncio.AbstractEventLoop, number: signal.Signals, arrived: Callable[[], None]) -> None:
    try:
        loop.add_signal_handler(number, arrived)
    except NotImplementedError:  # Windows
        signal.signal(number, _outside(loop, arrived))


def _outside(loop: asyncio.AbstractEventLoop, arrived: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    def handler(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(arrived)

    return handler
