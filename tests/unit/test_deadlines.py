"""Blocks that may take only so long: each ends at its time, whoever else is under way, and nothing else is cut."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.virtual import virtually

from viseme.engine.deadlines import Deadlines


def now() -> float:
    return asyncio.get_running_loop().time()


async def takes(deadlines: Deadlines, seconds: float, sleep: float) -> tuple[bool, float]:
    """Whether a block of so many seconds came to its end, and after how many."""
    began = now()
    try:
        with deadlines.within(seconds):
            await asyncio.sleep(sleep)
    except TimeoutError:
        return False, round(now() - began, 6)
    return True, round(now() - began, 6)


@virtually
async def test_a_block_that_takes_longer_ends_at_its_time() -> None:
    assert await takes(Deadlines(), 5, 6) == (False, 5)
    assert await takes(Deadlines(), 5, 4) == (True, 4)


LENGTHS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 30), st.integers(0, 30)).filter(lambda one: one[1] != one[2]),
    max_size=12,
)


@given(LENGTHS)
@settings(deadline=None)
def test_each_of_many_ends_at_its_own_time(blocks: list[tuple[int, int, int]]) -> None:
    @virtually
    async def all_of_them() -> None:
        deadlines = Deadlines()

        async def one(start: int, seconds: int, sleep: int) -> tuple[bool, float]:
            await asyncio.sleep(start)
            return await takes(deadlines, seconds, sleep)

        ended = await asyncio.gather(*(one(*block) for block in blocks))
        assert ended == [(sleep < seconds, min(sleep, seconds)) for _, seconds, sleep in blocks]
        deadlines.close()

    all_of_them()


@virtually
async def test_one_timer_is_set_however_many_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, deadlines, timers = asyncio.get_running_loop(), Deadlines(), list[asyncio.TimerHandle]()
    call_at = loop.call_at

    def counted(when: float, callback: Any, *args: Any, **more: Any) -> asyncio.TimerHandle:
        timer = call_at(when, callback, *args, **more)
        if getattr(callback, "__self__", None) is deadlines:
            timers.append(timer)
        return timer

    monkeypatch.setattr(loop, "call_at", counted)
    await asyncio.gather(*(takes(deadlines, 60, 1) for _ in range(100)))
    assert len(timers) == 1
    with deadlines.within(5):  # an earlier one takes the other's place
        assert [timer.cancelled() for timer in timers] == [True, False]
    await asyncio.sleep(120)  # and none rings on once nothing is under way
    assert len(timers) == 2


@virtually
async def test_a_block_may_be_given_more_time_and_less() -> None:
    deadlines, began = Deadlines(), now()

    async def block() -> None:
        with deadlines.within(5) as deadline:
            await asyncio.sleep(4)
            deadline.put_off(10)
            await asyncio.sleep(9)
            deadline.put_off(2)
            await asyncio.sleep(9)

    with pytest.raises(TimeoutError):
        await block()
    assert now() - began == pytest.approx(15)


@virtually
async def test_what_is_over_is_given_no_more_time() -> None:
    deadlines = Deadlines()
    with deadlines.within(5) as done:
        await asyncio.sleep(1)
    done.put_off(1)
    await asyncio.sleep(10)  # is not cut

    async def late() -> None:
        with deadlines.within(5) as deadline:
            try:
                await asyncio.sleep(6)
            finally:
                deadline.put_off(60)
                await asyncio.sleep(0)

    with pytest.raises(TimeoutError):
        await late()


@virtually
async def test_a_task_that_is_cancelled_meanwhile_is_cancelled() -> None:
    deadlines = Deadlines()
    task = asyncio.create_task(takes(deadlines, 5, 60))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@virtually
async def test_a_task_that_is_cancelled_as_its_time_ends_is_cancelled() -> None:
    deadlines = Deadlines()
    task = asyncio.create_task(takes(deadlines, 5, 60))
    asyncio.get_running_loop().call_later(5, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@virtually
async def test_a_scope_that_ends_first_is_no_time_out() -> None:
    deadlines = Deadlines()
    with anyio.move_on_after(3) as scope:
        await takes(deadlines, 5, 60)
    assert scope.cancelled_caught
    async with asyncio.timeout(60):  # and nothing is left of either
        assert await takes(deadlines, 5, 60) == (False, 5)


@virtually
async def test_what_goes_wrong_in_a_block_goes_on_as_it_is() -> None:
    deadlines = Deadlines()

    async def fails(sleep: float) -> None:
        with deadlines.within(5):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(sleep)
            raise LookupError

    for sleep in (1, 6):  # also where its time was over before
        with pytest.raises(LookupError):
            await fails(sleep)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@virtually
async def test_once_closed_nothing_rings() -> None:
    deadlines = Deadlines()
    with deadlines.within(5):
        deadlines.close()
        await asyncio.sleep(10)
    assert await takes(deadlines, 5, 60) == (False, 5)  # until there is another block
