"""What the fates of its creates mean for an account: it opens, rests, or is stopped until someone acts."""

from __future__ import annotations

from attrs import define

from viseme.engine.admission.desk import Desk
from viseme.engine.lifecycle.steps import ACCOUNT_TROUBLE, BACK_IN_LINE
from viseme.engine.world import World
from viseme.failures import Kind
from viseme.providers.base import Verdict
from viseme.results import Reason

__all__ = ["Refusals"]

_UNREACHABLE = 600.0
"""An account that cannot be reached for so many seconds is given up for this run."""


@define(eq=False, repr=False)
class Refusals:
    """Draws the conclusions for one account.

    Attributes:
        keep_waiting: try a stopped account again after a while, since its jobs are left in line.
    """

    world: World
    desk: Desk
    keep_waiting: bool = False
    _unreached: float | None = None
    """Since when nothing has been heard of it, monotonic."""

    def accepted(self) -> None:
        """A create was accepted: the account opens wider."""
        self._unreached = None
        self.desk.opened()

    def note(self, verdict: Verdict, *, begun: int | None = None, seated: bool = True) -> None:
        """A create was refused; where it came too early, others wait.

        Args:
            begun: the desk's ``bursts`` when it was begun.
            seated: whether it had taken a seat.
        """
        if verdict.kind not in BACK_IN_LINE:
            return
        self.desk.refused(verdict, seated=seated, begun=begun)
        if verdict.kind is not Kind.TRANSIENT:
            self._unreached = None
            return
        now = self.world.monotonic()
        self._unreached = self._unreached if self._unreached is not None else now
        if now - self._unreached > _UNREACHABLE:
            self._unreached = None
            self._stop(Reason.NEEDS_PERSON, verdict)

    def conclude(self, verdict: Verdict) -> None:
        """Stop the account, where it was refused for its own sake and not the job's."""
        trouble = ACCOUNT_TROUBLE.get(verdict.kind)
        if trouble is not None:
            self._stop(trouble, verdict)

    def of_batch(self, verdict: Verdict, begun: int) -> None:
        """A batch, which takes no seat, was refused."""
        self.note(verdict, begun=begun, seated=False)
        self.conclude(verdict)

    def _stop(self, reason: Reason, verdict: Verdict) -> None:
        self.desk.stop(reason, verdict)
        if self.keep_waiting:
            self.desk.probe_later()
