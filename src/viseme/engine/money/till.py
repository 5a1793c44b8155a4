"""The till: every purse that a create has to be paid from, and what becomes of it as tasks move on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.config import Account
from viseme.engine.money.purse import Purse, Room
from viseme.errors import ConfigError
from viseme.money import Budget, Charge, Spending
from viseme.results import ENDED

__all__ = ["Till", "day_of", "next_day", "parsed_budget"]

_DAY = 86_400


def day_of(now: float) -> str:
    """The UTC day of a moment, like ``2026-11-21``."""
    return _day(int(now // _DAY))


@lru_cache(maxsize=8)  # each create asks for today's (0.2 against 2.7 µs)
def _day(number: int) -> str:
    return f"{datetime.fromtimestamp(number * _DAY, UTC):%Y-%m-%d}"


def next_day(now: float) -> float:
    """When the next UTC day begins, UTC seconds."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=1)).timestamp()


@define(eq=False, repr=False)
class Till:
    """The purse of the whole ledger and that of each pool; a charge is taken from both or from none.

    Attributes:
        whole: of ``--budget``.
        pools: by name.
        limited: whether there is any budget at all; where there is none, nothing is counted.
    """

    whole: Purse = field(factory=lambda: Purse((), "the run"))
    pools: Mapping[str, Purse] = field(factory=dict[str, Purse])
    limited: bool = field(init=False)
    _by_pool: dict[str, tuple[Purse, ...]] = field(factory=dict[str, "tuple[Purse, ...]"], init=False)

    def __attrs_post_init__(self) -> None:
        self.limited = any((self.whole, *self.pools.values()))

    def purses(self, pool: str) -> Sequence[Purse]:
        """The purses that a pool's creates are paid from."""
        found = self._by_pool.get(pool)
        if found is None:
            found = self._by_pool[pool] = tuple(purse for purse in (self.whole, self.pools.get(pool)) if purse)
        return found

    def budgets(self, pool: str) -> Sequence[Budget]:
        """What limits a pool's spending."""
        return tuple(budget for purse in self.purses(pool) for budget in purse.budgets)

    def load(self, spending: Iterable[Spending], present: Mapping[str, str], today: str) -> list[str]:
        """Count what earlier runs took.

        Args:
            present: the pools of the accounts as they are configured now, which may not be those of then.

        Returns:
            sentences on what could not be counted.
        """
        uncounted: dict[str, int] = {}
        for spent in spending:
            for purse in self.purses(present.get(spent.account, spent.pool)):
                purse.load([spent])
                for budget in purse.budgets:
                    if budget.per is None or spent.day == today:
                        name = f"the budget {budget} of {purse.name}"
                        uncounted[name] = uncounted.get(name, 0) + _uncounted(spent, budget)
        return [
            f"{name} does not count {jobs} earlier jobs, whose cost is not known in its unit (viseme spend shows them)"
            for name, jobs in uncounted.items()
            if jobs
        ]

    def on_change(self, pool: str, function: Callable[[], None]) -> None:
        """Call a function whenever a pool's creates may have room that they had not before."""
        for purse in self.purses(pool):
            purse.on_change(function)

    def reserve(self, charge: Charge) -> Room:
        """Set a charge aside in every purse, if it fits in all of them."""
        if not self.limited:
            return Room.FITS
        purses = self.purses(charge.pool)
        rooms = [purse.room(charge) for purse in purses]
        if Room.NEVER in rooms:
            return Room.NEVER
        if Room.WAITS in rooms:
            return Room.WAITS
        for purse in purses:
            purse.reserve(charge)
        return Room.FITS

    def refund(self, charge: Charge) -> None:
        """What was set aside came to nothing."""
        for purse in self.purses(charge.pool):
            purse.refund(charge)

    def short(self, charge: Charge) -> str:
        """Why a charge does not fit, in words and figures."""
        return next((told for purse in self.purses(charge.pool) if (told := purse.short(charge))), "")

    def follow(self, row: TaskRow, before: Charge | None, after: Charge | None) -> None:
        """A task has moved.

        Args:
            before: its charge that ended with this step, if one did.
            after: what became of that charge; None where it came to nothing.
        """
        if before is not None and after is None:
            self.refund(before)
        elif before is not None and after is not None:
            for purse in self.purses(before.pool):
                purse.settle(before, after)
        held = row.charge
        if held is None or held.state != "reserved":
            return
        for purse in self.purses(held.pool):
            if row.parked is not None or row.state in ENDED:
                purse.rest(held)
            else:
                purse.wake(held)

    @classmethod
    def of(cls, accounts: Iterable[Account], budget: Budget | None) -> Till:
        """The till of these accounts."""
        stated: dict[str, list[Budget]] = {}
        for account in accounts:
            stated.setdefault(account.pool, []).extend(account.budget)
        pools = {
            name: Purse(dict.fromkeys(budgets), f"{'the account' if _alone(name, accounts) else 'pool'} {name}")
            for name, budgets in stated.items()
            if budgets
        }
        return cls(Purse(() if budget is None else (budget,), "the whole ledger"), pools)


def _uncounted(spent: Spending, budget: Budget) -> int:
    """How many of these charges have no figure in a budget's unit."""
    if budget.unit == "usd":
        return spent.without_usd
    return spent.unpriced if budget.unit == spent.unit else spent.tasks


def _alone(pool: str, accounts: Iterable[Account]) -> bool:
    return [account.name for account in accounts if account.pool == pool] == [pool]


def parsed_budget(budget: str | Budget | None) -> Budget | None:
    """A budget as it was given.

    Raises:
        ConfigError: it makes no sense.
    """
    try:
        return Budget.parse(budget) if isinstance(budget, str) else budget
    except ValueError as error:
        raise ConfigError(f"budget: {error}") from None
