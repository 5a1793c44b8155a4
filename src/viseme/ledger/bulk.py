"""Many rows in one statement.

A quarter of the processor time of ``executemany`` (1.2 against 4.7 µs a row), and SQLite works through them in one go
without the interpreter's lock, so that the event loop runs on meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

from attrs import define, field

__all__ = ["Bulk", "marks", "pages"]

_SIZES: Final = (64, 32, 16, 8, 4, 2, 1)
"""Rows of a statement; few sizes, so that each is prepared once, and none so large that preparing it pays only after
25,000 rows, as 256 does."""


@define
class Bulk:
    """A statement over a list of rows.

    Attributes:
        sql: with ``{rows}`` where the rows stand.
        width: columns of a row.
    """

    sql: str
    width: int
    _texts: dict[int, str] = field(factory=dict[int, str], init=False)

    def run(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> int:
        """Execute it; returns how many rows it changed."""
        changed = 0
        for page in pages(rows):
            changed += connection.execute(self._text(len(page)), list(chain.from_iterable(page))).rowcount
        return changed

    def _text(self, size: int) -> str:
        text = self._texts.get(size)
        if text is None:
            row = f"({', '.join('?' * self.width)})"
            text = self._texts[size] = self.sql.format(rows=", ".join([row] * size))
        return text


def pages(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The items in lots of few different sizes."""
    start, end = 0, len(items)
    for size in _SIZES:
        while size <= end - start:
            yield items[start : start + size]
            start += size


def marks(items: Iterable[Any]) -> str:
    """Placeholders for an IN list."""
    return ", ".join("?" for _ in items)
