"""A waiting task, as small as it can be kept.

A hundred thousand of them may wait at once. So what most have in common is one object for all of them, and a handle
that is an id and nothing else is kept as that.
"""

from __future__ import annotations

import sys
from typing import Any

from attrs import define, field
from attrs.converters import optional
from attrs.setters import NO_OP

from viseme.attempts import Handle

__all__ = ["ModelStage", "Watch"]

ModelStage = tuple[str | None, str]
"""A model and a stage: whose jobs take about equally long."""


def _small(handle: Handle) -> Handle | str:
    name = handle.get("id")
    return name if len(handle) == 1 and isinstance(name, str) else handle


def _shared(text: str) -> str:
    """The same text, which all that have it share."""
    return sys.intern(text) if type(text) is str else text


@define(eq=False, weakref_slot=False, on_setattr=NO_OP)  # else every change of any field asks the converters
class Watch:
    """What the hub keeps of a waiting task.

    Attributes:
        since: when the task's clock started, UTC seconds; ``began`` when its present stage was taken.
        stage: that the handle belongs to, of this ``attempt``; ``model`` that does it.
        batch: it was created together with others.
        background: nobody waits for it; it is looked at for its seat's sake.
        due: when the next look is due, monotonic seconds.
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
    """

    task: str
    key: str
    run: int
    seq: int
    _handle: Handle | str = field(converter=_small, alias="handle")
    since: float
    began: float
    stage: str = field(default="", converter=_shared)
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
    model: str | None = field(default=None, converter=optional(_shared))
    media: float | None = None
    attempt: int | None = None
    wary: bool = False
    firm: bool = True
    late: bool = False
    asked: float = 0.0

    @property
    def handle(self) -> Handle:
        """What the vendor gave back for the stage."""
        return {"id": self._handle} if isinstance(self._handle, str) else self._handle

    @handle.setter
    def handle(self, handle: Handle) -> None:
        self._handle = _small(handle)  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def vendor_id(self) -> str:
        """The vendor's id of the job."""
        return str(self.handle.get("id"))
