"""`viseme run` dies by SIGKILL right before, within and right after everything that it makes durable, and goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.campaign import campaign
from tests.support.mortal import LANDMARKS, POINTS

CHOSEN = POINTS if "VISEME_CHAOS_ROUNDS" in os.environ else LANDMARKS
BUYING = ("intent", "lost", "resent", "request", "handle")
"""In this order: what an intent leaves open is found lost by the next run, and replayed by the one after."""
BRINGING = ("rows", "release", "observation", "part", "rename", "end", "line")


def points(names: tuple[str, ...]) -> list[str]:
    return [point for name in names for point in CHOSEN if point.split(":")[0] == name]


def test_no_point_is_left_out() -> None:
    assert sorted(points(BUYING + BRINGING)) == sorted(CHOSEN)
    assert set(LANDMARKS) <= set(POINTS)
    assert {point.split(":")[0] for point in LANDMARKS} == {*BUYING, *BRINGING} - {"rows"}


@pytest.mark.parametrize(
    ("names", "vendors"),
    [(BUYING, ["sync"]), (BRINGING, ["sync", "jogg", "aimlapi", "rask"])],
    ids=["buying", "bringing"],
)
async def test_a_batch_that_dies_at_each_point_is_bought_once_and_delivered_whole(
    names: tuple[str, ...], vendors: list[str], tmp_path: Path
) -> None:
    async with campaign(tmp_path, 4 * len(vendors) + 8, *vendors) as batch:
        for point in points(names):
            await batch.die(point)
            await batch.audit()
        await batch.finish()
        assert batch.kills == len(points(names))
        if vendors == ["sync"]:  # replays its key; elsewhere a create that never reached the vendor may need a person
            assert not batch.ordered
