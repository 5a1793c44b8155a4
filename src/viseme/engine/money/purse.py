"""A purse: what a set of budgets still allows, counted before anything is bought."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum, auto

from attrs import define, field

from viseme.money import Budget, Charge, Spending

__all__ = ["Purse", "Room"]

_NOTHING = Decimal(0)


class Room(Enum):
    """Whether a purse has enough for a charge."""

    FITS = auto()
    WAITS = auto()
    """Not now, but what is set aside for jobs under way may come back."""
    NEVER = auto()
    """Not now, and nothing that this run does can change that."""


@define(eq=False, repr=False)
class _Tally:
    """One budget, and what was taken of it, by UTC day (by ``""`` where it is not a day's)."""

    budget: Budget
    taken: dict[str, Decimal] = field(factory=dict[str, Decimal])

    def period(self, day: str) -> str:
        return day if self.budget.per else ""

    def add(self, charge: Charge, sign: int) -> None:
        period = self.period(charge.day)
        self.taken[period] = self.taken.get(period, _NOTHING) + sign * (self.budget.takes(charge) or _NOTHING)

    def left(self, day: str) -> Decimal:
        return self.budget.amount - self.taken.get(self.period(day), _NOTHING)

    def load(self, spent: Spending) -> None:
        known = spent.usd if self.budget.unit == "usd" else spent.amount if self.budget.unit == spent.unit else _NOTHING
        period = self.period(spent.day)
        self.taken[period] = self.taken.get(period, _NOTHING) + known


@define(eq=False, repr=False)
class Purse:
    """The budgets of one pool, or of a whole ledger; where there are several, all of them hold.

    What a charge takes is taken at once, and stays taken until it is given back: ``reserve`` before a create,
    ``refund`` if that came to nothing, ``settle`` once its end is known. A charge that nothing in this run will settle
    any more is at ``rest``: it counts, and nobody waits for it.

    Args:
        budgets: what may be spent.
        name: whose they are, for messages, like ``pool acme``.
    """

    name: str
    _tallies: tuple[_Tally, ...]
    _live: dict[str, Charge]
    _changed: list[Callable[[], None]]

    def __init__(self, budgets: Iterable[Budget], name: str) -> None:
        self.name = name
        self._tallies = tuple(_Tally(budget) for budget in budgets)
        self._live = {}
        self._changed = []

    def __bool__(self) -> bool:
        return bool(self._tallies)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """What may be spent."""
        return tuple(tally.budget for tally in self._tallies)

    def on_change(self, function: Callable[[], None]) -> None:
        """Call a function whenever there may be room that there was not before."""
        self._changed.append(function)

    def load(self, spending: Iterable[Spending]) -> None:
        """Count what earlier runs took; what they set aside and did not settle is at rest."""
        for spent in spending:
            for tally in self._tallies:
                tally.load(spent)

    # -- taking and giving back --------------------------------------------------------------------------------------

    def room(self, charge: Charge) -> Room:
        """Whether a charge fits; what it takes has to be known in the unit of every budget."""
        verdicts = [self._room(tally, charge) for tally in self._tallies]
        if Room.NEVER in verdicts:
            return Room.NEVER
        return Room.WAITS if Room.WAITS in verdicts else Room.FITS

    def _room(self, tally: _Tally, charge: Charge) -> Room:
        wanted = tally.budget.takes(charge)
        if wanted is None or wanted > tally.budget.amount:
            return Room.NEVER
        left = tally.left(charge.day)
        if wanted <= left:
            return Room.FITS
        mine = (held for held in self._live.values() if tally.period(held.day) == tally.period(charge.day))
        return Room.WAITS if wanted <= left + sum(tally.budget.takes(held) or _NOTHING for held in mine) else Room.NEVER

    def reserve(self, charge: Charge) -> None:
        """Set aside what an attempt may cost; ask for :meth:`room` first, and let nothing happen in between."""
        if charge.id not in self._live:
            self._live[charge.id] = charge
            self._add(charge, 1)

    def refund(self, charge: Charge) -> None:
        """What was set aside came to nothing."""
        self._live.pop(charge.id, None)
        self._add(charge, -1)
        self._tell()

    def settle(self, before: Charge, after: Charge) -> None:
        """What was set aside is spent, or lost, as ``after`` says."""
        self._live.pop(before.id, None)
        self._add(before, -1)
        self._add(after, 1)
        self._tell()

    def rest(self, charge: Charge) -> None:
        """Nothing in this run will settle it: it stays taken, and nobody waits for it."""
        if self._live.pop(charge.id, None) is not None:
            self._tell()

    def wake(self, charge: Charge) -> None:
        """A charge at rest, or of an earlier run, may be settled in this one."""
        self._live.setdefault(charge.id, charge)

    def _add(self, charge: Charge, sign: int) -> None:
        for tally in self._tallies:
            tally.add(charge, sign)

    def _tell(self) -> None:
        for function in self._changed:
            function()

    # -- telling -----------------------------------------------------------------------------------------------------

    def short(self, charge: Charge) -> str:
        """Why a charge does not fit, in words and figures; empty where it does."""
        for tally in self._tallies:
            wanted, left = tally.budget.takes(charge), tally.left(charge.day)
            if wanted is None or wanted > left:
                need = "an unknown amount" if wanted is None else f"up to {_figure(wanted)} {tally.budget.unit}"
                return (
                    f"the budget {tally.budget} of {self.name} has {_figure(max(_NOTHING, left))} left"
                    f"{' today (UTC)' if tally.budget.per else ''}, and the job takes {need}"
                )
        return ""

    def figures(self, day: str) -> list[dict[str, str]]:
        """What each budget has left on a day, for ``viseme status``."""
        return [
            {"budget": str(tally.budget), "of": self.name, "left": _figure(tally.left(day))} for tally in self._tallies
        ]


def _figure(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
