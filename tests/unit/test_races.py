"""News that comes late, twice or out of order; links that die in the queue; keys that change; in virtual time."""

from __future__ import annotations

import gc
import itertools
import random
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from attrs import define, field
from tests.support.trio import House, account, house, job, jogg_says, reply, sync_says
from tests.support.virtual import Served, virtually
from tests.support.workshop import CLIP

from viseme import Downloads
from viseme.attempts import TaskRow
from viseme.engine.lifecycle.book import Hold
from viseme.engine.lifecycle.creating import Creator
from viseme.engine.lifecycle.sending import Outgoing, Sender
from viseme.errors import VisemeError
from viseme.providers.base import Outcome
from viseme.results import ENDED, Reason, State

VENDORS = ("sync", "jogg", "aimlapi")


def jobs(count: int) -> list[object]:
    return [job(f"k{number:02}", f"https://m.example/{number}.mp4") for number in range(count)]


# -- late, repeated and contradicting looks --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("vendor", VENDORS)
@virtually
async def test_looks_that_come_from_copies_of_another_age_never_move_a_task_back(vendor: str, seed: int) -> None:
    """Each look is answered by a copy that may lag by up to 40 s: jobs vanish, queue again, are done and are not."""
    async with house(vendor, polling={"first": "1s", "every": "3s"}) as home:
        chance, truth = random.Random(seed), home.vendor.shown

        def lagging(name: str) -> Outcome | None:
            at = home.vendor.simulation.world.now() - chance.uniform(0, 40)
            if at < home.vendor.booked[name]["at"]:
                return jogg_says(code=10104) if vendor == "jogg" else sync_says(404)
            early = {"task_id": name, "status": chance.choice(["pending", "processing", "never heard of"])}
            done = at >= home.vendor.booked[name]["at"] + 10
            return reply(truth(name) if done else {"code": 0, "id": name, "status": "PROCESSING", "data": early})

        home.vendor.sees = lagging
        home.vendor.simulation.network.serve = dead_at_first(home)
        async with home.scheduler() as scheduler, scheduler.run(jobs(6)) as run:
            told = [event async for event in run]
        rows = await home.rows()
    assert {row.state for row in rows.values()} == {State.SUCCEEDED}
    assert len(home.vendor.keys) == len(home.vendor.booked) == 6
    for key in rows:
        mine = [str(event.type) for event in told if event.key == key]
        assert mine[-1] == "succeeded"
        assert mine.count("created") == mine.count("succeeded") == 1


def dead_at_first(home: House) -> Callable[[str, Mapping[str, str]], Served]:
    """Each link is dead when it is used first, so that each job is looked at again after it was done."""
    used: set[str] = set()

    def serve(url: str, headers: Mapping[str, str]) -> Served:
        if url not in used:
            used.add(url)
            return Served(403)
        return Served(200, {"content-length": str(len(CLIP)), "content-type": "video/mp4"}, [CLIP])

    return serve


@pytest.mark.parametrize("vendor", VENDORS)
@virtually
async def test_a_clock_that_is_set_makes_no_minute_of_nothing_but_404(vendor: str) -> None:
    async with house(vendor, polling={"first": "1s", "every": "3s"}) as home:
        world = home.vendor.simulation.world
        begun, now, looks, leap = world.monotonic(), world.now, 0, 0.0

        def sees(name: str) -> Outcome | None:
            nonlocal looks, leap
            looks += 1
            if looks == 1 or world.monotonic() - begun > 20:
                return None
            leap += 90.0
            return jogg_says(code=10104) if vendor == "jogg" else sync_says(404)

        object.__setattr__(world, "now", lambda: now() + leap)
        home.vendor.sees = sees
        rows = await home.run(job("a"))
    assert rows["a"].state is State.SUCCEEDED
    assert leap >= 180


@pytest.mark.parametrize("vendor", VENDORS)
@virtually
async def test_a_job_that_its_vendor_shows_only_after_minutes_is_collected_by_a_later_run(vendor: str) -> None:
    async with house(vendor) as home:
        unknown = jogg_says(code=10104) if vendor == "jogg" else sync_says(404)
        home.vendor.sees = lambda name: unknown
        rows = await home.run(job("a"))
        assert (rows["a"].state, rows["a"].parked) == (State.WAITING, Reason.NEEDS_PERSON)
        home.vendor.sees = lambda name: None
        rows = await home.run(job("a"))
    assert rows["a"].state is State.SUCCEEDED
    assert len(home.vendor.keys) == 1


@pytest.mark.parametrize("vendor", ["sync", "jogg"])
@virtually
async def test_a_look_that_shows_another_job_is_not_believed(vendor: str) -> None:
    """Some cache in between answers with what it was asked before."""
    async with house(vendor, polling={"first": "1s", "every": "3s", "bulk": False}) as home:
        mixed = itertools.count()

        def other(name: str) -> Outcome | None:
            return reply(home.vendor.shown("job-0")) if name != "job-0" and next(mixed) < 20 else None

        home.vendor.sees = other
        rows = await home.run(*jobs(3))
        files = home.vendor.simulation.network.fetched
    assert {row.state for row in rows.values()} == {State.SUCCEEDED}
    assert sorted(url for url, _ in files) == [home.vendor.link(f"job-{number}") for number in range(3)]


# -- deadlines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("open_still", [True, False])
@pytest.mark.parametrize("vendor", VENDORS)
@virtually
async def test_a_job_that_is_done_after_its_deadline_is_collected_by_the_next_run(
    vendor: str, open_still: bool
) -> None:
    """The vendor's end may be seen while nobody waits for it; its link is dead by the time that it is wanted."""
    async with house(vendor, polling={"deadline": "60s"}, concurrency=2) as home:
        slow = {"code": 0, "id": "job-0", "status": "PROCESSING", "data": {"task_id": "job-0", "status": "processing"}}
        home.vendor.sees = lambda name: reply(slow)
        async with home.scheduler() as scheduler:
            async with scheduler.run([job("a")]) as run:
                assert (await run.wait()).parked == 1
            if open_still:
                home.vendor.sees = lambda name: None
                await anyio.sleep(700)
        rows = await home.rows()
        assert rows["a"].parked is Reason.DEADLINE
        assert rows["a"].state is (State.FETCHING if open_still else State.WAITING)
        seats = [] if open_still else [rows["a"].seat]
        async with home.ledger:
            assert [seat.id for seat in await home.ledger.seats()] == seats, "it is free once the end was seen"
        home.vendor.sees = lambda name: None
        dead = home.vendor.link("job-0")
        home.vendor.link = lambda name: "https://cdn.example/fresh.mp4"
        serve = home.vendor.simulation.network.serve
        home.vendor.simulation.network.serve = lambda url, headers: Served(403) if url == dead else serve(url, headers)
        rows = await home.run(job("a"))
    assert rows["a"].state is State.SUCCEEDED
    assert len(home.vendor.keys) == 1


@virtually
async def test_jobs_that_their_vendor_never_shows_keep_their_seats_for_a_seats_life_and_no_longer() -> None:
    async with house("jogg", polling={"deadline": "20s"}, concurrency=2) as home:
        home.vendor.sees = lambda name: sync_says(503)
        rows = await home.run(*jobs(3))
        assert {row.parked for row in rows.values()} == {Reason.DEADLINE}
        home.vendor.sees = lambda name: None
        rows = await home.run(*jobs(3))
    assert {row.state for row in rows.values()} == {State.SUCCEEDED}
    assert 1800 <= home.vendor.sent_at[2] - home.vendor.sent_at[1] < 2200
    assert len(home.vendor.keys) == 3


# -- links that die in the queue -------------------------------------------------------------------------------------


@define
class Storage:
    """Links that live shortly, and files that take long."""

    home: House
    life: float = 60.0
    takes: float = 25.0
    signed: bool = True
    made: dict[str, float] = field(factory=dict[str, float])
    refused: int = 0

    def link(self, name: str) -> str:
        now = self.home.vendor.simulation.world.now()
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        told = f"X-Amz-Date={stamp}&X-Amz-Expires={self.life:.0f}" if self.signed else f"made={now:.0f}"
        url = f"https://cdn.example/{name}.mp4?{told}"
        self.made.setdefault(url, float(int(now)))
        return url

    def serve(self, url: str, headers: Mapping[str, str]) -> Served:
        if self.home.vendor.simulation.world.now() >= self.made[url] + self.life:
            self.refused += 1
            return Served(403)
        return Slow(200, {"content-length": str(len(CLIP)), "content-type": "video/mp4"}, [], None, self.takes)


@define(frozen=True)
class Slow(Served):
    takes: float = 0.0

    async def chunks(self) -> AsyncIterator[bytes]:
        await anyio.sleep(self.takes)
        yield CLIP


@pytest.mark.parametrize("signed", [True, False], ids=["the link tells its end", "the link does not"])
@virtually
async def test_links_that_die_in_a_long_queue_are_replaced_and_every_result_comes_home(signed: bool) -> None:
    """20 results at once, one download at a time of 25 s, links of 60 s: eight minutes of work."""
    async with house("sync", concurrency=20) as home:
        storage = Storage(home, signed=signed)
        home.vendor.link, home.vendor.simulation.network.serve = storage.link, storage.serve
        rows = await home.run(*jobs(20), downloads=Downloads(concurrency=1))
    assert {str(row.parked or row.state) for row in rows.values()} == {"succeeded"}
    assert len(home.vendor.keys) == 20
    if signed:
        assert storage.refused == 0, "a link that tells its end is replaced in time"


@virtually
async def test_a_link_that_seems_dead_when_it_comes_is_tried_all_the_same() -> None:
    """Our clock is ahead of the vendor's: every link looks dead, and none is."""
    async with house("sync") as home:
        storage = Storage(home, life=3600.0, takes=1.0)
        home.vendor.link = lambda name: storage.link(name).replace("X-Amz-Expires=3600", "X-Amz-Expires=1")
        home.vendor.simulation.network.serve = lambda url, headers: Served(
            200, {"content-length": str(len(CLIP)), "content-type": "video/mp4"}, [CLIP]
        )
        rows = await home.run(*jobs(3))
        assert {row.state for row in rows.values()} == {State.SUCCEEDED}
        fetched = [url for url, _ in home.vendor.simulation.network.fetched]
    assert len(fetched) == 3


@virtually
async def test_a_link_that_is_always_dead_is_given_up_and_kept_for_a_person() -> None:
    async with house("sync") as home:
        home.vendor.simulation.network.serve = lambda url, headers: Served(403)
        rows = await home.run(job("a"))
        assert (rows["a"].state, rows["a"].parked) == (State.FETCHING, Reason.NEEDS_PERSON)
        assert len(home.vendor.simulation.network.fetched) == 4


# -- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", VENDORS)
@virtually
async def test_a_key_of_another_organisation_ends_no_job(vendor: str) -> None:
    """With it the vendor knows none of the jobs; with the right one they are all there."""
    async with house(vendor, polling={"deadline": "20s"}, concurrency=3) as home:
        home.vendor.sees = lambda name: sync_says(503)
        await home.run(*jobs(3))
        unknown = jogg_says(code=10104) if vendor == "jogg" else sync_says(404)
        home.vendor.sees = lambda name: unknown
        await anyio.sleep(4000)
        other = account(vendor, api_key="another-key")
        rows = await home.run(*jobs(3), accounts=(other,))
        assert not [row for row in rows.values() if row.state in ENDED]
        assert {row.parked for row in rows.values()} == {Reason.NEEDS_PERSON}
        home.vendor.sees = lambda name: None
        rows = await home.run(*jobs(3))
    assert {row.state for row in rows.values()} == {State.SUCCEEDED}
    assert len(home.vendor.keys) == 3


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("vendor", VENDORS)
@virtually
async def test_a_key_that_is_revoked_in_the_middle_parks_and_its_successor_goes_on(vendor: str, after: int) -> None:
    """Revoked after so many creates; the next run has a new key of the same account."""
    async with house(vendor, concurrency=2) as home:
        refused = jogg_says(code=10105) if vendor == "jogg" else sync_says(401)
        network = home.vendor.simulation.network
        dead = "secret-key"

        async def answer(line: object, wire: object) -> Outcome:
            headers = {name.lower(): value for name, value in wire.headers.items()}  # type: ignore[attr-defined]
            shown = headers.get("x-api-key") or headers["authorization"].removeprefix("Bearer ")
            if shown == dead and len(home.vendor.keys) >= after:
                asked.append(wire.url)  # type: ignore[attr-defined]
                return refused
            return await home.vendor.answer(line, wire)  # type: ignore[arg-type]

        asked: list[str] = []
        network.answer = answer
        rows = await home.run(*jobs(8))
        assert not [row for row in rows.values() if row.state in ENDED - {State.SUCCEEDED}]
        assert {row.parked for row in rows.values()} <= {Reason.NEEDS_PERSON, None}
        assert len(asked) <= 4, "a dead key is not shown again and again"
        assert len(home.vendor.booked) == after
        rows = await home.run(*jobs(8), accounts=(account(vendor, api_key="new-key"),))
    assert {row.state for row in rows.values()} == {State.SUCCEEDED}
    assert len(home.vendor.keys) == 8


# -- withdrawn in the last moment --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "at"), [(Creator, "_create"), (Sender, "send")])
@virtually
async def test_a_create_that_is_withdrawn_before_its_hand_comes_to_it_or_before_it_waits_does_not_leave(
    kind: type[Creator | Sender], at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task keeps its place in line."""
    goes_on, withdrawn = getattr(kind, at), list[str]()

    async def withdraws(self: Creator | Sender, of: Hold | str, out: Outgoing, *rest: Any) -> None:
        withdrawn.append(of if isinstance(of, str) else of.row.id)
        if len(withdrawn) == 1:
            out.make()
        await goes_on(self, of, out, *rest)

    monkeypatch.setattr(kind, at, withdraws)
    async with house("sync") as one:
        rows = await one.run(job("a"))
        assert rows["a"].state is State.SUCCEEDED
        assert (rows["a"].attempt, len(one.ledger.disk.intents)) == (1, 1)
        assert withdrawn == [rows["a"].id] * 2, "it was begun once more"


@virtually
async def test_the_reply_to_a_create_that_has_left_is_waited_for_also_where_the_engine_breaks() -> None:
    left, answered = anyio.Event(), list[str]()

    async def slowly(name: str) -> None:
        left.set()
        await anyio.sleep(5)
        answered.append(name)

    async def breaks(one: House) -> None:
        async with one.scheduler() as scheduler, scheduler.run([job("a")]) as run:
            await left.wait()
            assert scheduler._open is not None
            scheduler._open.group.cancel_scope.cancel()
            await run.wait()

    async with house("sync") as one:
        one.vendor.creates = [slowly]
        with pytest.raises(VisemeError):
            await breaks(one)
    assert answered == ["job-0"]


# -- read in line, and gone since --------------------------------------------------------------------------------------


@virtually
async def test_a_task_that_went_to_its_next_account_is_not_created_at_the_one_where_it_was_read_in_line() -> None:
    """Sync has no credit for a minute; what it was to create waits its turn at JoggAI, a create a minute."""
    async with house("sync", "jogg", concurrency=1) as home:
        network, asked = home.vendor.simulation.network, list[str]()

        async def answer(line: Any, wire: Any) -> Outcome:
            if wire.method == "POST":
                asked.append("sync" if wire.url.endswith("/generate") else "jogg")
            return await home.vendor.answer(line, wire)

        network.answer = answer
        home.vendor.creates, home.vendor.books = [sync_says(402)], [False]
        both = [account("sync", concurrency=1), account("jogg", concurrency=1, rates={"create": "1/90s"})]
        rows = await home.run(*(job(f"k{n}", account=["sync", "jogg"]) for n in range(5)), accounts=both, wait=True)
    assert {(row.state, row.account) for row in rows.values()} == {(State.SUCCEEDED, "jogg")}
    assert asked == ["sync", *["jogg"] * 5]


@virtually
async def test_a_create_that_has_left_keeps_its_task_once() -> None:
    async with house("sync") as one:
        seen: list[list[State]] = []

        async def look(name: str) -> None:
            gc.collect()
            rows = [thing for thing in gc.get_objects() if isinstance(thing, TaskRow) and thing.key == "a"]
            seen.append([row.state for row in rows])

        one.vendor.creates = [look]
        await one.run(job("a"))
        assert seen == [[State.CREATING]]
