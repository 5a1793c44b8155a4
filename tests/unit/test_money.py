"""Prices and budgets as people write them, and what a charge comes to."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.money import Budget, Charge, Price, exact
from viseme.results import Cost

NONSENSE = [
    *("", " ", "lots", "25", "usd", "$", "-5usd", "+5usd", "25 bananas", "25 usd usd", "1,000 credits", "1e3 usd"),
    *("nan usd", "inf usd", "25usd/fortnight", "25usd/", "25usd/days", "$25 usd", "$25$", "٢٥usd", "25\x00usd"),
    *("9" * 13 + "usd", "1." + "1" * 10 + "usd", ".5usd", "0x5usd", "5 usd 5", "500 credits/day/day", "25usd\n5"),
]


@pytest.mark.parametrize(
    ("text", "amount", "unit", "per"),
    [
        ("25usd", "25", "usd", None),
        ("25 USD", "25", "usd", None),
        ("$25", "25", "usd", None),
        (" $ 25.50 ", "25.50", "usd", None),
        ("25$", "25", "usd", None),
        ("25 dollars", "25", "usd", None),
        ("500 credits/day", "500", "credits", "day"),
        ("500 Credits / Day", "500", "credits", "day"),
        ("500 credits per day", "500", "credits", "day"),
        ("1 credit", "1", "credits", None),
        ("$5/day", "5", "usd", "day"),
        ("90 minutes", "90", "minutes", None),
        ("0.000000001 usd", "0.000000001", "usd", None),
        ("0usd", "0", "usd", None),
    ],
)
def test_a_budget_is_read_as_people_write_it(text: str, amount: str, unit: str, per: str | None) -> None:
    found = Budget.parse(text)
    assert (found.amount, found.unit, found.per) == (Decimal(amount), unit, per)
    assert Budget.parse(str(found)) == found


@pytest.mark.parametrize("text", NONSENSE)
def test_a_budget_that_makes_no_sense_gets_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a budget; write it as|is no unit; known are") as caught:
        Budget.parse(text)
    assert "\n" not in str(caught.value)
    assert "\x00" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 25, 2.5, True, ["25usd"], {"usd": 25}])
def test_what_is_no_text_is_no_budget_and_no_price(value: object) -> None:
    with pytest.raises(ValueError, match="is not a budget"):
        Budget.parse(value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is not a price"):
        Price.parse(value)  # type: ignore[arg-type]


@given(st.text() | st.from_regex(r"\s?\$?\d{0,14}\.?\d{0,10} ?[a-zA-Z$]{0,8}( ?/ ?[a-z]{0,7})?", fullmatch=True))
def test_any_text_is_a_budget_or_gets_one_sentence(text: str) -> None:
    said = ""
    try:
        found = Budget.parse(text)
    except ValueError as error:
        said = str(error)
    else:
        assert found.amount >= 0
        assert found.unit in ("usd", "credits", "minutes")
        assert Budget.parse(str(found)) == found
    assert said.isprintable() or not said
    assert len(said) < 400


@pytest.mark.parametrize(
    ("text", "amount", "unit", "per", "usd"),
    [
        ("0.05 usd/s", 0.05, "usd", "second", 1.0),
        ("$0.05/s", 0.05, "usd", "second", 1.0),
        ("3 usd/min", 3.0, "usd", "minute", 1.0),
        ("3 usd per minute", 3.0, "usd", "minute", 1.0),
        ("2 credits/job", 2.0, "credits", "job", None),
        ("2 credits", 2.0, "credits", "job", None),
        ("1 minutes/min", 1.0, "minutes", "minute", None),
    ],
)
def test_a_price_is_read_as_people_write_it(text: str, amount: float, unit: str, per: str, usd: float | None) -> None:
    found = Price.parse(text)
    assert (found.amount, found.unit, found.per, found.usd_per_unit) == (amount, unit, per, usd)


@pytest.mark.parametrize("text", [*NONSENSE, "0.05 usd/day", "0.05 usd/hour", "0.05 usd/s/s"])
def test_a_price_that_makes_no_sense_gets_one_sentence(text: str) -> None:
    if text == "25":
        text = "25/s"
    with pytest.raises(ValueError, match=r"is not a price; write it as|is no unit; known are"):
        Price.parse(text)


def test_prices_are_reckoned_without_the_slips_of_floating_point() -> None:
    assert Price(amount=0.1, unit="usd", per="second", usd_per_unit=1.0).cost(3.0).amount == 0.3
    assert Price(amount=0.008, unit="credits", per="second", step=0.01).cost(30.0).amount == 0.24
    assert Price(amount=0.008, unit="credits", per="second", step=0.01).cost(30.1).amount == 0.25
    assert Price(amount=2e6, unit="credits", per="job", usd_per_unit=1 / 2e6).cost(9.0).usd == 1.0
    assert [Price.parse("3 usd/min").cost(seconds).amount for seconds in (0.0, 0.1, 60.0, 60.1)] == [0, 3, 3, 6]


@given(st.floats(min_value=0, max_value=1e5), st.floats(min_value=0, max_value=1e5))
def test_a_longer_result_never_costs_less(one: float, other: float) -> None:
    short, long = sorted((one, other))
    for text in ("0.05 usd/s", "3 usd/min", "2 credits/job"):
        assert Price.parse(text).cost(short).amount <= Price.parse(text).cost(long).amount


@given(st.floats())
def test_an_amount_to_reckon_with_is_never_less_than_what_was_said(amount: float) -> None:
    found = exact(amount)
    if found is None:
        assert not 0 <= amount <= 9e9
    else:
        assert 0 <= found - Decimal(repr(amount)) <= Decimal("1e-9")


def reserved(price: Cost | None) -> Charge:
    return Charge.reserve("t", 2, account="sync", pool="acme", day="2026-11-21", price=price)


def test_an_attempt_sets_its_price_aside() -> None:
    charge = reserved(Cost(amount=2.5, unit="credits", usd=0.1))
    assert (charge.id, charge.task, charge.state, charge.day) == ("t:2", "t", "reserved", "2026-11-21")
    assert (charge.unit, charge.amount, charge.usd) == ("credits", Decimal("2.5"), Decimal("0.1"))
    unknown = reserved(None)
    assert (unknown.unit, unknown.amount, unknown.usd) == (None, None, None)


@pytest.mark.parametrize(
    ("price", "told", "unit", "amount", "usd"),
    [
        (Cost(amount=5, unit="credits", usd=1.0), Cost(amount=3, unit="credits", usd=0.5), "credits", "3", "0.5"),
        (Cost(amount=5, unit="credits", usd=1.0), Cost(amount=3, unit="credits"), "credits", "3", "1"),
        (Cost(amount=5, unit="credits", usd=1.0), Cost(amount=3, unit="credits", estimated=True), "credits", "5", "1"),
        (Cost(amount=5, unit="credits"), Cost(amount=3, unit="usd"), "credits", "5", "3"),
        (Cost(amount=5, unit="usd", usd=5), Cost(amount=7, unit="usd"), "usd", "7", "7"),
        (Cost(amount=5, unit="usd", usd=5), Cost(amount=math.nan, unit="usd"), "usd", "5", "5"),
        (Cost(amount=5, unit="usd", usd=5), Cost(amount=-1, unit="usd", usd=-1), "usd", "5", "5"),
        (None, Cost(amount=3, unit="credits"), "credits", "3", None),
        (Cost(amount=5, unit="usd", usd=5), None, "usd", "5", "5"),
    ],
)
def test_a_charge_is_settled_to_the_vendors_figure_where_that_makes_sense(
    price: Cost | None, told: Cost | None, unit: str, amount: str, usd: str | None
) -> None:
    settled = reserved(price).settled("spent", told)
    assert (settled.id, settled.state, settled.unit) == ("t:2", "spent", unit)
    assert settled.amount == Decimal(amount)
    assert settled.usd == (None if usd is None else Decimal(usd))


def test_a_budget_counts_what_is_known_in_its_unit() -> None:
    usd, credits = Budget.parse("25usd"), Budget.parse("500 credits/day")
    cost = Cost(amount=2, unit="credits")
    assert (usd.counts(cost), credits.counts(cost)) == (None, Decimal(2))
    assert (usd.takes(reserved(cost)), credits.takes(reserved(cost))) == (None, Decimal(2))
    both = Cost(amount=2, unit="credits", usd=0.5)
    assert (usd.counts(both), usd.takes(reserved(both))) == (Decimal("0.5"), Decimal("0.5"))
    assert credits.counts(Cost(amount=2, unit="minutes", usd=1)) is None
