"""What is known of the media tells when to look at a job."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.sandboxes import staged


@pytest.mark.parametrize("whole", [False, True])
async def test_the_length_that_a_preflight_measured_goes_with_the_job(tmp_path: Path, whole: bool) -> None:
    async with staged(tmp_path) as stage, stage.scheduler(stage.account("sync")) as scheduler:
        for number, preflight in enumerate([False, True]):
            async with scheduler.run([stage.job(number)], preflight=preflight, whole=whole) as run:
                assert (await run.wait()).succeeded == 1
        blind, measured = (await stage.books()).rows.values()
        assert blind.seconds is None
        assert measured.seconds == pytest.approx(1.5, abs=0.1)
        assert all(seconds > 0 for row in (blind, measured) for seconds in row.lasted.values())
        assert blind.lasted
