"""What only the twin in memory has: a crash at will."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from tests.unit.ledgers import charge, creating, row, upload

from viseme.errors import LedgerError
from viseme.ledger import MemoryLedger


async def test_a_crash_forgets_what_was_not_synced_and_keeps_the_rest() -> None:
    go = asyncio.Event()
    go.set()
    ledger = MemoryLedger(sync=go.wait)
    await ledger.open()
    a, b = await ledger.add([row("a"), row("b")])
    await ledger.add([row("held")], held=True)
    made = creating(a)
    await ledger.commit(evolve(made, charge=charge(made.row)))
    await ledger.keep_upload(upload("kept"))
    go.clear()
    unmade = creating(b)
    unmade = evolve(unmade, charge=charge(unmade.row))
    lost: list[asyncio.Future[object]] = [asyncio.ensure_future(ledger.commit(unmade))]
    await asyncio.sleep(0)
    lost.append(asyncio.ensure_future(ledger.add([row("c")])))
    lost.append(asyncio.ensure_future(ledger.keep_upload(upload("lost"))))
    await asyncio.sleep(0)
    after = ledger.crash()
    go.set()
    assert [type(error) for error in await asyncio.gather(*lost, return_exceptions=True)] == [LedgerError] * 3
    for use in (ledger.tasks(["a"]), ledger.add([row("x")]), ledger.next_run()):
        with pytest.raises(LedgerError):
            await use
    async with after:
        assert [(task.id, task.state) for task in await after.all_tasks(0, 9)] == [("a", "creating"), ("b", "queued")]
        assert [open_seat.task for open_seat in await after.seats()] == ["a"]
        assert [spent.tasks for spent in await after.spending()] == [1]
        assert await after.upload("sync", "kept") == upload("kept")
        assert await after.upload("sync", "lost") is None
        assert after.last_order == 3
        await ledger.close()
        await after.add([row("c")])


async def test_what_a_caller_changes_later_does_not_reach_the_disk() -> None:
    async with MemoryLedger() as ledger:
        handle = {"id": "v", "urls": ["https://vendor.example/v"]}
        (task,) = await ledger.add([row("a", handle=handle)])
        handle["urls"].append("https://elsewhere.example")  # type: ignore[union-attr]
        (found,) = await ledger.tasks(["a"])
        assert found.handle == {"id": "v", "urls": ["https://vendor.example/v"]}
        assert found is not task
