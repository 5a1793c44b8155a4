"""The fewest looks that find ends with a given mean delay, when the distribution of durations is known."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from statistics import NormalDist, fmean

from attrs import frozen

__all__ = ["Frontier"]

_STEPS = 800
_PRICES = 48
_CHEAPEST, _DEAREST = 0.0002, 5.0
_NORMAL = NormalDist()


@frozen
class _Plan:
    """What a plan of looks comes to for a job that takes 1 in the median."""

    looks: float
    delay: float


@frozen
class Frontier:
    """Of lognormal durations about a median that is known: the best plans, from many looks to few.

    For a price of a look in delay, dynamic programming over the times of looks finds the plan that costs least in all,
    so no plan has both fewer looks and less delay. Prices are per median, so one table serves jobs of all lengths.
    """

    prices: tuple[float, ...]
    plans: tuple[_Plan, ...]

    @classmethod
    def of(cls, sigma: float) -> Frontier:
        ages = [exp(4.5 * sigma) * step / _STEPS for step in range(_STEPS + 1)]
        ended = [0.0, *(_NORMAL.cdf(log(age) / sigma) for age in ages[1:])]
        prices = [_CHEAPEST * (_DEAREST / _CHEAPEST) ** (step / (_PRICES - 1)) for step in range(_PRICES)]
        return cls(tuple(prices), tuple(_best(ages, ended, price) for price in prices))

    def looks(self, medians: Sequence[float], delay: float) -> float:
        """The fewest looks a job with which the ends of all are found after ``delay`` seconds on average.

        Raises:
            ValueError: the delay is beyond the plans of the table.
        """
        cheap, dear = _CHEAPEST * max(medians), _DEAREST * min(medians)
        if not self._delay(medians, cheap) <= delay <= self._delay(medians, dear):
            raise ValueError(f"no plan of the table has a mean delay of {delay:g} s; widen its prices")
        for _ in range(40):
            price = (cheap * dear) ** 0.5
            if self._delay(medians, price) > delay:
                dear = price
            else:
                cheap = price
        return fmean(self._at(cheap / median).looks for median in medians)

    def _delay(self, medians: Sequence[float], price: float) -> float:
        return fmean(self._at(price / median).delay * median for median in medians)

    def _at(self, price: float) -> _Plan:
        """The plan for a price, between those of the table."""
        place = log(price / _CHEAPEST) / log(_DEAREST / _CHEAPEST) * (_PRICES - 1)
        left = min(_PRICES - 2, max(0, int(place)))
        part, one, other = place - left, self.plans[left], self.plans[left + 1]
        return _Plan(
            exp(log(one.looks) * (1 - part) + log(other.looks) * part),
            exp(log(one.delay) * (1 - part) + log(other.delay) * part),
        )


def _best(ages: Sequence[float], ended: Sequence[float], price: float) -> _Plan:
    """The plan with the least ``price * looks + delay``; its looks may be at any of the given ages."""
    unseen = [0.0]
    for step in range(1, len(ages)):
        unseen.append(unseen[-1] + (ended[step] + ended[step - 1]) / 2 * (ages[step] - ages[step - 1]))
    last = len(ages) - 1
    cost, looks, delay = [0.0] * (last + 1), [0.0] * (last + 1), [0.0] * (last + 1)
    for here in range(last - 1, -1, -1):
        left, best, then, waited = 1 - ended[here], float("inf"), last, 0.0
        for there in range(here + 1, last + 1):
            lain = unseen[there] - unseen[here] - ended[here] * (ages[there] - ages[here])
            if lain > best:  # it only grows from here on
                break
            if lain + cost[there] < best:
                best, then, waited = lain + cost[there], there, lain
        cost[here] = price * left + best
        looks[here], delay[here] = left + looks[then], waited + delay[then]
    return _Plan(looks[0], delay[0])
