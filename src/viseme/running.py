"""A script's event loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

T = TypeVar("T")
_YOUNG = 20_000
"""So many new objects make the garbage collector look through them; Python's own figure is 700."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a script's coroutine to its end, as ``asyncio.run`` does: on uvloop where it is installed (extra ``speed``).

    Meanwhile the garbage collector comes when there is more to look at, and afterwards as before: it finds next to
    nothing, and a job costs 5 to 10 % less CPU. A service whose event loop is there already needs nothing of this.
    """
    before = gc.get_threshold()
    rarer = 0 < before[0] < _YOUNG
    if rarer:
        gc.set_threshold(_YOUNG)
    try:
        return _runner()(main)
    finally:
        if rarer and gc.get_threshold()[0] == _YOUNG:
            gc.set_threshold(*before)


def _runner() -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run
