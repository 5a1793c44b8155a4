"""The handle on one job under way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from attrs import field, frozen

from viseme.errors import JobCancelled, JobFailed, Parked
from viseme.events import Event
from viseme.failures import Failure, Kind
from viseme.results import Result, State

__all__ = ["Task", "Tasks", "Why"]


@frozen(kw_only=True)
class Why:
    """What a task waits for.

    Attributes:
        gate: ``upload``, ``pause``, ``budget``, ``seat``, ``opening``, ``rate``, ``poll``, ``download``, ``reconcile``,
            ``person``, or None for nothing.
        until: when that is over, UTC seconds, where it is known.
        message: the same as a sentence.
    """

    state: State
    gate: str | None
    until: float | None
    message: str


class Tasks(Protocol):
    """What a task's handle asks of the engine, by the task's id."""

    def task_events(self, task: str, /) -> AsyncIterator[Event]: ...
    async def task_result(self, task: str, /) -> Result: ...
    async def cancel(self, task: str, /) -> None: ...
    async def why(self, task: str, /) -> Why: ...


@frozen
class Task:
    """One job under way.

    Attributes:
        id: the task's own id.
        key: the job's key.
    """

    id: str
    key: str
    _tasks: Tasks = field(repr=False)

    def events(self) -> AsyncIterator[Event]:
        """The task's events, from ``queued`` to the last one of this run. Iterating is optional.

        Raises:
            VisemeError: the engine ended before the task did; a later run goes on.
        """
        return self._tasks.task_events(self.id)

    async def result(self) -> Result:
        """Wait for the task's last event in this run.

        Raises:
            JobFailed: it failed.
            JobCancelled: it was cancelled.
            Parked: this run is done with it and it is not done; a later run goes on.
            VisemeError: the engine ended before the task did; a later run goes on.
        """
        async for _ in self.events():
            pass
        result = await self._tasks.task_result(self.id)
        if result.state is State.SUCCEEDED:
            return result
        failure = result.error or Failure(kind=Kind.JOB_FAILED, message=f"the task ended as {result.state}")
        if result.state is State.CANCELLED:
            raise JobCancelled(f"{self.key} was cancelled", result)
        if result.state is State.PARKED:
            raise Parked(f"{self.key} is parked ({result.reason}): {failure.message}", str(result.reason), result)
        raise JobFailed(failure, result)

    async def cancel(self) -> None:
        """Call the task off, at the vendor too where it can be. What the vendor answered stands in the result."""
        await self._tasks.cancel(self.id)

    async def why(self) -> Why:
        """What the task waits for now, and until when."""
        return await self._tasks.why(self.id)
