"""`viseme run` is killed and stopped at random moments and points, and run again: nothing is bought twice or lost."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.campaign import AT_ONCE, Campaign, campaign
from tests.support.mortal import POINTS

ROUNDS = int(os.environ.get("VISEME_CHAOS_ROUNDS", "1"))
JOBS = 32
BLOWS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@pytest.fixture(scope="module")
def figures() -> Iterator[dict[str, int]]:
    """What the rounds came to; printed at the end (pytest -s)."""
    sums = dict.fromkeys(("rounds", "kills", "stops", "jobs", "created", "delivered", "duplicates", "ordered"), 0)
    yield sums
    print(f"\n{', '.join(f'{number} {name}' for name, number in sums.items())}")


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_batch_that_is_killed_again_and_again_is_bought_once_and_delivered_whole(
    seed: int, tmp_path: Path, figures: dict[str, int]
) -> None:
    dice = random.Random(seed)
    async with campaign(tmp_path, JOBS) as batch:
        for _ in range(3):
            await batch.strike(dice.choice(BLOWS), dice.randint(1, JOBS // 2))
            await batch.audit()
        for point in dice.sample(POINTS, 2):
            await batch.may_die(point, dice.randint(1, 3))
            await batch.audit()
        await batch.finish()
        note(batch, figures)


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_the_command_with_no_clock_but_its_own_is_killed_and_goes_on(
    seed: int, tmp_path: Path, figures: dict[str, int]
) -> None:
    dice = random.Random(f"plain {seed}")
    async with campaign(tmp_path, JOBS, "sync", speed=1, limits=AT_ONCE) as batch:
        for _ in range(2):
            await batch.strike(signal.SIGKILL, dice.randint(1, JOBS // 2))
            await batch.audit()
        await batch.finish()
        assert batch.kills
        note(batch, figures)


def note(batch: Campaign, figures: dict[str, int]) -> None:
    """Add a round to the figures."""
    bills = [batch.stage.bill(vendor) for vendor in batch.vendors]
    figures["rounds"] += 1
    figures["kills"] += batch.kills
    figures["stops"] += batch.stops
    figures["jobs"] += batch.count
    figures["created"] += sum(bill["creates"] for bill in bills)
    figures["delivered"] += sum(bill["delivered"] for bill in bills)
    figures["duplicates"] += sum(bill["duplicates"] for bill in bills)
    figures["ordered"] += len(batch.ordered)
