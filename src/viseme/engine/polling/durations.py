"""How long the jobs of one model and stage take: what was seen of late, and what to expect from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import exp, sqrt
from statistics import median

from attrs import define, field, frozen

from viseme.engine.polling.curve import Curve

__all__ = ["Durations", "Forecast"]

_SEEN = 256
"""Durations that are remembered."""
_ENOUGH = 12
"""Durations from which something may be concluded."""
_LEAST = 0.01
"""No duration counts as shorter, seconds."""
_SPREAD = 1.2
"""Lengths of media tell something only where the longer are so many times as long as the shorter."""
_SHARE = 0.25
"""An end may lie unseen for so much of what a job takes, where that is less than the vendor's pace allows."""
_LONG = 240.0
_SLOWER = 3.0
"""Ends of jobs that take longer than ``_LONG`` seconds may lie unseen for longer, up to so many times."""
_SURPRISED = 0.25
"""What was learnt no longer holds where the chances at which ends come are so far from even ones on average."""
_UNHEARD_OF = 0.02
"""An end whose chance to have come by then is less than this is enough to doubt everything."""
_ANEW = 24
"""Durations that are remembered while that is so."""
_SETTLED = 8
"""Ends after which a run trusts what earlier runs saw."""


@frozen(eq=False, repr=False)
class Forecast:
    """What a job will take: ``base + pace * seconds of media``, times a chance that the curve describes.

    Attributes:
        price: how long an end may lie unseen for one look less, seconds.
    """

    curve: Curve
    base: float
    pace: float
    price: float
    floor: float

    def scale(self, media: float | None) -> float:
        """What to expect for so many seconds of media, seconds."""
        return max(self.floor, self.base + self.pace * (media or 0.0))

    def wait(self, age: float, media: float | None) -> float:
        """Seconds from an age to the next look."""
        scale = self.scale(media)
        return scale * self.curve.wait(age / scale, self.price / scale)

    def chance(self, age: float, media: float | None) -> float:
        """The chance that a job has ended by an age."""
        return self.curve.chance(age / self.scale(media))

    def before(self, age: float, media: float | None) -> float:
        """When, as a share of an age by which a job has ended, it may be expected to have done so.

        That is the mean of a lognormal distribution below the age, to within some percent, with the spread of its upper
        half: what is below the first look is never seen itself.
        """
        spread = 1.25 / self.curve.tail
        return min(0.95, exp(-spread * (0.45 + 0.7 * self.chance(age, media))))


@define(eq=False, repr=False)
class Durations:
    """Learns from each end that is seen; the newest few hundred count.

    Attributes:
        delay: seconds for which an end may lie unseen on average.
    """

    delay: float
    _seen: deque[tuple[float, float | None]] = field(factory=lambda: deque[tuple[float, float | None]](maxlen=_SEEN))
    _unused: int = 0
    """Durations that the forecasts do not know of."""
    _plain: Forecast | None = None
    _fitted: Forecast | None = None
    """Where lengths of media are known, and tell something."""
    _ends: int = 0
    _drift: float = 0.0
    """By how much ends come earlier (below 0) or later than expected, as a chance."""

    def remember(self, seconds: float, media: float | None) -> None:
        """An earlier run saw a job take so long."""
        self._take(seconds, media)

    def learn(self, after: float | None, by: float, media: float | None) -> float:
        """A job has ended between two ages; returns how long it counts as having taken.

        Args:
            after: when it was last seen alive; None where this was the first look.
            by: when its end was seen.
        """
        self._ends += 1
        forecast = self._concluded(media)
        before = 0.8 if forecast is None else forecast.before(by, media)
        if forecast is not None:
            most, least = forecast.chance(by, media), 0.0 if after is None else forecast.chance(after, media)
            weight = 0.9 if most < _UNHEARD_OF else 1 / 8
            self._drift += weight * ((least + most) / 2 - 0.5 - self._drift)
        if self._drift < -_SURPRISED:
            before = min(before, 0.75)
        seconds = by * before if after is None else (after + by) / 2
        while abs(self._drift) > _SURPRISED and len(self._seen) >= _ANEW:
            self._seen.popleft()
        self._take(seconds, media)
        return seconds

    def forecast(self, media: float | None) -> Forecast | None:
        """What to expect of a job; None as long as too little was seen."""
        if len(self._seen) >= _ENOUGH and self._unused * 8 >= len(self._seen):
            self._conclude()
        return self._concluded(media)

    def _concluded(self, media: float | None) -> Forecast | None:
        return self._fitted if media is not None and self._fitted is not None else self._plain

    def doubted(self, forecast: Forecast, first: float, media: float | None, chance: float) -> bool:
        """Whether a job is to be looked at as if little were known, since jobs may take less time than before.

        That is so until a run has seen its first ends, for some jobs once ends come earlier than they should, and for a
        few where nearly all are found at the first look, which tells little.

        Args:
            forecast: of the job, with its ``first`` look.
            chance: a random number in [0, 1).
        """
        if self._ends < _SETTLED:
            return True
        if self._drift < -_SURPRISED:
            return chance < 0.5
        return chance < 0.06 and forecast.chance(first, media) > 0.5

    def _take(self, seconds: float, media: float | None) -> None:
        self._seen.append((max(_LEAST, seconds), media))
        self._unused += 1

    def _conclude(self) -> None:
        self._unused = 0
        whole = sorted(seconds for seconds, _ in self._seen)
        middle = whole[len(whole) // 2]
        self._plain = _forecast([seconds / middle for seconds in whole], middle, 0.0, whole[0], [middle], self.delay)
        measured = sorted((media, seconds) for seconds, media in self._seen if media is not None)
        self._fitted = None if len(measured) < _ENOUGH else _fit(measured, self.delay)


def _fit(measured: Sequence[tuple[float, float]], delay: float) -> Forecast | None:
    """A forecast by length of media, from lengths and durations in ascending order.

    The line leads through the medians of the shortest and the longest third, so that single jobs cannot bend it.
    """
    third = max(1, len(measured) // 3)
    short, long = (
        [median(pair[part] for pair in side) for part in (0, 1)] for side in (measured[:third], measured[-third:])
    )
    if long[0] <= _SPREAD * short[0]:
        return None
    pace = max(0.0, (long[1] - short[1]) / (long[0] - short[0]))
    base = median(seconds - pace * media for media, seconds in measured)
    floor = min(seconds for _, seconds in measured)
    bare = Forecast(Curve.through([1.0]), base, pace, 0.0, floor)
    ratios = sorted(seconds / bare.scale(media) for media, seconds in measured)
    count = len(measured)
    scales = [bare.scale(measured[count * part // 6][0]) for part in (1, 3, 5)]
    return _forecast(ratios, base, pace, floor, scales, delay)


def _forecast(
    ratios: Sequence[float], base: float, pace: float, floor: float, scales: Sequence[float], delay: float
) -> Forecast:
    """A forecast whose looks find ends after ``delay`` seconds on average, over jobs of the given scales."""
    curve = Curve.through(ratios)
    typical = scales[len(scales) // 2]
    slower = min(_SLOWER, max(1.0, sqrt(typical / _LONG)))
    aim = min(delay * slower, _SHARE * typical)
    price = aim / 4
    for _ in range(4):  # the delay grows with about the root of the price
        looks = sum(curve.looks(price / scale) for scale in scales) / len(scales)
        price *= (aim / (price * looks)) ** 2
    return Forecast(curve, base, pace, price, floor)
