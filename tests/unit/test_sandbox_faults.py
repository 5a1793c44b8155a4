"""Faults come from a seed or on order, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.sandbox.faults import Fault, FaultDesk, Faults, Struck


def drawn(seed: int, faults: Faults, route: str = "create", count: int = 300) -> list[Struck | None]:
    desk = FaultDesk(seed, faults)
    return [desk.draw("sync", route) for _ in range(count)]


def kinds(strikes: list[Struck | None]) -> list[Fault | None]:
    return [strike.fault if strike else None for strike in strikes]


@given(seed=st.integers(0, 10_000))
def test_the_same_seed_strikes_the_same_requests(seed: int) -> None:
    hostile = Faults.named("hostile")
    assert kinds(drawn(seed, hostile, count=60)) == kinds(drawn(seed, hostile, count=60))


def test_another_seed_strikes_other_requests() -> None:
    assert kinds(drawn(1, Faults.named("hostile"))) != kinds(drawn(2, Faults.named("hostile")))


def test_a_fault_strikes_about_as_often_as_its_chance_says() -> None:
    strikes = kinds(drawn(3, Faults(lost_reply=0.2, server_error=0.1), count=4000))
    assert 0.17 < strikes.count(Fault.LOST_REPLY) / 4000 < 0.23
    assert 0.08 < strikes.count(Fault.SERVER_ERROR) / 4000 < 0.12


def test_nothing_strikes_when_there_are_no_faults() -> None:
    assert set(kinds(drawn(0, Faults()))) == {None}


def test_create_faults_do_not_strike_downloads() -> None:
    assert set(kinds(drawn(0, Faults(lost_reply=1.0, job_failed=1.0), route="result"))) == {None}


def test_an_order_strikes_the_next_matching_requests_and_is_then_done() -> None:
    desk = FaultDesk(0, Faults())
    desk.inject("lost_reply", vendor="jogg", route="create", times=2)
    assert desk.draw("sync", "create") is None
    assert desk.draw("jogg", "poll") is None
    assert kinds([desk.draw("jogg", "create") for _ in range(3)]) == [Fault.LOST_REPLY, Fault.LOST_REPLY, None]


def test_orders_are_served_in_the_order_given_and_carry_their_particulars() -> None:
    desk = FaultDesk(0, Faults())
    desk.inject("server_error", route="create", status=503)
    desk.inject("too_many", route="create")
    first, second = desk.draw("sync", "create"), desk.draw("sync", "create")
    assert first is not None
    assert second is not None
    assert (first.fault, first.get("status", 500)) == (Fault.SERVER_ERROR, 503)
    assert second.fault is Fault.TOO_MANY


def test_a_fault_without_a_route_goes_where_it_makes_sense() -> None:
    desk = FaultDesk(0, Faults())
    desk.inject("expired_link")
    assert desk.draw("sync", "create") is None
    assert kinds([desk.draw("sync", "result")]) == [Fault.EXPIRED_LINK]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown faults"):
        Faults.named("dreadful")
    with pytest.raises(ValueError, match="nonsense"):
        FaultDesk(0, Faults()).inject("nonsense")
