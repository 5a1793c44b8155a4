"""What refusals mean for an account: pauses, a stop, and after ten minutes of silence the end of it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.support.house import account, house
from tests.support.virtual import simulated_world, virtually

from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.lifecycle.refusals import Refusals
from viseme.failures import Kind
from viseme.providers.base import Verdict
from viseme.results import Reason


def refusals(*, keep_waiting: bool = False) -> Refusals:
    world = simulated_world()
    provider = house(given=account(concurrency=8))
    pool = pools_of(world.world, [provider])["house"]
    desk = Desk(world.world, provider.account, provider, pool, world.network)
    return Refusals(world.world, desk, keep_waiting)


def verdict(kind: Kind, **more: Any) -> Verdict:
    return Verdict(kind=kind, message=f"so says the house: {kind}", **more)


@virtually
async def test_a_refusal_that_is_the_jobs_own_changes_nothing_for_the_account() -> None:
    one = refusals()
    for kind in (Kind.INVALID, Kind.CONTENT_REJECTED, Kind.MEDIA_UNREACHABLE):
        one.note(verdict(kind))
        one.conclude(verdict(kind))
    assert one.desk.may_begin()
    assert one.desk.stopped is None


@virtually
async def test_trouble_of_the_account_stops_it_and_the_next_create_waits_for_someone() -> None:
    for kind, reason in ((Kind.AUTH, Reason.NEEDS_PERSON), (Kind.NO_CREDIT, Reason.NO_CREDIT)):
        one = refusals()
        one.note(verdict(kind))
        assert one.desk.stopped is None
        one.conclude(verdict(kind))
        assert one.desk.stopped is not None
        assert (one.desk.stopped.reason, one.desk.may_begin()) == (reason, False)
        await anyio.sleep(3600)
        assert not one.desk.may_begin()


@virtually
async def test_where_jobs_are_left_in_line_a_stopped_account_is_tried_again() -> None:
    one = refusals(keep_waiting=True)
    one.conclude(verdict(Kind.NO_CREDIT))
    assert not one.desk.may_begin()
    await anyio.sleep(61)
    assert one.desk.may_begin()


@virtually
async def test_a_vendor_of_which_nothing_is_heard_for_ten_minutes_is_given_up() -> None:
    one = refusals()
    one.note(verdict(Kind.TRANSIENT))
    await anyio.sleep(600)
    one.note(verdict(Kind.TRANSIENT))
    assert one.desk.stopped is None
    await anyio.sleep(1)
    one.note(verdict(Kind.TRANSIENT))
    assert one.desk.stopped is not None
    assert one.desk.stopped.reason is Reason.NEEDS_PERSON


@pytest.mark.parametrize("heard", ["an acceptance", "a refusal"])
@virtually
async def test_any_word_of_the_vendor_begins_the_ten_minutes_anew(heard: str) -> None:
    one = refusals()
    one.note(verdict(Kind.TRANSIENT))
    await anyio.sleep(500)
    if heard == "an acceptance":
        one.accepted()
    else:
        one.note(verdict(Kind.NO_SEAT))
    await anyio.sleep(500)
    one.note(verdict(Kind.TRANSIENT))
    assert one.desk.stopped is None


@virtually
async def test_a_batch_that_is_refused_tells_of_the_account_but_of_no_seat() -> None:
    one = refusals()
    for _ in range(3):
        one.of_batch(verdict(Kind.NO_SEAT, limit=1), 0)
    assert one.desk.pool.seats.limit == 8
    assert not one.desk.may_begin()
    one.of_batch(verdict(Kind.AUTH), 0)
    assert one.desk.stopped is not None
