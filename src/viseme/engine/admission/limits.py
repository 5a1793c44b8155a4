"""Rates that are exact at the vendor.

A vendor counts a request when it arrives, which is some time between our sending it and our seeing the reply. So a
request holds its place from sending until one window length after its reply was seen: whenever in between it arrived,
the vendor never counts too many. Where the vendor refuses requests all the same, a pace is learned beneath the rates.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from itertools import count, takewhile

from attrs import define, field, frozen

from viseme.engine.admission.paces import SPAN, Pace
from viseme.engine.world import Timer
from viseme.units import Rate

__all__ = ["Place", "Rates", "RatesState", "Window", "spelled"]


@define(eq=False, repr=False)
class Window:
    """At most ``limit`` places taken at any time; a place is given back ``length`` seconds after its request ended."""

    limit: int
    length: float
    under_way: int = 0
    _ends: deque[float] = field(factory=deque[float])
    """When the places of ended requests come free, rising."""
    halved_until: float = 0.0

    def room(self, now: float) -> int:
        """How many more requests may be sent now."""
        ends = self._ends
        while ends and ends[0] <= now:
            ends.popleft()
        limit = max(1, self.limit // 2) if now < self.halved_until else self.limit
        return limit - self.under_way - len(ends)

    def next_room(self, now: float) -> float | None:
        """When room may come by time alone; None if only the end of a request can bring it."""
        limit = max(1, self.limit // 2) if now < self.halved_until else self.limit
        surplus = self.under_way + len(self._ends) - limit
        if surplus < 0:
            return now
        due = self._ends[surplus] if surplus < len(self._ends) else None
        return min((at for at in (due, self.halved_until if now < self.halved_until else None) if at), default=None)

    def back(self, now: float) -> float:
        """When a place that is taken now is there for another, at the earliest."""
        return now + self.length

    def take(self, now: float) -> None:
        """A request is about to leave."""
        self.under_way += 1

    def end(self, now: float) -> None:
        """A request's reply, or the end of its connection, was seen."""
        self.under_way -= 1
        self._ends.append(now + self.length)

    def cancel(self, now: float) -> None:
        """A request never left."""
        self.under_way -= 1

    @property
    def stated(self) -> float:
        """Requests a second that it allows for a while."""
        return self.limit / min(self.length, SPAN)

    def lately(self, now: float) -> tuple[int, float]:
        """How many requests left of late, and in how many seconds."""
        span = min(self.length, SPAN)
        ended = takewhile(lambda at: at - self.length > now - span, reversed(self._ends))
        return self.under_way + sum(1 for _ in ended), span

    def remember(self, ended: Iterable[float], now: float) -> None:
        """Count requests of an earlier run that ended at these monotonic times."""
        known = (at + self.length for at in ended if at + self.length > now)
        self._ends = deque(sorted([*self._ends, *known]))


Gate = Window | Pace
"""What a request passes."""


@frozen(kw_only=True)
class RatesState:
    """A rate's figures, for ``why()`` and ``viseme status``; ``pace`` is what was learned beneath it, if anything."""

    rate: str
    pace: str | None
    under_way: int
    room: int
    waiting: int
    until: float | None


@define(eq=False, repr=False)
class Place:
    """The right to send one request; give it back with ``end`` once its reply is seen."""

    _rates: Rates
    _gates: tuple[Gate, ...]
    _open: bool = True

    def end(self) -> None:
        """The reply, or the end of the connection, was seen. May be called again without effect."""
        if self._open:
            self._open = False
            now = self._rates.clock()
            for gate in self._gates:
                gate.end(now)
            self._rates.wake()

    def cancel(self) -> None:
        """The request never left: the place is free at once."""
        if self._open:
            self._open = False
            now = self._rates.clock()
            for gate in self._gates:
                gate.cancel(now)
            self._rates.wake()


@define(eq=False, repr=False)
class Rates:
    """The windows that a pool's requests pass, and those who wait for room in them.

    A request passes every window that names one of its classes, and the paces of these classes where some were learned.
    Waiters go first come, first served within a priority. One that waits for one window has a place kept in its others,
    so that nobody starves; but only where it could use it soon, so that a create that waits for tomorrow keeps no read
    from the window that both pass.
    """

    clock: Callable[[], float]
    _call_at: Callable[[float, Callable[[], None]], Timer]
    _windows: dict[str, list[Window]] = field(factory=dict[str, list[Window]])
    _paces: dict[str, Pace] = field(factory=dict[str, Pace])
    _queues: dict[tuple[str, ...], list[tuple[int, int, asyncio.Future[Place]]]] = field(
        factory=dict[tuple[str, ...], list[tuple[int, int, "asyncio.Future[Place]"]]]
    )
    _tickets: Iterable[int] = field(factory=count)
    _timer: Timer | None = None
    _passed: dict[tuple[str, ...], tuple[Window, ...]] = field(factory=dict[tuple[str, ...], tuple[Window, ...]])
    """The windows that requests passed, by their classes."""

    def configure(self, rates: Mapping[str, Iterable[Rate]]) -> None:
        """Set the rates, also while requests are under way; places that are taken stay taken."""
        self._passed.clear()
        for name, wanted in rates.items():
            old = self._windows.get(name, [])
            self._windows[name] = [_resized(old, rate) for rate in wanted]
            if name in self._paces:
                self._paces[name].restate(self._stated(name))
        self.wake()

    def windows(self, classes: Iterable[str]) -> tuple[Window, ...]:
        """The windows that a request of these classes passes."""
        return tuple(window for name in classes for window in self._windows.get(name, ()))

    def take(self, classes: tuple[str, ...]) -> Place | None:
        """A place where nobody waits and every window of these classes has room; else None."""
        if self._queues:
            return None
        now = self.clock()
        gates = self._gates(classes, now)
        for gate in gates:
            if gate.room(now) <= 0:
                return None
        return self._taken(gates, now)

    async def acquire(self, classes: tuple[str, ...], priority: int = 0) -> Place:
        """Wait for room in every window of these classes. A higher priority goes first. Cancelling leaks nothing."""
        place = self.take(classes)
        if place is not None:
            return place
        future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(classes, [])
        heapq.heappush(queue, (-priority, next(iter(self._tickets)), future))
        self.wake()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                future.result().cancel()
            else:
                future.cancel()
                self.wake()
            raise

    def hold(self, classes: Iterable[str], seconds: float) -> None:
        """Let nothing of these classes pass for so many seconds (a ``Retry-After``)."""
        until = self.clock() + seconds
        for name in classes:
            self._pace(name).hold(until)
        self.wake()

    def slow(self, classes: Iterable[str], seconds: float) -> None:
        """A request of these classes was refused as too fast: hold them, and lower the pace that they go at then."""
        now, names = self.clock(), list(classes)
        for name in names:
            told = [window.lately(now) for window in self._windows.get(name, ())]
            self._pace(name).lower(*min(told, key=_per_second, default=(0, SPAN)), now)
        self.hold(names, seconds)

    def pace(self, classes: Iterable[str]) -> float | None:
        """Requests a second that these classes are kept to beneath what is stated; None where nothing was learned."""
        now = self.clock()
        paces = (self._paces[name] for name in classes if name in self._paces)
        return min((at for pace in paces if pace.learned(now) and (at := pace.at(now)) is not None), default=None)

    def held(self, classes: Iterable[str]) -> bool:
        """Whether the vendor has asked to wait with requests of these classes."""
        now = self.clock()
        return any(now < self._paces[name].held_until for name in classes if name in self._paces)

    def _pace(self, name: str) -> Pace:
        return self._paces.setdefault(name, Pace(self._stated(name)))

    def _stated(self, name: str) -> float | None:
        return min((window.stated for window in self._windows.get(name, ())), default=None)

    def halve(self, classes: Iterable[str], seconds: float) -> None:
        """Halve the limits of these classes for so many seconds."""
        until = self.clock() + seconds
        for window in self.windows(classes):
            window.halved_until = max(window.halved_until, until)

    def remember(self, classes: Iterable[str], ends: Iterable[float]) -> None:
        """Count requests of an earlier run, by the monotonic times of their ends."""
        now, ended = self.clock(), list(ends)
        for window in self.windows(classes):
            window.remember(ended, now)

    def wait_until(self, classes: tuple[str, ...]) -> float | None:
        """When a request of these classes may next pass (monotonic), or None if now, or if only another request's end
        can tell."""
        return self._wait_until(classes, self.clock())

    def _wait_until(self, classes: tuple[str, ...], now: float) -> float | None:
        full = [gate for gate in self._gates(classes, now) if gate.room(now) <= 0]
        times = [at for gate in full if (at := gate.next_room(now)) is not None]
        return max(times) if times else None

    def _gates(self, classes: tuple[str, ...], now: float) -> tuple[Gate, ...]:
        """All that a request of these classes passes."""
        windows = self._passed.get(classes)
        if windows is None:
            windows = self._passed[classes] = self.windows(classes)
        if not self._paces:
            return windows
        for name in [name for name, pace in self._paces.items() if pace.over(now)]:
            del self._paces[name]
        return (*windows, *(self._paces[name] for name in classes if name in self._paces))

    def state(self) -> dict[str, list[RatesState]]:
        """Figures by class."""
        now = self.clock()
        waiting = {
            name: sum(len(q) for classes, q in self._queues.items() if name in classes) for name in self._windows
        }
        return {
            name: [
                RatesState(
                    rate=str(Rate(window.limit, window.length)),
                    pace=None if (pace := self.pace((name,))) is None else spelled(pace),
                    under_way=window.under_way,
                    room=max(0, window.room(now)),
                    waiting=waiting[name],
                    until=None if window.room(now) > 0 else window.next_room(now),
                )
                for window in windows
            ]
            for name, windows in self._windows.items()
        }

    def wake(self) -> None:
        """Let pass whoever may, in turn; then set the clock for the next."""
        if not self._queues and self._timer is None:
            return
        now = self.clock()
        kept: Counter[Gate] = Counter()
        heads = sorted((queue[0][:2], classes) for classes in list(self._queues) if (queue := self._live(classes)))
        while heads:
            _, classes = heapq.heappop(heads)
            gates = self._gates(classes, now)
            full = [gate for gate in gates if gate.room(now) <= kept[gate]]
            if full:
                kept.update(_kept_for(gates, full, now))
                continue
            self._grant(classes, gates, now)
            if queue := self._live(classes):
                heapq.heappush(heads, (queue[0][:2], classes))
        self._set_timer(now)

    def _grant(self, classes: tuple[str, ...], gates: tuple[Gate, ...], now: float) -> None:
        _, _, future = heapq.heappop(self._queues[classes])
        future.set_result(self._taken(gates, now))

    def _taken(self, gates: tuple[Gate, ...], now: float) -> Place:
        for gate in gates:
            gate.take(now)
        return Place(self, gates)

    def _live(self, classes: tuple[str, ...]) -> list[tuple[int, int, asyncio.Future[Place]]]:
        """The queue without the waiters at its head that gave up; empty queues are dropped."""
        queue = self._queues[classes]
        while queue and queue[0][2].done():
            heapq.heappop(queue)
        if not queue:
            del self._queues[classes]
        return queue

    def _set_timer(self, now: float) -> None:
        """Ring when the next may pass who could not at this time, be it over by now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [at for classes in self._queues if (at := self._wait_until(classes, now)) is not None]
        if times:
            self._timer = self._call_at(max(min(times), now), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.wake()

    def close(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _kept_for(gates: tuple[Gate, ...], full: list[Gate], now: float) -> list[Gate]:
    """Where a place is kept for a waiter: in the full gates, and in those where one that is taken now comes back too
    late for it."""
    due = max(gate.next_room(now) or gate.back(now) for gate in full)
    return [gate for gate in gates if gate in full or due <= gate.back(now)]


def _resized(old: list[Window], rate: Rate) -> Window:
    window = next((window for window in old if window.length == rate.window), None)
    if window is None:
        return Window(rate.count, rate.window)
    window.limit = rate.count
    return window


def _per_second(told: tuple[int, float]) -> float:
    return told[0] / told[1]


def spelled(pace: float) -> str:
    """Requests a second, as people write them."""
    number, unit = (pace, "s") if pace >= 1 else (pace * 60, "min")
    return f"{number:.0f}/{unit}" if number >= 10 else f"{number:.2g}/{unit}"
