"""A waiting task, as small as it can be kept."""

from __future__ import annotations

from typing import Any

from attrs import define

from viseme.attempts import Handle

__all__ = ["ModelStage", "Watch"]

ModelStage = tuple[str | None, str]
"""A model and a stage: whose jobs take about equally long."""


@define(eq=False)
class Watch:
    """What the hub keeps of a waiting task.

    Attributes:
        since: when the task's clock started, UTC seconds; ``began`` when its present stage was taken.
        stage: that the handle belongs to; ``model`` that does it.
        batch: it was created together with others.
        background: nobody waits for it; it is looked at for its seat's sake.
        ticket: names its entry in the heap; older ones are stale.
        shown: what was last told of its progress.
        running_since: when it was first seen running, UTC seconds.
        failures: looks that failed one after the other.
        missing: looks at which the vendor did not know it, one after the other; ``missed`` when the first of them was
            (monotonic seconds).
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
    handle: Handle
    since: float
    began: float
    stage: str = ""
    batch: bool = False
    background: bool = False
    due: float = 0.0
    ticket: int = -1
    shown: tuple[Any, ...] = ()
    running_since: float | None = None
    looks: int = 0
    failures: int = 0
    missing: int = 0
    missed: float = 0.0
    seen: bool = False
    heard: float = 0.0
    observed: float = 0.0
    gone: bool = False
    model: str | None = None
    media: float | None = None
    wary: bool = False
    firm: bool = True
    late: bool = False
    asked: float = 0.0

    @property
    def vendor_id(self) -> str:
        """The vendor's id of the job."""
        return str(self.handle.get("id"))
