"""What a vendor can do and what it costs, as data that the engine plans with."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Literal

from attrs import frozen

from viseme.results import Cost
from viseme.units import Rate

__all__ = ["Model", "NoOptions", "NoSettings", "Price", "Safety", "Sheet"]


class Safety(StrEnum):
    """How a create whose reply was lost may be settled."""

    NONE = "none"
    """Not at all: a person decides."""
    REPLAY = "replay"
    """The same request with the same key yields the same job."""
    CORRELATE = "correlate"
    """The vendor can be asked for it."""


@frozen(kw_only=True)
class Price:
    """What a model costs: ``amount`` of ``unit`` per ``per``, as published on ``dated``.

    Attributes:
        step: what a job's price is rounded up to a multiple of; 0 where it is not rounded.
    """

    amount: float
    unit: str
    per: Literal["second", "job"]
    usd_per_unit: float | None = None
    dated: str = ""
    step: float = 0.0

    def cost(self, seconds: float) -> Cost:
        """What a result of so many seconds costs by this price."""
        exact = Decimal(repr(self.amount)) * (Decimal(repr(float(seconds))) if self.per == "second" else 1)
        if self.step:
            exact = (exact / Decimal(repr(self.step))).to_integral_value(ROUND_CEILING) * Decimal(repr(self.step))
        amount = float(exact)
        usd = None if self.usd_per_unit is None else amount * self.usd_per_unit
        return Cost(amount=amount, unit=self.unit, usd=usd, estimated=True)


@frozen(kw_only=True)
class Model:
    """What one model takes.

    Attributes:
        pictures: of ``video`` and ``image``.
        speech: of ``audio``, ``text`` and ``language``.
        lag: seconds from create to result that do not depend on the media's length.
        pace: seconds of work per second of media, a starting value that observation replaces.
    """

    name: str
    pictures: frozenset[str] = frozenset({"video"})
    speech: frozenset[str] = frozenset({"audio"})
    price: Price | None = None
    lag: float = 10.0
    pace: float = 1.0


@frozen(kw_only=True)
class Sheet:
    """What a vendor can do, as far as the engine has to know. Sources stand where each provider fills it in.

    Attributes:
        base_url: the vendor's API.
        models: by name; the first is the default.
        rates: requests per window and class, used where the account states none.
        concurrency: seats, used where the account states none.
        seat_ttl: seconds after which a seat that nothing is heard of is given up.
        safety: how a lost create may be settled.
        complete: whether the lookup of ``correlate`` can prove absence.
        replay_lifetime: seconds for which the vendor remembers a key.
        bulk: how many ids one list request can look at; 0 for none.
        hold: the longest long-poll in seconds; 0 for none.
        first: seconds from create to the first look.
        every: seconds between looks.
        cancel: whether a job under way can be called off.
        result_lifetime: seconds that a result's link lives, as far as known.
        local_files: whether the adapter hands local files over to the vendor; without it, only URLs are taken.
    """

    base_url: str
    models: Mapping[str, Model]
    rates: Mapping[str, tuple[Rate, ...]]
    concurrency: int
    seat_ttl: float = 6 * 3600.0
    safety: Safety = Safety.NONE
    complete: bool = False
    replay_lifetime: float = 24 * 3600.0
    bulk: int = 0
    hold: float = 0.0
    first: float = 10.0
    every: float = 10.0
    cancel: bool = False
    result_lifetime: float | None = None
    local_files: bool = False


@frozen(kw_only=True)
class NoOptions:
    """A provider without options."""


@frozen(kw_only=True)
class NoSettings:
    """A provider without settings of its own."""
