"""The runs that are under way: which of them hears of what becomes of a task."""

from __future__ import annotations

from typing import Protocol

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.results import ENDED

__all__ = ["RunBook", "Runs"]


class RunBook(Protocol):
    """What a run wants to know."""

    number: int

    def ended(self, row: TaskRow) -> None:
        """One of its tasks ended or parked."""
        ...

    def shared(self, row: TaskRow) -> None:
        """A task that another run drives ended or parked."""
        ...

    def reopened(self, row: TaskRow) -> None:
        """One of its tasks that had parked goes on."""
        ...

    def moved(self, row: TaskRow, left: str) -> None:
        """One of its tasks goes on at another account than ``left``."""
        ...


@define(eq=False, repr=False)
class Runs:
    """Who drives which task, and who waits for one that another drives."""

    _live: dict[int, RunBook] = field(factory=dict[int, RunBook], init=False)
    _waiting: dict[str, list[int]] = field(factory=dict[str, list[int]], init=False)
    """Runs that wait for a task of another run."""

    def open(self, run: RunBook) -> None:
        """Tell a run of its tasks from now on."""
        self._live[run.number] = run

    def close(self, run: RunBook) -> None:
        """Tell a run nothing more."""
        self._live.pop(run.number, None)

    def live(self) -> list[int]:
        """The runs that are told of their tasks."""
        return list(self._live)

    def driven(self, row: TaskRow) -> bool:
        """Whether a live run sees to the task."""
        return row.run in self._live and not row.parked and row.state not in ENDED

    def share(self, task: str, run: int) -> None:
        """Let a run hear the end of a task that another run drives."""
        self._waiting.setdefault(task, []).append(run)

    def unshare(self, task: str, run: int) -> bool:
        """Let it wait no longer; False if it has heard the end already."""
        waiting = self._waiting.get(task, [])
        if run not in waiting:
            return False
        waiting.remove(run)
        if not waiting:
            del self._waiting[task]
        return True

    # -- what they are told ----------------------------------------------------------------------------------------

    def ended(self, row: TaskRow) -> None:
        """A task ended or parked."""
        driving = self._live.get(row.run)
        if driving is not None:
            driving.ended(row)
        for number in self._waiting.pop(row.id, ()):
            run = self._live.get(number)
            if run is not None:
                run.shared(row)

    def reopened(self, row: TaskRow) -> None:
        """A task that had parked goes on; it is counted anew."""
        run = self._live.get(row.run)
        if run is not None:
            run.reopened(row)

    def moved(self, row: TaskRow, left: str) -> None:
        """A task goes on at another account than ``left``."""
        run = self._live.get(row.run)
        if run is not None:
            run.moved(row, left)
