"""Steps on their way to the disk: acted on once they are durable, whatever becomes of whoever waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from anyio import CancelScope
from attrs import define

from viseme.engine.world import World
from viseme.errors import LedgerError
from viseme.ledger.base import Change, Ledger

__all__ = ["Carrying"]

_PATIENCE = 30.0
"""How long a change that tells of the vendor's doing is tried to be written, seconds."""
_AGAIN = 1.0
"""How long after the disk refused it that is tried again, seconds."""


@define(eq=False)
class Carrying:
    """One commit and what follows from it. The ledger says when it is durable, so that no task is spent on it.

    Attributes:
        act: called once, as soon as the changes are durable and told of.
        patient: whether a commit that the disk refuses is tried again for a while.
    """

    world: World
    ledger: Ledger
    changes: Sequence[Change]
    act: Callable[[], None]
    patient: bool
    _until: float | None = None
    _over: bool = False
    _error: BaseException | None = None
    _waiter: asyncio.Future[None] | None = None

    async def to_the_end(self) -> None:
        """Commit and act; a cancellation that comes meanwhile follows then, and goes before what went wrong."""
        self._hand_over()
        try:
            await self._end()
        except asyncio.CancelledError as error:
            cut = error
        else:
            if self._error is not None:
                raise self._error
            return
        with CancelScope(shield=True):
            while not self._over:
                try:
                    await self._end()
                except asyncio.CancelledError as error:
                    cut = error
        raise cut

    def _end(self) -> asyncio.Future[None]:
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _hand_over(self) -> None:
        try:
            self.ledger.hand_over(self.changes, self._done)
        except Exception as error:
            asyncio.get_running_loop().call_soon(self._done, error)

    def _done(self, error: BaseException | None) -> None:
        """The ledger says that the changes are durable, or why not."""
        if error is None:
            try:
                self.act()
            except Exception as trouble:
                error = trouble
        elif isinstance(error, LedgerError) and self._has_patience():
            self.world.call_at(self.world.monotonic() + _AGAIN, self._hand_over)
            return
        self._over, self._error = True, error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _has_patience(self) -> bool:
        now = self.world.monotonic()
        if self._until is None:
            self._until = now + _PATIENCE
        return self.patient and now < self._until
