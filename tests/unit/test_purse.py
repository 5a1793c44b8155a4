"""Purses: never more than the budget, nothing lost, whatever the order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from viseme.attempts import TaskRow
from viseme.config import Account
from viseme.engine.money.purse import Purse, Room
from viseme.engine.money.till import Till, day_of, next_day, parsed_budget
from viseme.errors import ConfigError
from viseme.jobs import Job
from viseme.money import Budget, Charge, Spending
from viseme.results import Reason, State

MONDAY, TUESDAY = "2026-11-23", "2026-11-24"


def purse(*budgets: str) -> Purse:
    return Purse(map(Budget.parse, budgets), "pool acme")


def charge(name: str, amount: str | None = "1", *, unit: str = "credits", day: str = MONDAY, **given: Any) -> Charge:
    exact = None if amount is None else Decimal(amount)
    values: dict[str, Any] = {"account": "sync", "pool": "acme", "usd": exact if unit == "usd" else None, **given}
    return Charge(id=name, task=name, day=day, unit=unit, amount=exact, **values)


def spending(amount: str, *, day: str = MONDAY, state: Any = "spent", unit: str = "credits", **given: Any) -> Spending:
    values: dict[str, Any] = {"account": "sync", "pool": "acme", "tasks": 1, "usd": Decimal(0), **given}
    return Spending(day=day, state=state, unit=unit, amount=Decimal(amount), **values)


def test_what_is_set_aside_is_taken_at_once_and_comes_back_when_refunded() -> None:
    kept = purse("2 credits")
    told: list[int] = []
    kept.on_change(lambda: told.append(1))
    kept.reserve(charge("a"))
    kept.reserve(charge("b"))
    assert kept.room(charge("c")) is Room.WAITS
    kept.refund(charge("a"))
    assert told == [1]
    assert kept.room(charge("c")) is Room.FITS


def test_nobody_waits_for_what_is_spent() -> None:
    kept = purse("2 credits")
    for name in ("a", "b"):
        kept.reserve(charge(name))
        kept.settle(charge(name), charge(name, state="spent"))
    assert kept.room(charge("c")) is Room.NEVER


def test_a_charge_that_cost_less_gives_the_rest_back_and_one_that_cost_more_takes_it() -> None:
    kept = purse("10 credits")
    kept.reserve(charge("a", "8"))
    kept.settle(charge("a", "8"), charge("a", "2", state="spent"))
    assert kept.room(charge("b", "8")) is Room.FITS
    kept.settle(charge("a", "2"), charge("a", "30", state="spent"))
    assert kept.room(charge("b", "0.1")) is Room.NEVER
    assert "has 0 left" in kept.short(charge("b", "0.1"))


def test_nobody_waits_for_what_is_at_rest() -> None:
    kept = purse("1 credits")
    kept.reserve(charge("a"))
    assert kept.room(charge("b")) is Room.WAITS
    kept.rest(charge("a"))
    assert kept.room(charge("b")) is Room.NEVER
    kept.wake(charge("a"))
    assert kept.room(charge("b")) is Room.WAITS
    kept.refund(charge("a"))
    assert kept.room(charge("b")) is Room.FITS


def test_what_costs_more_than_the_budget_is_not_waited_for() -> None:
    kept = purse("5 credits")
    kept.reserve(charge("a", "5"))
    assert kept.room(charge("b", "5.1")) is Room.NEVER
    assert kept.room(charge("c", "5")) is Room.WAITS


def test_waiting_is_worth_it_only_if_enough_may_come_back() -> None:
    kept = purse("5 credits")
    kept.load([spending("3")])
    kept.reserve(charge("a", "2"))
    assert kept.room(charge("b", "2")) is Room.WAITS
    assert kept.room(charge("c", "3")) is Room.NEVER


def test_a_day_has_room_of_its_own() -> None:
    kept = purse("1 credits/day")
    kept.reserve(charge("a"))
    assert kept.room(charge("b")) is Room.WAITS
    assert kept.room(charge("b", day=TUESDAY)) is Room.FITS
    kept.reserve(charge("b", day=TUESDAY))
    kept.settle(charge("a"), charge("a", state="spent"))
    assert kept.room(charge("c")) is Room.NEVER
    assert kept.room(charge("c", day=TUESDAY)) is Room.WAITS
    assert kept.figures(TUESDAY) == [{"budget": "1 credits/day", "of": "pool acme", "left": "0"}]


def test_all_budgets_hold_each_in_its_unit() -> None:
    kept = purse("10 credits", "1usd", "3 credits/day")
    costs = {"amount": "2", "usd": Decimal("0.6")}
    kept.reserve(charge("a", **costs))  # type: ignore[arg-type]
    assert "1 usd" in kept.short(charge("b", **costs))  # type: ignore[arg-type]
    assert "3 credits/day" in kept.short(charge("b", "2", usd=Decimal("0.1")))
    assert kept.room(charge("b", "1", usd=Decimal("0.1"))) is Room.FITS


def test_what_is_unknown_in_a_budgets_unit_never_fits() -> None:
    kept = purse("1usd")
    assert kept.room(charge("a")) is Room.NEVER
    assert kept.room(charge("a", None)) is Room.NEVER
    assert "an unknown amount" in kept.short(charge("a"))


def test_what_earlier_runs_took_counts() -> None:
    kept = purse("10 credits", "5 credits/day", "1usd")
    kept.load(
        [
            spending("3", usd=Decimal("0.9")),
            spending("2", state="reserved"),
            spending("4", day=TUESDAY, state="failed"),
            spending("7", unit="minutes"),
        ]
    )
    assert kept.figures(MONDAY)[0]["left"] == "1"
    assert kept.figures(MONDAY)[1]["left"] == "0"
    assert kept.figures(TUESDAY)[1]["left"] == "1"
    assert kept.figures(MONDAY)[2]["left"] == "0.1"


def test_a_purse_without_budgets_lets_everything_go() -> None:
    assert not purse()
    assert purse().room(charge("a", None)) is Room.FITS


# -- tills ---------------------------------------------------------------------------------------------------------


def till(whole: str | None = None, **pools: str) -> Till:
    accounts = [Account("sync", name=name, api_key="k", budget=budget) for name, budget in pools.items()]
    return Till.of(accounts, parsed_budget(whole))


def test_a_charge_is_taken_from_every_purse_or_from_none() -> None:
    both = till("3 credits", acme="2 credits", other="2 credits")
    assert both.reserve(charge("a")) is Room.FITS
    assert both.reserve(charge("b")) is Room.FITS
    assert both.reserve(charge("c")) is Room.WAITS  # of its pool's
    assert both.reserve(charge("c", pool="other")) is Room.FITS
    assert both.reserve(charge("d", pool="other")) is Room.WAITS  # of the whole's
    both.refund(charge("a"))
    assert both.reserve(charge("d", pool="other")) is Room.FITS
    assert both.reserve(charge("e")) is Room.WAITS
    assert "the whole ledger" in both.short(charge("e"))


def test_accounts_of_a_pool_share_what_either_of_them_states() -> None:
    one = Account("sync", name="one", pool="acme", budget="2 credits")
    two = Account("sync", name="two", pool="acme", budget="1usd")
    assert [str(budget) for budget in Till.of([one, two], None).budgets("acme")] == ["2 credits", "1 usd"]
    assert Till.of([one, two], None).pools["acme"].name == "pool acme"
    assert Till.of([Account("sync", budget="1usd")], None).pools["sync"].name == "the account sync"


def row(held: Charge | None, **given: Any) -> TaskRow:
    job = Job(video="https://media.example/a.mp4", audio="https://media.example/a.wav")
    return TaskRow(id="a", key="k", job=job, digest="d", account="sync", charge=held, **given)


def test_a_charge_is_live_while_its_task_is() -> None:
    kept, held = till(acme="1 credits"), charge("a")
    kept.load([spending("1", state="reserved")], {}, "2026-11-21")
    assert kept.reserve(charge("b")) is Room.NEVER
    kept.follow(row(held, state=State.WAITING), None, None)
    assert kept.reserve(charge("b")) is Room.WAITS
    kept.follow(row(held, state=State.WAITING, parked=Reason.DEADLINE), None, None)
    assert kept.reserve(charge("b")) is Room.NEVER
    kept.follow(row(held, state=State.CANCELLED), None, None)
    kept.follow(row(None, state=State.FAILED), held, None)
    assert kept.reserve(charge("b")) is Room.FITS


def test_a_budget_of_the_run_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="budget: lots is not a budget"):
        parsed_budget("lots")
    assert parsed_budget(None) is None
    assert parsed_budget(Budget.parse("1usd")) == Budget.parse("1usd")


def test_days_are_utc() -> None:
    assert day_of(1_763_596_799.9) == "2025-11-19"
    assert day_of(next_day(1_763_596_799.9)) == "2025-11-20"
    assert next_day(1_763_596_800.0) == 1_763_596_800.0 + 86400


# -- any order -------------------------------------------------------------------------------------------------------

AMOUNTS = st.sampled_from(["0", "0.1", "0.2", "1", "2.5"]).map(Decimal)
DAYS = st.sampled_from([MONDAY, TUESDAY])


class AnyOrder(RuleBasedStateMachine):
    """Reserve, refund, settle, rest and wake in any order: what is taken is what stands, and never beyond the budget
    by what was asked for first.
    """

    @initialize(whole=AMOUNTS, daily=AMOUNTS)
    def start(self, whole: Decimal, daily: Decimal) -> None:
        self.whole, self.daily = Budget(amount=whole, unit="credits"), Budget(amount=daily, unit="usd", per="day")
        self.purse = Purse((self.whole, self.daily), "pool")
        self.standing: dict[str, Charge] = {}
        self.beyond = False
        self.names = 0

    @rule(amount=AMOUNTS, usd=AMOUNTS, day=DAYS)
    def reserve(self, amount: Decimal, usd: Decimal, day: str) -> None:
        self.names += 1
        wanted = evolve(charge(f"c{self.names}", "0", day=day), amount=amount, usd=usd)
        fits = self.taken() + amount <= self.whole.amount and self.taken(day) + usd <= self.daily.amount
        assert (self.purse.room(wanted) is Room.FITS) is fits
        if fits:
            self.purse.reserve(wanted)
            self.purse.reserve(wanted)  # twice is once
            self.standing[wanted.id] = wanted

    @precondition(lambda self: self.standing)
    @rule(data=st.data(), amount=AMOUNTS)
    def end(self, data: st.DataObject, amount: Decimal) -> None:
        before = data.draw(st.sampled_from(list(self.standing.values())))
        if data.draw(st.booleans()):
            self.purse.refund(self.standing.pop(before.id))
        else:
            after = evolve(before, amount=amount, state="spent")
            self.beyond |= amount > (before.amount or 0)
            self.purse.settle(before, after)
            self.standing[before.id] = after

    @precondition(lambda self: self.standing)
    @rule(data=st.data())
    def rest_or_wake(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(list(self.standing.values())))
        (self.purse.rest if data.draw(st.booleans()) else self.purse.wake)(one)

    def taken(self, day: str | None = None) -> Decimal:
        mine = [one for one in self.standing.values() if day in (None, one.day)]
        return sum(((one.amount if day is None else one.usd) or Decimal(0) for one in mine), Decimal(0))

    @invariant()
    def what_is_taken_is_what_stands(self) -> None:
        for day in (MONDAY, TUESDAY):
            left = [Decimal(figures["left"]) for figures in self.purse.figures(day)]
            assert left == [self.whole.amount - self.taken(), self.daily.amount - self.taken(day)]
            assert left[1] >= 0
            assert self.beyond or left[0] >= 0


TestAnyOrder = AnyOrder.TestCase


@given(st.lists(st.tuples(AMOUNTS, DAYS, st.sampled_from(["reserved", "spent", "failed"])), max_size=20))
def test_a_purse_that_is_loaded_is_the_purse_that_was(charges: list[tuple[Decimal, str, Any]]) -> None:
    budgets = ("100 credits", "50 credits/day")
    was, now = purse(*budgets), purse(*budgets)
    for number, (amount, day, state) in enumerate(charges):
        before = charge(str(number), str(amount), day=day)
        was.reserve(before)
        was.settle(before, evolve(before, state=state))
        now.load([spending(str(amount), day=day, state=state)])
    assert [was.figures(day) for day in (MONDAY, TUESDAY)] == [now.figures(day) for day in (MONDAY, TUESDAY)]
