"""Bugs that the simulation found, put back one by one: the seed that told of each must tell of it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from viseme.attempts import Handle
from viseme.engine.housekeeping import Housekeeping
from viseme.engine.lifecycle import reconciling
from viseme.engine.lifecycle.creating import Creator
from viseme.engine.lifecycle.line import Line, stands_in_line
from viseme.engine.lifecycle.reconciling import Reconciler
from viseme.engine.polling.hub import Watch
from viseme.engine.polling.looking import Looker
from viseme.engine.run import Run
from viseme.ledger.base import Change
from viseme.providers.base import Verdict
from viseme.providers.rask import faces

__all__ = ["BUGS"]


def _stale_row(patch: pytest.MonkeyPatch) -> None:
    async def give_up(self: Housekeeping) -> None:
        now = self.core.world.now()
        for seat in await self.core.ledger.seats():
            office = self.core.offices.get(seat.account)
            if seat.until > now or office is None:
                continue
            for row in await self.core.ledger.tasks([seat.task]):
                await self.core.ledger.commit(Change(row=row, closes=seat.id))
            office.desk.pool.seats.give_back(seat.id)

    patch.setattr(Housekeeping, "give_up_seats", give_up)


def _seatless(patch: pytest.MonkeyPatch) -> None:
    async def take(self: Reconciler, name: str) -> bool:
        return False

    patch.setattr(Reconciler, "_take_seat", take)


def _impatient(patch: pytest.MonkeyPatch) -> None:
    async def take(self: Reconciler, name: str) -> bool:
        seats = self.desk.pool.seats
        if seats.holds(name) or (seats.free and seats.take(name)):
            return not seats.holds(name)
        raise reconciling._Unheard("all seats are taken")

    patch.setattr(Reconciler, "_take_seat", take)


def _begun_too_late(patch: pytest.MonkeyPatch) -> None:
    made = Run.__init__

    def make(self: Run, *args: Any, **more: Any) -> None:
        made(self, *args, **more)
        self._broken = lambda: None

    patch.setattr(Run, "__init__", make)


def _stale_stage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Creator, "_still", lambda self, row, now: stands_in_line(now))


def _ahead_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Line, "tried", lambda self, row: None)


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
    "a seat that was given up wrote back an old row of its task": (0, _stale_row),
    "a lost create was sent again without a seat, after its own was given up": (0, _seatless),
    "a lost create without a seat was not asked after while others had them all": (0, _impatient),
    "a row that was read before its task went on was paid for without a seat": (0, _stale_stage),
    "a task that went back in line kept those behind it waiting for ever": (0, _ahead_for_ever),
    "a face check that was asked for, and came to nothing, was waited for until the deadline": (0, _face_asked_once),
    "a clock that was set made a minute of nothing but 404, and a paid job fail": (0, _clock_of_the_wall),
    "a run that began while the scheduler closed raised RuntimeError": (0, _begun_too_late),
}
"""What was wrong, the seed that told, and how to put it back."""
