"""Vendors that refuse many creates at once, as they are full or away: jobs go on as soon as they can."""

from __future__ import annotations

import anyio
import pytest
from tests.support.trio import AWAY, House, house, job, sync_says
from tests.support.virtual import virtually

from viseme.engine.transport import Line, Wire
from viseme.providers.base import Outcome

LASTS = 10.0
QUICK = {"rates": {"create": "9999/s", "read": "9999/s"}, "polling": {"first": 1, "every": 1}}
FULL = sync_says(429, "concurrency_limit_reached")
SAID = {"away": AWAY, "limited": sync_says(429), "full": FULL}


def seats(one: House, count: int) -> list[float]:
    """Have the vendor run so many jobs at once and no more; returns when creates were refused, as they are."""
    vendor, now, refused = one.vendor, one.vendor.simulation.world.now, list[float]()

    async def answer(line: Line, wire: Wire) -> Outcome:
        if wire.method == "POST":
            await anyio.sleep(0.2)
            if sum(now() < made["at"] + LASTS for made in vendor.booked.values()) >= count:
                refused.append(now())
                return FULL
        return await vendor.answer(line, wire)

    vendor.simulation.network.answer = answer
    return refused


@pytest.mark.parametrize(("stated", "real", "at_most"), [(15, 10, 3), (200, 20, 185)])
@virtually
async def test_a_vendor_with_fewer_seats_than_are_stated_is_kept_busy(stated: int, real: int, at_most: int) -> None:
    async with house("sync", concurrency=stated, **QUICK) as one:
        refused = seats(one, real)
        await one.run(*(job(f"k{number}") for number in range(real * 10)))
        first, last = (at(made["at"] for made in one.vendor.booked.values()) for at in (min, max))
    assert last - first < 9 * LASTS * 1.1
    assert len(refused) <= at_most


@pytest.mark.parametrize("how", SAID)
@virtually
async def test_a_second_in_which_the_vendor_takes_nothing_costs_a_few_seconds(how: str) -> None:
    async with house("sync", concurrency=50, **QUICK) as one:
        vendor, now, refused = one.vendor, one.vendor.simulation.world.now, list[float]()
        begun = now()

        async def answer(line: Line, wire: Wire) -> Outcome:
            if wire.method == "POST":
                arrived = now()
                await anyio.sleep(0.2 + 0.3 * vendor.simulation.world.random())
                if len(vendor.booked) > 100 and arrived < (refused or [arrived])[0] + 1:
                    refused.append(arrived)
                    return SAID[how]
            return await vendor.answer(line, wire)

        vendor.simulation.network.answer = answer
        await one.run(*(job(f"k{number}") for number in range(300)))
        made = sorted(entry["at"] for entry in vendor.booked.values())
    assert len(refused) > 4
    assert min(at for at in made if at > refused[-1] + 0.5) - refused[0] < 4
    assert made[-1] - begun < 5 * LASTS + 20
