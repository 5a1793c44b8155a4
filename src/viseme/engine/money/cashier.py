"""The cashier: prices jobs, sets aside what their creates may cost, and sees to what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.engine.money.estimating import Estimator
from viseme.engine.money.purse import Room
from viseme.engine.money.till import Till, day_of, next_day
from viseme.engine.world import World
from viseme.errors import JobInvalid
from viseme.evolving import evolve
from viseme.jobs import Job
from viseme.money import Budget, Charge, Quote
from viseme.results import ENDED, Cost

__all__ = ["Cashier"]


@define(eq=False, repr=False)
class Cashier:
    """One for all accounts. What it sets aside is in no ledger until the create's intent takes it there.

    Attributes:
        pools: by account.
    """

    world: World
    till: Till
    estimator: Estimator
    pools: Mapping[str, str]
    _aside: dict[str, Charge] = field(factory=dict[str, Charge])
    """Set aside for creates that have not left, by task."""
    _budgets: dict[str, Sequence[Budget]] = field(factory=dict[str, Sequence[Budget]])

    def budgets(self, account: str) -> Sequence[Budget]:
        """What limits an account's spending."""
        found = self._budgets.get(account)
        if found is None:
            found = self._budgets[account] = self.till.budgets(self.pools.get(account, account))
        return found

    def on_change(self, account: str, function: Callable[[], None]) -> None:
        """Call a function whenever an account's creates may have room that they had not before."""
        self.till.on_change(self.pools.get(account, account), function)

    # -- pricing -----------------------------------------------------------------------------------------------------

    async def priced(self, row: TaskRow) -> TaskRow:
        """The row with its price at its account, where that is known, or has to be.

        Without a budget, nothing is asked or measured for it.

        Raises:
            JobInvalid: a budget applies at one of the job's accounts and the price there is not known in its unit.
        """
        for account in row.job.route or (row.account,):
            if account in self.pools and self.budgets(account):
                self._need(account, await self.estimator.quote(row.job, account))
        price = await self._price(row.job, row.account)
        return row if price is row.price else evolve(row, price=price)

    async def _price(self, job: Job, account: str) -> Cost | None:
        if self.till.limited and self.budgets(account):
            return (await self.estimator.quote(job, account)).cost
        return self.estimator.flat(job, account)

    def _need(self, account: str, quote: Quote) -> None:
        unknown = self._unknown(account, quote)
        if unknown:
            raise JobInvalid(unknown)

    def _unknown(self, account: str, quote: Quote) -> str:
        """Why a budget cannot be kept for a job, in words; empty where it can."""
        for budget in self.budgets(account):
            if quote.cost is None or budget.counts(quote.cost) is None:
                cause = "" if quote.cost is None else f" in {budget.unit}"
                unmeasured = quote.source and quote.cost is None
                length = " (its media could not be measured; see viseme check)" if unmeasured else ""
                return (
                    f"what {quote.model} costs at {account} is not known{cause}{length}, so the budget {budget} cannot"
                    f' be kept; state it in accounts.{account}, like price = "0.05 {budget.unit}/s" or'
                    f' price = "2 {budget.unit}/job"'
                )
        return ""

    # -- paying ------------------------------------------------------------------------------------------------------

    async def admit(self, row: TaskRow, account: str) -> tuple[Room, str, bool]:
        """Set aside what the task's next create may cost, if there is room for it, where there are budgets.

        Returns:
            whether there is; if not, why, in words, and whether there never will be, whatever comes back.
        """
        aside = self._aside.get(row.id)
        today = day_of(self.world.now())
        if aside is not None and (aside.id, aside.account, aside.day) == (f"{row.id}:{_attempt(row)}", account, today):
            return Room.FITS, "", False
        if aside is not None:
            self.release(row.id)
        if _is_charged(row):
            return Room.FITS, "", False
        price = row.price if row.price is not None else await self._price(row.job, account)
        charge = self._reserved(row, account, today, price)
        room = self.till.reserve(charge)
        if room is Room.FITS:
            self._aside[row.id] = charge
            return room, "", False
        known = Quote(account=account, model=row.job.model or "the job", cost=price)
        return room, self._unknown(account, known) or self.till.short(charge), self._hopeless(price, account)

    def charge(self, row: TaskRow, account: str) -> Charge | None:
        """What the task's next create takes, to be written down with its intent; None where it takes nothing more.

        It was set aside as the task was admitted. Without any budget nothing is, and it is priced now.

        Raises:
            JobInvalid: the provider has no such model.
        """
        if self.till.limited:
            return self._aside.get(row.id)
        if _is_charged(row):
            return None
        price = row.price if row.price is not None else self.estimator.flat(row.job, account)
        return self._reserved(row, account, day_of(self.world.now()), price)

    def _reserved(self, row: TaskRow, account: str, day: str, price: Cost | None) -> Charge:
        pool = self.pools[account]
        return Charge.reserve(row.id, _attempt(row), account=account, pool=pool, day=day, price=price)

    def release(self, task: str) -> None:
        """A create did not leave: what was set aside for it is free again."""
        charge = self._aside.pop(task, None)
        if charge is not None:
            self.till.refund(charge)

    def follow(self, row: TaskRow, ends: Charge | None, writes: Charge | None) -> None:
        """A task has moved, and there are budgets.

        Args:
            ends: its charge that ended with this step, if one did.
            writes: the charge that was written, if one was.
        """
        aside = self._aside.get(row.id)
        if aside is not None and writes is not None and writes.id == aside.id:
            del self._aside[row.id]  # the ledger's from now on
        elif aside is not None and (row.parked is not None or row.state in ENDED or row.account != aside.account):
            self.release(row.id)
        self.till.follow(row, ends, writes if ends is not None else None)

    def _hopeless(self, price: Cost | None, account: str) -> bool:
        """Whether a price can never be paid from the budgets, whatever comes back."""
        counted = [(budget, price and budget.counts(price)) for budget in self.budgets(account)]
        return any(cost is None or cost > budget.amount for budget, cost in counted)

    def fresh(self, account: str) -> float | None:
        """When a budget of the account begins anew, UTC seconds; None where none of them is a day's."""
        daily = any(budget.per for budget in self.budgets(account))
        return next_day(self.world.now()) if daily else None


def _attempt(row: TaskRow) -> int:
    """The attempt that the task's next create belongs to: a stage after the first goes on in the one before."""
    return row.attempt if row.handles else row.attempt + 1


def _is_charged(row: TaskRow) -> bool:
    """Whether the task's next create is a later stage, and part of what was set aside for its attempt before."""
    return bool(row.handles) and row.charge is not None and row.charge.id == row.seat
