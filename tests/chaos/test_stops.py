"""SIGTERM and Ctrl-C while creates are in the air, counted by the vendors; and two owners of one ledger."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from tests.support.campaign import AT_ONCE, Campaign, campaign
from tests.support.commands import desk

from viseme import Reason

JOBS = 20
GRACE = 10.0
"""Seconds for which an orderly stop waits for replies."""


def slow_creates(batch: Campaign, seconds: float) -> None:
    """The first create of each vendor opens its account; all that follow are answered late."""
    for vendor in batch.vendors:
        batch.stage.sandbox.inject("slow", vendor=vendor, route="create", seconds=0.001)
        batch.stage.sandbox.inject("slow", vendor=vendor, route="create", seconds=seconds, times=1000)


def calm(batch: Campaign) -> None:
    batch.stage.sandbox._desk._orders.clear()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_orderly_stop_writes_down_every_reply_and_the_next_run_completes(number: int, tmp_path: Path) -> None:
    async with campaign(tmp_path, JOBS, "sync", "jogg", speed=1, limits=AT_ONCE) as batch:
        slow_creates(batch, 1.0)
        command = await batch.start()
        await batch.in_the_air(3)
        command.interrupt(number)
        stopped = await command.finished()
        assert stopped.status == 130
        assert "run the same command again to go on" in stopped.err
        books = await batch.audit()
        for vendor in batch.vendors:
            assert batch.stage.vendor_ids(vendor) == {
                row.vendor_id for row in books.rows.values() if row.account == vendor and row.vendor_id
            }
        assert {row.parked for row in books.rows.values()} <= {None, Reason.STOPPED}
        calm(batch)
        await batch.finish()
        assert not batch.ordered


async def test_a_second_interrupt_waits_for_no_reply_and_the_next_run_finds_what_was_bought(tmp_path: Path) -> None:
    async with campaign(tmp_path, JOBS, "sync", "jogg", speed=1, limits=AT_ONCE) as batch:
        slow_creates(batch, 100.0)
        command = await batch.start()
        await batch.in_the_air(3)
        command.interrupt()
        assert command.process.stderr is not None
        assert b"interrupt again to stop at once" in await command.process.stderr.readline()
        began = time.monotonic()
        command.interrupt()
        assert (await command.finished()).status == 130
        assert time.monotonic() - began < GRACE - 1
        assert batch.unanswered() >= 3
        calm(batch)
        await batch.finish()
        assert not batch.ordered


async def test_a_second_owner_of_a_ledger_is_turned_away_and_told_who_has_it(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync", slow=True) as at:
        manifest = at.write(*(at.row(number) for number in range(6)))
        first = await at.start("run", manifest)
        await at.until(lambda: at.creates() == 6)
        second = await at.viseme("run", manifest)
        assert second.status == 2
        assert f"owned by process {first.process.pid};" in second.err
        at.let_go()
        assert (await first.finished()).status == 0
        bill = at.sandbox.bill()["sync"]
        assert (bill["creates"], bill["delivered"], bill["duplicates"]) == (6, 6, 0)
