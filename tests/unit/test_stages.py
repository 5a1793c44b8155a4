"""Jobs of several stages: seats from the first paid create to the end, previews, turns, claims, and going on later."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.support.virtual import simulated_world, virtually
from tests.support.workshop import Staged, Workshop, job, opened, run_all

from viseme.attempts import TaskRow
from viseme.engine.lifecycle.line import Line
from viseme.failures import Kind
from viseme.ledger.memory import MemoryLedger
from viseme.providers.base import Fault, Outcome, Reply, Verdict
from viseme.results import Reason, State


@virtually
async def test_jobs_pass_their_stages_in_order_each_created_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as (scheduler, workshop):
        tally, events = await run_all(scheduler, map(job, range(6)))
    assert tally.succeeded == 6
    for number in range(6):
        mine = [stage for stage, name in workshop.creates if name == f"j{number}"]
        assert mine == ["media", "dub", "lipsync"]
        told = [(str(event.type), event.data.get("stage")) for event in events if event.key == f"j{number}"]
        assert [one for one in told if one[0] != "progress"] == [
            ("queued", None), ("preparing", "media"), ("creating", "dub"), ("created", "dub"),
            ("preparing", "check"), ("creating", "lipsync"), ("created", "lipsync"), ("fetching", None),
            ("succeeded", None),
        ]  # fmt: skip


@pytest.mark.parametrize("seats", [1, 2, 5])
@virtually
async def test_a_job_keeps_its_seat_from_its_first_paid_create_to_its_end(
    monkeypatch: pytest.MonkeyPatch, seats: int
) -> None:
    async with opened(monkeypatch, concurrency=seats) as (scheduler, workshop):
        tally, _ = await run_all(scheduler, map(job, range(12)))
    assert (tally.succeeded, workshop.most) == (12, seats)


@virtually
async def test_only_so_many_run_ahead_of_their_seats_as_there_are_seats(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch, concurrency=2) as (scheduler, workshop):
        ahead = 0

        def look(stage: str, name: str, times: int) -> None:
            nonlocal ahead
            begun = {name for stage, name in workshop.creates if stage == "media"}
            seated = {name for stage, name in workshop.creates if stage == "dub"}
            ahead = max(ahead, len(begun - seated))

        workshop.look = look
        tally, _ = await run_all(scheduler, map(job, range(20)))
    assert (tally.succeeded, ahead) == (20, 2)


@virtually
async def test_a_preview_is_on_disk_before_the_next_stage_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = simulated_world()
    async with opened(monkeypatch, simulation=simulation) as (scheduler, workshop):
        on_disk: list[bool] = []

        def reply(stage: str, name: str, times: int) -> None:
            if stage == "lipsync":
                on_disk.append(any(path.endswith("j1.preview.mp4") for path in simulation.files.durable))

        workshop.reply = reply
        workshop.look = lambda stage, name, times: (
            {"s": "succeeded", "outputs": {"preview": "https://cdn.example/p.mp4"}} if stage == "dub" else None
        )
        task = await scheduler.submit(job(1))
        result = await task.result()
    assert on_disk == [True]
    assert str(result.preview).endswith("j1.preview.mp4")
    assert str(result.file).endswith("/j1.mp4")


@virtually
async def test_jobs_on_one_project_go_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch, concurrency=8) as (scheduler, workshop):
        under_way = 0

        def look(stage: str, name: str, times: int) -> None:
            nonlocal under_way
            mine = {name for _, name in workshop.creates if name in ("j0", "j1", "j2")}
            under_way = max(under_way, len(mine & (workshop.busy | {name})))

        workshop.look = look
        jobs = [job(number, project="p") for number in range(3)] + [job(number) for number in range(3, 8)]
        tally, _ = await run_all(scheduler, jobs)
    assert tally.succeeded == 8
    assert [name for stage, name in workshop.creates if stage == "lipsync" and name < "j3"] == ["j0", "j1", "j2"]
    lips = [(stage, name) for stage, name in workshop.creates if name in ("j0", "j1")]
    assert lips.index(("media", "j1")) > lips.index(("lipsync", "j0"))
    assert workshop.most > 3


@virtually
async def test_what_one_task_has_paid_for_the_next_takes_without_a_create(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as (scheduler, workshop):
        jobs = [job(number, project="p", version="v1", stages=["lipsync"]) for number in range(2)]
        jobs.append(job(2, project="p", version="v2", stages=["lipsync"]))
        tally, _ = await run_all(scheduler, jobs)
    assert tally.succeeded == 3
    assert workshop.creates == [("lipsync", "j0"), ("lipsync", "j2")]


@virtually
async def test_nothing_is_paid_while_another_task_may_have_paid_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as (scheduler, workshop):
        workshop.reply = lambda stage, name, times: Fault(sent=True, message="reset") if name == "j0" else None
        monkeypatch.setattr(Workshop, "answer", _blind(Workshop.answer))
        workshop.simulation.network.answer = workshop.answer
        jobs = [job(number, project="p", version="v1", stages=["lipsync"]) for number in range(2)]
        tally, events = await run_all(scheduler, jobs)
    assert (tally.parked, workshop.creates) == (2, [("lipsync", "j0")])
    assert {event.key: event.data["reason"] for event in events if event.last} == {
        "j0": "fate_unknown", "j1": "needs_person",
    }  # fmt: skip
    assert "j0" in next(event.data["error"]["message"] for event in events if event.last and event.key == "j1")


def _blind(answer: Any) -> Any:
    """The vendor finds nothing that it is asked for."""

    async def blind(self: Workshop, line: Any, wire: Any) -> Outcome:
        return Reply(status=200, body=b"{}") if "/find/" in wire.url else await answer(self, line, wire)

    return blind


@pytest.mark.parametrize("stage", ["dub", "lipsync"])
@virtually
async def test_a_lost_create_of_any_stage_is_found_with_what_was_saved(
    monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    ledger = MemoryLedger()
    async with opened(monkeypatch, ledger=ledger) as (scheduler, workshop):
        workshop.reply = lambda at, name, times: Fault(sent=True, message="reset") if at == stage else None
        task = await scheduler.submit(job(1))
        result = await task.result()
        (row,) = await ledger.by_keys(["j1"])
        assert {**row.handles, "lipsync": row.handle or {}}[stage]["saved"] == f"{stage} of j1"
    assert result.state is State.SUCCEEDED
    assert workshop.creates == [("media", "j1"), ("dub", "j1"), ("lipsync", "j1")]


@pytest.mark.parametrize("seconds", range(1, 50, 4))
@virtually
async def test_stopped_at_any_stage_the_next_run_goes_on_and_no_seat_is_left(
    monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    ledger, simulation = MemoryLedger(), simulated_world()
    async with opened(monkeypatch, ledger=ledger, simulation=simulation, concurrency=1) as (scheduler, workshop):
        for number in range(2):
            await scheduler.submit(job(number))
        await anyio.sleep(seconds)
    ledger = MemoryLedger(ledger.disk)
    async with opened(monkeypatch, ledger=ledger, simulation=simulation, concurrency=1) as (scheduler, later):
        later.creates, later.jobs, later._ids, later.busy = (
            workshop.creates, workshop.jobs, workshop._ids, workshop.busy,
        )  # fmt: skip
        tally, _ = await run_all(scheduler, [job(number) for number in range(2)])
        assert await ledger.seats() == []
    assert tally.succeeded == 2
    for number in range(2):
        assert sorted(stage for stage, name in workshop.creates if name == f"j{number}") == ["dub", "lipsync", "media"]


@virtually
async def test_a_look_that_parks_gives_the_seat_back_and_a_later_run_looks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for reason in (Reason.NEEDS_PERSON, Reason.UNCONFIRMED):
        ledger, simulation = MemoryLedger(), simulated_world()
        async with opened(monkeypatch, ledger=ledger, simulation=simulation) as (scheduler, workshop):
            edited = {"s": "running", "park": str(reason)}
            workshop.look = lambda stage, name, times, edited=edited: edited if stage == "dub" else None
            tally, events = await run_all(scheduler, [job(1)])
            assert (tally.parked, events[-1].data["reason"]) == (1, str(reason))
            assert events[-1].data["error"]["message"] == "so says the house"
            assert await ledger.seats() == []
            tally, _ = await run_all(scheduler, [job(1)])
            assert tally.parked == 1
            workshop.look = lambda stage, name, times: None
            tally, _ = await run_all(scheduler, [job(1)])
            assert tally.succeeded == 1
            assert await ledger.seats() == []
        assert workshop.creates == [("media", "j1"), ("dub", "j1"), ("lipsync", "j1")]


@virtually
async def test_a_handle_that_a_look_taught_is_in_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = MemoryLedger()
    async with opened(monkeypatch, ledger=ledger) as (scheduler, workshop):
        workshop.look = lambda stage, name, times: (
            {"s": "running", "handle": {"begun": True}} if stage == "lipsync" and times < 4 else None
        )
        await (await scheduler.submit(job(1))).result()
        (row,) = await ledger.by_keys(["j1"])
    assert (row.handle or {})["begun"] is True


@pytest.mark.parametrize("times", [1, 3])
@virtually
async def test_a_later_create_that_is_turned_back_is_tried_again(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """What goes back in line while its create is still being put away is not forgotten."""
    async with opened(monkeypatch, concurrency=2) as (scheduler, workshop):
        slow = Reply(status=429, body=b'{"kind": "rate_limited"}')
        workshop.reply = lambda stage, name, number: slow if stage == "lipsync" and number <= times else None
        tally, _ = await run_all(scheduler, map(job, range(5)))
    assert tally.succeeded == 5


@virtually
async def test_a_task_that_goes_back_in_line_before_its_first_stage_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor itself: it is no longer one of so many that run ahead of their seats."""
    async with opened(monkeypatch, concurrency=1) as (scheduler, workshop):
        slow = Reply(status=429, body=b'{"kind": "limited"}')
        workshop.reply = lambda stage, name, number: slow if (stage, name) == ("media", "j0") and number <= 4 else None
        tally, _ = await run_all(scheduler, map(job, range(3)))
    assert tally.succeeded == 3


@virtually
async def test_a_row_that_was_read_before_its_task_went_on_pays_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was to begin with a stage that costs nothing, and has no seat for the one that its task is at by now."""
    goes_on = Line.goes_on

    def twice(line: Line, row: TaskRow) -> None:
        goes_on(line, row)
        if row.stage == "dub":
            line.bring(evolve(row, stage="", handles={}, attempt=0))

    monkeypatch.setattr(Line, "goes_on", twice)
    async with opened(monkeypatch, concurrency=2) as (scheduler, workshop):
        tally, _ = await run_all(scheduler, map(job, range(3)))
    assert (tally.succeeded, workshop.most) == (3, 2)
    assert len(workshop.creates) == len(set(workshop.creates)) == 9


@pytest.mark.parametrize("stage", ["dub", "check"])
@virtually
async def test_what_comes_back_in_line_of_a_stopped_account_is_parked(
    monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    async with opened(monkeypatch, concurrency=2) as (scheduler, workshop):
        refused = Reply(status=401, body=b'{"kind": "auth"}')
        began = {"dub": "media", "check": "dub"}[stage]
        workshop.reply = lambda stage, name, times: refused if (stage, name) == (began, "j1") else None
        tally, _ = await run_all(scheduler, map(job, range(2)))
    assert tally.parked == 2


@virtually
async def test_a_refusal_that_parks_its_own_job_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one project lacks is not what the account lacks."""
    said = Verdict(kind=Kind.NO_CREDIT, message="this project is out of minutes", park=Reason.NO_CREDIT)
    async with opened(monkeypatch, concurrency=1) as (scheduler, workshop):
        monkeypatch.setattr(Staged, "refusal", lambda self, request, reply: said)
        workshop.reply = lambda stage, name, times: Reply(status=402) if name == "j0" else None
        tally, _ = await run_all(scheduler, (job(number, stages=["lipsync"]) for number in range(3)))
    assert (tally.parked, tally.succeeded) == (1, 2)


@virtually
async def test_a_refused_create_gives_its_claim_to_whoever_pays_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as (scheduler, workshop):
        refused = Reply(status=422, body=b'{"kind": "invalid"}')
        workshop.reply = lambda stage, name, times: refused if name == "j0" else None
        jobs = [job(number, project="p", version="v1", stages=["lipsync"]) for number in range(4)]
        tally, _ = await run_all(scheduler, jobs)
    assert (tally.failed, tally.succeeded) == (1, 3)
    assert workshop.creates == [("lipsync", "j1")]


@virtually
async def test_a_look_that_comes_late_says_nothing_of_the_next_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart two may look at one task; the slower one's word on an earlier stage is passed over."""
    ledger, simulation = MemoryLedger(), simulated_world()
    async with opened(monkeypatch, ledger=ledger, simulation=simulation) as (scheduler, workshop):
        await scheduler.submit(job(1))
        await anyio.sleep(15)
    made = [stage for stage, _ in workshop.creates]
    assert made == ["media", "dub"]
    ledger = MemoryLedger(ledger.disk)
    async with opened(monkeypatch, ledger=ledger, simulation=simulation) as (scheduler, later):
        later.creates, later.jobs, later._ids = workshop.creates, workshop.jobs, workshop._ids
        prompt, slow = later.answer, iter([9.0])

        async def answer(line: Any, wire: Any) -> Outcome:
            if "/jobs/dub" in wire.url:
                await anyio.sleep(next(slow, 0.0))
            return await prompt(line, wire)

        simulation.network.answer = answer
        await anyio.sleep(0.5)  # the look for the seat's sake is under way
        tally, events = await run_all(scheduler, [job(1)])
        assert tally.succeeded == 1
        told = {(str(event.type), event.data.get("stage")): event.at for event in events}
        assert told["creating", "lipsync"] - told["preparing", "check"] >= 5
    assert sorted(stage for stage, _ in workshop.creates) == ["dub", "lipsync", "media"]


@virtually
async def test_progress_and_what_a_look_teaches_have_numbers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(monkeypatch) as (scheduler, workshop):
        workshop.look = lambda stage, name, times: (
            {"s": "running" if times % 2 else "queued", "handle": {"looks": times}} if times < 6 else None
        )
        _, events = await run_all(scheduler, [job(1)])
    numbers = [event.seq for event in events]
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers)
