"""The live view of a run, on a terminal: where each account's jobs stand, how fast they end, how long it will take."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from viseme.cli.standing import Standing, clock, total
from viseme.wording import legible

__all__ = ["LiveView", "table_of"]


class LiveView:
    """Draws on stderr; every method blocks while the terminal does."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, rows: Sequence[Standing], heading: str) -> None:
        """Draw the view anew."""
        self._live.update(Group(Text(heading), table_of(rows)), refresh=True)

    def print(self, sentences: Sequence[str]) -> None:
        """Say sentences above the view."""
        for sentence in sentences:
            self._console.print(Text(sentence), soft_wrap=True)

    def stop(self) -> None:
        """Take the view away."""
        self._live.stop()


def table_of(rows: Sequence[Standing]) -> Table:
    """A line per account, and their sum where there are several."""
    table = Table(box=None, pad_edge=False)
    table.add_column("account")
    for title in ("queued", "in flight", "done", "failed", "parked", "per min", "time left"):
        table.add_column(title, justify="right")
    for row in sorted(rows, key=lambda row: row.account):
        table.add_row(*_cells(row, row.eta))
    if len(rows) > 1:
        longest = max((row.eta for row in rows if row.eta is not None), default=None)
        table.add_row(*_cells(total(rows), longest), style="bold")
    return table


def _cells(row: Standing, eta: float | None) -> list[Text]:
    counts = (row.queued, row.in_flight, row.done, row.failed, row.parked)
    pace = "-" if row.per_minute is None else f"{row.per_minute:.1f}"
    return [Text(cell) for cell in (legible(row.account), *map(str, counts), pace, clock(eta))]
