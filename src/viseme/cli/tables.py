"""Tables on standard output: fitted to a terminal, in full elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from viseme.wording import one_line

__all__ = ["show"]

_WIDE = 1000
"""Columns of a pipe or a file, where nothing is cut."""


def show(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, whatever its cells hold; numbers, and text that looks like one, stand on the right."""
    listed = [[Text(one_line(str(cell))) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False)
    for number, title in enumerate(titles):
        numeric = bool(listed) and all(row[number].plain[:1] in "0123456789-" for row in listed)
        table.add_column(title, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*row)
    if sys.stdout is not None and sys.stdout.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        Console(highlight=False).print(table)
        return
    console = Console(width=_WIDE, color_system=None)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))
