"""The vendors' servers die and come back in the middle of a run."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
from tests.support.campaign import campaign
from tests.support.commands import Command
from tests.support.gate import gated
from tests.support.sandboxes import check_events, read_books, until


async def test_vendors_that_are_gone_for_a_while_with_all_connections_cost_nothing_twice(tmp_path: Path) -> None:
    async with campaign(tmp_path, 40) as batch, gated(batch.stage.base) as gate:
        batch.stage.base = gate.address
        batch.write()
        command, seen = await batch.start(), 0
        for _ in range(3):
            seen = batch.seen() + 10
            await until(lambda: batch.seen() >= seen or command.process.returncode is not None, 60)  # noqa: B023
            gate.shut()
            await asyncio.sleep(0.1)  # six seconds to the command
            await gate.open()
        done = await command.finished(seconds=100)
        assert done.status in (0, 1), done.err
        assert gate.broken
        await batch.audit()
        await batch.finish()


CONFIG = """
[accounts.sync]
api_key = "sandbox"
base_url = "{address}/sync"
allow_private_hosts = true
concurrency = {seats}
polling = {{ first = "0.1s", every = "0.1s" }}
"""


async def test_a_vendor_that_comes_back_with_empty_books_is_sold_nothing_again(tmp_path: Path) -> None:
    """The sandbox as a process of its own, killed; it keeps its books in memory, so its successor knows of nothing."""
    vendor, address = await sandbox(tmp_path)
    rows = [
        {"video": f"{address}/media/short.mp4?n={n}", "audio": f"{address}/media/short.wav", "key": f"k{n}"}
        for n in range(8)
    ]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "viseme.toml").write_text(CONFIG.format(address=address, seats=3))
    first = await Command.start("run", "jobs.jsonl", "--no-preflight", folder=tmp_path)
    await booked(address, 3)
    await known(tmp_path, 3)
    vendor.process.send_signal(signal.SIGKILL)
    await vendor.process.wait()
    first.process.send_signal(signal.SIGTERM)
    assert (await first.finished()).status == 130

    vendor, _ = await sandbox(tmp_path, address.rsplit(":", 1)[1])
    (tmp_path / "viseme.toml").write_text(CONFIG.format(address=address, seats=8))
    second = await Command.start("run", "jobs.jsonl", "--no-preflight", folder=tmp_path)
    await booked(address, 5)
    await known(tmp_path, 8)
    second.process.send_signal(signal.SIGTERM)
    assert (await second.finished()).status == 130
    told = await bill(address)
    assert (told["creates"], told["duplicates"]) == (5, 0)
    books = await read_books(tmp_path / "out")
    check_events(books)
    for key, events in books.events.items():
        assert [event.type for event in events].count("created") == 1, key
    vendor.process.terminate()
    await vendor.process.wait()


async def sandbox(folder: Path, port: str = "0") -> tuple[Command, str]:
    """`viseme sandbox`, and its address."""
    process = await Command.start("sandbox", "--port", port, folder=folder)
    return process, (await process.line()).split()[-1]


async def bill(address: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{address}/_sandbox/bill") as reply:
        return (await reply.json())["sync"]


async def booked(address: str, creates: int) -> None:
    """Return once the vendor has so many."""
    async with asyncio.timeout(100):
        while (await bill(address))["creates"] < creates:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def known(folder: Path, handles: int) -> None:
    """Return once the ledger has so many handles."""
    async with asyncio.timeout(100):
        while len((await read_books(folder / "out")).handles() - {None}) < handles:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
