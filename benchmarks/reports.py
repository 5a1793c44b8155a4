"""What a benchmark tells: figures for tools, a table for people, and the bounds that the figures are held to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import field, frozen

__all__ = ["Bound", "Options", "Report", "shown"]


@frozen(kw_only=True)
class Options:
    """How much is measured.

    Attributes:
        quick: as little as shows something; all benchmarks take less than ten minutes then.
    """

    quick: bool = False


@frozen(kw_only=True)
class Bound:
    """What a figure may be at most, or must be at least; ``goal`` is where it should be."""

    most: float | None = None
    least: float | None = None
    goal: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def __str__(self) -> str:
        words = f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"
        return words if self.goal is None else f"{words} (goal {self.goal:g})"


@frozen(kw_only=True)
class Report:
    """What came of a benchmark.

    Attributes:
        figures: by the names that tools know; None where one could not be measured here.
        bounds: of some of them.
        spread: the least and the greatest of the samples that a figure is the median of.
        headings: of the table's columns.
        rows: of the table.
        notes: sentences on how it was measured.
    """

    figures: dict[str, float | None]
    bounds: dict[str, Bound] = field(factory=dict[str, Bound])
    spread: dict[str, tuple[float, float]] = field(factory=dict[str, "tuple[float, float]"])
    headings: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()


def shown(name: str, report: Report) -> Iterable[str]:
    """A report as lines of text."""
    yield f"== {name}"
    if report.rows:
        yield from _table([report.headings, *report.rows])
    for figure, value in report.figures.items():
        yield _line(figure, value, report)
    yield from (f"   {note}" for note in report.notes)


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = (
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "   " + "  ".join([first, *others])


def _line(figure: str, value: float | None, report: Report) -> str:
    if value is None:
        return f"   {figure}: not measured"
    bound, spread = report.bounds.get(figure), report.spread.get(figure)
    words = f"   {figure}: {value:.3g}"
    if spread is not None:
        words += f" [{spread[0]:.3g} .. {spread[1]:.3g}]"
    if bound is not None:
        words += f"   {bound}  {'ok' if bound.holds(value) else 'MISSED'}"
    return words
