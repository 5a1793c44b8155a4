"""A waiting task, as small as it can be kept.

A hundred thousand of them may wait at once. So what most have in common is one object for all of them, what a task's
seat knows too is one object with that, and a handle that is an id and nothing else is one text with the key.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from attrs import define, field
from attrs.setters import NO_OP

from viseme.attempts import Handle

__all__ = ["ModelStage", "Watch", "kind_of", "told_of"]

ModelStage = tuple[str | None, str]
"""A model and a stage: whose jobs take about equally long."""

_Told = str | tuple[str, Handle]
_BETWEEN = "\n"


def told_of(key: str, handle: Handle) -> _Told:
    """A task's key and handle as they are kept: 64 bytes less as one text."""
    name = handle.get("id")
    if len(handle) == 1 and isinstance(name, str) and _BETWEEN not in name:
        return f"{name}{_BETWEEN}{key}"
    return key, handle


@lru_cache(maxsize=1024)
def kind_of(model: str | None, stage: str) -> ModelStage:
    """A model and a stage, as one object for all tasks that have them."""
    return model, stage


@define(
    eq=False, repr=False, weakref_slot=False, on_setattr=NO_OP
)  # else every change of any field asks the converters
class Watch:
    """What the hub keeps of a waiting task.

    Attributes:
        kind: the model that does it, and the stage that the handle belongs to, of this ``attempt``.
        since: when the task's clock started, UTC seconds; ``began`` when its present stage was taken.
        batch: it was created together with others.
        background: nobody waits for it; it is looked at for its seat's sake.
        due: when the next look is due, monotonic seconds; earlier where it shall be looked at at once.
        placed: it has its turn among those that are due.
        shown: what was last told of its progress.
        running_since: when it was first seen running, UTC seconds.
        failures: looks that failed one after the other.
        missing: looks at which the vendor did not know it, one after the other; ``missed`` when the first of them was
            (monotonic seconds).
        odd: when looks began to show what makes no sense, monotonic seconds; None where the last one did not.
        seen: whether a look has shown it; ``heard`` when the last one did, or when it began to be watched, UTC seconds.
        observed: when the newest look was sent, UTC seconds; later with each, whatever the clock does.
        media: how long its result is at most, seconds; None where nobody measured it.
        wary: it is looked at more often, since what was learnt may no longer hold.
        firm: its next look is not to come early, by the user's word or the vendor's.
        late: its first look came later than it should have, so that its end may be long past.
        asked: when it was last part of a list request, monotonic seconds.
        unlisted: lists, one after the other, that did not show it; ``alone`` so many looks from now on are at it only.
    """

    task: str = field(converter=sys.intern)
    run: int
    seq: int
    _told: _Told = field(alias="told")
    kind: ModelStage
    since: float
    began: float
    batch: bool = False
    background: bool = False
    due: float = 0.0
    placed: bool = False
    shown: tuple[Any, ...] = ()
    running_since: float | None = None
    looks: int = 0
    failures: int = 0
    missing: int = 0
    missed: float = 0.0
    odd: float | None = None
    seen: bool = False
    heard: float = 0.0
    observed: float = 0.0
    gone: bool = False
    media: float | None = None
    attempt: int | None = None
    wary: bool = False
    firm: bool = True
    late: bool = False
    asked: float = 0.0
    unlisted: int = 0
    alone: int = 0

    def __lt__(self, other: Watch) -> bool:
        """Between two that are due and began at the same time, their names decide who goes first."""
        return self.task < other.task

    @property
    def key(self) -> str:
        """The task's key."""
        told = self._told
        return told.partition(_BETWEEN)[2] if isinstance(told, str) else told[0]

    @property
    def stage(self) -> str:
        """The stage that the handle belongs to."""
        return self.kind[1]

    @property
    def handle(self) -> Handle:
        """What the vendor gave back for the stage."""
        told = self._told
        return {"id": told.partition(_BETWEEN)[0]} if isinstance(told, str) else told[1]

    @handle.setter
    def handle(self, handle: Handle) -> None:
        self._told = told_of(self.key, handle)

    @property
    def vendor_id(self) -> str:
        """The vendor's id of the job."""
        return str(self.handle.get("id"))
