"""What jobs cost, and how much may be spent."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Literal

from attrs import frozen

from viseme.evolving import evolve
from viseme.results import Cost
from viseme.wording import quote

__all__ = ["Budget", "Charge", "ChargeState", "Price", "Quote", "Spending", "exact", "unit_name"]

ChargeState = Literal["reserved", "spent", "failed"]
"""Set aside for a create; paid for a job that is done; taken, as far as known, for a job that failed."""

_UNITS = {
    **dict.fromkeys(("$", "usd", "dollar", "dollars"), "usd"),
    **dict.fromkeys(("credit", "credits"), "credits"),
    **dict.fromkeys(("min", "minute", "minutes"), "minutes"),
}
_KNOWN = "usd, credits and minutes"
_PER = {"s": "second", "sec": "second", "second": "second", "min": "minute", "minute": "minute", "job": "job"}
_AMOUNT = r"\s*(\$)?\s*(\d{1,12}(?:\.\d{1,9})?)\s*([A-Za-z]+|\$)?\s*"
_PRICE = re.compile(_AMOUNT + r"(?:(?:/|\bper\b)\s*(s|sec|second|min|minute|job))?\s*", re.ASCII | re.IGNORECASE)
_BUDGET = re.compile(_AMOUNT + r"(?:(?:/|\bper\b)\s*(day))?\s*", re.ASCII | re.IGNORECASE)
_MOST = 9_000_000_000
_PART = Decimal("1e-9")


def unit_name(text: str) -> str:
    """A unit as viseme writes it: lower case and plural, ``usd`` for dollars.

    Raises:
        ValueError: no vendor counts in it.
    """
    found = _UNITS.get(text.lower())
    if found is None:
        raise ValueError(f"{quote(text, 40)!r} is no unit; known are {_KNOWN}")
    return found


def exact(amount: float | None) -> Decimal | None:
    """An amount to reckon with, to the billionth and rounded up; None for one that is unknown, or makes no sense."""
    if amount is None or not 0 <= amount <= _MOST:
        return None
    return Decimal(repr(float(amount))).quantize(_PART, ROUND_CEILING)


@lru_cache(maxsize=64)
def _as_written(figure: float) -> Decimal:
    """A price's figure, as it is published and not as it is stored."""
    return Decimal(repr(figure))


def _shown(value: object) -> str:
    return "nothing" if value == "" else quote(value)


def _amount(pattern: re.Pattern[str], text: object) -> tuple[str, str, str | None] | None:
    """Figure, unit and period of a text like ``25usd`` or ``$25``; None where it is no such text."""
    match = pattern.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match[1] is None) == (match[3] is None):
        return None
    try:
        return match[2], unit_name(match[1] or match[3]), match[4] and match[4].lower()
    except ValueError as error:
        raise ValueError(f"{quote(match[0].strip(), 60)}: {error}") from None


@frozen(kw_only=True)
class Price:
    """What a model costs: ``amount`` of ``unit`` per ``per``, as published on ``dated``.

    Attributes:
        step: what a job's price is rounded up to a multiple of; 0 where it is not rounded.
    """

    amount: float
    unit: str
    per: Literal["second", "minute", "job"]
    usd_per_unit: float | None = None
    dated: str = ""
    step: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Price:
        """Read ``"0.05 usd/s"``, ``"3 usd/min"``, ``"0.4 credits/job"``; without ``/...`` it is per job.

        Minutes are counted whole: each begun minute costs.

        Raises:
            ValueError: the text is no price.
        """
        found = _amount(_PRICE, text)
        if found is None:
            raise ValueError(f"{_shown(text)} is not a price; write it as '0.05 usd/s', '3 usd/min' or '2 credits/job'")
        figure, unit, per = found
        return cls(
            amount=float(figure),
            unit=unit,
            per=_PER[per or "job"],  # type: ignore[arg-type]
            usd_per_unit=1.0 if unit == "usd" else None,
            dated="stated",
        )

    def cost(self, seconds: float) -> Cost:
        """What a result of so many seconds costs by this price."""
        exact = _as_written(self.amount) * self._count(seconds)
        if self.step:
            exact = (exact / _as_written(self.step)).to_integral_value(ROUND_CEILING) * _as_written(self.step)
        usd = None if self.usd_per_unit is None else float(exact * _as_written(self.usd_per_unit))
        return Cost(amount=float(exact), unit=self.unit, usd=usd, estimated=True)

    def _count(self, seconds: float) -> Decimal:
        """How many times the amount is due."""
        if self.per == "job":
            return Decimal(1)
        length = Decimal(repr(max(0.0, float(seconds))))
        return length if self.per == "second" else (length / 60).to_integral_value(ROUND_CEILING)


@frozen(kw_only=True)
class Budget:
    """How much may be spent: ``amount`` of ``unit``, in a UTC day, or (``per`` None) over the ledger's whole life."""

    amount: Decimal
    unit: str
    per: Literal["day"] | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``"25usd"``, ``"$25"``, ``"500 credits/day"``, ``"90 minutes"``; with ``"0usd"`` only what is free goes.

        Raises:
            ValueError: the text is no budget.
        """
        found = _amount(_BUDGET, text)
        if found is None:
            raise ValueError(f"{_shown(text)} is not a budget; write it as '25usd', '500 credits/day' or '90 minutes'")
        figure, unit, per = found
        return cls(amount=Decimal(figure), unit=unit, per="day" if per else None)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.unit}" + ("/day" if self.per else "")

    def counts(self, cost: Cost) -> Decimal | None:
        """What a cost takes of this budget; None where it is not known in its unit."""
        return exact(cost.usd if self.unit == "usd" else cost.amount if self.unit == cost.unit else None)

    def takes(self, charge: Charge) -> Decimal | None:
        """What a charge takes of this budget; None where it is not known in its unit."""
        return charge.usd if self.unit == "usd" else charge.amount if self.unit == charge.unit else None


@frozen(kw_only=True)
class Charge:
    """What one attempt costs, as far as known: set aside before its first create, settled when its end is seen.

    Attributes:
        id: the attempt it belongs to, ``<task>:<attempt>``.
        pool: the accounts that share the budget.
        day: the UTC day of the create, ``2026-11-21``; the day whose budget it counts in.
        unit: the vendor's unit, None where no price is known.
        amount: in ``unit``: at most this while reserved, and the vendor's figure once it gave one; None for unknown.
        usd: the same in US dollars, None where it is not known.
    """

    id: str
    task: str
    account: str
    pool: str
    day: str
    state: ChargeState = "reserved"
    unit: str | None = None
    amount: Decimal | None = None
    usd: Decimal | None = None

    @classmethod
    def reserve(cls, task: str, attempt: int, *, account: str, pool: str, day: str, price: Cost | None) -> Charge:
        """What is set aside for an attempt: its price, which is the most that it may cost."""
        return cls(
            id=f"{task}:{attempt}",
            task=task,
            account=account,
            pool=pool,
            day=day,
            unit=price.unit if price else None,
            amount=exact(price.amount) if price else None,
            usd=exact(price.usd) if price else None,
        )

    def settled(self, state: ChargeState, cost: Cost | None = None) -> Charge:
        """The charge as it ended, by the vendor's own figure where it gave one; else what was set aside stands.

        An estimate is no figure where another one is known. One in another unit settles no more than the US dollars,
        where it tells them.
        """
        if cost is None or (cost.estimated and self.amount is not None):
            return evolve(self, state=state)
        amount = exact(cost.amount)
        usd = amount if cost.unit == "usd" else exact(cost.usd)
        usd = self.usd if usd is None else usd
        if self.unit not in (None, cost.unit) or amount is None:
            return evolve(self, state=state, usd=usd)
        return evolve(self, state=state, unit=cost.unit, amount=amount, usd=usd)


@frozen(kw_only=True)
class Quote:
    """What one attempt of a job costs at most, and who says so.

    Attributes:
        cost: None where it is not known.
        seconds: of the result at most; None where its length is not known, or does not matter.
        firm: whether this is the price itself, and not a bound of it.
        source: whose figure it is, like ``published``, ``accounts.sync.price`` or ``the vendor's estimate``.
        dated: when it was published.
    """

    account: str
    model: str
    cost: Cost | None = None
    seconds: float | None = None
    firm: bool = False
    source: str = ""
    dated: str = ""


@frozen(kw_only=True)
class Spending:
    """The charges of one account, UTC day, unit and state together.

    Attributes:
        tasks: how many charges there are.
        amount: their sum in ``unit``.
        usd: their sum in US dollars, as far as known.
        unpriced: how many of them have no known amount.
        without_usd: how many of them have no known amount in US dollars.
    """

    account: str
    pool: str
    day: str
    state: ChargeState
    unit: str | None
    tasks: int
    amount: Decimal
    usd: Decimal
    unpriced: int = 0
    without_usd: int = 0
