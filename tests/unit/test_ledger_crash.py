"""A process that is killed: what it was told is durable is there, and its lock is free."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.ledgers import in_thread, row, upload

from viseme.errors import LedgerBusy
from viseme.ledger import Order, SqliteLedger

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")

OWNER = textwrap.dedent("""
    import asyncio, itertools, sys
    from attrs import evolve
    from tests.unit.ledgers import charge, creating, in_thread, row, upload
    from viseme.ledger import SqliteLedger

    async def work(ledger, worker):
        for number in itertools.count():
            name = f"w{worker}n{number}"
            (task,) = await ledger.add([row(name)])
            change = creating(task)
            await ledger.commit(evolve(change, charge=charge(change.row)))
            await ledger.keep_upload(upload(name))
            print(name, ledger.last_order, flush=True)

    async def main(path):
        async with SqliteLedger(path, blocking=in_thread) as ledger:
            await ledger.add([row("held")], held=True)
            await asyncio.gather(*[work(ledger, worker) for worker in range(20)])

    asyncio.run(main(sys.argv[1]))
""")


@contextmanager
def owner(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def read(process: subprocess.Popen[str], lines: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(lines)]


@pytest.mark.parametrize("lines", [1, 37, 200])
async def test_what_was_acknowledged_before_a_kill_is_there(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "viseme.db"
    with owner(path) as process:
        said = await asyncio.to_thread(read, process, lines)
        process.send_signal(signal.SIGKILL)
        rest = await asyncio.to_thread(process.communicate)
    told = [line.split() for line in [*said, *rest[0].splitlines()] if len(line.split()) == 2]
    async with SqliteLedger(path, blocking=in_thread) as ledger:
        assert ledger.last_order >= max(int(order) for _, order in told)
        names = [name for name, _ in told]
        found = {task.id: task for task in await ledger.tasks(names)}
        assert found.keys() == set(names)
        assert {task.state for task in found.values()} == {"creating"}
        assert {seat.task for seat in await ledger.seats()} >= found.keys()
        assert {intent.task for intent in await ledger.intents("sync", 0)} >= found.keys()
        assert sum(spent.tasks for spent in await ledger.spending()) == len(await ledger.intents("sync", 0))
        assert [await ledger.upload("sync", name) for name in names] == [upload(name) for name in names]
        assert await ledger.tasks(["held"]) == []
        before = ledger.last_order
        await ledger.add([row("next")])
        assert ledger.last_order == before + 1


async def test_a_killed_owners_lock_is_free_and_a_living_ones_is_not(tmp_path: Path) -> None:
    path = tmp_path / "viseme.db"
    with owner(path) as process:
        await asyncio.to_thread(read, process, 1)
        with pytest.raises(LedgerBusy, match=f"process {process.pid}") as caught:
            await SqliteLedger(path, blocking=in_thread).open()
        assert caught.value.pid == process.pid
        process.kill()
        await asyncio.to_thread(process.wait)
        async with SqliteLedger(path, blocking=in_thread) as ledger:
            assert await ledger.next_run() == 1


async def test_another_process_reads_and_orders_while_the_owner_writes(tmp_path: Path) -> None:
    path = tmp_path / "viseme.db"
    with owner(path) as process:
        await asyncio.to_thread(read, process, 1)
        async with SqliteLedger(path, blocking=in_thread, read_only=True) as reader:
            first = sum(count.tasks for count in await reader.counts())
            await reader.place_order(Order(verb="cancel", key="k"))
            while sum(count.tasks for count in await reader.counts()) <= first:
                await asyncio.to_thread(read, process, 1)
            events = await reader.events(0, 1000)
            assert [e.order for e in events] == list(range(1, len(events) + 1))


async def test_a_reader_looks_at_what_a_killed_owner_left(tmp_path: Path) -> None:
    path = tmp_path / "viseme.db"
    with owner(path) as process:
        (line,) = await asyncio.to_thread(read, process, 1)
    async with SqliteLedger(path, blocking=in_thread, read_only=True) as reader:
        assert len(await reader.tasks([line.split()[0]])) == 1
        await reader.place_order(Order(verb="cancel", key="k"))
    async with SqliteLedger(path, blocking=in_thread) as next_owner:
        assert [order.key for order in await next_owner.take_orders()] == ["k"]
