"""JSON values that a caller gives: copied, and refused where one installation could write them down and another not."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from viseme.wording import quote

__all__ = ["DEEPEST", "TooDeep", "plain"]

DEEPEST = 100
"""How deep values may be nested."""
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
"""Whole numbers beyond these are no numbers to most that read JSON."""


class TooDeep(ValueError):
    """A value is nested too deeply, or in itself."""


def plain(value: Any, deep: int = 0) -> Any:
    """A copy of a JSON value, which does not change with what it was made from. A mapping becomes a dictionary.

    Raises:
        TypeError, ValueError: it is none, or a part of it; the message says why. ``TooDeep`` among them.
    """
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not _LEAST <= value <= _MOST:
            raise ValueError(f"{quote(value)} has more than 64 bits; write it as text")
        return value
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{value} is no number of JSON")
        return value
    if deep >= DEEPEST:
        raise TooDeep(f"it is nested more than {DEEPEST} deep")
    if isinstance(value, (dict, Mapping)):
        return {_name(name): plain(item, deep + 1) for name, item in value.items()}  # pyright: ignore
    if isinstance(value, (list, tuple)):
        items = [plain(item, deep + 1) for item in value]  # pyright: ignore[reportUnknownVariableType]
        return items if isinstance(value, list) else tuple(items)
    raise TypeError(f"{quote(value)} ({type(value).__name__}) is no value of JSON")


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name {quote(name)} is not text")
    return _text(name)


def _text(value: str) -> str:
    if not value.isascii():
        value.encode()  # which refuses a lone surrogate
    return value if type(value) is str else str.__str__(value)  # an enum's member is its text
