"""Bugs that the simulation found, put back one by one: the seed that told of each must tell of it again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from viseme.attempts import TaskRow
from viseme.engine.admission.desk import Stop
from viseme.engine.journal import Inbox
from viseme.engine.lifecycle.creating import Creator
from viseme.engine.lifecycle.line import Line
from viseme.engine.lifecycle.signals import Parks
from viseme.providers.rask import results as rask_results

__all__ = ["BUGS", "NEAR", "SEEDS"]


def _ahead_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Line, "tried", lambda self, row: None)


def _idle_only(patch: pytest.MonkeyPatch) -> None:
    async def park_line(self: Creator, stop: Stop, where: Callable[[TaskRow], bool]) -> None:
        while rows := await self.line.queued():
            idle = [row.id for row in rows]
            parked, _ = await self.book.write_idle(idle, Parks(stop.reason, stop.failure), where=where)
            if not parked:
                return

    patch.setattr(Creator, "_park_line", park_line)


def _old_copy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rask_results, "as_before", lambda info, handle: False)


def _end_unheard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Inbox, "wake", lambda self: None)


BUGS: dict[str, tuple[int, Callable[[pytest.MonkeyPatch], None]]] = {
    "an old copy's preview was taken for the whole": (29, _old_copy),
    "a task that ran ahead of its seat was ahead for ever": (104, _ahead_for_ever),
    "a task that was held just then stayed in the line of a stopped account": (125, _idle_only),
    "whoever followed a task did not hear of the engine's end": (2079, _end_unheard),
}
"""What was wrong, the seed that told (or one that does today), and how to put it back."""

NEAR = 40
"""So many seeds from there on are tried: what the engine does in another order moves chance about."""

SEEDS = {
    11: "a task that was read to its end was waited for once more",
    19: "a row that was read before its task went on was paid for without a seat",
    840136: "a row that was read before its attempt ended gave the next one a seat that nobody gave back",
    404: "a task that came back into the line unseen was passed over",
    10656: "a face check that came to nothing was waited for until the deadline",
    10272: "a clock that was set made a minute of nothing but 404, and a paid job fail",
    466: "a medium whose registration came to nothing legible is named by its link",
    949: "a request that left in time arrived after its process was dead",
    1872: "the same, where its intent had been closed by the next life",
    3666: "a look at the job of an attempt that was over was taken for one at the next attempt's",
    4669: "a clock that was set before a restart hid a create, beside uploads that are not counted over it",
    6157: "a job that failed before a run took it up was not yet failed when a person ordered it anew",
    6411: "a copy from before the preview made the preview the whole",
    8454: "a create that reached the vendor after its process had died was counted too early in the next",
    8842: "the same in the life after that, as its intent had been closed meanwhile",
    80250: "a medium that two jobs share, and that came to nothing, was taken for work that both had paid for",
    80451: "a job that came back waited behind four that had their seats, which the law took for unfair",
}
"""What else broke a law once: these pass."""
