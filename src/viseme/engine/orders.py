"""What a person, or another process, orders done about tasks: to call them off, or to settle a fate that is open."""

from __future__ import annotations

from collections.abc import Sequence

from anyio import create_task_group

from viseme.attempts import TaskRow
from viseme.engine.core import Core
from viseme.errors import LedgerError, VisemeError
from viseme.ledger.base import Order
from viseme.results import UNSETTLED

__all__ = ["obey"]

_PAGE = 500


async def obey(core: Core, orders: Sequence[Order]) -> list[str]:
    """Carry out orders; returns what could not be done, as sentences.

    What is to be cancelled is withdrawn at once, before any of it is waited for: nothing of it is bought meanwhile.
    """
    refused: list[str] = []
    meant = [(order, row) for order in orders for row in await _meant(core, order)]
    for order, row in meant:
        if order.verb == "cancel" and row.account in core.offices:
            core.call_off(row.id, row.account)
    async with create_task_group() as group:
        for order, row in meant:
            group.start_soon(_carry_out, core, order, row, refused)
    return refused


async def _carry_out(core: Core, order: Order, row: TaskRow, refused: list[str]) -> None:
    try:
        if order.verb == "cancel":
            await core.cancel(row.id)
        elif row.state in UNSETTLED:
            await core.decide(row.id, order.verb)
    except LedgerError:
        raise
    except VisemeError as error:
        refused.append(str(error))


async def _meant(core: Core, order: Order) -> list[TaskRow]:
    """The tasks that an order names by their key; without one, all that are open."""
    if order.key is not None:
        return await core.ledger.by_keys([order.key])
    rows: list[TaskRow] = []
    while page := await core.ledger.open_tasks(rows[-1].order if rows else 0, _PAGE):
        rows += page
    return rows
