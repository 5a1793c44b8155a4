"""An account at work: how wide it opens, what closes it, and what it says of that."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest
from attrs import frozen
from tests.support.house import House, account, house
from tests.support.virtual import Simulation, settled, simulated_world, virtually

from viseme.attempts import Seat
from viseme.config import Account
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.courier import CAP
from viseme.errors import ConfigError
from viseme.failures import Kind
from viseme.providers.base import Verdict
from viseme.results import Reason
from viseme.units import Rate

CREATE = ("create", "post", "all")
READ = ("read", "all")


@frozen
class Setting:
    desk: Desk
    world: Simulation

    @property
    def now(self) -> float:
        return self.world.world.monotonic()

    def held(self, *classes: str) -> float:
        """For how long these classes are held, seconds."""
        until = self.desk.pool.rates.wait_until(classes)
        return 0.0 if until is None else until - self.now

    def paced(self, *classes: str) -> float | None:
        """Requests a second that these classes are kept to beneath what is stated."""
        return self.desk.pool.rates.pace(classes)


def setting(*, seats: int = 8, rates: dict[str, Any] | None = None) -> Setting:
    world = simulated_world()
    provider = house(given=account(concurrency=seats, rates=rates or {"create": "20/min", "read": "5/s"}))
    pool = pools_of(world.world, [provider])["house"]
    return Setting(Desk(world.world, provider.account, provider, pool, world.network), world)


def may_create(desk: Desk) -> bool:
    """Whether a create that needs a seat may begin."""
    return desk.may_begin() and desk.pool.seats.free > 0


def verdict(kind: Kind, **more: Any) -> Verdict:
    return Verdict(kind=kind, message=f"so says the house: {kind}", **more)


def seat(name: str) -> Seat:
    return Seat(id=name, pool="house", account="house", task=name, opened=0.0, until=1e12)


# -- opening -------------------------------------------------------------------------------------------------------


@virtually
async def test_an_account_begins_with_one_create_alone_and_each_acceptance_doubles_it_up_to_the_seats() -> None:
    desk = setting(seats=11).desk
    assert (desk.width, desk.accepted, may_create(desk)) == (1, False, True)
    desk.creating = 1
    assert not may_create(desk)
    widths = []
    for _ in range(5):
        desk.opened()
        widths.append(desk.width)
    assert widths == [2, 4, 8, 11, 11]
    assert desk.accepted
    assert may_create(desk)


@virtually
async def test_creates_are_told_of_an_acceptance_only_where_more_of_them_may_begin() -> None:
    desk, told = setting(seats=4).desk, list[int]()
    desk.on_change(lambda: told.append(desk.width))
    for _ in range(4):
        desk.opened()
    assert told == [2, 4]
    desk.pool.seats.set_limit(8)
    desk.opened()
    alone = setting(seats=1).desk
    alone.on_change(lambda: told.append(alone.width))
    alone.opened()
    alone.opened()
    assert told == [2, 4, 8, 1]


@virtually
async def test_an_account_with_one_seat_stays_at_one() -> None:
    desk = setting(seats=1).desk
    desk.opened()
    assert desk.width == 1


@virtually
async def test_no_create_begins_without_a_seat() -> None:
    desk = setting(seats=2).desk
    desk.opened()
    for name in ("a:1", "b:1"):
        desk.pool.seats.take(name)
    assert not may_create(desk)
    desk.pool.seats.give_back("a:1")
    assert may_create(desk)


@virtually
async def test_an_account_that_stops_begins_nothing_and_opens_with_one_again() -> None:
    one = setting()
    desk, told = one.desk, list[bool]()
    desk.on_change(lambda: told.append(may_create(desk)))
    for _ in range(3):
        desk.opened()
    failure = desk.stop(Reason.NEEDS_PERSON, verdict(Kind.AUTH, code="401"))
    assert (failure.kind, failure.code) == (Kind.AUTH, "401")
    assert desk.stopped is not None
    assert (desk.stopped.reason, desk.stopped.failure) == (Reason.NEEDS_PERSON, failure)
    assert (may_create(desk), desk.width) == (False, 1)
    desk.reopen()
    assert (may_create(desk), desk.width, desk.stopped) == (True, 1, None)
    assert told[-2:] == [False, True]


@virtually
async def test_a_stopped_account_is_worth_another_try_after_a_minute() -> None:
    one = setting()
    assert not one.desk.worth_another_try()
    one.desk.stop(Reason.NO_CREDIT, verdict(Kind.NO_CREDIT))
    assert not one.desk.worth_another_try()
    await anyio.sleep(60)
    assert one.desk.worth_another_try()


@virtually
async def test_a_probe_reopens_the_account_a_minute_later() -> None:
    desk = setting().desk
    desk.stop(Reason.NO_CREDIT, verdict(Kind.NO_CREDIT))
    desk.probe_later()
    await anyio.sleep(59)
    assert desk.stopped is not None
    await anyio.sleep(2)
    assert desk.stopped is None


@virtually
async def test_a_seat_lives_as_long_as_the_account_says_else_as_the_provider_does() -> None:
    world = simulated_world().world
    stated: list[tuple[Account, float]] = [(account(), 6 * 3600.0), (account(seat_ttl="10min"), 600.0)]
    for given, wanted in stated:
        provider = house(given=given)
        desk = Desk(world, given, provider, pools_of(world, [provider])["house"], None)  # type: ignore[arg-type]
        assert desk.seat_ttl == wanted


# -- refusals ------------------------------------------------------------------------------------------------------


@virtually
async def test_a_vendor_that_is_full_teaches_its_limit_and_is_left_alone_for_a_while() -> None:
    one = setting(seats=8)
    one.desk.refused(verdict(Kind.NO_SEAT, limit=3))
    assert one.desk.pool.seats.limit == 3
    assert not may_create(one.desk)
    await anyio.sleep(2.6)
    assert may_create(one.desk)


@pytest.mark.parametrize(("named", "limit"), [(99, 8), (8, 8), (0, 1), (None, 8)])
@virtually
async def test_a_limit_is_only_learnt_downwards_and_never_below_one(named: int | None, limit: int) -> None:
    one = setting(seats=8)
    taken(one.desk, 8)
    one.desk.refused(verdict(Kind.NO_SEAT, limit=named))
    assert one.desk.pool.seats.limit == limit


@pytest.mark.parametrize("kind", [Kind.NO_SEAT, Kind.LIMITED])
@virtually
async def test_the_wait_that_the_vendor_names_is_kept_to(kind: Kind) -> None:
    one = setting()
    one.desk.refused(verdict(kind, retry_after=42.0))
    await anyio.sleep(41.9)
    assert not may_create(one.desk)
    await anyio.sleep(0.2)
    assert may_create(one.desk)


@pytest.mark.parametrize("kind", [Kind.NO_SEAT, Kind.LIMITED])
@virtually
async def test_a_wait_that_the_vendor_names_grows_where_it_does_not_help(kind: Kind) -> None:
    one = setting()
    waits = []
    for asked in (0.0, 0.0, 0.0, 30.0, 0.0, 0.0, 0.0, 0.0):
        one.desk.refused(verdict(kind, retry_after=asked))
        waits.append(one.desk.quiet_until - one.now)
        await anyio.sleep(waits[-1])
    assert waits == pytest.approx([0, 2, 4, 30, 16, 30, 30, 30])
    one.desk.opened()
    one.desk.refused(verdict(kind, retry_after=0.0))
    assert one.desk.may_begin()


@pytest.mark.parametrize("kind", [Kind.NO_SEAT, Kind.LIMITED, Kind.TRANSIENT])
@virtually
async def test_waits_that_nobody_names_grow_up_to_a_minute_and_start_anew_after_an_acceptance(kind: Kind) -> None:
    one = setting()
    waits = []
    for _ in range(9):
        one.desk.refused(verdict(kind))
        waits.append(one.desk.quiet_until - one.now)
        await anyio.sleep(waits[-1])
    assert all(2.0**n <= wait <= 2.0**n * 1.25 for n, wait in enumerate(waits[:5], 1))
    assert all(60 <= wait <= 75 for wait in waits[5:])
    one.desk.opened()
    one.desk.refused(verdict(kind))
    assert one.desk.quiet_until - one.now <= 2.5


@pytest.mark.parametrize("kind", [Kind.NO_SEAT, Kind.LIMITED, Kind.TRANSIENT])
@virtually
async def test_creates_that_are_refused_together_are_one_failure(kind: Kind) -> None:
    one = setting(seats=15)
    begun = one.desk.bursts
    for _ in range(8):
        one.desk.refused(verdict(kind), begun=begun)
        await anyio.sleep(0.1)
    assert one.desk.quiet_until - one.now <= 2.5
    await anyio.sleep(5)
    one.desk.refused(verdict(kind), begun=begun)
    assert one.desk.may_begin(), "its reply was late"
    one.desk.refused(verdict(kind), begun=one.desk.bursts)
    assert 4 <= one.desk.quiet_until - one.now <= 5


@virtually
async def test_each_of_those_refused_together_may_name_a_longer_wait() -> None:
    one = setting()
    for wait in (5.0, None, 60.0, 1.0):
        one.desk.refused(verdict(Kind.NO_SEAT, retry_after=wait), begun=0)
    assert one.desk.quiet_until - one.now == 60


@pytest.mark.parametrize("kind", [Kind.NO_SEAT, Kind.LIMITED, Kind.TRANSIENT])
@virtually
async def test_an_account_that_has_rested_opens_with_one_create_whatever_was_accepted_of_those_before(
    kind: Kind,
) -> None:
    one = setting()
    for _ in range(3):
        one.desk.opened()
    one.desk.refused(verdict(kind), begun=0)
    one.desk.opened()
    one.desk.refused(verdict(kind), begun=0)
    one.desk.opened()
    await anyio.sleep(3)
    assert (one.desk.width, one.desk.may_begin()) == (1, True)
    one.desk.opened()
    assert one.desk.width == 2


@virtually
async def test_a_wait_beyond_the_cap_pauses_the_account_which_opens_with_one_create_then() -> None:
    one = setting()
    for _ in range(3):
        one.desk.opened()
    one.desk.refused(verdict(Kind.NO_SEAT, retry_after=CAP + 100))
    assert one.desk.width == 1
    assert one.desk.gate()["gate"] == "pause"
    told: list[bool] = []
    one.desk.on_change(lambda: told.append(may_create(one.desk)))
    await anyio.sleep(CAP + 101)
    assert told == [True]


@virtually
async def test_a_shorter_rest_does_not_cut_a_longer_one_short() -> None:
    one = setting()
    one.desk.rest(100, "long")
    one.desk.rest(1, "short")
    assert one.desk.quiet_until == one.now + 100
    assert one.desk.quiet_why == "long"


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.INVALID, Kind.NO_CREDIT, Kind.RATE_LIMITED])
@virtually
async def test_refusals_that_say_nothing_of_the_vendors_load_let_creates_go_on(kind: Kind) -> None:
    one = setting()
    one.desk.refused(verdict(kind))
    assert may_create(one.desk)


# -- 429s of any request -------------------------------------------------------------------------------------------


@virtually
async def test_a_429_holds_its_own_classes_for_as_long_as_it_says_with_jitter_that_only_adds() -> None:
    one = setting()
    one.desk.courier.slowed(("read",), verdict(Kind.RATE_LIMITED, retry_after=30.0))
    assert 30 <= one.held("read") <= 33
    assert one.held("create") == 0
    assert may_create(one.desk)


@virtually
async def test_429s_without_a_time_hold_longer_each_time_and_start_anew_after_two_quiet_minutes() -> None:
    one = setting(rates={"create": "5/s", "read": "5/s"})
    holds = []
    for _ in range(8):
        one.desk.courier.slowed(("read",), verdict(Kind.RATE_LIMITED))
        holds.append(one.held("read"))
        await anyio.sleep(holds[-1])
    assert all(2.0**n <= hold <= 2.0**n * 1.1 for n, hold in enumerate(holds[:5], 1))
    assert all(60 <= hold <= 66 for hold in holds[5:])
    one.desk.courier.slowed(("create",), verdict(Kind.RATE_LIMITED))
    assert one.held("create") <= 2.2
    await anyio.sleep(121)
    one.desk.courier.slowed(("read",), verdict(Kind.RATE_LIMITED))
    assert one.held("read") <= 2.2


@virtually
async def test_429s_that_come_together_lengthen_no_hold() -> None:
    one = setting(rates={"create": "5/s"})
    for _ in range(20):
        one.desk.courier.slowed(CREATE, verdict(Kind.RATE_LIMITED))
        await anyio.sleep(0.01)
    assert one.held(*CREATE) <= 2.2


@virtually
async def test_a_429_beyond_the_cap_pauses_the_accounts_creates_too() -> None:
    one = setting()
    one.desk.opened()
    one.desk.courier.slowed(("read",), verdict(Kind.RATE_LIMITED, retry_after=CAP + 1))
    assert (may_create(one.desk), one.desk.width) == (False, 1)


@virtually
async def test_a_limit_without_a_name_halves_the_seats_where_they_are_the_wider_limit() -> None:
    one = setting(seats=30, rates={"create": "20/min"})
    one.desk.courier.slowed(CREATE, verdict(Kind.LIMITED, retry_after=5.0))
    assert one.desk.pool.seats.free == 15
    assert one.desk.pool.rates.windows(CREATE)[0].halved_until == 0.0


@virtually
async def test_a_limit_without_a_name_lowers_the_pace_where_the_rate_is_the_wider_limit() -> None:
    one = setting(seats=4, rates={"create": ["20/min", "500/h"]})
    one.desk.courier.slowed(CREATE, verdict(Kind.LIMITED, retry_after=5.0))
    assert one.desk.pool.seats.free == 4
    assert one.paced("create") == pytest.approx(20 / 60 / 8)


@virtually
async def test_a_limit_without_a_name_lowers_the_pace_once_halving_the_seats_did_not_help() -> None:
    one = setting(seats=30, rates={"create": "20/min"})
    one.desk.courier.slowed(CREATE, verdict(Kind.LIMITED, retry_after=5.0))
    assert one.paced("create") is None
    one.desk.courier.slowed(CREATE, verdict(Kind.LIMITED, retry_after=5.0))
    assert one.desk.pool.seats.free == 15
    assert one.paced("create") is not None


@virtually
async def test_creates_are_told_when_halved_seats_are_whole_again() -> None:
    one = setting(seats=4, rates={"create": "2/min"})
    for name in ("a:1", "b:1"):
        one.desk.pool.seats.take(name)
    one.desk.courier.slowed(CREATE, verdict(Kind.LIMITED, retry_after=5.0))
    assert not may_create(one.desk)
    told: list[bool] = []
    one.desk.pool.seats.on_change(lambda: told.append(may_create(one.desk)))
    await anyio.sleep(61)
    assert told == [True]


@virtually
async def test_a_read_that_is_limited_without_a_name_is_about_the_rate_of_reads() -> None:
    one = setting(seats=30)
    one.desk.courier.slowed(READ, verdict(Kind.LIMITED, retry_after=5.0))
    assert one.desk.pool.seats.free == 30
    assert one.paced("read") is not None
    assert one.paced("create") is None


@pytest.mark.parametrize(
    ("rates", "classes", "slowed"),
    [
        ({"create": "20/min", "post": "30/min", "all": "9/s"}, CREATE, {"create", "post"}),
        ({"post": "30/min", "all": "9/s"}, CREATE, {"post"}),
        ({"all": "9/s"}, CREATE, {"all"}),
        ({"read": "5/s", "all": "9/s"}, READ, {"read"}),
    ],
)
@virtually
async def test_a_429_slows_the_stated_rates_that_the_request_shares_with_the_fewest_others(
    rates: dict[str, str], classes: tuple[str, ...], slowed: set[str]
) -> None:
    one = setting(rates=rates)
    one.desk.courier.slowed(classes, verdict(Kind.RATE_LIMITED, retry_after=5.0))
    assert {name for name in ("create", "read", "post", "all") if one.paced(name) is not None} == slowed
    assert {name for name in ("create", "read", "post", "all") if one.held(name)} == slowed


@virtually
async def test_a_429_of_a_request_for_which_no_rate_is_stated_holds_its_kind() -> None:
    one = setting(rates={"create": "20/min"})
    one.desk.courier.slowed(("upload", "post", "all"), verdict(Kind.RATE_LIMITED, retry_after=30.0))
    assert 30 <= one.held("upload") <= 33
    assert one.held(*CREATE) == 0
    await anyio.sleep(34)
    assert one.held("upload") == 0
    assert one.paced("upload") is None


@pytest.mark.parametrize("kind", [Kind.NO_SEAT, Kind.NO_CREDIT, Kind.AUTH, Kind.TRANSIENT])
@virtually
async def test_refusals_that_are_not_about_haste_leave_the_pace_alone(kind: Kind) -> None:
    one = setting()
    one.desk.refused(verdict(kind, limit=3))
    assert one.paced(*CREATE) is None


# -- what a full vendor teaches --------------------------------------------------------------------------------------


def taken(desk: Desk, count: int) -> list[str]:
    names = [f"{number}:1" for number in range(count)]
    for name in names:
        desk.pool.seats.take(name)
    return names


def full(desk: Desk, name: str, begun: int | None = None) -> None:
    """A create was refused since the vendor is full, and gives its seat back."""
    desk.refused(verdict(Kind.NO_SEAT), begun=begun)
    desk.pool.seats.give_back(name)


@virtually
async def test_a_vendor_that_is_full_without_a_number_teaches_how_many_seats_it_has_when_it_still_is_after_a_rest() -> (
    None
):
    one = setting(seats=8)
    seats, names = one.desk.pool.seats, taken(one.desk, 8)
    for _ in range(3):
        full(one.desk, names.pop(), begun=0)
    assert (seats.taken, seats.limit) == (5, 6), "its count may lag behind the ends that it shows"
    await anyio.sleep(3)
    seats.take("again:1")
    full(one.desk, "again:1")
    assert (seats.taken, seats.limit) == (5, 5)
    await anyio.sleep(290)
    assert seats.limit == 5


@virtually
async def test_a_vendor_that_is_full_with_as_many_again_is_believed() -> None:
    one = setting(seats=15)
    seats, names = one.desk.pool.seats, taken(one.desk, 15)
    for name in names[10:]:
        full(one.desk, name, begun=0)
    for name in names[8:10]:
        seats.give_back(name)
    await anyio.sleep(3)
    for name in names[8:11]:
        seats.take(name)
        one.desk.creating = 11 - int(name.partition(":")[0])
        if name != names[10]:
            one.desk.opened()
    assert seats.limit == 11
    full(one.desk, names[10])
    assert seats.limit == 10
    await anyio.sleep(290)
    assert seats.limit == 10


@virtually
async def test_a_vendor_that_was_full_once_is_tried_with_ever_more_seats() -> None:
    one = setting(seats=50)
    names, told = taken(one.desk, 50), list[int]()
    for name in names[20:]:
        full(one.desk, name, begun=0)
    one.desk.pool.seats.on_change(lambda: told.append(one.desk.pool.seats.limit))
    await anyio.sleep(60)
    assert told == [22, 24, 28, 36, 50]


@virtually
async def test_a_vendor_that_takes_more_than_was_learned_is_soon_tried_with_all() -> None:
    one = setting(seats=50)
    seats, told = one.desk.pool.seats, list[int]()
    one.desk.refused(verdict(Kind.NO_SEAT, limit=5))
    await anyio.sleep(300)
    taken(one.desk, 6)
    one.desk.opened()
    seats.on_change(lambda: told.append(seats.limit))
    await anyio.sleep(60)
    assert told == [8, 10, 14, 22, 38, 50]


@virtually
async def test_a_vendor_that_refuses_while_it_has_none_of_ours_teaches_nothing_about_seats() -> None:
    one = setting(seats=8)
    for _ in range(4):
        taken(one.desk, 1)
        full(one.desk, "0:1")
        await anyio.sleep(20)
    assert one.desk.pool.seats.limit == 8


@virtually
async def test_a_refusal_now_and_then_teaches_nothing_about_seats() -> None:
    one = setting(seats=8)
    for name in taken(one.desk, 8):
        full(one.desk, name)
        await anyio.sleep(60)
        one.desk.pool.seats.take(name)
        one.desk.opened()
        assert one.desk.pool.seats.limit == 8


@virtually
async def test_seats_that_were_learned_are_tried_anew_one_by_one_and_creates_are_told() -> None:
    one = setting(seats=6)
    seats, told = one.desk.pool.seats, list[int]()
    one.desk.refused(verdict(Kind.NO_SEAT, limit=3))
    seats.on_change(lambda: told.append(seats.limit))
    await anyio.sleep(299)
    assert (told, seats.limit) == ([], 3)
    await anyio.sleep(302)
    assert told == [4, 5]
    one.desk.refused(verdict(Kind.NO_SEAT, limit=3))
    assert seats.limit == 3
    await anyio.sleep(1000)
    assert told == [4, 5, 4, 5, 6]
    await anyio.sleep(1000)
    assert told == [4, 5, 4, 5, 6], "what is stated is the most"


@virtually
async def test_a_batch_that_is_refused_teaches_nothing_about_seats() -> None:
    one = setting(seats=6)
    for _ in range(3):
        one.desk.refused(verdict(Kind.NO_SEAT, limit=2), seated=False)
    assert one.desk.pool.seats.limit == 6


@virtually
async def test_seats_that_the_user_states_anew_are_not_what_was_learned() -> None:
    one = setting(seats=6)
    one.desk.refused(verdict(Kind.NO_SEAT, limit=2))
    one.desk.pool.seats.set_limit(5)
    assert one.desk.pool.seats.limit == 5


# -- what it waits for ---------------------------------------------------------------------------------------------


@virtually
async def test_an_account_that_waits_for_nothing_says_so() -> None:
    assert setting().desk.gate()["gate"] is None


@virtually
async def test_the_gate_names_the_first_thing_that_keeps_a_create_back_and_until_when() -> None:
    one = setting(seats=2, rates={"create": "1/min"})
    desk, wall = one.desk, one.world.world.now

    place = await desk.pool.rates.acquire(CREATE)
    place.end()
    assert desk.gate() == {"gate": "rate", "until": pytest.approx(wall() + 60), "message": "the create rate is used up"}

    desk.creating = 1
    assert desk.gate()["gate"] == "opening"
    assert "first create" in desk.gate()["message"]

    desk.opened()
    desk.creating = 2
    assert desk.gate()["gate"] == "opening"

    for name in ("a:1", "b:1"):
        desk.pool.seats.restore(seat(name))
    assert desk.gate() == {"gate": "seat", "until": None, "message": "all 2 seats are taken"}

    desk.rest(17, "the house is full")
    assert desk.gate() == {"gate": "pause", "until": pytest.approx(wall() + 17), "message": "the house is full"}

    desk.stop(Reason.NO_CREDIT, verdict(Kind.NO_CREDIT))
    assert desk.gate() == {"gate": "pause", "until": None, "message": "so says the house: no_credit"}


@virtually
async def test_the_gate_tells_of_a_pause_and_of_a_pace_that_the_vendor_taught() -> None:
    desk = setting(rates={"create": "600/min"}).desk
    desk.courier.slowed(CREATE, verdict(Kind.RATE_LIMITED, retry_after=100.0))
    assert desk.gate()["message"] == "house asked to wait, as creates came too fast"
    await anyio.sleep(111)
    (await desk.pool.rates.acquire(CREATE)).end()
    assert desk.gate()["gate"] == "rate"
    assert re.fullmatch(
        r"creates go at [\d.]+/s for a while, as house refused some that came faster", desk.gate()["message"]
    )
    assert [state.pace is not None for state in desk.pool.rates.state()["create"]] == [True]


# -- pools ---------------------------------------------------------------------------------------------------------


def pools(*accounts: Account) -> Any:
    return pools_of(simulated_world().world, [House(given) for given in accounts])


@virtually
async def test_accounts_of_one_pool_share_the_strictest_of_their_limits() -> None:
    found = pools(
        account(name="a", pool="p", concurrency=9, rates={"create": ["100/min", "9/s"], "read": "5/s"}),
        account(name="b", pool="p", concurrency=5, rates={"create": "20/min"}),
        account(name="c"),
    )
    assert set(found) == {"p", "c"}
    assert found["p"].seats.limit == 5
    windows = {(w.limit, w.length) for w in found["p"].rates.windows(("create",))}
    assert windows == {(20, 60.0), (9, 1.0)}
    assert [(w.limit, w.length) for w in found["p"].rates.windows(("read",))] == [(5, 1.0)]
    assert found["c"].seats.limit == House.sheet.concurrency


@virtually
async def test_the_order_of_a_pools_accounts_does_not_matter() -> None:
    loose = account(name="a", pool="p", concurrency=9, rates={"create": "100/min", "read": "9/s"})
    strict = account(name="b", pool="p", concurrency=2, rates={"create": ["20/min", "1/s"], "all": "3/s"})
    for order in ((loose, strict), (strict, loose)):
        pool = pools(*order)["p"]
        assert pool.seats.limit == 2
        for name, wanted in {"create": {(20, 60.0), (1, 1.0)}, "read": {(9, 1.0)}, "all": {(3, 1.0)}}.items():
            assert {(w.limit, w.length) for w in pool.rates.windows((name,))} == wanted


@virtually
async def test_the_providers_rates_hold_where_the_account_states_none() -> None:
    provider = house(given=account(rates={"read": "1/s"}), rates={"create": (Rate(7, 60.0),), "read": (Rate(9, 1.0),)})
    pool = pools_of(simulated_world().world, [provider])["house"]
    assert [(w.limit, w.length) for w in pool.rates.windows(("create", "read"))] == [(7, 60.0), (1, 1.0)]


@virtually
async def test_accounts_of_different_providers_share_no_pool() -> None:
    class Other(House):
        name = "other"

    world = simulated_world().world
    with pytest.raises(ConfigError, match="different providers"):
        pools_of(world, [House(account(name="a", pool="p")), Other(account(name="b", pool="p"))])
    await settled()
