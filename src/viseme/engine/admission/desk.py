"""One account at work: its provider, limits, opening width and pauses, as every part of the engine sees them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field, frozen

from viseme.attempts import Intent, Seat
from viseme.config import Account
from viseme.engine.admission.limits import Rates, spelled
from viseme.engine.admission.seats import Seats
from viseme.engine.courier import CAP, Courier
from viseme.engine.transport import Transport
from viseme.engine.world import Timer, World
from viseme.errors import ConfigError
from viseme.failures import Failure, Kind
from viseme.providers.base import Provider, Verdict, failure_of
from viseme.results import Reason
from viseme.units import Rate

__all__ = ["CREATES", "PROBE", "Desk", "Pool", "Stop", "pools_of"]

PROBE = 60.0
"""How often an account in trouble is tried again where it is waited for, seconds."""
CREATES = ("create", "post", "all")
"""What a create counts as, at whatever vendor."""
_OF_THE_VENDOR = frozenset({Kind.NO_SEAT, Kind.LIMITED, Kind.TRANSIENT})
"""What a create is refused for while the vendor has too much to do, or is away."""


@define(eq=False, repr=False)
class Pool:
    """What accounts with one pool name share."""

    name: str
    seats: Seats
    rates: Rates


@frozen
class Stop:
    """An account that cannot go on until someone acts; ``reason`` is what its jobs park for, ``since`` monotonic."""

    reason: Reason
    failure: Failure
    since: float = 0.0


@define(eq=False, repr=False)
class _Lesson:
    """What a vendor teaches that refuses creates since it is full.

    Attributes:
        burst: in which of the account's bursts.
        had: how many seats it had with those that it has not refused yet.
        before: how many it had when it was full the time before, if it has not had more since.
    """

    burst: int
    had: int
    before: int | None


@define(eq=False, repr=False)
class Desk:
    """One account at work.

    Attributes:
        name: the account's name.
        seat_ttl: seconds after which a seat is given up whose job nothing is heard of.
        width: how many creates may be under way at once: one at first, doubled by each that is accepted.
        creating: how many are under way.
        accepted: whether a create was accepted in this run.
        undecided: lost creates that are being asked after; they keep an account that never accepted one from opening.
        stopped: why the account cannot go on, or None.
        broke: why the budget keeps the next create waiting, and until when at most (UTC seconds, None where nobody
            knows); None where it does not.
        quiet_until: no create is begun before this monotonic time.
        bursts: how often creates were refused for the vendor's sake; those that were under way together count once.
    """

    world: World
    account: Account
    provider: Provider
    pool: Pool
    transport: Transport
    name: str = field(init=False)
    seat_ttl: float = field(init=False)
    courier: Courier = field(init=False)
    width: int = 1
    creating: int = 0
    accepted: bool = False
    undecided: int = 0
    stopped: Stop | None = None
    broke: tuple[str, float | None] | None = None
    quiet_until: float = 0.0
    quiet_why: str = ""
    bursts: int = 0
    _failures: int = 0
    """How many bursts since a create was accepted last."""
    _full: int = 0
    """In how many of them the vendor said that it is full."""
    _lesson: _Lesson | None = None
    """What the last of these taught."""
    _slow: dict[tuple[str, ...], tuple[int, float]] = field(factory=dict[tuple[str, ...], tuple[int, float]])
    _listeners: list[Callable[[], None]] = field(factory=list[Callable[[], None]])
    _more: Timer | None = None
    """Rings when one more seat may be tried than the vendor taught."""

    def __attrs_post_init__(self) -> None:
        self.name, stated = self.account.name, self.account.seat_ttl
        self.seat_ttl = self.provider.sheet.seat_ttl if stated is None else stated
        self.courier = Courier(self.world, self.transport, self.provider, self.pool.rates, self._slowed)

    def seat(self, intent: Intent, now: float) -> Seat:
        """The seat of an attempt whose paid request leaves now."""
        name, until = f"{intent.task}:{intent.attempt}", now + self.seat_ttl
        return Seat(id=name, pool=self.pool.name, account=self.name, task=intent.task, opened=now, until=until)

    def on_change(self, function: Callable[[], None]) -> None:
        """Call a function whenever a create may have become possible."""
        self._listeners.append(function)

    def changed(self) -> None:
        """Tell that a create may have become possible."""
        for function in self._listeners:
            function()

    def may_begin(self) -> bool:
        """Whether a create may begin now, as far as the account goes; whether it needs a seat is another matter."""
        return (
            self.stopped is None
            and self.world.monotonic() >= self.quiet_until
            and self.creating + (0 if self.accepted else self.undecided) < self.width
        )

    def opened(self) -> None:
        """A create was accepted: open wider, unless it left before the others were refused for which this rests."""
        self.accepted, seats, first = True, self.pool.seats, not self.accepted
        if seats.taught is not None and seats.had(seats.taken - max(0, self.creating - 1)):
            self._more_later()
        if self.quiet_until and self.world.monotonic() < self.quiet_until:
            return
        wider = min(max(self.width * 2, 2), max(1, seats.limit))
        news = first or wider != self.width
        self._failures, self._full, self.width = 0, 0, wider
        if news:
            self.changed()

    def rest(self, seconds: float, why: str) -> None:
        """Begin no create for so many seconds."""
        until = self.world.monotonic() + seconds
        if until > self.quiet_until:
            self.quiet_until, self.quiet_why = until, why
            self.world.call_at(until, self.changed)

    def refused(self, verdict: Verdict, *, seated: bool = True, begun: int | None = None) -> None:
        """A create was refused for a reason that is not the job's: rest, and then begin with one create alone.

        Those that were under way together when the vendor refused the first are one failure: none of them knew. A wait
        that the vendor names holds, and grows where it did not help.

        Args:
            seated: whether it had taken a seat.
            begun: the ``bursts`` that had been when it was begun; None for as many as there are.
        """
        if verdict.kind not in _OF_THE_VENDOR:
            return
        anew = begun is None or begun == self.bursts
        if anew:
            self.bursts += 1
            self._failures += 1
        if verdict.kind is Kind.NO_SEAT and seated:
            self._teach(verdict.limit)
        told = None if verdict.kind is Kind.TRANSIENT else verdict.retry_after
        if told is None and not anew:
            return
        grown = min(60.0, 2.0 ** min(self._failures, 10))
        backoff = grown * (1 + self.world.random() / 4)
        self.width = 1
        self.rest(backoff if told is None else told if self._failures < 2 else max(told, grown / 2), verdict.message)

    def _teach(self, named: int | None) -> None:
        """The vendor is full. Where it names no limit, it has as many seats as it did not refuse.

        Once proves little, as its count may lag behind the ends that it shows; again, before it took another or with as
        many, proves it. One that refuses though it has none of ours says nothing of how many it would take.
        """
        seats, lesson = self.pool.seats, self._lesson
        if lesson is None or lesson.burst != self.bursts:
            self._full += 1
            lesson = self._lesson = _Lesson(self.bursts, seats.taken, seats.full_at)
        lesson.had -= 1
        if named is None and lesson.had <= 0:
            return
        proved = named is not None or self._full > 1 or lesson.had == lesson.before
        if seats.teach(lesson.had if named is None else named, proved=proved):
            seats.full_at = lesson.had
            self._more_later()

    def _more_later(self) -> None:
        if self._more is not None:
            self._more.cancel()
        rises = self.pool.seats.rises
        self._more = None if rises is None else self.world.call_at(rises, self._try_more)

    def _try_more(self) -> None:
        self._more = None
        self._more_later()
        self.pool.seats.changed()

    def stop(self, reason: Reason, verdict: Verdict) -> Failure:
        """The account cannot go on until someone acts; returns why, as its jobs carry it."""
        failure = failure_of(verdict)
        self.stopped, self.width = Stop(reason, failure, self.world.monotonic()), 1
        self.changed()
        return failure

    def worth_another_try(self) -> bool:
        """Whether an account that was stopped has rested long enough for a new job to try it, alone."""
        return self.stopped is not None and self.world.monotonic() - self.stopped.since >= PROBE

    def reopen(self) -> None:
        """Try the account again, with one create alone."""
        self.stopped, self.width = None, 1
        self.changed()

    def probe_later(self) -> None:
        """Reopen after a while."""
        self.world.call_at(self.world.monotonic() + PROBE, self.reopen)

    def _slowed(self, classes: tuple[str, ...], verdict: Verdict) -> None:
        """A 429: hold the request's classes, and lower the limit that it was about; where it names none, the wider one.

        A request that is no create takes no seat, so it can only have come too fast.
        """
        own = self._own(classes)
        wait = verdict.retry_after if verdict.retry_after is not None else self._growing(own)
        wait *= 1 + self.world.random() / 10
        if verdict.kind is Kind.LIMITED and "create" in classes and self._halve_seats(wait):
            self.pool.rates.hold(own, wait)
        else:
            self.pool.rates.slow(own, wait)
        if wait > CAP:
            self.rest(wait, verdict.message)
            self.width = 1

    def _own(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        """The classes that a refused request shares with the fewest others, of those for which a rate is stated."""
        stated = [name for name in classes if self.pool.rates.windows((name,))]
        own = [name for name in stated if name != "all"]
        return tuple(own or stated or classes[:1])

    def _growing(self, classes: tuple[str, ...]) -> float:
        """Seconds to wait where the vendor does not say: 2, 4, 8 up to 60; two quiet minutes start it anew.

        Many that are refused together count once.
        """
        now = self.world.monotonic()
        times, last = self._slow.get(classes, (0, -math.inf))
        if not times or not self.pool.rates.held(classes):
            times, last = 1 if now - last > 120 else times + 1, now
        self._slow[classes] = (times, last)
        return min(60.0, 2.0 ** min(times, 6))

    def _halve_seats(self, wait: float) -> bool:
        """Halve the seats for a while, where they are the wider limit; False where they are not, or it did not help."""
        seats, now = self.pool.seats, self.world.monotonic()
        widest = max((window.limit for window in self.pool.rates.windows(CREATES)), default=0)
        if seats.limit < widest or now < seats.halved_until:
            return False
        seats.halved_until = now + max(60.0, wait)
        self.world.call_at(seats.halved_until, seats.changed)
        return True

    def gate(self) -> dict[str, Any]:
        """What a create would wait for now, for ``why()`` and ``viseme status``."""
        now = self.world.monotonic()
        if self.stopped is not None:
            return {"gate": "pause", "until": None, "message": self.stopped.failure.message}
        if now < self.quiet_until:
            return {"gate": "pause", "until": self._utc(self.quiet_until), "message": self.quiet_why}
        if self.broke is not None:
            return {"gate": "budget", "until": self.broke[1], "message": self.broke[0]}
        if self.pool.seats.free <= 0:
            message = f"all {self.pool.seats.taken} seats are taken"
            return {"gate": "seat", "until": None, "message": message}
        if self.creating >= self.width:
            first = "the account's first create" if self.width == 1 else f"the {self.creating} creates under way"
            return {"gate": "opening", "until": None, "message": f"waits for {first} to be accepted"}
        until = self.pool.rates.wait_until(CREATES)
        if until is not None:
            return {"gate": "rate", "until": self._utc(until), "message": self.rate_message()}
        return {"gate": None, "until": None, "message": "nothing: its create is next"}

    def rate_message(self) -> str:
        """Why the rates let no create pass now."""
        pace = self.pool.rates.pace(CREATES)
        if self.pool.rates.held(CREATES):
            return f"{self.name} asked to wait, as creates came too fast"
        if pace is not None:
            return f"creates go at {spelled(pace)} for a while, as {self.name} refused some that came faster"
        return "the create rate is used up"

    def _utc(self, monotonic: float) -> float:
        return self.world.now() + monotonic - self.world.monotonic()


def pools_of(world: World, providers: Sequence[Provider]) -> dict[str, Pool]:
    """The pools of these accounts; where accounts of one pool state different limits the strictest holds."""
    pools: dict[str, Pool] = {}
    for provider in providers:
        account = provider.account
        limit = account.concurrency or provider.sheet.concurrency
        pool = pools.get(account.pool)
        if pool is None:
            pools[account.pool] = pool = Pool(
                account.pool, Seats(limit, world.monotonic), Rates(world.monotonic, world.call_at)
            )
        elif any(other.name != provider.name for other in providers if other.account.pool == account.pool):
            raise ConfigError(
                f"pool {account.pool!r} holds accounts of different providers; limits are shared at one vendor only"
            )
        pool.seats.stated = min(pool.seats.stated, limit)
        pool.rates.configure(_strictest(pool.rates, _rates(provider)))
    return pools


def _rates(provider: Provider) -> dict[str, tuple[Rate, ...]]:
    return {**provider.sheet.rates, **provider.account.rates}


def _strictest(known: Rates, wanted: dict[str, tuple[Rate, ...]]) -> dict[str, tuple[Rate, ...]]:
    merged: dict[str, tuple[Rate, ...]] = {}
    for name, rates in wanted.items():
        by_window = {rate.window: rate for rate in rates}
        for window in known.windows((name,)):
            count = min(window.limit, by_window[window.length].count if window.length in by_window else window.limit)
            by_window[window.length] = Rate(count, window.length)
        merged[name] = tuple(by_window.values())
    return merged
