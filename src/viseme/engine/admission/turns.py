"""Turns: jobs that work on one thing at the vendor (a project) go one after the other."""

from __future__ import annotations

from collections import deque

from attrs import define, field

from viseme.attempts import TaskRow

__all__ = ["Turns"]


@define(eq=False, repr=False)
class Turns:
    """Whose turn it is, by the thing's name; it lasts until the task has ended or parked."""

    _turn: dict[str, str] = field(factory=dict[str, str])
    _names: dict[str, str] = field(factory=dict[str, str])
    """The thing that a task has its turn at."""
    _lines: dict[str, deque[TaskRow]] = field(factory=dict[str, "deque[TaskRow]"])
    _waiting: set[str] = field(factory=set[str])

    def enter(self, name: str, task: str) -> bool:
        """Take the turn at a thing; False if it is another task's."""
        if self._turn.setdefault(name, task) != task:
            return False
        self._names[task] = name
        return True

    def wait(self, name: str, row: TaskRow) -> None:
        """Stand in line for a thing."""
        self._lines.setdefault(name, deque()).append(row)
        self._waiting.add(row.id)

    def waits(self, task: str) -> bool:
        """Whether a task stands in line for a thing."""
        return task in self._waiting

    def leave(self, task: str) -> TaskRow | None:
        """A task ended or parked; returns the one whose turn may come."""
        name = self._names.pop(task, None)
        if name is None:
            return None
        del self._turn[name]
        line = self._lines.get(name)
        row = line.popleft() if line else None
        if not line:
            self._lines.pop(name, None)
        if row is not None:
            self._waiting.discard(row.id)
        return row

    def clear(self) -> None:
        """Forget all that stand in line."""
        self._lines.clear()
        self._waiting.clear()
