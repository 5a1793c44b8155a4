"""Gives a lost create the job that the vendor showed for it, and no job to two tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from attrs import define, field

from viseme.attempts import Intent
from viseme.engine.lifecycle.book import Book, Hold
from viseme.engine.lifecycle.signals import Refound
from viseme.ledger.base import Ledger
from viseme.providers.base import Found

__all__ = ["Adopter"]

_SLACK = 120.0
"""How far the vendor's clock may be behind ours, seconds."""


@define(eq=False, repr=False)
class Adopter:
    """One for all accounts of a provider, which may be one account at the vendor.

    Attributes:
        accounts: their names.
    """

    ledger: Ledger
    book: Book
    accounts: Sequence[str]
    _one: asyncio.Lock = field(factory=asyncio.Lock)

    async def adopt(self, hold: Hold, intent: Intent, found: Found, *, shared: bool) -> bool:
        """Take what was found for a lost create, unless it is older than the create, or another one's.

        What was found by its inputs alone may be the job of a create with equal inputs that is still out and has not
        heard its id: such creates are waited for first. Cancelling this leaves the create as it was.

        Args:
            shared: whether tasks work on one job of the vendor's one after the other, all under its id.
        """
        if found.by_inputs:
            if found.created is None or found.created < intent.at - _SLACK:
                return False
            await self._heard(hold.row.id)
        async with self._one:
            owner = await self._owner(str(found.handle.get("id")))
            # By inputs alone, a job that is the task's own already is one of an earlier attempt.
            ours = owner is None or (owner == hold.row.id and not found.by_inputs)
            if ours or shared:
                await hold.take(Refound(found))
            return ours or shared

    async def _owner(self, vendor_id: str) -> str | None:
        for account in self.accounts:
            owner = await self.ledger.adopted(account, vendor_id)
            if owner is not None:
                return owner
        return None

    async def _heard(self, task: str) -> None:
        """Wait until every other create that is out now has been answered, and its answer is written down."""
        for account in self.accounts:
            for other in await self.ledger.intents(account, float("inf")):
                if other.task != task and other.ended is None and self.book.busy(other.task):
                    async with self.book.hold(other.task):
                        pass
