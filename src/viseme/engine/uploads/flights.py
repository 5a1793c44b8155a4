"""One piece of work for all that want its result: begun by the first of them, called off when the last one leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from anyio import CancelScope
from anyio.abc import TaskGroup
from attrs import define, field

from viseme.failures import Kind
from viseme.providers.base import Refused, Verdict

__all__ = ["Flights", "Told"]

T = TypeVar("T")
Told = Callable[[float], None]
"""Told of the progress, 0 to 100."""


@define(eq=False, repr=False)
class _Flight(Generic[T]):
    scope: CancelScope = field(factory=CancelScope)
    landed: asyncio.Event = field(factory=asyncio.Event)
    waiting: list[Told] = field(factory=list[Told])
    result: list[T] = field(factory=list[T])
    error: Exception | None = None

    def tell(self, percent: float) -> None:
        for told in self.waiting:
            told(percent)


@define(eq=False, repr=False)
class Flights(Generic[T]):
    """Work under way, by what it is for."""

    _group: TaskGroup
    _flights: dict[str, _Flight[T]] = field(factory=dict[str, "_Flight[T]"])

    async def join(self, name: str, work: Callable[[Told], Awaitable[T]], told: Told) -> T:
        """The result of the work of that name; it is begun unless it is under way.

        What it raises, all raise who wait for it. Whoever is cancelled leaves the others alone.
        """
        flight = self._flights.get(name)
        if flight is None:
            flight = self._flights[name] = _Flight()
            self._group.start_soon(self._fly, name, flight, work)
        flight.waiting.append(told)
        try:
            await flight.landed.wait()
        finally:
            flight.waiting.remove(told)
            if not flight.waiting and not flight.landed.is_set():
                self._forget(name, flight)
                flight.scope.cancel()
        if flight.error is not None:
            raise _anew(flight.error)
        return flight.result[0]

    async def _fly(self, name: str, flight: _Flight[T], work: Callable[[Told], Awaitable[T]]) -> None:
        try:
            with flight.scope:
                try:
                    flight.result.append(await work(flight.tell))
                except Exception as error:
                    flight.error = error
        finally:
            if not flight.result and flight.error is None:
                flight.error = _broken_off()
            self._forget(name, flight)
            flight.landed.set()

    def _forget(self, name: str, flight: _Flight[T]) -> None:
        if self._flights.get(name) is flight:
            del self._flights[name]


def _broken_off() -> Refused:
    return Refused(Verdict(kind=Kind.TRANSIENT, message="it was broken off here; run again", blame="network"))


def _anew(error: Exception) -> Exception:
    """An error of one's own: several raise it, and each adds its traceback."""
    return Refused(error.verdict) if isinstance(error, Refused) else error
