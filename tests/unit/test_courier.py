"""The courier: paid requests once, passing trouble beneath the flow, credentials to their own host only."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from math import inf, nan
from typing import Any

import anyio
import pytest
from attrs import define, field, frozen
from tests.support.house import BASE, House, account, house
from tests.support.virtual import EPOCH, Simulation, settled, simulated_world, virtually

from viseme.engine.admission.limits import Rates
from viseme.engine.courier import Courier
from viseme.engine.masking import Mask
from viseme.engine.transport import Line, Wire
from viseme.errors import JobInvalid
from viseme.failures import Kind
from viseme.providers.base import (
    Accepted,
    Answer,
    Fault,
    Flow,
    Found,
    Observation,
    Outcome,
    Refused,
    Reply,
    Request,
    Role,
    Safety,
    Save,
    Seen,
    Undecided,
    Verdict,
)
from viseme.units import Rate

ALL_TIME = 1.25
"""The jitter of a back-off only adds, up to a quarter."""


def reply(status: int = 200, body: object = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, body=json.dumps({} if body is None else body).encode())


def request(role: Role = Role.SAFE, url: str = f"{BASE}/x", **more: Any) -> Request:
    return Request(**{"method": "GET", "url": url, "role": role, "classes": ("read",), **more})


PAID = request(Role.PAID, method="POST", classes=("create",), json={"a": 1})


@frozen
class Set:
    """A courier and everything around it."""

    courier: Courier
    provider: House
    rates: Rates
    world: Simulation
    slowed: list[tuple[tuple[str, ...], Verdict]]

    @property
    def sent(self) -> list[Wire]:
        return [wire for _, wire in self.world.network.sent]

    def room(self) -> int:
        return sum(w.room(self.world.world.monotonic()) for w in self.rates.windows(("read", "create")))


def courier(*answers: Outcome | Callable[[Wire], Outcome], provider: House | None = None) -> Set:
    """A courier whose network answers so, one after the other; the last answer stands."""
    left = list(answers or [reply()])

    async def answer(line: Line, wire: Wire) -> Outcome:
        said = left.pop(0) if len(left) > 1 else left[0]
        return said(wire) if callable(said) else said

    world = simulated_world()
    world.network.answer = answer
    rates = Rates(world.world.monotonic, world.world.call_at)
    rates.configure({"read": [Rate(50, 60.0)], "create": [Rate(50, 60.0)]})
    slowed: list[tuple[tuple[str, ...], Verdict]] = []
    one = provider or house()
    carrier = Courier(
        world.world, world.network, one, rates, lambda classes, verdict: slowed.append((classes, verdict))
    )
    return Set(carrier, one, rates, world, slowed)


def asks(*requests: Request) -> Flow[list[int]]:
    got: list[int] = []
    for one in requests:
        got.append((yield one).status)  # noqa: PERF401
    return got


@define
class Story:
    """A flow that notes what it is sent and thrown, and whether it was closed."""

    steps: list[Request | Save]
    heard: list[object] = field(factory=list[object])
    closed: bool = False

    def flow(self) -> Flow[str]:
        try:
            for step in self.steps:
                try:
                    self.heard.append((yield step).status)
                except Refused as refusal:
                    self.heard.append(refusal.verdict.kind)
            return "done"
        finally:
            self.closed = True


# -- paid requests -------------------------------------------------------------------------------------------------

ANSWERS: list[Outcome] = [
    reply(), reply(500), reply(503), reply(429), reply(401), reply(404), reply(302),
    Fault(sent=True, message="reset"), Fault(sent=False, message="refused"), Reply(status=200, body=b"<html>"),
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
@virtually
async def test_a_paid_request_is_sent_once_whatever_comes_back(answer: Outcome) -> None:
    one = courier(answer)
    story = Story([PAID])
    assert await one.courier.run(story.flow(), tries=4) == "done"
    assert len(one.sent) == 1
    assert len(story.heard) == 1


@virtually
async def test_what_comes_before_a_paid_request_is_done_after_its_place_is_taken_and_before_it_leaves() -> None:
    one = courier()
    seen: list[tuple[int, int]] = []

    async def before(leaving: Request) -> None:
        assert leaving is PAID
        await anyio.sleep(3)
        seen.append((one.room(), len(one.sent)))

    assert await one.courier.run(asks(request(), PAID), before=before) == [200, 200]
    assert seen == [(98, 1)]


@virtually
async def test_what_stops_a_paid_request_before_it_leaves_gives_its_place_back() -> None:
    one = courier()
    story = Story([PAID])

    async def before(_: Request) -> None:
        raise LookupError("called off")

    with pytest.raises(LookupError):
        await one.courier.run(story.flow(), before=before)
    assert one.sent == []
    assert one.room() == 100
    assert story.closed


@pytest.mark.parametrize(("safety", "fresh"), [(Safety.NONE, True), (Safety.CORRELATE, True), (Safety.REPLAY, False)])
@virtually
async def test_paid_requests_use_fresh_connections_where_the_vendor_does_not_replay(
    safety: Safety, fresh: bool
) -> None:
    one = courier(provider=house(safety=safety, given=account(allow_private_hosts=True)))
    await one.courier.run(asks(PAID, request()))
    assert [line for line, _ in one.world.network.sent] == [Line("house", True, fresh), Line("house", True, False)]


# -- safe requests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [reply(503), Fault(sent=True, message="reset"), Fault(sent=False, message="no")])
@pytest.mark.parametrize("role", [Role.SAFE, Role.UPLOAD])
@virtually
async def test_trouble_in_passing_is_sat_out_beneath_the_flow(trouble: Outcome, role: Role) -> None:
    one = courier(trouble, trouble, trouble, reply())
    began = one.world.world.monotonic()
    assert await one.courier.run(asks(request(role))) == [200]
    assert len(one.sent) == 4
    waited = one.world.world.monotonic() - began
    assert 1 + 2 + 4 <= waited <= (1 + 2 + 4) * ALL_TIME


@virtually
async def test_trouble_that_stays_is_thrown_into_the_flow_after_the_last_try() -> None:
    one = courier(reply(503))
    story = Story([request(), request()])
    assert await one.courier.run(story.flow(), tries=3) == "done"
    assert len(one.sent) == 6
    assert story.heard == [Kind.TRANSIENT, Kind.TRANSIENT]


@virtually
async def test_one_try_is_one_request() -> None:
    one = courier(reply(503))
    with pytest.raises(Refused):
        await one.courier.run(asks(request()), tries=1)
    assert len(one.sent) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, Kind.INVALID), (401, Kind.AUTH), (404, Kind.NOT_FOUND)])
@virtually
async def test_a_refusal_for_good_is_thrown_in_at_once(status: int, kind: Kind) -> None:
    one = courier(reply(status))
    with pytest.raises(Refused) as caught:
        await one.courier.run(asks(request()))
    assert caught.value.verdict.kind is kind
    assert len(one.sent) == 1


@virtually
async def test_a_429_is_told_with_its_classes_each_time_and_tried_again() -> None:
    one = courier(reply(429, {"wait": 7}), reply(429, {"kind": "limited"}), reply())
    assert await one.courier.run(asks(request())) == [200]
    assert [(classes, v.kind, v.retry_after) for classes, v in one.slowed] == [
        (("read",), Kind.RATE_LIMITED, 7), (("read",), Kind.LIMITED, None),
    ]  # fmt: skip


@virtually
async def test_a_date_in_retry_after_is_read_by_the_worlds_clock() -> None:
    now = EPOCH + asyncio.get_running_loop().time()
    for text, seconds in [
        (formatdate(now + 42, usegmt=True), 42),
        (formatdate(now + 42, usegmt=True).replace("GMT", "-0000"), 42),
        (formatdate(now - 42, usegmt=True), 0),
        ("soon", None),
        ("17", None),
        ("Sat, 99 Nov 9999999999 01:02:03 GMT", None),
    ]:
        one = courier(reply(429, retry_after=text))
        with pytest.raises(Refused) as caught:
            await one.courier.run(asks(request()), tries=1)
        assert caught.value.verdict.retry_after == (None if seconds is None else pytest.approx(seconds, abs=1))


@pytest.mark.parametrize("skew", [-600.0, 0.0, 600.0, 1e9])
@virtually
async def test_a_date_in_retry_after_is_read_by_the_replys_own_clock_where_it_tells_the_time(skew: float) -> None:
    theirs = EPOCH + asyncio.get_running_loop().time() + skew
    one = courier(reply(429, retry_after=formatdate(theirs + 5, usegmt=True), date=formatdate(theirs, usegmt=True)))
    with pytest.raises(Refused) as caught:
        await one.courier.run(asks(request()), tries=1)
    assert caught.value.verdict.retry_after == 5.0


@pytest.mark.parametrize("date", ["now", "", "17", "Sat, 99 Nov 9999999999 01:02:03 GMT"])
@virtually
async def test_a_reply_whose_date_makes_no_sense_is_read_by_the_worlds_clock(date: str) -> None:
    until = EPOCH + asyncio.get_running_loop().time() + 42
    one = courier(reply(429, retry_after=formatdate(until, usegmt=True), date=date))
    with pytest.raises(Refused) as caught:
        await one.courier.run(asks(request()), tries=1)
    assert caught.value.verdict.retry_after == pytest.approx(42, abs=1)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [(3600, 3600.0), (7200, 7200.0), (1e8, 86_400.0), (1e300, 86_400.0), (-5, 0.0)],
)
@virtually
async def test_no_wait_that_a_vendor_asks_for_is_longer_than_a_day_or_less_than_none(
    asked: float, kept: float | None
) -> None:
    one = courier(reply(429, {"wait": asked}))
    with pytest.raises(Refused) as caught:
        await one.courier.run(asks(request()), tries=1)
    assert caught.value.verdict.retry_after == kept
    assert [verdict.retry_after for _, verdict in one.slowed] == [kept]


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"])
@virtually
async def test_a_date_far_off_is_a_day_away(date: str) -> None:
    one = courier(reply(429, retry_after=date))
    with pytest.raises(Refused) as caught:
        await one.courier.run(asks(request()), tries=1)
    assert caught.value.verdict.retry_after == 86_400.0


@pytest.mark.parametrize(("asked", "kept"), [(1e8, 86_400.0), (inf, 86_400.0), (-inf, 0.0), (nan, None)])
@virtually
async def test_a_wait_that_a_flow_itself_reads_out_of_a_reply_is_bounded_too(asked: float, kept: float | None) -> None:
    def flow() -> Flow[None]:
        yield request()
        raise Refused(Verdict(kind=Kind.NO_SEAT, message="full", retry_after=asked))

    one = courier(reply())
    with pytest.raises(Refused) as caught:
        await one.courier.run(flow())
    assert caught.value.verdict.retry_after == kept


@virtually
async def test_a_vendor_that_is_down_and_says_for_how_long_is_left_alone_so_long_but_not_beyond_the_cap() -> None:
    for asked, least in [(20, 20), (0, 1), (99_999, 300)]:
        one = courier(reply(503, {"wait": asked}), reply())
        began = one.world.world.monotonic()
        await one.courier.run(asks(request()))
        assert least <= one.world.world.monotonic() - began <= least * ALL_TIME


# -- places --------------------------------------------------------------------------------------------------------


@virtually
async def test_a_request_holds_its_place_for_a_window_after_its_reply_and_one_that_never_left_holds_none() -> None:
    one = courier(reply())
    await one.courier.run(asks(request(), PAID))
    assert one.room() == 98
    await anyio.sleep(60)
    assert one.room() == 100
    one = courier(Fault(sent=False, message="no"))
    with pytest.raises(Refused):
        await one.courier.run(asks(PAID))
    assert one.room() == 100


@virtually
async def test_a_lost_reply_holds_its_place_for_its_window() -> None:
    one = courier(Fault(sent=True, message="reset"))
    with pytest.raises(Refused):
        await one.courier.run(asks(PAID))
    assert one.room() == 99
    await anyio.sleep(60)
    assert one.room() == 100


@pytest.mark.parametrize("moment", ["waiting for a place", "before", "on the wire", "backing off"])
@virtually
async def test_a_flow_that_is_cancelled_at_any_moment_is_closed_and_its_place_comes_back(moment: str) -> None:
    one = courier(reply(503) if moment == "backing off" else reply())
    step = request() if moment == "backing off" else PAID
    story = Story([step])

    async def hangs(*_: object) -> Any:
        await anyio.sleep_forever()

    if moment == "waiting for a place":
        one.rates.hold(("create",), 1e6)
    if moment == "on the wire":
        one.world.network.answer = hangs
    running = asyncio.ensure_future(one.courier.run(story.flow(), before=hangs if moment == "before" else None))
    await anyio.sleep(0.5)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert story.closed
    assert one.world.network.open == 0
    await anyio.sleep(61)
    one.rates._paces.clear()
    assert one.room() == 100


@virtually
async def test_a_network_that_breaks_gives_the_place_back() -> None:
    def breaks(_: Wire) -> Outcome:
        raise ArithmeticError

    one = courier(breaks)
    with pytest.raises(ArithmeticError):
        await one.courier.run(asks(PAID))
    await anyio.sleep(60)
    assert one.room() == 100


# -- saving --------------------------------------------------------------------------------------------------------


@virtually
async def test_what_a_flow_wants_to_find_again_is_told_before_the_flow_goes_on() -> None:
    one = courier()
    kept: list[tuple[dict[str, Any], list[object]]] = []
    story = Story([Save({"id": "1"}), PAID])

    def keep(handle: dict[str, Any]) -> None:
        kept.append((handle, list(story.heard)))

    await one.courier.run(story.flow(), keep=keep)
    assert kept == [({"id": "1"}, [])]
    assert story.heard == [204, 200]
    assert await courier().courier.run(Story([Save({"id": "1"})]).flow()) == "done"


# -- credentials ---------------------------------------------------------------------------------------------------


@virtually
async def test_the_key_goes_to_the_vendors_own_origin_and_to_no_other() -> None:
    one = courier()
    urls = [
        f"{BASE}/x", "HTTPS://API.House.Example/v1/x", "https://api.house.example:8443/v1/x", "http://api.house.example/x",
        "https://api.house.example.evil.example/x", "https://api.house.example@evil.example/x",
        "https://evil.example/https://api.house.example/", "https://api.house.example\\@evil.example/",
    ]  # fmt: skip
    await one.courier.run(asks(*(request(url=url) for url in urls), request(Role.FOREIGN), request(Role.UPLOAD)))
    signed = ["X-Key" in wire.headers for wire in one.sent]
    assert signed == [True, True, *[False] * 6, False, True]
    assert all("secret" not in f"{wire.url}{wire.body!r}" for wire in one.sent)


@virtually
async def test_a_body_is_json_and_says_so() -> None:
    one = courier()
    await one.courier.run(asks(request(headers={"X-A": "1"}, hold=9.0), PAID))
    plain, paid = one.sent
    assert (plain.body, plain.hold, plain.headers["X-A"]) == (None, 9.0, "1")
    assert "Content-Type" not in plain.headers
    assert (paid.body, paid.method, paid.headers["Content-Type"]) == (b'{"a":1}', "POST", "application/json")


def tokens(provider: House, *, fails: int = 0, kind: str = "transient") -> Set:
    """A courier whose vendor gives tokens, each a second after it is asked."""
    provider.expires = 3600.0
    one = courier(provider=provider)
    given = 0

    async def answer(_: Line, wire: Wire) -> Outcome:
        nonlocal given
        if "login" not in wire.url:
            return reply()
        await anyio.sleep(1)
        given += 1
        return reply(503, {"kind": kind}) if given <= fails else reply(body={"token": f"t{given}"})

    one.world.network.answer = answer
    return one


def logins(one: Set) -> int:
    return sum("login" in wire.url for wire in one.sent)


@virtually
async def test_many_that_need_a_token_obtain_one() -> None:
    one = tokens(house())
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(one.courier.run, asks(request()))
    assert logins(one) == 1
    assert all("X-Key" not in wire.headers for wire in one.sent if "login" in wire.url)
    assert {wire.headers["X-Key"] for wire in one.sent if "login" not in wire.url} == {"t1"}


@virtually
async def test_a_token_is_renewed_when_its_provider_says() -> None:
    one = tokens(house())
    await one.courier.run(asks(request()))
    await anyio.sleep(3598)
    await one.courier.run(asks(request()))
    assert logins(one) == 1
    await anyio.sleep(3)
    await one.courier.run(asks(request()))
    assert logins(one) == 2
    assert one.sent[-1].headers["X-Key"] == "t2"


@virtually
async def test_a_token_that_ends_while_its_request_waits_for_a_place_is_renewed_and_signed_when_it_leaves() -> None:
    one = tokens(house())
    one.rates.hold(("create",), 7200)
    await one.courier.run(asks(PAID))
    assert logins(one) == 2
    assert one.sent[-1].headers["X-Key"] == "t2"
    assert float(one.sent[-1].headers["X-Signed"]) == pytest.approx(one.world.world.now(), abs=1)


@virtually
async def test_those_who_waited_for_a_token_that_was_refused_are_refused_with_it() -> None:
    one = tokens(house(), fails=1, kind="auth")
    refused: list[Kind] = []

    async def ask() -> None:
        try:
            await one.courier.run(asks(request()))
        except Refused as refusal:
            refused.append(refusal.verdict.kind)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
    assert refused == [Kind.AUTH] * 20
    assert logins(one) == 1
    await ask()
    assert (len(refused), logins(one)) == (20, 2)


@virtually
async def test_when_the_one_who_obtains_the_token_is_cancelled_the_next_does_it() -> None:
    one = tokens(house())
    first = asyncio.ensure_future(one.courier.run(asks(request())))
    second = asyncio.ensure_future(one.courier.run(asks(request())))
    await settled()
    first.cancel()
    assert await second == [200]
    assert logins(one) == 2


# -- adapters that break -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "kind"), [(Role.SAFE, Kind.PROTOCOL), (Role.PAID, Kind.FATE_UNKNOWN)])
@virtually
async def test_an_adapter_that_breaks_on_a_reply_is_a_refusal_and_after_a_paid_request_an_unknown_fate(
    role: Role, kind: Kind
) -> None:
    def breaks() -> Flow[None]:
        yield request(role)
        raise KeyError("id")

    with pytest.raises(Refused) as caught:
        await courier().courier.run(breaks())
    assert (caught.value.verdict.kind, caught.value.verdict.charged) == (kind, role is Role.PAID)


@pytest.mark.parametrize(("role", "kind"), [(Role.SAFE, Kind.PROTOCOL), (Role.PAID, Kind.FATE_UNKNOWN)])
@virtually
async def test_an_adapter_whose_verdict_breaks_is_a_refusal_too(role: Role, kind: Kind) -> None:
    def refuse(_: Request, __: Outcome) -> Verdict | None:
        raise IndexError

    provider = house()
    provider.refuse = refuse
    with pytest.raises(Refused) as caught:
        await courier(provider=provider).courier.run(asks(request(role)))
    assert caught.value.verdict.kind is kind


@pytest.mark.parametrize("error", [KeyError("id"), JobInvalid("the segments overlap"), TypeError()])
@virtually
async def test_an_adapter_that_cannot_begin_is_a_refusal_of_the_job(error: Exception) -> None:
    def breaks() -> Flow[None]:
        raise error
        yield

    one = courier()
    with pytest.raises(Refused) as caught:
        await one.courier.run(breaks())
    assert (caught.value.verdict.kind, caught.value.verdict.blame) == (Kind.INVALID, "job")
    assert one.sent == []


@virtually
async def test_an_adapter_that_breaks_on_a_refusal_leaves_the_refusal_as_it_is() -> None:
    def breaks() -> Flow[None]:
        try:
            yield PAID
        except Refused:
            raise KeyError("code") from None

    with pytest.raises(Refused) as caught:
        await courier(reply(401)).courier.run(breaks())
    assert caught.value.verdict.kind is Kind.AUTH


@pytest.mark.parametrize("passes", [True, False])
@virtually
async def test_a_refusal_is_gone_when_nobody_has_it_any_more(passes: bool) -> None:
    one = courier(reply(400))
    known: list[weakref.ref[Refused]] = []

    def flow() -> Flow[None]:
        try:
            yield request()
        except Refused as refusal:
            known.append(weakref.ref(refusal))
            if passes:
                raise

    gc.disable()  # which would find a circle of it and the frames that it went through
    try:
        with suppress(Refused):
            await one.courier.run(flow())
        assert [ref() for ref in known] == [None]
    finally:
        gc.enable()


@virtually
async def test_a_reply_that_an_adapter_takes_for_nothing_is_refused_as_senseless() -> None:
    class Blind(House):
        def verdict(self, request: Request, outcome: Outcome) -> Verdict | None:
            return None

    for one, kind in ((request(), Kind.PROTOCOL), (PAID, Kind.FATE_UNKNOWN)):
        with pytest.raises(Refused, match="no sense") as caught:
            await courier(Fault(sent=True, message="lost"), provider=Blind(account())).courier.run(asks(one))
        assert caught.value.verdict.kind is kind


@virtually
async def test_the_key_that_a_vendor_quotes_back_is_not_shown() -> None:
    one = courier(reply(401, {"message": "bad key secret!"}))
    with pytest.raises(Refused) as caught:
        await one.courier.run(asks(request()))
    assert str(caught.value) == "bad key ***!"


@virtually
async def test_what_an_adapter_makes_of_a_reply_is_masked_too_with_earlier_credentials() -> None:
    provider = house()
    provider.expires = 10.0
    tokens = [reply(200, {"token": "first-token"}), reply(), reply(200, {"token": "second-token"}), reply()]
    one = courier(*tokens, provider=provider)
    await one.courier.run(asks(request()))
    await anyio.sleep(20)

    def refuses(words: str) -> Flow[Any]:
        yield request()
        raise Refused(Verdict(kind=Kind.PROTOCOL, message=words, code=words))

    with pytest.raises(Refused) as caught:
        await one.courier.run(refuses("first-token, second-token, secret"))
    assert (caught.value.verdict.message, caught.value.verdict.code) == ("***, ***, ***", "***, ***, ***")
    assert caught.value.__cause__ is None

    def ends(value: Any) -> Flow[Any]:
        yield request()
        return value

    seen = Observation(seen=Seen.RUNNING, status="secret", verdict=Verdict(kind=Kind.INVALID, message="secret"))
    hidden = Observation(seen=Seen.RUNNING, status="***", verdict=Verdict(kind=Kind.INVALID, message="***"))
    for value, shown in [
        ("secret", "***"),
        (None, None),
        (seen, hidden),
        ({"secret": seen}, {"secret": hidden}),  # an id stays what it is
        (Accepted(handle={"id": "secret"}, observation=seen), Accepted(handle={"id": "secret"}, observation=hidden)),
        (Accepted(handle={"id": "a"}), Accepted(handle={"id": "a"})),
        (Found(handle={"id": "a"}, observation=seen), Found(handle={"id": "a"}, observation=hidden)),
        (Undecided(message="secret"), Undecided(message="***")),
        (Answer(outcome="too_late", message="secret"), Answer(outcome="too_late", message="***")),
    ]:
        assert await one.courier.run(ends(value)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("long-key", "long-key"),
        ("a-long-secret-key", "***"),
        ("a-long…", "***…"),  # shorter than the secret, and cut in it
        ("a%2dlong…", "***…"),
        ("no-lon…", "no-lon…"),
    ],
)
def test_a_text_that_is_shorter_than_a_secret_shows_no_beginning_of_it_either(text: str, shown: str) -> None:
    assert Mask.of(["a-long-secret-key", "another-secret-that-is-longer"]).text(text) == shown


def _renewable() -> House:
    provider = house()
    provider.expires = 600.0
    return provider


@virtually
async def test_a_credential_that_is_refused_is_renewed_once_and_what_comes_before_is_done_once() -> None:
    left: list[Request] = []

    async def before(leaving: Request) -> None:
        left.append(leaving)

    one = courier(
        reply(200, {"token": "one"}), reply(401), reply(200, {"token": "two"}), reply(), provider=_renewable()
    )
    assert await one.courier.run(asks(PAID), before=before) == [200]
    assert [wire.headers.get("X-Key") for wire in one.sent] == [None, "one", None, "two"]
    assert left == [PAID]


@virtually
async def test_a_credential_that_is_refused_again_is_not_renewed_a_second_time() -> None:
    def answer(wire: Wire) -> Outcome:
        return reply(200, {"token": "one"}) if "login" in wire.url else reply(401)

    one = courier(answer, provider=_renewable())
    with pytest.raises(Refused) as caught:
        await one.courier.run(asks(PAID))
    assert caught.value.verdict.kind is Kind.AUTH
    assert len([wire for wire in one.sent if "login" not in wire.url]) == 2
