"""``viseme spend``: what was spent, set aside and lost, per account and UTC day. It only looks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from attrs import define, field

import viseme
from viseme.cli.figures import counted, figure, money
from viseme.cli.guard import OK
from viseme.cli.reading import reading
from viseme.cli.settings import Places, places
from viseme.cli.tables import show
from viseme.money import ChargeState, Spending
from viseme.wording import quote

__all__ = ["spend"]

_STATES: tuple[ChargeState, ...] = ("spent", "reserved", "failed")


@define
class _Part:
    """The charges of one state."""

    jobs: int = 0
    amount: Decimal = Decimal(0)
    usd: Decimal = Decimal(0)
    unpriced: int = 0
    without_usd: int = 0

    def add(self, found: Spending) -> None:
        self.jobs += found.tasks
        self.amount += found.amount
        self.usd += found.usd
        self.unpriced += found.unpriced
        self.without_usd += found.without_usd


@define
class _Line:
    """One account on one UTC day, in one unit."""

    account: str
    day: str
    unit: str | None
    parts: dict[ChargeState, _Part] = field(factory=lambda: {state: _Part() for state in _STATES})

    @property
    def usd(self) -> Decimal:
        """All of it in US dollars, as far as known."""
        return sum((part.usd for part in self.parts.values()), Decimal(0))

    @property
    def without_usd(self) -> int:
        """Of how many jobs that is not known."""
        return sum(part.without_usd for part in self.parts.values())


def spend(*, out: str | None, ledger: str | None, as_json: bool) -> int:
    """Look at a ledger, whether or not a run is under way."""
    where = places(out, ledger)
    found = viseme.run(_look(where))
    lines = _lines(found, by_day=True)
    if as_json:
        print(json.dumps({"ledger": where.ledger, "days": [_as_json(line) for line in lines]}, indent=2))
    elif not lines:
        print(f"{quote(where.ledger)}: nothing was spent")
    else:
        _show(lines, _lines(found, by_day=False))
    return OK


async def _look(where: Places) -> list[Spending]:
    async with reading(where.ledger) as ledger:
        return await ledger.spending()


def _lines(found: Iterable[Spending], *, by_day: bool) -> list[_Line]:
    """What has no known price stands with what the account counts in."""
    lines: dict[tuple[str, str, str], _Line] = {}
    for one in sorted(found, key=lambda one: one.unit is None):
        day = one.day if by_day else "all"
        units = sorted(unit for at, account, unit in lines if (at, account) == (day, one.account))
        unit = one.unit or (units[0] if units else None)
        line = lines.setdefault((day, one.account, unit or ""), _Line(one.account, day, unit))
        line.parts[one.state].add(one)
    return [line for _, line in sorted(lines.items())]


def _show(days: Sequence[_Line], totals: Sequence[_Line]) -> None:
    several = len(days) > len(totals)
    rows = [_cells(line) for line in (*days, *(totals if several else ()))]
    show(("day (UTC)", "account", "jobs", "spent", "reserved", "failed but billed", "USD"), rows)
    print("\nreserved: set aside for jobs under way, at most; failed but billed: at most, where no figure was told")
    if any(line.unit is None or any(part.unpriced for part in line.parts.values()) for line in days):
        print('unknown: state it in accounts.NAME, like price = "0.05 usd/s" or price = "2 credits/job"')


def _cells(line: _Line) -> Sequence[str]:
    return (
        line.day,
        line.account,
        str(sum(part.jobs for part in line.parts.values())),
        *(_part(line.parts[state], line.unit) for state in _STATES),
        figure(line.usd) + (f" and {line.without_usd} jobs unknown" if line.without_usd else ""),
    )


def _part(part: _Part, unit: str | None) -> str:
    if not part.jobs:
        return "-"
    if unit is None or part.unpriced == part.jobs:
        return f"unknown ({counted(part.jobs, 'job')})"
    more = f", {part.unpriced} unknown" if part.unpriced else ""
    return f"{money(part.amount, unit)} ({counted(part.jobs, 'job')}{more})"


def _as_json(line: _Line) -> dict[str, Any]:
    parts = {
        state: {
            "jobs": part.jobs,
            "amount": float(part.amount),
            "usd": float(part.usd),
            "unpriced": part.unpriced,
            "without_usd": part.without_usd,
        }
        for state, part in line.parts.items()
    }
    return {"day": line.day, "account": line.account, "unit": line.unit, **parts}
