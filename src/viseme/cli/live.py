"""The live view of a run, on a terminal: where each account's jobs stand, how fast they end, how long it will take."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

__all__ = ["LiveView", "Standing", "clock", "table_of"]


@frozen(kw_only=True)
class Standing:
    """How an account stands, in jobs; ``per_minute`` is None while that cannot be told yet."""

    account: str
    queued: int
    in_flight: int
    done: int
    failed: int
    parked: int
    per_minute: float | None

    @property
    def left(self) -> int:
        """Jobs that have not ended."""
        return self.queued + self.in_flight

    @property
    def eta(self) -> float | None:
        """Seconds until its last job ends, if it goes on like this."""
        return self.left * 60 / self.per_minute if self.left and self.per_minute else None


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
        table.add_row(*_cells(_sum(rows), longest), style="bold")
    return table


def _cells(row: Standing, eta: float | None) -> list[str]:
    counts = (row.queued, row.in_flight, row.done, row.failed, row.parked)
    pace = "-" if row.per_minute is None else f"{row.per_minute:.1f}"
    return [row.account, *(str(count) for count in counts), pace, clock(eta)]


def _sum(rows: Sequence[Standing]) -> Standing:
    paces = [row.per_minute for row in rows if row.per_minute is not None]
    return Standing(
        account="all",
        queued=sum(row.queued for row in rows),
        in_flight=sum(row.in_flight for row in rows),
        done=sum(row.done for row in rows),
        failed=sum(row.failed for row in rows),
        parked=sum(row.parked for row in rows),
        per_minute=sum(paces) if paces else None,
    )


def clock(seconds: float | None) -> str:
    """Seconds as ``1:02:03``, or a dash."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
