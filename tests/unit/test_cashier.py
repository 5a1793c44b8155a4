"""What is set aside for creates, before any of it is in the ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from tests.support.virtual import simulated_world, virtually

from viseme.attempts import TaskRow
from viseme.config import Account
from viseme.engine.money.cashier import Cashier
from viseme.engine.money.estimating import Estimator
from viseme.engine.money.pricing import priced
from viseme.engine.money.purse import Room
from viseme.engine.money.till import Till, parsed_budget
from viseme.errors import JobInvalid
from viseme.jobs import Job
from viseme.ledger.memory import MemoryLedger
from viseme.providers import adapter
from viseme.results import Cost, State


class Desk:
    """An account whose vendor is never asked."""

    def __init__(self, account: Account) -> None:
        self.provider = adapter(account)
        self.courier: Any = None


def cashier(budget: str = "2 credits", price: str | None = "1 credits/job", whole: str | None = None) -> Cashier:
    account = Account("jogg", api_key="k" * 20, budget=budget, price=price)
    till = Till.of([account], parsed_budget(whole))
    return Cashier(simulated_world().world, till, Estimator({"jogg": Desk(account)}), {"jogg": "jogg"})


def row(name: str, **given: Any) -> TaskRow:
    job = Job(video="https://media.example/a.mp4", audio="https://media.example/a.wav")
    price = Cost(amount=1.0, unit="credits", estimated=True)
    return TaskRow(id=name, key=name, job=job, digest="d", account="jogg", **{"price": price, **given})


@virtually
async def test_a_task_that_is_admitted_twice_pays_once() -> None:
    kept = cashier()
    assert await kept.admit(row("a"), "jogg") == (Room.FITS, "", False)
    assert await kept.admit(row("a"), "jogg") == (Room.FITS, "", False)
    assert await kept.admit(row("b"), "jogg") == (Room.FITS, "", False)
    room, why, _ = await kept.admit(row("c"), "jogg")
    assert room is Room.WAITS
    assert "the budget 2 credits of the account jogg has 0 left, and the job takes up to 1 credits" in why


@virtually
async def test_what_did_not_leave_is_free_again_and_what_left_is_the_ledgers() -> None:
    kept = cashier("1 credits")
    await kept.admit(row("a"), "jogg")
    charge = kept.charge(row("a"), "jogg")
    assert charge is not None
    assert (charge.id, charge.amount) == ("a:1", Decimal(1))
    kept.release("a")
    kept.release("a")
    assert (await kept.admit(row("b"), "jogg"))[0] is Room.FITS
    held = kept.charge(row("b"), "jogg")
    kept.follow(row("b", charge=held, state=State.CREATING, attempt=1), None, held)
    assert kept.charge(row("b"), "jogg") is None
    kept.release("b")
    assert (await kept.admit(row("a"), "jogg"))[0] is Room.WAITS


@virtually
async def test_a_task_that_ends_or_leaves_before_its_create_gives_its_share_back() -> None:
    for moved in (row("a", state=State.CANCELLED), evolve(row("a"), account="sync")):
        kept = cashier("1 credits")
        await kept.admit(row("a"), "jogg")
        kept.follow(moved, None, None)
        assert (await kept.admit(row("b"), "jogg"))[0] is Room.FITS


@virtually
async def test_a_later_stage_is_part_of_what_was_set_aside_and_one_after_free_stages_is_not() -> None:
    kept = cashier("1 credits")
    await kept.admit(row("a"), "jogg")
    held = kept.charge(row("a"), "jogg")
    kept.follow(row("a", charge=held, attempt=1), None, held)
    assert (await kept.admit(row("a", charge=held, attempt=1, handles={"project": {}}), "jogg"))[0] is Room.FITS
    assert (await kept.admit(row("b", attempt=1, handles={"media": {}}), "jogg"))[0] is Room.WAITS


@virtually
async def test_what_can_never_be_paid_is_hopeless() -> None:
    kept = cashier("2 credits/day")
    cases = {1.0: False, 2.5: True}
    for amount, hopeless in cases.items():
        await kept.admit(row("full", price=Cost(amount=2.0, unit="credits")), "jogg")
        room, _, never = await kept.admit(row("a", price=Cost(amount=amount, unit="credits")), "jogg")
        assert (room is Room.FITS, never) == (False, hopeless)


@virtually
async def test_a_task_of_an_earlier_run_is_priced_when_its_turn_comes() -> None:
    kept = cashier()
    assert (await kept.admit(row("a", price=None), "jogg"))[0] is Room.FITS
    assert kept.charge(row("a"), "jogg").amount == Decimal(1)  # type: ignore[union-attr]
    room, why, _ = await cashier(price=None).admit(row("a", price=None), "jogg")
    assert room is Room.NEVER
    assert "state it in accounts.jogg" in why


@virtually
async def test_a_budget_needs_a_price_in_its_unit_and_without_one_nothing_is_asked() -> None:
    assert (await cashier().priced(row("a", price=None))).price == Cost(amount=1.0, unit="credits", estimated=True)
    with pytest.raises(JobInvalid, match=r'not known in usd.* like price = "0\.05 usd/s" or price = "2 usd/job"'):
        await cashier(whole="25usd").priced(row("a"))
    free = Cashier(
        simulated_world().world, Till(), Estimator({"jogg": Desk(Account("jogg", api_key="k" * 20))}), {"jogg": "jogg"}
    )
    assert (await free.priced(row("a"))).price is None


@virtually
async def test_without_a_budget_nothing_is_priced_before_the_create_and_a_price_per_job_is_known_then() -> None:
    account = Account("jogg", api_key="k" * 20, price="1 credits/job")
    kept = Cashier(simulated_world().world, Till.of([account], None), Estimator({"jogg": Desk(account)}), {"jogg": "p"})
    taken = row("a", price=None)
    assert await priced(kept, MemoryLedger(), [taken]) == [taken]
    charge = kept.charge(taken, "jogg")
    assert charge is not None
    assert (charge.id, charge.pool, charge.amount, charge.unit) == ("a:1", "p", Decimal(1), "credits")
    later = row("a", charge=charge, attempt=1, handles={"project": {}})
    assert kept.charge(later, "jogg") is None
    after_free_stages = kept.charge(row("a", attempt=1, handles={"media": {}}), "jogg")
    assert after_free_stages is not None
    assert after_free_stages.id == "a:1"


def test_a_budget_anywhere_makes_a_till_count() -> None:
    account = Account("jogg", api_key="k" * 20)
    limited = Account("jogg", api_key="k" * 20, budget="2 credits")
    assert not Till.of([account], None).limited
    assert Till.of([account], parsed_budget("2 usd")).limited
    assert Till.of([limited], None).limited
