"""Prices for the jobs that are taken in, several at a time."""

from __future__ import annotations

from collections.abc import Sequence

from anyio import CapacityLimiter, create_task_group

from viseme.attempts import TaskRow
from viseme.engine.money.cashier import Cashier
from viseme.errors import JobInvalid
from viseme.ledger.base import Ledger

__all__ = ["priced"]

_AT_ONCE = 16


async def priced(cashier: Cashier, ledger: Ledger, rows: Sequence[TaskRow]) -> list[TaskRow | JobInvalid]:
    """Each row with its price, or why a budget cannot be kept for it; a task that the ledger knows stays as it is.

    Where there is no budget at all, a job has time until its create to learn what it costs.
    """
    if not cashier.till.limited:
        return list(rows)
    if not any(cashier.budgets(row.account) for row in rows):
        return [await cashier.priced(row) for row in rows]
    known = {row.key for row in await ledger.by_keys([row.key for row in rows])}
    found: list[TaskRow | JobInvalid] = list(rows)
    few = CapacityLimiter(_AT_ONCE)

    async def price(number: int, row: TaskRow) -> None:
        async with few:
            try:
                found[number] = await cashier.priced(row)
            except JobInvalid as error:
                found[number] = error

    async with create_task_group() as group:
        for number, row in enumerate(rows):
            if row.key not in known:
                group.start_soon(price, number, row)
    return found
