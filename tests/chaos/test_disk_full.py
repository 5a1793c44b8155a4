"""`viseme run` on disks that fill up: what was paid for is kept, and fetched once there is room."""

from __future__ import annotations

from pathlib import Path

from tests.support.campaign import campaign
from tests.support.small_disks import grow, small_disk

from viseme import Reason

FILM = 6_000_000
SHORT_OF_A_FILM = 4000
"""Blocks; the ledger needs less."""
SHORT_OF_A_LEDGER = 600
JOBS = 24


async def test_films_that_cannot_be_written_are_paid_for_once_and_fetched_by_the_next_run(tmp_path: Path) -> None:
    async with campaign(tmp_path, 6, "sync", "jogg", fixed_size=FILM) as batch:
        done = await batch.done(blocks=SHORT_OF_A_FILM)
        assert done.status == 1
        assert "the result could not be written: File too large" in done.err
        assert (await batch.audit()).states() == {Reason.NEEDS_PERSON: 6}
        assert sum(batch.stage.creates(vendor) for vendor in batch.vendors) == 6
        await batch.finish()


async def test_a_ledger_that_cannot_be_written_stops_the_run_and_the_next_pays_for_nothing_twice(
    tmp_path: Path,
) -> None:
    async with campaign(tmp_path, JOBS) as batch:
        done = await batch.done(blocks=SHORT_OF_A_LEDGER)
        assert done.status == 1
        assert "the disk failed; check it and the space left on it, then run again" in done.err
        assert batch.seen()
        await batch.audit()
        await batch.finish()


async def test_a_full_output_folder_keeps_what_was_paid_for(tmp_path: Path) -> None:
    with small_disk(tmp_path / "out", "300k") as out:
        (tmp_path / "elsewhere").mkdir()
        (out / "viseme.db").symlink_to(tmp_path / "elsewhere" / "viseme.db")
        async with campaign(tmp_path, JOBS) as batch:
            done = await batch.done()
            assert done.status == 1
            assert "No space left on device" in done.err
            assert "free some space, then run again" in done.err
            assert set((await batch.audit()).states()) == {"succeeded", Reason.NEEDS_PERSON}
            assert sum(batch.stage.creates(vendor) for vendor in batch.vendors) == JOBS
            grow(out, "20m")
            await batch.finish()


async def test_a_full_ledger_disk_stops_the_run_and_costs_nothing_twice(tmp_path: Path) -> None:
    with small_disk(tmp_path / "ledger", "300k") as ledger:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "viseme.db").symlink_to(ledger / "viseme.db")
        async with campaign(tmp_path, JOBS) as batch:
            done = await batch.done()
            assert done.status == 1
            assert "the disk is full; free some space, then run again" in done.err
            assert batch.seen()
            grow(ledger, "20m")
            await batch.audit()
            await batch.finish()
