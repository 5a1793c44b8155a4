"""Bugs that the simulation found, put back one by one: the seed that told of each must tell of it again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from viseme.attempts import Handle
from viseme.engine.lifecycle.creating import Creator
from viseme.engine.lifecycle.line import stands_in_line
from viseme.engine.polling.hub import Watch
from viseme.engine.polling.looking import Looker
from viseme.providers.base import Verdict
from viseme.providers.rask import faces

__all__ = ["BUGS"]


def _stale_stage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Creator, "_still", lambda self, row, now: stands_in_line(now))


def _face_asked_once(patch: pytest.MonkeyPatch) -> None:
    def may_ask(handle: Handle, now: float, grace: float) -> bool:
        asked = handle.get("asked")
        return asked is None or (bool(handle.get("lost")) and now - asked >= max(grace, 30.0))

    patch.setattr(faces, "_may_ask", may_ask)


def _clock_of_the_wall(patch: pytest.MonkeyPatch) -> None:
    failed = Looker._failed

    async def noted(self: Looker, watch: Watch, verdict: Verdict) -> None:
        world = self.world
        self.world = evolve(world, monotonic=world.now)
        try:
            await failed(self, watch, verdict)
        finally:
            self.world = world

    patch.setattr(Looker, "_failed", noted)


BUGS: dict[str, tuple[int, Callable[[pytest.MonkeyPatch], None]]] = {
    "a row that was read before its task went on was paid for without a seat": (19, _stale_stage),
    "a face check that came to nothing was waited for until the deadline": (10656, _face_asked_once),
    "a clock that was set made a minute of nothing but 404, and a paid job fail": (10272, _clock_of_the_wall),
}
"""What was wrong, the seed that told, and how to put it back."""
