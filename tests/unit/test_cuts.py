"""Blocks that others may end: the block ends, its task goes on, and nobody else's wish that it end is lost."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from tests.support.virtual import settled, virtually

from viseme.engine.cuts import Cut
from viseme.engine.deadlines import Deadlines
from viseme.engine.uncut import uncut


async def rest(cut: Cut, told: list[str], seconds: float = 60.0) -> None:
    """Sleep in the block, then behind it."""
    with cut:
        await asyncio.sleep(seconds)
        told.append("slept")
    told.append("behind it")
    await asyncio.sleep(1)
    told.append("went on")


@virtually
async def test_a_block_that_is_cut_ends_and_its_task_goes_on() -> None:
    cut, told = Cut(), list[str]()
    task = asyncio.create_task(rest(cut, told))
    await settled()
    cut.make()
    cut.make()
    await task
    assert (told, cut.made, task.cancelling()) == (["behind it", "went on"], True, 0)


@virtually
async def test_a_block_that_is_over_is_not_cut_any_more() -> None:
    cut, told = Cut(), list[str]()
    task = asyncio.create_task(rest(cut, told, seconds=1))
    await asyncio.sleep(1.5)
    cut.make()
    await task
    assert told == ["slept", "behind it", "went on"]


@virtually
async def test_a_cut_in_the_turn_in_which_the_block_would_go_on_ends_it_all_the_same() -> None:
    cut, told, turn = Cut(), list[str](), asyncio.get_running_loop().create_future()

    async def wait() -> None:
        with cut:
            await turn
            told.append("went on in it")
        await asyncio.sleep(1)
        told.append("went on")

    task = asyncio.create_task(wait())
    await settled()
    turn.set_result(None)
    cut.make()
    await task
    assert told == ["went on"]


@virtually
async def test_a_block_that_its_own_task_cuts_ends_at_what_it_waits_for_next() -> None:
    told: list[str] = []

    async def cuts(cut: Cut, *, waits: bool) -> None:
        with cut:
            cut.make()
            told.append("went on in it")
            if waits:
                await asyncio.sleep(60)
                told.append("slept")
        await asyncio.sleep(1)
        told.append("went on")

    for waits in (True, False):
        task = asyncio.create_task(cuts(Cut(), waits=waits))
        await task
        assert (told, task.cancelling()) == (["went on in it", "went on"], 0)
        told.clear()


@virtually
async def test_who_was_cancelled_before_its_own_cut_ends() -> None:
    async def cuts(cut: Cut) -> None:
        current = asyncio.current_task()
        assert current is not None
        with cut:
            current.cancel()
            cut.make()
        await asyncio.sleep(1)

    with pytest.raises(asyncio.CancelledError):
        await (task := asyncio.create_task(cuts(Cut())))
    assert task.cancelling() == 1


@pytest.mark.parametrize("first", ["cut", "cancel"])
@virtually
async def test_who_is_cancelled_as_well_ends(first: str) -> None:
    cut, told = Cut(), list[str]()
    task = asyncio.create_task(rest(cut, told))
    await settled()
    for step in (cut.make, task.cancel) if first == "cut" else (task.cancel, cut.make):
        step()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == []


@virtually
async def test_a_group_that_is_cancelled_as_well_ends_it() -> None:
    cut, told = Cut(), list[str]()
    async with anyio.create_task_group() as group:
        group.start_soon(rest, cut, told)
        await settled()
        cut.make()
        group.cancel_scope.cancel()
    assert told == ["behind it"], "the group's turn comes at the next thing that is waited for"


@virtually
async def test_an_error_goes_through_and_leaves_nothing_behind() -> None:
    cut = Cut()

    async def fail() -> None:
        with cut:
            try:
                await asyncio.sleep(60)
            finally:
                raise OSError("the disk is full")

    failing = asyncio.create_task(fail())
    await settled()
    cut.make()
    with pytest.raises(OSError, match="full"):
        await failing
    assert failing.cancelling() == 0


@virtually
async def test_what_runs_to_its_end_in_it_does_so() -> None:
    cut, told = Cut(), list[str]()

    async def write() -> None:
        await asyncio.sleep(5)
        told.append("written")

    async def work() -> None:
        with cut:
            await uncut(write())
            told.append("went on in it")
        told.append("behind it")

    task = asyncio.create_task(work())
    await settled()
    cut.make()
    await task
    assert told == ["written", "behind it"]


@pytest.mark.parametrize("late", [False, True])
@virtually
async def test_a_deadline_within_it_is_told_from_a_cut(late: bool) -> None:
    cut, deadlines, told = Cut(), Deadlines(), list[str]()

    async def work() -> None:
        with cut:
            try:
                with deadlines.within(5):
                    await asyncio.sleep(60)
            except TimeoutError:
                told.append("late")
        told.append("behind it")

    task = asyncio.create_task(work())
    await asyncio.sleep(6 if late else 4)
    cut.make()
    await task
    assert told == (["late", "behind it"] if late else ["behind it"])
    deadlines.close()
