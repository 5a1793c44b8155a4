"""Charges in storage form: amounts as whole billionths of their unit, so that the sums of many are exact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_CEILING, Context, Decimal
from typing import Final

from viseme.errors import LedgerError
from viseme.money import Charge, ChargeState, Spending

__all__ = ["SUMS", "Stored", "stored", "sums", "totals"]

Stored = tuple[str, str, str, str, str, ChargeState, str | None, int | None, int | None]
"""Id, task, account, pool, day, state, unit, and ``amount`` and ``usd`` in billionths."""

_PARTS: Final = 10**9
_MOST: Final = 2**63 - 1
_CONTEXT: Final = Context(prec=40)
_MOST_UNITS: Final = _CONTEXT.scaleb(Decimal(_MOST), -9)

SUMS: Final = """
    SELECT account, pool, day, state, unit, count(*),
        ifnull(sum(amount / 1000000000), 0), ifnull(sum(amount % 1000000000), 0),
        ifnull(sum(usd / 1000000000), 0), ifnull(sum(usd % 1000000000), 0),
        count(*) - count(amount), count(*) - count(usd)
    FROM charges WHERE day >= ? GROUP BY account, pool, day, unit, state ORDER BY account, pool, day, unit, state
"""
"""Sums in two halves, because one sum of many large amounts might not fit in 64 bits."""


def stored(charge: Charge) -> Stored:
    """A charge in storage form; what is finer than a billionth is rounded up.

    Raises:
        LedgerError: its amount is no number, negative, or beyond nine billion units.
    """
    return (
        charge.id,
        charge.task,
        charge.account,
        charge.pool,
        charge.day,
        charge.state,
        charge.unit,
        _billionths(charge.amount, charge),
        _billionths(charge.usd, charge),
    )


def _billionths(amount: Decimal | None, charge: Charge) -> int | None:
    if amount is None:
        return None
    if not amount.is_finite() or not 0 <= amount <= _MOST_UNITS:
        raise LedgerError(f"the charge {charge.id} of {amount} is beyond all measure; report this")
    return int(_CONTEXT.scaleb(amount, 9).to_integral_value(ROUND_CEILING))


def totals(row: tuple[str, str, str, ChargeState, str | None, int, int, int, int, int, int, int]) -> Spending:
    """One row of :data:`SUMS`."""
    account, pool, day, state, unit, tasks, whole, parts, dollars, cents, unpriced, without_usd = row
    return Spending(
        account=account,
        pool=pool,
        day=day,
        state=state,
        unit=unit,
        tasks=tasks,
        amount=_decimal(whole * _PARTS + parts),
        usd=_decimal(dollars * _PARTS + cents),
        unpriced=unpriced,
        without_usd=without_usd,
    )


def _decimal(billionths: int) -> Decimal:
    return _CONTEXT.scaleb(Decimal(billionths), -9)


def sums(charges: Iterable[Stored], since: str) -> list[Spending]:
    """What :data:`SUMS` finds, found here."""
    groups: defaultdict[tuple[str, str, str, str | None, ChargeState], list[Stored]] = defaultdict(list)
    for charge in charges:
        _, _, account, pool, day, state, unit, _, _ = charge
        if day >= since:
            groups[account, pool, day, unit, state].append(charge)
    found = [_sum(*group, members) for group, members in groups.items()]
    return sorted(found, key=lambda s: (s.account, s.pool, s.day, s.unit is not None, s.unit or "", s.state))


def _sum(account: str, pool: str, day: str, unit: str | None, state: ChargeState, of: list[Stored]) -> Spending:
    return Spending(
        account=account,
        pool=pool,
        day=day,
        state=state,
        unit=unit,
        tasks=len(of),
        amount=_decimal(sum(charge[7] or 0 for charge in of)),
        usd=_decimal(sum(charge[8] or 0 for charge in of)),
        unpriced=sum(charge[7] is None for charge in of),
        without_usd=sum(charge[8] is None for charge in of),
    )
