"""What jobs cost, and how much may be spent."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from attrs import frozen

from viseme.errors import quote
from viseme.results import Cost

__all__ = ["Budget", "Charge", "ChargeState", "Price", "Spending", "unit_name"]

ChargeState = Literal["reserved", "spent", "failed"]
"""Set aside for a create; paid for a job that is done; taken, as far as known, for a job that failed."""

_UNITS = {"$": "usd", "dollar": "usd", "dollars": "usd", "credit": "credits", "min": "minutes", "minute": "minutes"}
_PER = {"s": "second", "sec": "second", "second": "second", "min": "minute", "minute": "minute", "job": "job"}
_PRICE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*(?:/\s*(s|sec|second|min|minute|job))?\s*", re.ASCII)
_BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*(?:/\s*(day))?\s*", re.ASCII)


def unit_name(text: str) -> str:
    """A unit as viseme writes it: lower case and plural, ``usd`` for dollars."""
    lower = text.lower()
    return _UNITS.get(lower, lower)


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
        match = _PRICE.fullmatch(text) if isinstance(text, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if match is None:
            raise ValueError(f"{quote(text)} is not a price; write it as '0.05 usd/s', '3 usd/min' or '2 credits/job'")
        unit = unit_name(match[2])
        return cls(
            amount=float(match[1]),
            unit=unit,
            per=_PER[match[3] or "job"],  # type: ignore[arg-type]
            usd_per_unit=1.0 if unit == "usd" else None,
            dated="stated",
        )

    def cost(self, seconds: float) -> Cost:
        """What a result of so many seconds costs by this price."""
        length = Decimal(repr(float(seconds)))
        count = {
            "second": length,
            "minute": (length / 60).to_integral_value(ROUND_CEILING),
            "job": Decimal(1),
        }[self.per]
        exact = Decimal(repr(self.amount)) * count
        if self.step:
            exact = (exact / Decimal(repr(self.step))).to_integral_value(ROUND_CEILING) * Decimal(repr(self.step))
        amount = float(exact)
        usd = None if self.usd_per_unit is None else amount * self.usd_per_unit
        return Cost(amount=amount, unit=self.unit, usd=usd, estimated=True)


@frozen(kw_only=True)
class Budget:
    """How much may be spent: ``amount`` of ``unit``, in a UTC day, or (``per`` None) over the ledger's whole life."""

    amount: Decimal
    unit: str
    per: Literal["day"] | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``"25usd"``, ``"500 credits/day"``, ``"90 minutes"``.

        Raises:
            ValueError: the text is no budget.
        """
        match = _BUDGET.fullmatch(text) if isinstance(text, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if match is None:
            raise ValueError(f"{quote(text)} is not a budget; write it as '25usd', '500 credits/day' or '90 minutes'")
        return cls(amount=Decimal(match[1]), unit=unit_name(match[2]), per="day" if match[3] else None)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.unit}" + ("/day" if self.per else "")


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
