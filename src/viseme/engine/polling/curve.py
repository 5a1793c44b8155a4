"""The chance that a job has ended by some age, and the looks that follow from it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf, log, sqrt

from attrs import frozen

__all__ = ["Curve"]

_BINS = 24
_STEEPEST, _FLATTEST = 12.0, 1.0
"""How fast the jobs that outlast all that were seen may be taken to end: the exponent of a power of their age."""
_MOST_LOOKS = 200


@frozen(eq=False, repr=False)
class Curve:
    """Ages are multiples of a job's expected duration, and so is the price: how long an end may lie unseen for one
    look less.

    A look is due when the time that an end has lain unseen by then, as far as can be expected, is worth the look. So
    the mean delay of an end's detection is the price times the mean number of looks; and no other plan needs much fewer
    looks for the same delay (the benchmark of polling measures it).

    Attributes:
        ages: of the knots between which the chance grows evenly.
        ended: the chance that a job has ended by that age.
        unseen: how long, by that age, an end has lain unseen on average where nobody looks: the integral of ``ended``.
        tail: the exponent with which the rest dies out beyond the last knot.
    """

    ages: tuple[float, ...]
    ended: tuple[float, ...]
    unseen: tuple[float, ...]
    tail: float

    @classmethod
    def through(cls, seen: Sequence[float]) -> Curve:
        """The curve of durations that were seen, in ascending order; each knot stands for a few of them."""
        count = len(seen)
        bins = min(_BINS, count)
        ages, ended = [0.8 * seen[0]], [0.0]
        for number in range(bins):
            part = seen[number * count // bins : (number + 1) * count // bins]
            ages.append(sum(part) / len(part))
            ended.append((number + 0.5) / bins)
        ages.append(seen[-1])
        ended.append(1 - 0.25 / bins)
        unseen = [0.0]
        for left in range(bins + 1):
            unseen.append(unseen[-1] + (ended[left] + ended[left + 1]) / 2 * (ages[left + 1] - ages[left]))
        middle, late = seen[count // 2], seen[count * 9 // 10]
        steep = log(5) / log(late / middle) if late > middle else inf
        return cls(tuple(ages), tuple(ended), tuple(unseen), min(_STEEPEST, max(_FLATTEST, steep)))

    def chance(self, age: float) -> float:
        """The chance that a job has ended by an age."""
        last = self.ages[-1]
        if age >= last:
            return 1 - (1 - self.ended[-1]) * (last / age) ** self.tail
        return self._at(age)[1]

    def wait(self, age: float, price: float) -> float:
        """How long after an age, at which a job had not ended, it is due to be looked at."""
        ages, ended, unseen = self.ages, self.ended, self.unseen
        if age >= ages[-1]:
            return sqrt(2 * price * age / self.tail)
        after, chance, lain = self._at(age)
        worth = price * (1 - chance)
        left, have, speed = age, 0.0, 0.0
        for knot in range(after, len(ages)):
            there = unseen[knot] - lain - chance * (ages[knot] - age)
            if there >= worth:
                return left + _until(worth - have, speed, ended[knot] - chance - speed, ages[knot] - left) - age
            left, have, speed = ages[knot], there, ended[knot] - chance
        rest = min((worth - have) / speed if speed > 0 else inf, sqrt(2 * price * left / self.tail))
        return left + rest - age

    def looks(self, price: float) -> float:
        """How many looks a job needs on average."""
        age, needed, left = 0.0, 0.0, 1.0
        for _ in range(_MOST_LOOKS):
            needed += left
            age += self.wait(age, price)
            left = 1 - self.chance(age)
            if left < 0.01:
                break
        return needed

    def _at(self, age: float) -> tuple[int, float, float]:
        """The knot beyond an age, and at that age the chance to have ended and the time that an end has lain unseen."""
        after = bisect_right(self.ages, age)
        if not after:
            return 0, 0.0, 0.0
        left = after - 1
        since, span = age - self.ages[left], self.ages[after] - self.ages[left]
        here = self.ended[left]
        chance = here + (self.ended[after] - here) * since / span
        return after, chance, self.unseen[left] + (here + chance) / 2 * since


def _until(worth: float, speed: float, gain: float, span: float) -> float:
    """When something that grows with a speed, which itself gains so much over a span, is worth so much."""
    slope = gain / span
    if slope * worth < 1e-9 * speed * speed:
        return worth / speed
    return (sqrt(speed * speed + 2 * slope * worth) - speed) / slope
