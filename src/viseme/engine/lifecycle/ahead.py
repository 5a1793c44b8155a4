"""Steps that are acted on before they are written, since nothing is lost with them: they go with the next one.

That the vendor is done, and where its result lies, the vendor says again when asked again. So the download begins
at once, and one commit tells of both its beginning and its end where it is short: 90 µs of CPU less a job. Where it is
long, the beginning is written after a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.engine.world import World
from viseme.ledger.base import Change, Ledger

__all__ = ["Ahead"]

_MOMENT = 0.25
"""So long, seconds, a step waits for the next one of its task."""
_AGAIN = 1.0
"""How long after the disk refused it that is tried again, seconds."""


@define(eq=False, repr=False)
class _Step:
    """A step that is not written yet.

    Attributes:
        since: monotonic.
        taken: on its way to the disk with the next one.
        left: once it is on its way by itself no more; waited for by the one who holds the task.
    """

    change: Change
    since: float
    taken: bool = False
    left: asyncio.Future[None] | None = None


@define(eq=False, repr=False)
class Ahead:
    """The steps that wait to be written, one a task at most. Only who holds a task takes its step along.

    Attributes:
        on_written: called when a step has been written by itself.
        leaving: the tasks whose steps are on their way to the disk by themselves.
    """

    world: World
    ledger: Ledger
    on_written: Callable[[TaskRow], None]
    leaving: set[str] = field(factory=set[str], init=False)
    _steps: dict[str, _Step] = field(factory=dict[str, _Step])
    """By task, in the order in which they came."""
    _timed: bool = False

    def row(self, task: str) -> TaskRow | None:
        """The task as it stands, where the ledger does not have it so yet."""
        step = self._steps.get(task)
        return None if step is None else step.change.row

    def put(self, change: Change) -> None:
        """Let a step wait for the next one, or a moment."""
        self._steps[change.row.id] = _Step(change, self.world.monotonic())
        self._wait(_MOMENT)

    async def left(self, task: str) -> None:
        """Wait while its step is on its way to the disk by itself: the next one of the task comes after it."""
        if task in self.leaving:
            left = self._steps[task].left = asyncio.get_running_loop().create_future()
            await left

    def take_along(self, change: Change) -> None:
        """Add the step that waits to the next change of its task; ``over`` is to be called of it in the end."""
        step = self._steps.get(change.row.id)
        if step is None:
            return
        step.taken = True
        first = step.change
        change.was = first.was
        change.events = (*first.events, *change.events)
        change.closes = change.closes or first.closes
        change.charge = change.charge or first.charge

    def over(self, task: str, *, written: bool) -> None:
        """A change that took a step along is written; or it cannot be, and the step waits on."""
        if written:
            self._steps.pop(task, None)
        elif task in self._steps:
            self._steps[task].taken = False
            self._wait(_AGAIN)

    # -- after a moment ------------------------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        if not self._timed:
            self._timed = True
            self.world.call_at(self.world.monotonic() + seconds, self._write)

    def _write(self) -> None:
        """Write those that have waited for a moment."""
        self._timed = False
        now = self.world.monotonic()
        for task, step in list(self._steps.items()):
            if now < step.since + _MOMENT:
                self._wait(step.since + _MOMENT - now)
                return
            if not step.taken and task not in self.leaving:
                self.leaving.add(task)
                self._give(task, step)

    def _give(self, task: str, step: _Step) -> None:
        try:
            self.ledger.hand_over((step.change,), partial(self._arrived, task, step))
        except Exception:  # the ledger is closed
            self.leaving.remove(task)

    def _arrived(self, task: str, step: _Step, error: BaseException | None) -> None:
        self.leaving.remove(task)
        if error is None:
            del self._steps[task]
            self.on_written(step.change.row)
        else:
            self._wait(_AGAIN)
        if step.left is not None and not step.left.done():
            step.left.set_result(None)
