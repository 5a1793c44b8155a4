"""The scheduler in company: other schedulers, other task groups, a loop that must not wait; and secrets that stay."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import traceback
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from blockbuster import BlockBuster
from tests.support.driver import order, start
from tests.support.hosts import hosted
from tests.support.sandboxes import VENDORS, Stage, check_events, check_files, read_books, staged, until

import viseme
from viseme import JobFailed, LedgerBusy, Parked, Scheduler
from viseme.sandbox.log import key_digest

SECRET = "sandbox-Q7zKrYpW3vXn"
"""A key that opens an account of its own, and is found wherever it leaks to."""


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    """ResourceWarnings and unraisable errors of what a test forgot come up here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


async def test_several_schedulers_with_ledgers_of_their_own_run_side_by_side(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:

        async def one(number: int) -> viseme.Tally:
            jobs = stage.jobs(10, "sync", "jogg", start=100 * number)
            accounts = [stage.account("sync"), stage.account("jogg")]
            async with stage.scheduler(*accounts, out=f"out-{number}") as scheduler, scheduler.run(jobs) as run:
                return await run.wait()

        tallies = await asyncio.wait_for(asyncio.gather(*map(one, range(4))), 100)
        assert [tally.succeeded for tally in tallies] == [10] * 4
        assert (stage.creates("sync"), stage.creates("jogg")) == (20, 20)


async def test_a_second_owner_of_a_ledger_is_told_who_has_it(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, stage.scheduler(stage.account("sync")) as scheduler:
        with pytest.raises(LedgerBusy, match="this process"):
            await stage.scheduler(stage.account("sync")).__aenter__()
        process = await start(order(stage, 3, [{"provider": "sync"}]))
        _, errors = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode
        assert "LedgerBusy" in errors.decode()
        assert str(os.getpid()) in errors.decode()
        assert not stage.posts("sync")
        task = await scheduler.submit(stage.job(1))
        await asyncio.wait_for(task.result(), 100)


async def test_a_scheduler_is_entered_in_one_task_and_left_in_another(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        scheduler = stage.scheduler(stage.account("sync"))
        await asyncio.create_task(scheduler.__aenter__())
        task = await asyncio.create_task(scheduler.submit(stage.job(1)))
        result = await asyncio.create_task(task.result())
        assert result.sha256
        await asyncio.create_task(scheduler.__aexit__(None, None, None))


async def test_it_works_in_task_groups_and_an_error_beside_it_loses_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"sync": {"queue_seconds": 30}}) as stage:

        async def batch(start: int) -> None:
            async with scheduler.run(stage.jobs(8, start=start)) as run:
                async for _ in run:
                    pass

        async with stage.scheduler(stage.account("sync")) as scheduler, anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(batch, number * 100)
        assert stage.creates("sync") == 24

        async def fails() -> None:
            await until(lambda: stage.creates("sync") >= 28)
            raise RuntimeError("beside")

        with suppress(ExceptionGroup):
            async with stage.scheduler(stage.account("sync")) as scheduler, anyio.create_task_group() as group:
                group.start_soon(batch, 1000)
                group.start_soon(fails)
        books = await stage.books()
        check_events(books)
        assert stage.vendor_ids("sync") == {row.vendor_id for row in books.rows.values() if row.vendor_id}
        async with stage.scheduler(stage.account("sync")) as scheduler, scheduler.resume() as run:
            await asyncio.wait_for(run.wait(), 100)
        assert stage.creates("sync") == len((await stage.books()).rows)


async def test_a_cancel_scope_with_a_deadline_around_a_run_loses_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"jogg": {"queue_seconds": 400}}) as stage:
        with anyio.CancelScope() as scope:
            async with stage.scheduler(stage.account("jogg")) as scheduler, scheduler.run(stage.jobs(10)) as run:
                async for event in run:
                    if event.type == "created":
                        scope.deadline = min(scope.deadline, anyio.current_time() + 0.1)
        assert scope.cancelled_caught
        books = await stage.books()
        check_events(books)
        assert stage.vendor_ids("jogg") == {row.vendor_id for row in books.rows.values() if row.vendor_id}


# -- the event loop ----------------------------------------------------------------------------------------------------


@contextmanager
def elsewhere(tmp_path: Path, **options: Any) -> Iterator[Stage]:
    """A sandbox in a thread and a loop of its own, so that this loop holds nothing but the library."""
    ready: list[Stage] = []
    opened, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with staged(tmp_path, **options) as stage:
            ready.append(stage)
            opened.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    opened.wait(20)
    try:
        yield ready[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


def test_nothing_in_the_library_blocks_the_event_loop(tmp_path: Path) -> None:
    with elsewhere(tmp_path, fixed_size=3_000_000, faults="mild", seed=3) as stage:

        async def main() -> viseme.Tally:
            bust = BlockBuster()
            accounts = [stage.account(vendor) for vendor in VENDORS]
            bust.activate()
            try:
                async with stage.scheduler(*accounts) as scheduler, scheduler.run(stage.jobs(45, *VENDORS)) as run:
                    async for _ in run:
                        pass
                    return run.tally
            finally:
                bust.deactivate()

        assert asyncio.run(asyncio.wait_for(main(), 100)).ended == 45
        books = asyncio.run(read_books(tmp_path / "out"))
        check_events(books)
        check_files(stage, books)


# -- secrets -----------------------------------------------------------------------------------------------------------


def leaks(folder: Path) -> list[str]:
    """The files that hold the key, in whatever way."""
    return [path.name for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


async def test_the_key_is_in_no_log_event_file_ledger_repr_or_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    asyncio.get_running_loop().set_debug(True)
    async with staged(tmp_path, faults="hostile", seed=11) as stage:
        accounts = [stage.account(vendor, api_key=SECRET) for vendor in VENDORS]
        scheduler = stage.scheduler(*accounts, notice=told.append)
        told += [repr(accounts), repr(scheduler), str(accounts[0])]
        async with asyncio.timeout(110), scheduler, scheduler.run(stage.jobs(60, *VENDORS)) as run:
            async for event in run:
                told += [repr(event), str(event.to_dict())]
            told += [repr(run), repr(run.core.offices), str(run.core.offices["sync"].figures())]
            for number in range(60):
                task = await scheduler.task(f"job-{number:05d}")
                assert task is not None
                told += [repr(task), repr(await task.why())]
                try:
                    told.append(repr(await task.result()))
                except (JobFailed, Parked) as error:
                    told += [repr(error), *traceback.format_exception(error)]
            assert not leaks(tmp_path), "while the ledger is open, its -wal too"
        assert not leaks(tmp_path)
    asyncio.get_running_loop().set_debug(False)
    captured = capfd.readouterr()
    everything = [*told, caplog.text, captured.out, captured.err]
    assert not [text for text in everything if SECRET in text]
    assert any("PENDING" in text or "progress" in text for text in told)


@asynccontextmanager
async def foreign_host(answer: Any) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Another host, which notes the headers that it is sent."""
    seen: list[dict[str, str]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        return answer(request)

    async with hosted(handle) as base:
        yield base, seen


@pytest.mark.parametrize("vendor", VENDORS)
async def test_downloads_never_carry_the_key_not_even_on_the_vendors_own_host(vendor: str, tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        account = stage.account(vendor, api_key=SECRET)
        async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(3, vendor)) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 3
        rows = stage.sandbox.log(vendor)
        fetched = [row for row in rows if row["route"] == "result"]
        assert len(fetched) == 3
        assert all(row["key_digest"] is None for row in fetched)
        if vendor != "rask":  # whose requests bear a token, and whose token is asked for without one
            assert all(row["key_digest"] == key_digest(SECRET) for row in rows if row["route"] != "result")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_vendor_that_sends_requests_elsewhere_does_not_send_the_key_there(vendor: str, tmp_path: Path) -> None:
    def answer(request: web.Request) -> web.Response:
        return web.json_response({"id": "x", "status": "COMPLETED"})

    async with foreign_host(answer) as (target, seen):

        def redirect(request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": f"{target}{request.path}"})

        async with staged(tmp_path) as stage, foreign_host(redirect) as (base, asked):
            account = stage.account(vendor, api_key=SECRET, base_url=base)
            async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(2, vendor)) as run:
                assert (await asyncio.wait_for(run.wait(), 100)).parked == 2
        assert asked, "the vendor's own host was asked"
        assert not seen, "nothing goes to where it points"


async def test_a_closed_loop_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate()}
    async with staged(tmp_path) as stage, stage.scheduler(stage.account("sync")) as scheduler:
        await asyncio.wait_for((await scheduler.submit(stage.job(1))).result(), 100)

    def left() -> set[str]:
        names = {thread.name for thread in threading.enumerate()} - before
        return {name for name in names if "viseme" in name or "ledger" in name or "sqlite" in name}

    await until(lambda: not left())  # they end by themselves


async def test_a_scheduler_without_accounts_or_with_two_of_one_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(viseme.ConfigError, match="at least one"):
        Scheduler([])
    async with staged(tmp_path) as stage:
        with pytest.raises(viseme.ConfigError, match="two accounts"):
            stage.scheduler(stage.account("sync"), stage.account("sync"))
