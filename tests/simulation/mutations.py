"""The engine with one of its rules taken out: the laws must find out each time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.simulation.files import Disk
from tests.simulation.network import Transport

from viseme.engine.admission.limits import Rates
from viseme.engine.core import Core
from viseme.engine.lifecycle.book import Book, Hold
from viseme.engine.lifecycle.signals import Intended, Signal, Taken
from viseme.engine.lifecycle.steps import Step
from viseme.results import State

__all__ = ["MUTATIONS", "mutated"]


def _uncommitted(kind: type[Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """A step of a kind is acted on, and not written down."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        written = Book.write

        async def write(self: Book, hold: Hold, signal: Signal) -> Step | None:
            advanced = hold.row, signal, hold.policy, self.world.now()
            step = self._step(*advanced) if isinstance(signal, kind) else None
            if step is None:
                return await written(self, hold, signal)
            self._act([step])
            hold.row = hold.kept = step.row
            return step

        patch.setattr(Book, "write", write)

    return mutate


def _folders_unsynced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Disk, "sync_folder", lambda self, renamed: None)


def _last_come_first_served(patch: pytest.MonkeyPatch) -> None:
    made = Rates.__init__

    def make(self: Rates, *args: Any, **more: Any) -> None:
        made(self, *args, **more)
        self._tickets = itertools.count(0, -1)

    patch.setattr(Rates, "__init__", make)


def _resumed_unconditionally(patch: pytest.MonkeyPatch) -> None:
    fetch = Transport.fetch

    def without(self: Transport, url: str, headers: dict[str, str], **more: Any) -> Any:
        return fetch(self, url, {name: text for name, text in headers.items() if name != "If-Range"}, **more)

    patch.setattr(Transport, "fetch", without)


def _seats_end_with_the_create(patch: pytest.MonkeyPatch) -> None:
    dispatch = Core.dispatch

    def dispatched(self: Core, step: Step) -> None:
        dispatch(self, step)
        office = self.offices.get(step.row.account)
        if office is not None and step.row.state is State.WAITING:
            office.desk.pool.seats.give_back(step.row.seat)

    patch.setattr(Core, "dispatch", dispatched)


MUTATIONS: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "the intent is not committed": ("intent", _uncommitted(Intended)),
    "the handle is not committed": ("handle", _uncommitted(Taken)),
    "waiters are served last come, first": ("order", _last_come_first_served),
    "a download is taken up without If-Range": ("files", _resumed_unconditionally),
    "folders are not synced": ("files", _folders_unsynced),
    "a seat is given back before the job's end": ("seats", _seats_end_with_the_create),
}
"""What is taken out, and the law that must break."""


@contextmanager
def mutated(name: str) -> Iterator[str]:
    """The engine without one of its rules; gives the law that watches over it."""
    law, mutate = MUTATIONS[name]
    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        yield law
