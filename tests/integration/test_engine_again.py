"""The same jobs on the same ledger, and what one task's handle tells and does."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.sandboxes import Stage, check_events, check_files, drained, result_lines, staged, until

import viseme
from viseme import JobCancelled, JobFailed, JobInvalid, Parked, Reason, State
from viseme.engine.journal import Journal, follow_task
from viseme.ledger.base import Ledger


async def run_all(stage: Stage, jobs: list[viseme.Job], vendor: str = "sync", **options: Any) -> list[viseme.Event]:
    scheduler = stage.scheduler(stage.account(vendor))
    async with asyncio.timeout(100), scheduler, scheduler.run(jobs, **options) as run:
        return await drained(run)


def last(events: list[viseme.Event]) -> dict[str, viseme.Event]:
    return {event.key: event for event in events if event.last}


# -- again -----------------------------------------------------------------------------------------------------------


async def test_running_again_creates_nothing_and_tells_every_last_event_once_more(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.inject("job_failed", vendor="sync", times=2)
        first = last(await run_all(stage, stage.jobs(12)))
        again = await run_all(stage, stage.jobs(12))
        assert len(again) == 12
        assert all(event.data["replayed"] is True for event in again)
        assert {event.key: event.type for event in again} == {key: event.type for key, event in first.items()}
        for event in again:
            assert event.seq == first[event.key].seq
            assert event.data.get("sha256") == first[event.key].data.get("sha256")
        assert len(stage.posts("sync")) == 12
        check_events(await stage.books())


async def test_a_deleted_file_is_fetched_again_and_never_created(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        events = last(await run_all(stage, stage.jobs(6)))
        for key in ("job-00002", "job-00004"):
            os.remove(events[key].data["file"])
        os.truncate(events["job-00005"].data["file"], 100)
        again = last(await run_all(stage, stage.jobs(6)))
        assert len(again) == 6
        assert all(event.type == "succeeded" and event.data["replayed"] for event in again.values())
        assert stage.creates("sync") == 6
        check_files(stage, await stage.books())


async def test_a_key_with_other_inputs_is_refused(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await run_all(stage, [stage.job(1)])
        other = stage.job(2, key="job-00001")
        async with stage.scheduler(stage.account("sync")) as scheduler:
            with pytest.raises(JobInvalid, match="other inputs"):
                await scheduler.submit(other)
            async with scheduler.run([other, stage.job(3)], skip_invalid=True) as run:
                assert (await run.wait()).total == 1
            assert [problem.field for problem in run.problems] == ["key"]
            with pytest.raises(JobInvalid, match="other inputs"):
                async with scheduler.run([other]) as run:
                    await run.wait()
        assert stage.creates("sync") == 2


async def test_a_repeated_key_in_one_batch_is_one_job(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        events = await run_all(stage, [stage.job(1), stage.job(2), stage.job(1)])
        assert stage.creates("sync") == 2
        assert sorted(last(events)) == ["job-00001", "job-00002"]


async def test_failed_jobs_stay_failed_until_they_are_to_be_tried_anew(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.inject("job_failed", vendor="sync", times=3)
        assert sum(event.type == "failed" for event in last(await run_all(stage, stage.jobs(5))).values()) == 3
        assert sum(event.type == "failed" for event in last(await run_all(stage, stage.jobs(5))).values()) == 3
        assert stage.creates("sync") == 5
        events = last(await run_all(stage, stage.jobs(5), retry_failed=True))
        assert [event.type for event in events.values()] == ["succeeded"] * 5
        assert stage.creates("sync") == 8
        assert (await stage.books()).states() == {"succeeded": 5}


async def test_redo_pays_again_on_purpose_and_brings_a_new_file(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        before = last(await run_all(stage, stage.jobs(3)))
        after = last(await run_all(stage, stage.jobs(3), redo=["job-00001"]))
        assert stage.creates("sync") == 4
        assert stage.bill("sync")["duplicates"] == 1
        changed = [key for key in before if before[key].data["sha256"] != after[key].data["sha256"]]
        assert changed == ["job-00001"]
        assert "replayed" not in after["job-00001"].data, "it was paid for in this run"
        check_files(stage, await stage.books())
        line = [line for line in result_lines(tmp_path / "out") if line["key"] == "job-00001"][-1]
        assert line["attempt"] == 2
        assert line["timings"]["created"] > before["job-00001"].to_dict()["at"]


async def test_the_same_job_in_two_runs_at_once_is_created_once_and_both_see_its_end(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, stage.scheduler(stage.account("sync")) as scheduler:
        async with asyncio.timeout(100), scheduler.run(stage.jobs(20)) as one, scheduler.run(stage.jobs(20)) as two:
            tallies = await asyncio.gather(one.wait(), two.wait())
        assert [tally.succeeded for tally in tallies] == [20, 20]
        assert stage.creates("sync") == 20


async def test_raise_on_error_gathers_the_failures_at_the_end(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.inject("job_failed", vendor="sync", times=2)
        with pytest.raises(ExceptionGroup, match="2 of 5 jobs failed") as caught:
            await run_all(stage, stage.jobs(5), raise_on_error=True)
        assert all(isinstance(error, JobFailed) for error in caught.value.exceptions)
        assert (await stage.books()).states() == {"succeeded": 3, "failed": 2}


async def test_resume_goes_on_with_whatever_an_earlier_run_left(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"jogg": {"queue_seconds": 20}}) as stage:
        scheduler = stage.scheduler(stage.account("jogg", concurrency=4))
        async with scheduler, scheduler.run(stage.jobs(12)):
            await until(lambda: stage.creates("jogg") >= 3)
        scheduler = stage.scheduler(stage.account("jogg"))
        async with asyncio.timeout(100), scheduler, scheduler.resume() as run:
            tally = await run.wait()
        assert tally.succeeded == tally.total
        assert stage.creates("jogg") == 12
        assert (await stage.books()).states() == {"succeeded": 12}


# -- one task --------------------------------------------------------------------------------------------------------


async def test_a_tasks_stream_starts_with_queued_and_ends_with_one_last_event(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, stage.scheduler(stage.account("sync")) as scheduler:
        task = await scheduler.submit(stage.job(1))
        early = asyncio.create_task(drained(task.events()))
        result = await asyncio.wait_for(task.result(), 100)
        events = await asyncio.wait_for(early, 100)
        late = await drained(task.events())
        assert [event.type for event in late] == ["queued", "creating", "created", "fetching", "succeeded"]
        assert [event.type for event in events if event.type != "progress"] == [event.type for event in late]
        seqs = [event.seq for event in events]
        assert seqs == sorted(set(seqs))
        assert result.state is State.SUCCEEDED
        assert result.file is not None
        assert os.path.getsize(result.file) == result.bytes  # noqa: ASYNC240


async def test_a_failed_task_raises_its_failure(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, stage.scheduler(stage.account("sync")) as scheduler:
        stage.sandbox.inject("job_failed", vendor="sync")
        task = await scheduler.submit(stage.job(1))
        with pytest.raises(JobFailed) as caught:
            await asyncio.wait_for(task.result(), 100)
        assert caught.value.result.state is State.FAILED
        assert (await drained(task.events()))[-1].type == "failed"


async def test_whoever_waits_for_a_task_learns_that_the_scheduler_was_closed(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {"queue_seconds": 100_000}}) as stage:
        async with stage.scheduler(stage.account("sync")) as scheduler:
            task = await scheduler.submit(stage.job(1))
            waiting = asyncio.create_task(task.result())
            stream = asyncio.create_task(drained(task.events()))
            await until(lambda: stage.creates("sync") == 1)
        with pytest.raises(Parked) as caught:
            await asyncio.wait_for(waiting, 100)
        assert caught.value.reason == Reason.STOPPED
        assert (await asyncio.wait_for(stream, 100))[-1].type == "parked"


async def test_submitting_a_known_key_gives_the_same_task(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        async with stage.scheduler(stage.account("sync")) as scheduler:
            one, two = await scheduler.submit(stage.job(1)), await scheduler.submit(stage.job(1))
            assert one.id == two.id
            results = await asyncio.wait_for(asyncio.gather(one.result(), two.result()), 100)
            assert results[0] == results[1]
        async with stage.scheduler(stage.account("sync")) as scheduler:
            three = await scheduler.submit(stage.job(1))
            assert (await asyncio.wait_for(three.result(), 100)).sha256 == results[0].sha256
            assert (await scheduler.task("job-00001")) == three
            assert await scheduler.task("nobody") is None
        assert stage.creates("sync") == 1


async def test_the_one_liner_runs_a_job_and_never_creates_it_twice(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=600) as stage:
        account = stage.account("sync", polling={"first": "0.05s", "every": "0.05s"})
        fields = {"video": f"{stage.base}/media/short.mp4", "audio": f"{stage.base}/media/short.wav"}
        one = await viseme.lipsync(account=account, output=tmp_path / "one", **fields)
        two = await viseme.lipsync(account=account, output=tmp_path / "one", **fields)
        assert one.sha256 == two.sha256
        assert stage.creates("sync") == 1


async def cancelled(task: viseme.Task) -> viseme.Result:
    await asyncio.wait_for(task.cancel(), 100)
    with pytest.raises(JobCancelled) as caught:
        await asyncio.wait_for(task.result(), 100)
    events = await drained(task.events())
    assert events[-1].type == "cancelled"
    assert sum(event.last for event in events) == 1
    return caught.value.result


async def test_a_queued_task_that_is_cancelled_is_never_created(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {"queue_seconds": 2000}}) as stage:
        async with stage.scheduler(stage.account("sync", concurrency=1)) as scheduler:
            first = await scheduler.submit(stage.job(1))
            second = await scheduler.submit(stage.job(2))
            await until(lambda: stage.creates("sync") == 1)
            assert (await second.why()).gate == "seat"
            assert (await cancelled(second)).attempt == 0
            stage.clock.skip(2000)
            await asyncio.wait_for(first.result(), 100)
        assert stage.creates("sync") == 1


@pytest.mark.parametrize("vendor", ["sync", "jogg"])
async def test_a_create_that_has_left_is_waited_for_and_then_cancelled(vendor: str, tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.sandbox.inject("slow", vendor=vendor, route="create", seconds=2000)
        async with stage.scheduler(stage.account(vendor), grace=10_000.0) as scheduler:
            task = await scheduler.submit(stage.job(1))
            await until(lambda: stage.creates(vendor) == 1)
            asyncio.get_running_loop().call_later(0.2, stage.clock.skip, 2000)
            result = await cancelled(task)
            assert result.handle in stage.vendor_ids(vendor)
        assert stage.creates(vendor) == 1
        assert (await stage.books()).rows["job-00001"].state is State.CANCELLED


async def test_a_waiting_task_that_is_cancelled_keeps_its_seat_while_the_vendor_works_on(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=200, settings={"sync": {"queue_seconds": 4000, "concurrency": 1}}) as stage:
        async with stage.scheduler(stage.account("sync", concurrency=1)) as scheduler:
            task = await scheduler.submit(stage.job(1))
            await until(lambda: stage.creates("sync") == 1)
            async for event in task.events():
                if event.type == "created":
                    break
            result = await cancelled(task)
            assert result.state is State.CANCELLED
            other = await scheduler.submit(stage.job(2))
            assert (await other.why()).gate == "seat"
            stage.sandbox.configure("sync", queue_seconds=1)
            stage.clock.skip(4000)
            await asyncio.wait_for(other.result(), 100)
        assert stage.bill("sync")["throttled"] == 0
        assert stage.bill("sync")["peak"]["seats"] == 1


async def test_a_fetch_that_is_cancelled_leaves_no_part_file(tmp_path: Path) -> None:
    async with staged(tmp_path, fixed_size=4_000_000) as stage:
        stage.sandbox.inject("slow", vendor="sync", route="result", seconds=100_000)
        async with stage.scheduler(stage.account("sync")) as scheduler:
            task = await scheduler.submit(stage.job(1))
            await until(lambda: bool(stage.sandbox.log("sync", "result")))
            assert (await task.why()).gate == "download"
            await cancelled(task)
            assert not [path.name for path in (tmp_path / "out").iterdir() if "job-00001" in path.name]


async def test_cancelling_what_has_ended_changes_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, stage.scheduler(stage.account("sync")) as scheduler:
        task = await scheduler.submit(stage.job(1))
        await asyncio.wait_for(task.result(), 100)
        await task.cancel()
        assert (await task.result()).state is State.SUCCEEDED


async def test_why_names_the_gate_that_a_task_waits_at(tmp_path: Path) -> None:
    settings = {"sync": {"queue_seconds": 1000, "create": "2/1000s"}}
    async with staged(tmp_path, settings=settings) as stage:
        account = stage.account("sync", rates={"create": "2/1000s", "read": "1000/s"})
        async with stage.scheduler(account) as scheduler:
            tasks = [await scheduler.submit(job) for job in stage.jobs(5)]
            await until(lambda: stage.creates("sync") == 2)
            gates = await gates_of(tasks, {"poll": 2, "rate": 3}, timed=("poll", "rate"))
            assert all(why.message for why in gates)
    async with staged(tmp_path / "pause", speed=1) as stage:
        stage.sandbox.inject("too_many", vendor="sync", route="create", flavour="seats")
        async with stage.scheduler(stage.account("sync")) as scheduler:
            tasks = [await scheduler.submit(job) for job in stage.jobs(2)]
            gates = await gates_of(tasks, {"pause": 2})
            assert all(why.until is not None for why in gates)


async def gates_of(tasks: list[viseme.Task], wanted: dict[str, int], timed: tuple[str, ...] = ()) -> list[viseme.Why]:
    """What the tasks wait for, once it is what was wanted, and until when at the ``timed`` gates.

    A rate tells that only once the replies of the requests that hold its places were seen.
    """
    async with asyncio.timeout(10):
        while True:
            told = [await task.why() for task in tasks]
            found = [why.gate for why in told]
            known = all(why.until is not None for why in told if why.gate in timed)
            if known and {gate: found.count(gate) for gate in found} == wanted:
                return told
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["succeeded", "parked"])
async def test_a_stream_ends_also_when_its_last_event_comes_while_it_opens(kind: str) -> None:
    """The event is on disk already when the history is read, and is told of just afterwards."""
    events = [
        viseme.Event(seq=n, task="t", key="k", type=viseme.EventType(name), at=0.0, order=n)
        for n, name in enumerate(("queued", "creating", kind), 1)
    ]

    class OnDisk:
        async def events(self, after: int, limit: int, **_: object) -> list[viseme.Event]:
            return [event for event in events if (event.order or 0) > after]

    journal = Journal(cast(Ledger, OnDisk()))

    async def still_under_way(_: viseme.Event | None) -> bool:
        journal.publish(events[2:])
        return True

    told = await asyncio.wait_for(drained(follow_task(journal, "t", active=still_under_way)), 100)
    assert [event.type for event in told] == ["queued", "creating", kind]
