"""Steps on their way to the disk: acted on once they are durable, whatever becomes of whoever waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from attrs import define

from viseme.engine.uncut import Ending
from viseme.engine.world import World
from viseme.errors import LedgerError
from viseme.ledger.base import Change, Ledger

__all__ = ["Carrying"]

_PATIENCE = 30.0
"""How long a change that tells of the vendor's doing is tried to be written, seconds."""
_AGAIN = 1.0
"""How long after the disk refused it that is tried again, seconds."""


def _nothing() -> None:
    pass


@define(eq=False, repr=False)
class Carrying(Ending):
    """One commit and what follows from it. The ledger says when it is durable, so that no task is spent on it.

    Attributes:
        act: called once, as soon as the changes are durable and told of.
        patient: whether a commit that the disk refuses is tried again for a while.
        undo: called once, if the changes cannot be written.
    """

    world: World
    ledger: Ledger
    changes: Sequence[Change]
    act: Callable[[], None]
    patient: bool
    undo: Callable[[], None] = _nothing
    _until: float | None = None

    def begin(self) -> None:
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
            self.world.call_at(self.world.monotonic() + _AGAIN, self.begin)
            return
        if error is not None:
            self.undo()
        self.error = error
        self.end()

    def _has_patience(self) -> bool:
        now = self.world.monotonic()
        if self._until is None:
            self._until = now + _PATIENCE
        return self.patient and now < self._until
