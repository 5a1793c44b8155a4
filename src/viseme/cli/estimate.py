"""``viseme estimate``: what a manifest costs at most, before anything is bought."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any

from attrs import asdict, define, field

import viseme
from viseme import Config, Quote
from viseme.cli.figures import counted, figure, money
from viseme.cli.guard import OK
from viseme.cli.manifests import Manifest, open_manifest
from viseme.cli.progress import Counting
from viseme.cli.settings import default_account, load_config
from viseme.cli.tables import show
from viseme.engine.money.quoting import Quoted, quote_rows
from viseme.errors import ManifestError
from viseme.money import exact
from viseme.wording import quote

__all__ = ["estimate"]

_EACH = 50
"""More jobs than so many are shown in sums only."""


@define
class _Sum:
    """The quotes of one account and unit together; ``unit`` None for those whose price is not known."""

    account: str
    unit: str | None
    jobs: int = 0
    firm: bool = True
    amount: Decimal = Decimal(0)
    usd: Decimal | None = Decimal(0)
    sources: set[str] = field(factory=set[str])

    def add(self, found: Quote) -> None:
        self.jobs += 1
        self.sources.add(_source(found))
        if found.cost is None:
            self.usd = None
            return
        self.firm = self.firm and found.firm
        self.amount += exact(found.cost.amount) or 0
        usd = exact(found.cost.usd)
        self.usd = None if usd is None or self.usd is None else self.usd + usd


def estimate(manifest: str, *, config: str | None, account: str | None, as_json: bool) -> int:
    """Quote every job of a manifest."""
    settings = load_config(config)
    source = open_manifest(manifest)
    default = default_account(settings, account)
    with source.files:
        rows = viseme.run(_look(source, settings, default))
    if not rows:
        raise ManifestError(f"{source.name} holds no jobs; write one JSON object, or CSV row, per job")
    problems = [row.problem for row in rows if row.problem is not None]
    if problems:
        raise ManifestError(
            f"{source.name}: {counted(len(problems), 'row')} cannot be run; mend them, then ask again", problems
        )
    sums = _sums(found for row in rows if (found := row.quote) is not None)
    if as_json:
        told = {"jobs": [_as_json(row) for row in rows], "accounts": [_sum_as_json(one) for one in sums]}
        print(json.dumps(told, indent=2))
    else:
        _show(rows, sums)
    return OK


async def _look(source: Manifest, config: Config, default: str | None) -> list[Quoted]:
    found: list[Quoted] = []
    counting = Counting("estimating")
    async with aclosing(quote_rows(source.rows, config.accounts, default_account=default)) as every:
        async for quoted in every:
            found.append(quoted)
            counting.show(len(found))
    counting.clear()
    return found


def _sums(quotes: Iterable[Quote]) -> list[_Sum]:
    sums: dict[tuple[str, str], _Sum] = {}
    for found in quotes:
        unit = None if found.cost is None else found.cost.unit
        sums.setdefault((found.account, unit or ""), _Sum(found.account, unit)).add(found)
    return [one for _, one in sorted(sums.items())]


def _source(found: Quote) -> str:
    if not found.source:
        return "no price is published"
    return f"{found.source} {found.dated}".strip()


def _show(rows: Sequence[Quoted], sums: Sequence[_Sum]) -> None:
    if len(rows) <= _EACH:
        show(
            ("key", "account", "model", "seconds", "cost", "USD", "price"),
            [_cells(row.key, found) for row in rows if (found := row.quote) is not None],
        )
        print()
    show(("account", "jobs", "cost", "USD", "price"), [_sum_cells(one) for one in sums])
    for one in sums:
        if one.unit is None:
            print(
                f"\n{one.account}: what {one.jobs} of its jobs cost is not known; state it in accounts.{one.account},"
                ' like price = "0.05 usd/s" or price = "2 credits/job"'
            )


def _cells(key: str, found: Quote) -> Sequence[str]:
    cost = found.cost
    return (
        quote(key, 40),
        found.account,
        found.model,
        "-" if found.seconds is None else f"{found.seconds:.1f}",
        "unknown" if cost is None else _bound(money(exact(cost.amount), cost.unit), firm=found.firm),
        "unknown" if cost is None else _bound(figure(exact(cost.usd)), firm=found.firm),
        _source(found),
    )


def _sum_cells(one: _Sum) -> Sequence[str]:
    known = one.unit is not None
    return (
        one.account,
        str(one.jobs),
        _bound(money(one.amount, one.unit), firm=one.firm) if known else "unknown",
        _bound(figure(one.usd), firm=one.firm) if known else "unknown",
        ", ".join(sorted(one.sources)),
    )


def _bound(text: str, *, firm: bool) -> str:
    return text if firm or text == "unknown" else f"at most {text}"


def _as_json(row: Quoted) -> dict[str, Any]:
    found = row.quote
    return {"line": row.line, "key": row.key, **({} if found is None else asdict(found))}


def _sum_as_json(one: _Sum) -> dict[str, Any]:
    return {
        "account": one.account,
        "unit": one.unit,
        "jobs": one.jobs,
        "firm": one.firm,
        "amount": None if one.unit is None else float(one.amount),
        "usd": None if one.usd is None or one.unit is None else float(one.usd),
        "sources": sorted(one.sources),
    }
