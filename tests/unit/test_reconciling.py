"""What becomes of creates whose reply was lost, at vendors that are as unhelpful as they may be; in virtual time."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from tests.support.trio import AWAY, LOST, account, house, job, jogg_says, reply, sync_says
from tests.support.virtual import virtually

from viseme.failures import Kind
from viseme.providers.base import Outcome, Reply
from viseme.results import Reason, State

# -- Sync: the key is sent again -------------------------------------------------------------------------------------


@pytest.mark.parametrize("booked", [True, False])
@pytest.mark.parametrize(
    "first",
    [
        LOST,
        sync_says(500, "internal_error"),
        sync_says(502),
        sync_says(503, "IDEMPOTENCY_OUTCOME_UNKNOWN"),
        sync_says(409, "IDEMPOTENCY_KEY_REUSED"),
        sync_says(409, "generation_conflict"),
        sync_says(409),
        sync_says(400, "IDEMPOTENCY_SOMETHING_NEW"),
        sync_says(408),
        reply(b"<html>one moment</html>"),
        reply({"status": "PENDING"}, 201),
        reply(b"", 302),
    ],
    ids=lambda given: f"{given.status} {given.body[:60]!r}" if isinstance(given, Reply) else "lost",
)
@virtually
async def test_sync_is_asked_again_with_the_same_key_whatever_was_said_first(first: Outcome, booked: bool) -> None:
    async with house("sync") as home:
        home.vendor.creates, home.vendor.books = [first, None], [booked]
        rows = await home.run(job("a"))
    assert rows["a"].state is State.SUCCEEDED
    assert len(home.vendor.booked) == 1
    assert len(home.vendor.keys) == 2
    assert len(set(home.vendor.keys)) == 1


@pytest.mark.parametrize("status", [503, 409])
@virtually
async def test_sync_is_not_asked_again_where_it_names_the_job(status: int) -> None:
    async with house("sync") as home:

        async def named(name: str) -> Outcome:
            return sync_says(status, "IDEMPOTENCY_OUTCOME_UNKNOWN", generationId=name)

        home.vendor.creates = [named]
        rows = await home.run(job("a"))
    assert (rows["a"].state, rows["a"].vendor_id) == (State.SUCCEEDED, "job-0")
    assert len(home.vendor.keys) == 1


@virtually
async def test_sync_names_the_job_in_its_answer_to_the_key() -> None:
    async with house("sync") as home:

        async def named(name: str) -> Outcome:
            return sync_says(503, "IDEMPOTENCY_OUTCOME_UNKNOWN", generationId=name)

        home.vendor.creates = [LOST, named]
        rows = await home.run(job("a"))
    assert (rows["a"].state, rows["a"].vendor_id) == (State.SUCCEEDED, "job-0")
    assert len(home.vendor.keys) == 2


@pytest.mark.parametrize(
    "second",
    [
        sync_says(409, "IDEMPOTENCY_KEY_REUSED"),
        sync_says(503, "IDEMPOTENCY_OUTCOME_UNKNOWN"),
        sync_says(422, "generation_input_video_inaccessible"),
        sync_says(418),
        reply(b"<html>blocked</html>", 451),
    ],
    ids=["409", "503", "the link is dead by now", "a teapot", "a proxy"],
)
@virtually
async def test_what_proves_nothing_of_the_first_create_ends_no_job_and_frees_no_money(second: Outcome) -> None:
    async with house("sync") as home:
        home.vendor.creates = [LOST, *[second] * 50]
        rows = await home.run(job("a"))
        assert (rows["a"].state, rows["a"].parked) == (State.RECONCILING, Reason.FATE_UNKNOWN)
        charge = rows["a"].charge
        assert charge is not None
        assert charge.state == "reserved"
        assert rows["a"].failure is not None
        assert "; run again, which asks once more and pays nothing twice; or look at" in rows["a"].failure.message
        home.vendor.creates = []
        rows = await home.run(job("a"))
    assert rows["a"].state is State.SUCCEEDED
    assert len(set(home.vendor.keys)) == 1
    assert len(home.vendor.booked) == 1


@virtually
async def test_the_vendors_own_word_on_the_inputs_ends_the_job() -> None:
    async with house("sync") as home:
        home.vendor.creates, home.vendor.books = [LOST, sync_says(400, "generation_unsupported_model")], [False, False]
        rows = await home.run(job("a"))
    assert (rows["a"].state, rows["a"].charge) == (State.FAILED, None)
    assert len(home.vendor.keys) == 2


@virtually
async def test_a_key_older_than_the_vendor_remembers_is_not_sent_again() -> None:
    async with house("sync", replay_lifetime="2h") as home:
        home.vendor.creates = [LOST] * 50
        await home.run(job("a"))
        sent, home.vendor.creates = len(home.vendor.keys), []
        assert sent > 2
        await anyio.sleep(2 * 3600)
        rows = await home.run(job("a"))
        failure = rows["a"].failure
        assert failure is not None
        assert "older than 2 h" in failure.message
        assert "viseme reconcile --resubmit a" in failure.message
        assert "run again" not in failure.message
    assert rows["a"].parked is Reason.FATE_UNKNOWN
    assert len(home.vendor.keys) == sent


@virtually
async def test_a_key_that_grows_too_old_while_it_waits_for_its_turn_is_not_sent_again() -> None:
    async with house("sync", replay_lifetime="90s") as home:
        slow = sync_says(429, "rate_limit_exceeded", retryAfterSeconds=120)
        home.vendor.creates = [LOST, slow, LOST, LOST]
        rows = await home.run(job("a"))
    assert rows["a"].parked is Reason.FATE_UNKNOWN
    assert max(home.vendor.sent_at) - min(home.vendor.sent_at) < 90


@pytest.mark.parametrize("seconds", [-86_400.0, 86_400.0 * 3])
@virtually
async def test_a_clock_that_was_set_lets_no_old_key_be_sent(seconds: float) -> None:
    """Set forward it looks old; set back nobody knows how old it is."""
    async with house("sync") as home:
        home.vendor.creates = [LOST] * 50
        await home.run(job("a"))
        sent, world = len(home.vendor.keys), home.vendor.simulation.world
        now = world.now
        object.__setattr__(world, "now", lambda: now() + seconds)
        home.vendor.creates = []
        rows = await home.run(job("a"))
    assert rows["a"].parked is Reason.FATE_UNKNOWN
    assert len(home.vendor.keys) == sent


@virtually
async def test_a_key_is_not_sent_to_another_address_than_the_first_time() -> None:
    async with house("sync") as home:
        home.vendor.creates = [LOST] * 50
        await home.run(job("a"))
        sent, home.vendor.creates = len(home.vendor.keys), []
        elsewhere = account("sync", base_url="https://dev-api.sync.so", on_unknown_fate="resubmit")
        rows = await home.run(job("a"), accounts=(elsewhere,))
        failure = rows["a"].failure
        assert failure is not None
        assert "it went to https://api.sync.so" in failure.message
        assert len(home.vendor.keys) == sent
        rows = await home.run(job("a"))
    assert rows["a"].state is State.SUCCEEDED
    assert len(home.vendor.booked) == 1


@virtually
async def test_what_can_no_longer_be_sent_here_ends_no_job_whose_create_may_have_been_carried_out() -> None:
    async with house("sync", multipart_below="1MiB", on_unknown_fate="resubmit") as home:
        disk = home.vendor.simulation.files
        disk.files["/in/v.mp4"] = clip = bytes(1000)
        home.vendor.creates = [LOST, *[AWAY] * 50]
        given = job("a", "/in/v.mp4")
        await home.run(given)
        sent, home.vendor.creates = len(home.vendor.keys), []
        assert sent > 2
        disk.files["/in/v.mp4"] = bytes(2000)
        async with home.scheduler() as scheduler, scheduler.resume() as run:
            assert (await run.wait()).parked == 1
        assert len(home.vendor.keys) == sent
        disk.files["/in/v.mp4"] = clip
        rows = await home.run(given)
    assert rows["a"].state is State.SUCCEEDED
    assert len(home.vendor.booked) == 1


@virtually
async def test_a_lost_create_is_asked_after_before_others_are_sent() -> None:
    async with house("sync", rates={"create": "1/min"}, concurrency=8) as home:
        home.vendor.creates = [None, LOST]
        jobs = [job(f"k{number}", f"https://m.example/{number}.mp4") for number in range(8)]
        rows = await home.run(*jobs)
    assert {row.state for row in rows.values()} == {State.SUCCEEDED}
    assert home.vendor.keys[1] == home.vendor.keys[2]
    assert len(home.vendor.booked) == 8


# -- nobody could be asked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["ask", "fail", "resubmit"])
@pytest.mark.parametrize("vendor", ["sync", "jogg", "aimlapi"])
@virtually
async def test_the_users_rule_for_an_unknown_fate_waits_until_the_vendor_could_be_asked(vendor: str, rule: str) -> None:
    settings = {"lookup": True} if vendor == "jogg" else {}
    async with house(vendor, on_unknown_fate=rule, **settings) as home:
        home.vendor.creates = [LOST, *[AWAY] * 50]
        home.vendor.finds = lambda: AWAY
        rows = await home.run(job("a"))
        assert (rows["a"].state, rows["a"].parked) == (State.RECONCILING, Reason.FATE_UNKNOWN)
        failure = rows["a"].failure
        assert failure is not None
        assert "could not be asked" in failure.message
        home.vendor.creates, home.vendor.finds = [], lambda: None
        rows = await home.run(job("a"))
    assert rows["a"].state is State.SUCCEEDED
    assert len(home.vendor.booked) == 1


@pytest.mark.parametrize("vendor", ["sync", "jogg", "aimlapi"])
@virtually
async def test_a_key_that_is_refused_while_a_create_is_asked_after_pauses_the_account_and_loses_nothing(
    vendor: str,
) -> None:
    refused = jogg_says(code=10105) if vendor == "jogg" else sync_says(401)
    settings = {"lookup": True} if vendor == "jogg" else {}
    async with house(vendor, on_unknown_fate="resubmit", **settings) as home:
        home.vendor.creates = [LOST, *[refused] * 50]
        home.vendor.finds = lambda: refused
        jobs = [job("a"), job("b", "https://m.example/b.mp4")]
        rows = await home.run(*jobs)
        assert {row.parked for row in rows.values()} == {Reason.NEEDS_PERSON}
        assert rows["a"].state is State.RECONCILING
        failure = rows["a"].failure
        assert failure is not None
        assert failure.kind is Kind.AUTH
        assert len(home.vendor.keys) + home.vendor.lookups <= 3, "it is not asked again and again"
        home.vendor.creates, home.vendor.finds = [], lambda: None
        rows = await home.run(*jobs)
    assert {row.state for row in rows.values()} == {State.SUCCEEDED}
    assert len(home.vendor.booked) == 2


@virtually
async def test_a_refused_key_ends_the_questions_for_all_lost_creates() -> None:
    async with house("jogg", lookup=True, concurrency=20) as home:
        home.vendor.creates = [None, *[LOST] * 12]
        home.vendor.finds = lambda: jogg_says(code=10105)
        jobs = [job(f"k{number:02}", f"https://m.example/{number}.mp4") for number in range(13)]
        rows = await home.run(*jobs)
        lost = [row for row in rows.values() if row.state is State.RECONCILING]
        assert len(lost) == len([row for row in lost if row.parked is Reason.NEEDS_PERSON])
        assert 0 < home.vendor.lookups < len(lost)
        home.vendor.creates, home.vendor.finds = [], lambda: None
        rows = await home.run(*jobs)
    assert {row.state for row in rows.values()} == {State.SUCCEEDED}
    assert len(home.vendor.booked) == 13


@virtually
async def test_where_the_account_is_waited_for_the_question_waits_too() -> None:
    async with house("sync") as home:
        home.vendor.creates = [LOST, sync_says(402, "account_payment_required"), sync_says(401), AWAY, None]
        rows = await home.run(job("a"), wait=True)
    assert rows["a"].state is State.SUCCEEDED
    assert len(home.vendor.booked) == 1


# -- JoggAI: the newest job with these inputs ------------------------------------------------------------------------


@virtually
async def test_a_lost_create_does_not_take_the_job_of_an_equal_create_that_is_still_out() -> None:
    """The second create is booked last, so the lookup shows its job while its own reply is on the way."""
    async with house("jogg", lookup=True, concurrency=4) as home:
        second_is_booked = anyio.Event()

        async def first(name: str) -> Outcome:
            await second_is_booked.wait()
            return LOST

        async def second(name: str) -> Outcome:
            second_is_booked.set()
            await anyio.sleep(20)
            return home.vendor.taken(name)

        home.vendor.creates = [None, first, second]
        rows = await home.run(job("opens", "https://m.example/0.mp4"), job("a"), job("b"))
    names = [row.vendor_id for row in rows.values() if row.vendor_id]
    assert len(names) == len(set(names)), names
    assert rows["b"].vendor_id == "job-2"
    assert rows["b"].state is State.SUCCEEDED
    assert rows["a"].parked is Reason.FATE_UNKNOWN, "its own job cannot be told from the other's"
    assert len(home.vendor.keys) == 3


@pytest.mark.parametrize(("first", "second"), [("one", "two"), ("two", "one")])
@virtually
async def test_two_accounts_with_one_key_never_take_one_job(first: str, second: str) -> None:
    async with house() as home:
        two = (account("jogg", name="one", lookup=True), account("jogg", name="two", lookup=True))
        home.vendor.creates, home.vendor.books = [LOST, LOST], [True, False]
        rows = await home.run(job("a", account=first), job("b", account=second), accounts=two)
    assert sorted(str(row.parked or row.state) for row in rows.values()) == ["fate_unknown", "succeeded"]
    assert len(home.vendor.booked) == 1


@virtually
async def test_a_further_attempt_does_not_take_the_job_of_the_one_before() -> None:
    async with house("jogg", lookup=True, attempts=2, pay_again=True) as home:
        home.vendor.creates, home.vendor.books, home.vendor.fails = [None, LOST], [True, False], {"job-0"}
        rows = await home.run(job("a"))
    assert len(home.vendor.keys) == 2
    assert home.vendor.lookups > 1
    assert (rows["a"].parked, rows["a"].attempt) == (Reason.FATE_UNKNOWN, 2)


@virtually
async def test_a_job_from_before_the_create_is_not_taken_for_it() -> None:
    async with house("jogg", lookup=True) as home:
        at = home.vendor.simulation.world.now() - 300
        home.vendor.booked["old"] = {"body": {"video_url": job("a").video}, "key": "", "at": at}
        home.vendor.creates, home.vendor.books = [LOST], [False]
        rows = await home.run(job("a"))
    assert (rows["a"].parked, rows["a"].vendor_id) == (Reason.FATE_UNKNOWN, None)


# -- AI/ML API: the log of requests ----------------------------------------------------------------------------------


@virtually
async def test_the_label_decides_whatever_the_vendors_clock_shows() -> None:
    async with house("aimlapi") as home:

        async def early(name: str) -> Outcome:
            home.vendor.booked[name]["at"] -= 500
            return LOST

        home.vendor.creates = [early]
        rows = await home.run(job("a"))
    assert rows["a"].state is State.SUCCEEDED


@virtually
async def test_a_log_that_never_shows_the_create_proves_no_absence() -> None:
    async with house("aimlapi") as home:
        home.vendor.creates, home.vendor.books = [LOST], [False]
        began = anyio.current_time()
        rows = await home.run(job("a"))
        assert rows["a"].parked is Reason.FATE_UNKNOWN
        assert anyio.current_time() - began == pytest.approx(30, abs=1), "so long it is asked after"
        await anyio.sleep(50 * 3600)
        rows = await home.run(job("a"))
    assert rows["a"].parked is Reason.FATE_UNKNOWN
    assert len(home.vendor.keys) == 1


@virtually
async def test_a_lost_create_whose_seat_was_given_up_waits_for_another_before_it_is_sent_again() -> None:
    async with house("sync", concurrency=1, seat_ttl="60s") as home:
        home.vendor.creates, home.vendor.books = [LOST] * 50, [False] * 50
        await home.run(job("a"))
        await asyncio.sleep(120)
        home.vendor.creates, home.vendor.books = [], []
        rows = await home.run(job("b", "https://m.example/b.mp4"), job("a"))
        assert {row.state for row in rows.values()} == {State.SUCCEEDED}
        first, second = (made["at"] for made in home.vendor.booked.values())
    assert second - first >= 10, "two jobs under way in one seat"
