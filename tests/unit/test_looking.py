"""Looking at waiting tasks: one by one or many at once, and what follows from what is seen."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from attrs import define, evolve, field
from tests.support.house import account, house
from tests.support.virtual import Simulation, settled, simulated_world, virtually

from viseme.attempts import TaskRow
from viseme.config import Polling
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.lifecycle.advance import advance
from viseme.engine.lifecycle.book import Book, UnknownTask
from viseme.engine.lifecycle.signals import Observed, Parks, Signal
from viseme.engine.lifecycle.steps import Policy, Step
from viseme.engine.polling.cadence import Cadence
from viseme.engine.polling.hub import Hub
from viseme.engine.polling.looking import Looker
from viseme.engine.transport import Line, Wire
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.base import Fault, Outcome, Reply, Seen
from viseme.results import Reason, State, Timings

JOB = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav")
RUNNING, DONE = {"s": "running"}, {"s": "succeeded"}


@define(eq=False)
class Held:
    pages: Pages
    row: TaskRow

    async def take(self, signal: Signal) -> Step | None:
        step = advance(self.row, signal, Policy(), self.pages.world.world.now())
        self.pages.taken.append((self.row.id, signal))
        if step is not None:
            self.row = self.pages.rows[self.row.id] = step.row
        return step


@define(eq=False)
class Pages:
    """The book's part in looking: rows that are held one at a time, and progress that is told."""

    world: Simulation
    rows: dict[str, TaskRow] = field(factory=dict[str, TaskRow])
    taken: list[tuple[str, Signal]] = field(factory=list[tuple[str, Signal]])
    told: list[tuple[str, dict[str, Any]]] = field(factory=list[tuple[str, dict[str, Any]]])
    sync: float = 0.0
    """How long a task is held, seconds."""

    def known(self, task: str) -> TaskRow:
        if task not in self.rows:
            raise UnknownTask(task)
        return self.rows[task]

    @asynccontextmanager
    async def hold(self, task: str) -> AsyncIterator[Held]:
        known = self.known(task)
        await anyio.sleep(self.sync)
        yield Held(self, known)

    def progress(self, task: str, key: str, run: int, seq: int, data: dict[str, Any]) -> None:
        self.told.append((task, data))


@define(eq=False)
class Post:
    """An account's looks. ``jobs`` is what the vendor knows, by id; ``lists`` answers list calls instead."""

    world: Simulation
    pages: Pages
    desk: Desk
    looker: Looker
    jobs: dict[str, Any] = field(factory=dict[str, Any])
    lists: Callable[[list[str]], Outcome | None] = field(default=lambda ids: None)
    asked: list[tuple[float, list[str]]] = field(factory=list[tuple[float, list[str]]])
    notices: list[str] = field(factory=list[str])
    began: float = 0.0

    @property
    def hub(self) -> Hub:
        return self.looker.hub

    def watch(self, *names: str, jobs: Any = RUNNING, **more: Any) -> None:
        for name in names:
            row = TaskRow(
                id=name, key=name, job=JOB, digest="d", account="house", state=State.WAITING, attempt=1,
                stage="lipsync", handle={"id": name}, since=self.world.world.now(), run=1,
            )  # fmt: skip
            self.pages.rows[name] = evolve(row, **more)
            self.jobs[name] = jobs
            self.hub.watch(self.pages.rows[name])

    async def answer(self, _: Line, wire: Wire) -> Outcome:
        parts = urlsplit(wire.url)
        ids = parse_qs(parts.query).get("ids")
        names = ids[0].split(",") if ids else [parts.path.rsplit("/", 1)[1]]
        self.asked.append((round(self.world.world.monotonic() - self.began, 3), names))
        if ids:
            said = self.lists(names)
            known = {name: self.jobs[name] for name in names if isinstance(self.jobs[name], dict)}
            return said or reply(200, known)
        job = self.jobs[names[0]]
        job = job() if callable(job) else job
        return job if isinstance(job, Reply | Fault) else reply(200, job)

    def state(self, name: str) -> tuple[State, Reason | None]:
        return self.pages.rows[name].state, self.pages.rows[name].parked

    @property
    def singles(self) -> list[str]:
        return [names[0] for _, names in self.asked if len(names) == 1]

    @property
    def sizes(self) -> list[int]:
        return [len(names) for _, names in self.asked]


def reply(status: int, body: object = None) -> Reply:
    return Reply(status=status, body=json.dumps({} if body is None else body).encode())


@asynccontextmanager
async def post(
    *, bulk: int = 1, keep_waiting: bool = False, sheet: dict[str, Any] | None = None, **polling: Any
) -> AsyncIterator[Post]:
    world = simulated_world()
    provider = house(given=account(polling=Polling(**polling)), first=10.0, every=8.0, **(sheet or {}))
    desk = Desk(world.world, provider.account, provider, pools_of(world.world, [provider])["house"], world.network)
    pages = Pages(world)
    cadence = Cadence(provider.sheet, provider.account.polling)
    notices: list[str] = []
    looker = Looker(world.world, cast("Book", pages), desk, cadence, notices.append, keep_waiting)
    async with anyio.create_task_group() as group:
        looker.hub = Hub(world.world, cadence, group, looker.look, bulk)
        one = Post(world, pages, desk, looker, notices=notices, began=world.world.monotonic())
        world.network.answer = one.answer
        group.start_soon(looker.hub.run)
        await settled()
        yield one
        looker.hub.stop()


def names(*given: int) -> list[str]:
    return [f"t{number:03}" for number in range(*given)]


# -- one by one ----------------------------------------------------------------------------------------------------


@virtually
async def test_a_job_is_looked_at_until_its_end_is_seen() -> None:
    async with post(first=5, every=3) as one:
        one.watch("a")
        await anyio.sleep(12)
        one.jobs["a"] = DONE
        await anyio.sleep(100)
        assert [at for at, _ in one.asked] == [5, 8, 11, 14]
        assert one.state("a") == (State.FETCHING, None)
        assert len(one.hub) == 0


@virtually
async def test_a_job_that_failed_ends_its_task() -> None:
    async with post() as one:
        one.watch("a", jobs={"s": "failed"})
        await anyio.sleep(11)
        assert one.state("a") == (State.FAILED, None)
        assert len(one.hub) == 0


@virtually
async def test_an_observation_carries_the_time_at_which_its_request_was_sent() -> None:
    async with post() as one:
        one.watch("a", jobs=DONE)
        sent = one.world.world.now() + 10

        async def slow(line: Line, wire: Wire) -> Outcome:
            await anyio.sleep(5)
            return reply(200, DONE)

        one.world.network.answer = slow
        await anyio.sleep(20)
        ((_, signal),) = one.pages.taken
        assert isinstance(signal, Observed)
        assert signal.observation.at == pytest.approx(sent)


@virtually
async def test_an_end_that_is_seen_after_the_clock_was_set_back_is_no_old_news() -> None:
    async with post(first=5, every=3) as one:
        one.watch("a", jobs={"s": "running"})
        one.pages.rows["a"] = evolve(one.pages.rows["a"], observed=one.world.world.now() + 60)
        one.hub.watch(one.pages.rows["a"])
        one.jobs["a"] = DONE
        await anyio.sleep(20)
        assert one.state("a") == (State.FETCHING, None)


@virtually
async def test_progress_is_told_when_it_changes_and_only_then() -> None:
    async with post(every=3, first=0) as one:
        one.watch("a", jobs={"s": "queued"})
        await anyio.sleep(7)
        one.jobs["a"] = {"s": "running", "p": 50}
        await anyio.sleep(7)
        one.jobs["a"] = {"s": "running", "p": 60}
        await anyio.sleep(7)
        assert [(data["status"], data["progress"]) for _, data in one.pages.told] == [
            ("queued", None), ("running", 50), ("running", 60),
        ]  # fmt: skip


@virtually
async def test_the_time_at_which_the_work_was_first_seen_is_kept() -> None:
    async with post(every=10, first=0) as one:
        one.watch("a", jobs={"s": "queued"})
        await anyio.sleep(15)
        one.jobs["a"] = RUNNING
        await anyio.sleep(30)
        one.jobs["a"] = DONE
        await anyio.sleep(30)
        started = one.pages.rows["a"].timings.started
        assert started is not None
        assert started - one.pages.rows["a"].since == pytest.approx(20)  # type: ignore[operator]


@virtually
async def test_a_hint_of_the_vendor_wins_where_the_user_says_nothing() -> None:
    async with post(first=0) as one:
        one.watch("a", jobs={"s": "running", "hint": 40})
        await anyio.sleep(79)
        assert [at for at, _ in one.asked] == [0, 40]


@pytest.mark.parametrize("trouble", [reply(503), reply(400), Fault(sent=True, message="reset")])
@virtually
async def test_a_look_that_fails_is_one_request_and_the_next_comes_later_each_time(trouble: Outcome) -> None:
    async with post(first=0, every=1) as one:
        one.watch("a", jobs=trouble)
        await anyio.sleep(130)
        times = [at for at, _ in one.asked]
        waits = [round(b - a) for a, b in itertools.pairwise(times)]
        assert waits[:5] == [2, 4, 8, 16, 32]
        assert all(wait == 60 for wait in waits[5:])
        one.jobs["a"] = DONE
        await anyio.sleep(61)
        assert one.state("a") == (State.FETCHING, None)


@virtually
async def test_a_look_that_succeeds_again_brings_the_old_pace_back() -> None:
    async with post(first=0, every=1) as one:
        one.watch("a", jobs=reply(503))
        await anyio.sleep(29)
        one.jobs["a"] = RUNNING
        await anyio.sleep(3)
        seen = len(one.asked)
        await anyio.sleep(10)
        assert len(one.asked) == seen + 10


# -- jobs that the vendor does not know ----------------------------------------------------------------------------


@virtually
async def test_a_young_job_that_the_vendor_does_not_know_yet_is_looked_at_again() -> None:
    async with post(first=0, every=5) as one:
        one.watch("a", jobs=reply(404))
        await anyio.sleep(55)
        assert len(one.asked) >= 3
        assert one.state("a") == (State.WAITING, None)
        one.jobs["a"] = DONE
        await anyio.sleep(40)
        assert one.state("a") == (State.FETCHING, None)


@virtually
async def test_a_job_that_was_seen_and_then_is_unknown_for_a_minute_is_gone_and_likely_charged() -> None:
    async with post(first=0, every=5) as one:
        one.watch("a", jobs=RUNNING)
        await anyio.sleep(4)
        one.jobs["a"] = reply(404)
        await anyio.sleep(50)
        assert one.state("a") == (State.WAITING, None)
        await anyio.sleep(20)
        state, _ = one.state("a")
        failure = one.pages.rows["a"].failure
        assert (state, failure.kind if failure else None) == (State.FAILED, Kind.NOT_FOUND)
        ((_, signal),) = one.pages.taken
        assert isinstance(signal, Observed)
        assert signal.observation.verdict is not None
        assert signal.observation.verdict.charged
        assert one.asked[-1][0] >= 60


@pytest.mark.parametrize("back", [0, 3600])
@virtually
async def test_that_a_job_is_gone_is_newer_than_what_its_last_look_wrote_down(back: int) -> None:
    """Also where the clock was set back since."""
    async with post(first=0, every=5) as one:
        one.watch("a")
        await anyio.sleep(4)
        watch = one.hub.find("a")
        assert watch is not None
        watch.observed += back
        one.pages.rows["a"] = evolve(one.pages.rows["a"], observed=watch.observed)  # as where a look taught a handle
        one.jobs["a"] = reply(404)
        await anyio.sleep(70)
        assert one.state("a") == (State.FAILED, None)
        ((_, signal),) = one.pages.taken
        assert isinstance(signal, Observed)
        since = one.world.world.monotonic() - one.began - one.asked[-1][0]
        looked = max(one.world.world.now() - since, watch.observed)
        assert signal.observation.at == pytest.approx(looked, abs=0.01)


@pytest.mark.parametrize("every", [5, 90])
@virtually
async def test_a_job_that_was_never_seen_waits_for_a_person_since_it_may_be_late_or_another_keys(every: int) -> None:
    async with post(first=0, every=every) as one:
        one.watch("a", jobs=reply(404), since=one.world.world.now() - 500)
        await anyio.sleep(58)
        assert one.state("a") == (State.WAITING, None)
        await anyio.sleep(every + 30)
        assert one.state("a") == (State.WAITING, Reason.NEEDS_PERSON)
        failure = one.pages.rows["a"].failure
        assert failure is not None
        assert "viseme cancel" in failure.message
        assert len(one.hub) == 0


@virtually
async def test_where_only_a_seat_depends_on_a_job_that_was_never_seen_it_is_let_go() -> None:
    async with post(first=0, every=5) as one:
        one.watch("a", jobs=reply(404))
        one.hub.watch(one.pages.rows["a"], background=True)
        await anyio.sleep(1000)
        assert (len(one.hub), one.pages.taken) == (0, []), "so its seat ends with its time"


@virtually
async def test_a_job_that_is_unknown_to_some_looks_only_is_not_gone() -> None:
    async with post(first=0, every=5) as one:
        one.watch("a", jobs=itertools.cycle([RUNNING, reply(404), reply(404), reply(404)]).__next__)
        await anyio.sleep(600)
        assert one.state("a") == (State.WAITING, None)


@virtually
async def test_a_job_that_was_known_in_between_counts_its_misses_anew() -> None:
    async with post(first=0, every=5) as one:
        one.watch("a", jobs=reply(404), since=one.world.world.now() - 500)
        await anyio.sleep(1)
        one.jobs["a"] = RUNNING
        await anyio.sleep(5)
        one.jobs["a"] = reply(404)
        await anyio.sleep(5)
        assert one.state("a") == (State.WAITING, None)


# -- looks that make no sense --------------------------------------------------------------------------------------


@virtually
async def test_what_makes_no_sense_is_given_a_minute_which_begins_anew_after_a_look_that_does() -> None:
    odd = {"s": "running", "odd": "done without a link"}
    async with post(first=0, every=5) as one:
        one.watch("a", jobs=odd)
        await anyio.sleep(52)
        one.jobs["a"] = RUNNING
        await anyio.sleep(5)
        one.jobs["a"] = odd
        await anyio.sleep(60)
        assert one.state("a") == (State.WAITING, None)
        await anyio.sleep(5)
        assert one.state("a") == (State.WAITING, Reason.UNCONFIRMED)


# -- keys that are refused -----------------------------------------------------------------------------------------


@virtually
async def test_a_refused_key_stops_the_account_and_parks_all_who_wait() -> None:
    async with post(first=0) as one:
        one.watch("a", jobs=reply(401, {"message": "bad key"}))
        one.watch("b", "c")
        await anyio.sleep(1)
        assert [one.state(name) for name in "abc"] == [(State.WAITING, Reason.NEEDS_PERSON)] * 3
        assert one.desk.stopped is not None
        assert one.desk.stopped.failure.message == "bad key"
        assert len(one.hub) == 0


@virtually
async def test_where_the_account_is_waited_for_a_refused_key_parks_nobody() -> None:
    async with post(first=0, keep_waiting=True) as one:
        one.watch("a", jobs=reply(401))
        await anyio.sleep(5)
        assert one.state("a") == (State.WAITING, None)
        one.jobs["a"] = DONE
        await anyio.sleep(60)
        assert one.state("a") == (State.FETCHING, None)


@virtually
async def test_a_key_refused_to_a_list_parks_each_task_once() -> None:
    async with post(bulk=100, first=0) as one:
        one.watch(*names(10), jobs=reply(401))
        one.lists = lambda ids: reply(401)
        await anyio.sleep(1)
        assert sorted(task for task, _ in one.pages.taken) == names(10)
        assert {one.state(name) for name in names(10)} == {(State.WAITING, Reason.NEEDS_PERSON)}


# -- deadlines -----------------------------------------------------------------------------------------------------


@virtually
async def test_a_deadline_parks_the_task_on_time_and_its_seat_is_looked_after_every_five_minutes() -> None:
    async with post(deadline="95s", every=20, first=10) as one:
        one.watch("a")
        await anyio.sleep(94)
        assert one.state("a") == (State.WAITING, None)
        await anyio.sleep(2)
        assert one.state("a") == (State.WAITING, Reason.DEADLINE)
        assert "polling.deadline" in one.pages.rows["a"].failure.message  # type: ignore[union-attr]
        await anyio.sleep(1000)
        late = [at for at, _ in one.asked if at > 96]
        assert late == pytest.approx([395, 695, 995])
        assert [type(signal) for _, signal in one.pages.taken] == [Parks]
        one.jobs["a"] = DONE
        await anyio.sleep(300)
        assert one.state("a") == (State.FETCHING, Reason.DEADLINE)
        assert len(one.hub) == 0


@virtually
async def test_a_job_that_stays_queued_too_long_is_parked_and_one_that_runs_is_not() -> None:
    async with post(queue_deadline="30s", every=5, first=0) as one:
        one.watch("a", jobs={"s": "queued"})
        one.watch("b")
        await anyio.sleep(40)
        assert one.state("a") == (State.WAITING, Reason.DEADLINE)
        assert "queue_deadline" in one.pages.rows["a"].failure.message  # type: ignore[union-attr]
        assert one.state("b") == (State.WAITING, None)


@virtually
async def test_a_job_that_runs_too_long_is_parked_counted_from_when_it_was_first_seen_running() -> None:
    async with post(run_deadline="30s", every=5, first=0) as one:
        one.watch("a", jobs={"s": "queued"})
        await anyio.sleep(52)
        one.jobs["a"] = RUNNING
        await anyio.sleep(30)
        assert one.state("a") == (State.WAITING, None)
        await anyio.sleep(5)
        assert one.state("a") == (State.WAITING, Reason.DEADLINE)
        assert "run_deadline" in one.pages.rows["a"].failure.message  # type: ignore[union-attr]


@virtually
async def test_a_run_that_takes_a_late_task_up_gives_it_its_whole_time_again() -> None:
    async with post(run_deadline="30s", queue_deadline="30s", deadline="30s", every=5, first=0) as one:
        now = one.world.world.now()
        one.watch("a", timings=Timings(started=now - 900))
        await anyio.sleep(29)
        assert one.state("a") == (State.WAITING, None)
        await anyio.sleep(7)
        assert one.state("a") == (State.WAITING, Reason.DEADLINE)


@virtually
async def test_a_task_that_moved_on_meanwhile_is_not_parked() -> None:
    async with post(deadline="20s", every=5, first=0) as one:
        one.watch("a")
        one.pages.rows["a"] = evolve(one.pages.rows["a"], state=State.CANCELLED)
        await anyio.sleep(30)
        assert one.state("a") == (State.CANCELLED, None)


@virtually
async def test_progress_of_a_task_that_nobody_waits_for_is_not_told() -> None:
    async with post(first=0) as one:
        one.watch("a")
        one.hub.watch(one.pages.rows["a"], background=True, now=True)
        await anyio.sleep(1)
        assert one.asked
        assert one.pages.told == []


# -- many at once --------------------------------------------------------------------------------------------------


@virtually
async def test_many_jobs_are_looked_at_in_one_request_of_at_most_so_many_ids() -> None:
    async with post(bulk=100, first=0, every=30) as one:
        one.watch(*names(250))
        one.jobs["t007"] = DONE
        await anyio.sleep(1)
        assert one.sizes == [100, 100, 50]
        assert one.state("t007") == (State.FETCHING, None)
        await anyio.sleep(30)
        assert sum(one.sizes) == 250 + 249


@virtually
async def test_the_ends_that_one_list_shows_are_written_together_and_no_seat_waits_for_another() -> None:
    async with post(bulk=100, first=0, every=30) as one:
        one.pages.sync = 1.0
        one.watch(*names(50), jobs=DONE)
        await anyio.sleep(2)
        assert len(one.pages.taken) == 50


@virtually
async def test_a_single_job_is_asked_for_by_its_id_also_where_lists_can_be_had() -> None:
    async with post(bulk=100, first=0) as one:
        one.watch("a")
        await anyio.sleep(1)
        assert one.sizes == [1]
        assert one.world.network.sent[0][1].url.endswith("/jobs/a")


@virtually
async def test_ids_that_a_list_leaves_out_are_looked_at_singly() -> None:
    async with post(bulk=100, first=0, every=30) as one:
        one.watch(*names(10))
        one.jobs["t003"] = reply(404)
        one.jobs["t005"] = lambda: DONE
        await anyio.sleep(1)
        assert one.sizes == [10, 1, 1]
        assert one.singles == ["t003", "t005"]
        assert one.state("t005") == (State.FETCHING, None)
        assert one.state("t003") == (State.WAITING, None)
        assert one.hub.at_most == 100


@virtually
async def test_of_a_list_that_is_invalid_the_bad_half_is_looked_at_singly_and_the_bad_id_ever_longer() -> None:
    async with post(bulk=100, first=0, every=30) as one:
        one.watch(*names(8))
        one.lists = lambda ids: reply(400, {"message": "bad id"}) if "t006" in ids else None
        await anyio.sleep(1)
        assert one.sizes == [8, 4, 4, 1, 1, 1, 1]
        assert sorted(one.singles) == ["t004", "t005", "t006", "t007"]
        await anyio.sleep(30 * 200)
        assert (one.hub.at_most, one.notices) == (100, [])
        named = [at for at, asked in one.asked if len(asked) > 1 and "t006" in asked]
        assert len(named) < 20
        late = [asked for at, asked in one.asked if at > 3000]
        assert sum(asked == ["t006"] for asked in late) >= 95
        assert len(late) < 1.25 * 200, "the others share their looks"


@pytest.mark.parametrize("status", [400, 404])
@virtually
async def test_a_few_bad_ids_of_hundreds_end_no_lists(status: int) -> None:
    bad = {"t007", "t120", "t333"}
    async with post(bulk=100, first=0, every=30) as one:
        one.watch(*names(100, 400))
        await anyio.sleep(15)
        one.watch(*names(100))
        one.lists = lambda ids: reply(status) if bad & set(ids) else None
        await anyio.sleep(30 * 100)
        assert (one.hub.at_most, one.notices) == (100, [])
        assert len([at for at, _ in one.asked if at > 1500]) < 50 * (3 + 8)


@virtually
async def test_a_bad_id_that_is_alone_in_its_half_is_found_without_giving_lists_up() -> None:
    async with post(bulk=100, first=0, every=30) as one:
        one.watch(*names(2))
        one.lists = lambda ids: reply(400)
        await anyio.sleep(1)
        assert one.sizes == [2, 1, 1]
        assert (one.hub.at_most, one.notices) == (100, [])


@pytest.mark.parametrize("status", [404, 405])
@virtually
async def test_a_vendor_without_lists_is_asked_one_by_one_from_then_on_and_that_is_said_once(status: int) -> None:
    async with post(bulk=100, first=0, every=30) as one:
        one.watch(*names(250))
        one.lists = lambda ids: reply(status)
        await anyio.sleep(29)
        assert sorted(one.singles) == names(250)
        assert len(one.notices) == 1
        assert one.hub.at_most == 1
        lists = len([size for size in one.sizes if size > 1])
        assert lists <= 2, "two are asked at the same time"
        await anyio.sleep(60)
        assert len([size for size in one.sizes if size > 1]) == lists
        assert {one.state(name) for name in names(250)} == {(State.WAITING, None)}


@virtually
async def test_lists_refused_altogether_as_invalid_end_listing_too() -> None:
    async with post(bulk=100, first=0, every=30) as one:
        one.watch(*names(20))
        one.lists = lambda ids: reply(400)
        await anyio.sleep(1)
        assert one.sizes[:2] == [20, 10]
        assert sorted(set(one.singles)) == names(20)
        assert len(one.notices) == 1


@pytest.mark.parametrize("trouble", [reply(503), reply(429), Fault(sent=True, message="reset")])
@virtually
async def test_a_list_that_fails_in_passing_is_asked_for_again_as_a_list(trouble: Outcome) -> None:
    async with post(bulk=100, first=0, every=3) as one:
        one.watch(*names(20))
        one.lists = lambda ids: trouble if len(one.asked) < 2 else None
        await anyio.sleep(60)
        assert set(one.sizes) == {20}
        assert one.hub.at_most == 100
        assert one.notices == []


TROUBLES = [reply(500), reply(429), reply(503), Reply(200, body=b"<p>hi</p>"), Fault(sent=True, message="reset")]


@pytest.mark.parametrize("trouble", TROUBLES)
@virtually
async def test_lists_that_fail_while_single_looks_work_are_tried_ever_more_rarely(trouble: Outcome) -> None:
    async with post(bulk=100, first=0, every=10) as one:
        one.watch(*names(50))
        one.lists = lambda ids: trouble
        await anyio.sleep(15)
        assert len(set(one.singles)) == 50, "all are seen after the second failure"
        await anyio.sleep(600)
        assert len([size for size in one.sizes if size > 1]) <= 25
        looks = [one.singles.count(name) for name in names(50)]
        assert min(looks) >= 45
        one.lists = lambda ids: None
        one.watch(*names(50, 60))
        for name in names(60):
            one.jobs[name] = DONE
        await anyio.sleep(20)
        assert {one.state(name) for name in names(60)} == {(State.FETCHING, None)}


@virtually
async def test_where_all_looks_fail_lists_go_on_with_one_single_look_each() -> None:
    async with post(bulk=100, first=0, every=3) as one:
        one.watch(*names(50), jobs=reply(503))
        one.lists = lambda ids: reply(503)
        await anyio.sleep(600)
        assert set(one.sizes) <= {1, 49, 50}
        assert len(one.asked) < 60
        assert one.hub.at_most == 100


@virtually
async def test_one_id_that_breaks_lists_hides_no_other() -> None:
    async with post(bulk=100, first=0, every=10) as one:
        one.watch(*names(90))
        one.lists = lambda ids: reply(500) if "t007" in ids else None
        await anyio.sleep(3000)
        seen = [name for at, asked in one.asked if at > 2000 for name in asked]
        assert min(seen.count(name) for name in names(90)) >= 90
        assert len([at for at, _ in one.asked if at > 2000]) < 400


@virtually
async def test_a_key_that_only_lists_refuse_stops_nothing() -> None:
    async with post(bulk=100, first=0) as one:
        one.watch(*names(10))
        one.lists = lambda ids: reply(401)
        await anyio.sleep(100)
        assert one.desk.stopped is None
        assert {one.state(name) for name in names(10)} == {(State.WAITING, None)}
        assert sorted(set(one.singles)) == names(10)


@pytest.mark.parametrize("shown", [0, 20])
@virtually
async def test_ids_that_a_list_leaves_out_are_looked_at_beside_each_other(shown: int) -> None:
    async with post(bulk=100, first=0, every=10) as one:

        async def slow(line: Line, wire: Wire) -> Outcome:
            await anyio.sleep(0.5)
            return await one.answer(line, wire)

        one.world.network.answer = slow
        one.lists = lambda ids: reply(200, dict.fromkeys(ids[:shown], RUNNING))
        one.watch(*names(100))
        await anyio.sleep(0.5 * (1 + 100 / 16 + 2))
        assert {name for _, asked in one.asked for name in asked} == set(names(100))
        assert len(one.singles) == 100 - shown
        await anyio.sleep(600)
        assert len(one.asked) < 100 * 60


@virtually
async def test_every_task_is_still_looked_at_after_any_of_these() -> None:
    """Whatever a vendor answers, in turn, no task is let go before its end is seen."""
    answers: list[Outcome | None] = [None, reply(503), reply(400), None, reply(429), reply(404), None]
    async with post(bulk=100, first=0, every=3) as one:
        one.watch(*names(30))
        one.lists = lambda ids: answers.pop(0) if answers else None
        await anyio.sleep(200)
        for name in names(30):
            one.jobs[name] = DONE
        await anyio.sleep(70)
        assert {one.state(name) for name in names(30)} == {(State.FETCHING, None)}
        assert [seen for _, signal in one.pages.taken if isinstance(signal, Observed)
                for seen in [signal.observation.seen]] == [Seen.SUCCEEDED] * 30  # fmt: skip


@pytest.mark.parametrize("end", [DONE, {"s": "failed"}])
@virtually
async def test_a_task_that_the_ledger_does_not_have_is_let_go_and_no_other(end: Any) -> None:
    async with post(bulk=100, first=0, every=3) as one:
        one.watch(*names(5), jobs=end)
        del one.pages.rows["t002"]
        await anyio.sleep(1)
        assert sorted(task for task, _ in one.pages.taken) == ["t000", "t001", "t003", "t004"]
        assert len(one.hub) == 0


# -- what is learnt ------------------------------------------------------------------------------------------------


def knows(one: Post, *seconds: float) -> None:
    """Earlier runs saw jobs take so long."""
    for number, lasted in enumerate(seconds):
        row = TaskRow(id=f"k{number}", key="k", job=JOB, digest="d", account="house", lasted={"lipsync": lasted})
        one.looker.cadence.remember(row)


@virtually
async def test_a_look_is_held_by_the_vendor_when_the_end_is_likely_near() -> None:
    async with post(sheet={"hold": 20.0}) as one:
        knows(one, *range(50, 70))
        one.watch("young", began=one.world.world.now() - 30)
        one.watch("ripe", began=one.world.world.now() - 60)
        one.watch("overdue", began=one.world.world.now() - 500)
        for watch in one.hub.watched():
            one.hub.again(watch, 0.0)
        await anyio.sleep(1)
        held = {wire.url.rsplit("/", 1)[1]: wire.hold for _, wire in one.world.network.sent}
        assert held == {"young": 0, "ripe": 20, "overdue": 0}


@virtually
async def test_looks_that_the_vendor_holds_back_keep_no_other_waiting() -> None:
    async with post(sheet={"hold": 20.0}) as one:
        knows(one, *range(50, 70))

        async def holds(line: Line, wire: Wire) -> Outcome:
            await anyio.sleep(max(0.1, wire.hold))
            return await one.answer(line, wire)

        one.world.network.answer = holds
        one.watch(*names(100), began=one.world.world.now() - 60)
        one.watch(*names(100, 300), began=one.world.world.now() - 30)
        for watch in one.hub.watched():
            one.hub.again(watch, 0.0)
        peak = 0
        for _ in range(100):
            await anyio.sleep(0.05)
            peak = max(peak, one.world.network.open)
        assert {asked[0] for _, asked in one.asked} >= set(names(100, 300))
        assert sum(1 for _, wire in one.world.network.sent if wire.hold) == 64
        assert peak <= 64 + 16


@virtually
async def test_how_long_a_job_took_is_learnt_and_kept_between_the_looks_that_tell_of_it() -> None:
    async with post(first=10, every=6) as one:
        one.watch(*names(3), began=one.world.world.now(), lasted={"media": 4.0})
        await anyio.sleep(20)
        for name in names(3):
            one.jobs[name] = DONE
        await anyio.sleep(6)
        assert [row.lasted for row in one.pages.rows.values()] == [{"media": 4.0, "lipsync": 19.0}] * 3
        assert [seconds for seconds, _ in one.looker.cadence._of(("m", "lipsync"))._seen] == pytest.approx([19, 19, 19])


@virtually
async def test_an_end_that_the_vendor_waited_for_is_known_to_the_moment() -> None:
    async with post(sheet={"hold": 20.0}) as one:
        knows(one, *range(5, 25))

        answered: list[float] = []

        async def holds(line: Line, wire: Wire) -> Outcome:
            if not wire.hold:
                return reply(200, RUNNING)
            await anyio.sleep(9)
            answered.append(elapsed())
            return reply(200, DONE)

        def elapsed() -> float:
            return one.world.world.monotonic() - one.began

        one.world.network.answer = holds
        one.watch("a", began=one.world.world.now())
        await anyio.sleep(100)
        assert [one.pages.rows["a"].lasted["lipsync"]] == pytest.approx(answered, abs=0.01)


@virtually
async def test_nothing_is_learnt_where_the_end_may_have_come_whenever() -> None:
    """While nobody was looking: an earlier run, a task that was parked, a batch."""
    async with post() as one:
        one.watch("old", jobs=DONE, began=one.world.world.now() - 50)
        one.watch("parked", began=one.world.world.now())
        one.hub.watch(one.pages.rows["parked"], background=True, now=True)
        await anyio.sleep(1)
        one.jobs["parked"] = DONE
        await anyio.sleep(400)
        assert len(one.hub) == 0
        assert {name: row.lasted for name, row in one.pages.rows.items()} == {"old": {}, "parked": {}}


@virtually
async def test_a_deadline_is_noticed_in_time_however_rare_looks_have_become() -> None:
    for given in ({"deadline": 300}, {"queue_deadline": 300}):
        async with post(**given) as one:
            knows(one, *range(3000, 3020))
            one.watch(*names(9), jobs={"s": "queued"})
            await anyio.sleep(299)
            assert {one.state(name) for name in names(9)} == {(State.WAITING, None)}
            await anyio.sleep(12)
            assert {one.state(name) for name in names(9)} == {(State.WAITING, Reason.DEADLINE)}


@virtually
async def test_a_run_that_takes_too_long_is_noticed_in_time_too() -> None:
    async with post(run_deadline=300, deadline="9h") as one:
        knows(one, *range(3000, 3020))
        one.watch("a")
        await anyio.sleep(1)
        watch = one.hub.find("a")
        assert watch is not None
        watch.running_since = one.world.world.now()
        one.hub.again(watch, 5)
        await anyio.sleep(298)
        assert one.state("a") == (State.WAITING, None)
        await anyio.sleep(15)
        assert one.state("a") == (State.WAITING, Reason.DEADLINE)


@virtually
async def test_a_task_that_the_ledger_lost_is_forgotten_where_its_looks_fail_too() -> None:
    async with post(first=0, every=5) as one:
        one.watch("a", jobs=reply(404))
        one.watch("b", jobs=RUNNING)
        del one.pages.rows["a"]
        await anyio.sleep(100)
        assert [watch.task for watch in one.hub.watched()] == ["b"]
