"""A run goes on with what dead ones left: counted and durable at once, then watched page by page; in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from attrs import evolve
from tests.support.trio import House, house, job
from tests.support.virtual import virtually

from viseme.attempts import TaskRow
from viseme.engine import feeding
from viseme.engine.run import Run
from viseme.events import LAST, Event
from viseme.keys import inputs_digest
from viseme.ledger import Change, MemoryLedger
from viseme.ledger.base import Done, TakenOver
from viseme.results import Reason, State

KEYS = [f"k{number}" for number in range(4)]


class Slow(MemoryLedger):
    """A page of open tasks takes a second, so that what is not reached yet can be told from what is.

    Attributes:
        changes: what was written of tasks, step by step.
        lags: seconds until those are told of it who have tasks taken over.
    """

    changes: list[Change]
    lags: list[float]

    async def take_over(self, run: int, after: int, limit: int, **more: Any) -> TakenOver:
        taken = await super().take_over(run, after, limit, **more)
        await asyncio.sleep(self.lags.pop(0) if self.lags else 0)
        return taken

    async def open_tasks(self, after: int, limit: int, **more: Any) -> list[TaskRow]:
        found = await super().open_tasks(after, limit, **more)
        await asyncio.sleep(1)
        return found

    def hand_over(self, changes: Sequence[Change], done: Done) -> None:
        self.changes += changes
        super().hand_over(changes, done)


@asynccontextmanager
async def left(*states: State, **more: Any) -> AsyncIterator[House]:
    """A vendor that has jobs for another minute, and the ledger of a process that died meanwhile."""
    async with house("sync", rates={"create": "100/s"}) as home:
        home.ledger = ledger = Slow()
        ledger.changes, ledger.lags = [], []
        async with ledger:
            run = await ledger.next_run()
            now = home.vendor.simulation.world.now()
            kept = await ledger.add([row(key, run) for key in KEYS])
            states = states or (State.WAITING,) * len(kept)
            for number, (one, state) in enumerate(zip(kept, states, strict=True)):
                home.vendor.booked[f"job-{number}"] = {"body": {}, "key": one.key, "at": now + 60}
                there = {"handle": {"id": f"job-{number}"}, "attempt": 1, "stage": "lipsync", "since": now}
                had: dict[str, Any] = there if state is not State.QUEUED else {}
                await ledger.commit(Change(row=evolve(one, state=state, **had, **more)))
        ledger.changes.clear()
        yield home


def row(key: str, run: int) -> TaskRow:
    given = job(key, f"https://m.example/{key}.mp4")
    digest = inputs_digest(given, "sync")
    return TaskRow(id=f"id-{key}", key=key, job=given, digest=digest, account="sync", run=run)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "_PAGE", 1)
    monkeypatch.setattr(feeding, "_LOT", 1)


def slow(home: House) -> Slow:
    """A house's ledger."""
    return cast("Slow", home.ledger)


async def told(run: Run) -> Counter[tuple[str, str]]:
    """How often each task's end was told."""
    events: list[Event] = [event async for event in run]
    return Counter((event.key, str(event.type)) for event in events if event.type in LAST)


@pytest.mark.parametrize("page", [1, 2, 9])
@virtually
async def test_what_dead_runs_left_is_watched_again_and_nothing_is_written_for_it(
    page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "_PAGE", page)
    async with left() as home:
        async with home.scheduler() as scheduler, scheduler.resume() as run:
            await asyncio.sleep(20)
            assert slow(home).changes == []
            assert [(count.state, count.tasks) for count in await run.counts()] == [(State.WAITING, 4)]
            assert len(run.core.offices["sync"].hub) == 4
            tally = await run.wait()
        assert (tally.total, tally.succeeded, home.vendor.keys) == (4, 4, [])
        assert {row.run for row in (await home.rows()).values()} == {run.number}


@virtually
async def test_those_that_are_queued_parked_or_at_another_account_are_taken_up_as_ever() -> None:
    states = State.WAITING, State.QUEUED, State.WAITING, State.FETCHING
    async with left(*states) as home:
        async with home.ledger as ledger:
            parked = (await ledger.by_keys(["k2"]))[0]
            await ledger.commit(Change(row=evolve(parked, parked=Reason.DEADLINE)))
            stranger = TaskRow(id="x", key="x", job=job("x"), digest="d", account="jogg", run=1)
            (kept,) = await ledger.add([stranger])
            stranger = evolve(kept, state=State.WAITING, handle={"id": "there"})
            await ledger.commit(Change(row=stranger))
        async with home.scheduler() as scheduler, scheduler.resume() as run:
            tally = await run.wait()
        rows = await home.rows()
    assert (tally.total, tally.ended) == (4, 4)
    assert rows.pop("x") == stranger
    assert {row.run for row in rows.values()} == {run.number}
    assert [rows[key].state for key in ("k0", "k1", "k2")] == [State.SUCCEEDED] * 3


@pytest.mark.parametrize("key", ["k0", "k1"])
@virtually
async def test_a_task_that_is_called_off_before_it_is_reached_is_counted_and_told_once(key: str) -> None:
    async with left() as home:
        async with home.scheduler() as scheduler, scheduler.resume() as run:
            await asyncio.sleep(0.5)
            assert (run.tally.total, len(run.core.offices["sync"].hub)) == (2, 0)
            task = await scheduler.task(key)
            assert task is not None
            await task.cancel()
            ends = await told(run)
        assert ends == {(one, "cancelled" if one == key else "succeeded"): 1 for one in KEYS}
        assert (run.tally.total, run.tally.ended, run.tally.cancelled) == (4, 4, 1)


@virtually
async def test_a_task_that_another_run_names_before_it_is_reached_is_shared_and_watched() -> None:
    async with left() as home:
        async with home.scheduler() as scheduler, scheduler.resume() as run:
            await asyncio.sleep(0.5)
            async with scheduler.run([row(key, 0).job for key in KEYS]) as other:
                await asyncio.sleep(0.2)
                assert (other.tally.total, run.tally.total, len(run.core.offices["sync"].hub)) == (4, 2, 2)
                tallies = await run.wait(), await other.wait()
            assert [(tally.total, tally.succeeded) for tally in tallies] == [(4, 4), (4, 4)]
        assert home.vendor.keys == []
        runs = {row.key: row.run for row in (await home.rows()).values()}
        assert runs == {"k0": run.number, "k1": run.number, "k2": other.number, "k3": other.number}


@virtually
async def test_a_run_that_is_left_before_it_has_reached_all_parks_each_of_its_tasks_once() -> None:
    async with left() as home:
        async with home.scheduler() as scheduler:
            async with scheduler.resume() as run:
                await asyncio.sleep(1.5)
                assert len(run.core.offices["sync"].hub) == 1
            assert (run.tally.total, run.tally.parked) == (3, 3)
            assert await told(run) == {(key, "parked"): 1 for key in KEYS[:3]}
            async with scheduler.resume() as again:
                tally = await again.wait()
            assert (tally.total, tally.succeeded) == (4, 4)
        assert home.vendor.keys == []


@pytest.mark.parametrize(("lags", "taken"), [([5.0], 1), ([0.0, 5.0], 2)])
@virtually
async def test_a_run_that_is_left_while_it_takes_tasks_over_parks_them(lags: list[float], taken: int) -> None:
    async with left() as home:
        slow(home).lags += lags
        async with home.scheduler() as scheduler, scheduler.resume() as run:
            await asyncio.sleep(0.5)
        assert (run.tally.total, run.tally.parked) == (taken, taken)
        parked = {row.key: row.parked for row in (await home.rows()).values() if row.run == run.number}
        assert parked == dict.fromkeys(KEYS[:taken], Reason.STOPPED)


@virtually
async def test_a_restart_after_a_restart_that_was_killed_takes_all_over_again() -> None:
    async with left() as home:
        async with home.ledger as ledger:
            run = await ledger.next_run()
            assert (await ledger.take_over(run, 0, 2, before=run, accounts=["sync"])).tasks == {"sync": 2}
        async with home.scheduler() as scheduler, scheduler.resume() as again:
            await asyncio.sleep(20)
            assert slow(home).changes == []
            tally = await again.wait()
        assert (tally.total, tally.succeeded) == (4, 4)


@virtually
async def test_two_restarts_at_once_share_what_was_left() -> None:
    async with left() as home:
        async with home.scheduler() as scheduler, scheduler.resume() as one, scheduler.resume() as two:
            tallies = await one.wait(), await two.wait()
        assert [(tally.total, tally.succeeded) for tally in tallies] == [(4, 4), (4, 4)]
        assert home.vendor.keys == []
