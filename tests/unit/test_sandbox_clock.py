"""Vendor time: faster than ours by a factor, or moved by hand."""

import asyncio

import pytest

from viseme.sandbox import Clock, ManualClock


async def test_a_minute_takes_a_moment_at_speed() -> None:
    clock = Clock(speed=6000)
    begin = clock.now()
    await clock.sleep(60)
    assert 60 <= clock.now() - begin < 6000


def test_dates_are_real_whatever_the_speed() -> None:
    fast = Clock(speed=1000)
    assert fast.unix(1000.0) - fast.unix(0.0) == pytest.approx(1.0)
    assert fast.iso(0.0).endswith("Z")


def test_a_speed_must_be_positive() -> None:
    with pytest.raises(ValueError):
        Clock(speed=0)


async def test_a_manual_clock_wakes_sleepers_when_it_is_moved_far_enough() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.advance(9)
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(1)
    await asyncio.wait_for(sleeper, 1)
