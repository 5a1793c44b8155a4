"""Vendors that talk nonsense, or are not there: no traceback, every job ends or parks, nothing is bought twice."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import web
from tests.support.hosts import hosted
from tests.support.sandboxes import VENDORS, Stage, check_events, read_books, result_lines, staged, until

import viseme
from viseme import Reason
from viseme.engine.polling import looking
from viseme.sandbox.vendors.storage import Storage

NONSENSE: dict[str, tuple[int, str, bytes]] = {
    "a page": (200, "text/html", b"<!doctype html><html><body>Welcome to our captive portal</body></html>"),
    "a page with 503": (503, "text/html", b"<html><h1>503</h1></html>"),
    "nothing": (200, "application/json", b""),
    "an empty object": (200, "application/json", b"{}"),
    "an empty list": (200, "application/json", b"[]"),
    "null": (200, "application/json", b"null"),
    "a number": (200, "application/json", b"42"),
    "text": (200, "application/json", b'"ok"'),
    "torn JSON": (200, "application/json", b'{"id": "abc", "status": "PEN'),
    "wrong types": (200, "application/json", b'{"id": [1], "code": {}, "data": [[]], "status": 7, "task_id": null}'),
    "bytes": (200, "application/octet-stream", bytes(range(256)) * 8),
    "deep JSON": (200, "application/json", b"[" * 5000 + b"]" * 5000),
    "a big number": (200, "application/json", b'{"code": ' + b"9" * 5000 + b"}"),
    "a redirect": (302, "text/html", b""),
    "a teapot": (418, "text/plain", b"short and stout"),
    "a 204": (204, "text/plain", b""),
    "a 500 of bytes": (500, "application/json", b"\xff\xfe\x00"),
}


@attrs.define
class Babbler:
    """A server that answers everything with the same words."""

    words: tuple[int, str, bytes]
    creates: Counter[bytes] = attrs.field(factory=Counter[bytes])
    base: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.method == "POST":
            self.creates[body] += 1
        status, kind, words = self.words
        headers = {"Location": f"{self.base}/elsewhere"} if status == 302 else {}
        return web.Response(status=status, body=words, content_type=kind, headers=headers)


@asynccontextmanager
async def served(babbler: Babbler) -> AsyncIterator[str]:
    async with hosted(babbler.handle) as babbler.base:
        yield babbler.base


@contextmanager
def spoilt_links(monkeypatch: pytest.MonkeyPatch, link: str) -> Iterator[list[str]]:
    """The sandbox's vendors show this instead of the links to what they made; the list grows with each."""
    real, shown = Storage.result_url, list[str]()

    def spoilt(self: Storage, job: Any, origin: str, file: str, **more: Any) -> str:
        if file in ("dubbed.mp4", "cover.jpg"):  # of a dub, before the lip-sync
            return real(self, job, origin, file, **more)
        shown.append(file)
        return link

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "result_url", spoilt)
        yield shown


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_vendor_that_talks_nonsense_gets_each_create_once_and_every_job_ends_or_parks(
    vendor: str, nonsense: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    babbler = Babbler(NONSENSE[nonsense])
    async with staged(tmp_path, speed=1600 if vendor == "rask" else 400) as stage, served(babbler) as base:
        account = stage.account(vendor, base_url=base, polling={"first": "1s", "every": "1s", "deadline": "30s"})
        async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(3, vendor)) as run:
            tally = await asyncio.wait_for(run.wait(), 100)
        assert tally.ended == 3
        assert tally.succeeded == 0
        books = await stage.books()
        check_events(books)
        for line in result_lines(tmp_path / "out"):
            assert line["error"]["message"]
            assert len(line["error"]["message"]) < 1000
            assert "Traceback" not in line["error"]["message"]
        strict = vendor in ("jogg", "aimlapi")  # Sync's creates are replayed; Rask's media cost nothing, and go anew
        if strict:
            assert all(count == 1 for count in babbler.creates.values()), "each create was sent once"
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING], caplog.text
        sent = dict(babbler.creates)
        # The same again: what is parked asks once more at most where that is safe, and nothing new is created.
        async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(3, vendor)) as run:
            await asyncio.wait_for(run.wait(), 100)
        if strict and any(row.intent for row in books.rows.values() if row.parked is Reason.FATE_UNKNOWN):
            assert {body: n for body, n in babbler.creates.items() if body in sent} == sent
        check_events(await stage.books())


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("fault", ["html", "truncated", "unknown_status", "server_error", "reset_before", "lost_reply"])
async def test_looks_that_show_nonsense_for_a_while_lose_nothing(vendor: str, fault: str, tmp_path: Path) -> None:
    async with staged(tmp_path, speed=200) as stage:
        for route in ("poll", "list"):
            stage.sandbox.inject(fault, vendor=vendor, route=route, times=6)
        account = stage.account(vendor, polling={"first": "1s", "every": "2s"})
        async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(6, vendor)) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 6
        assert stage.creates(vendor) == 6


async def test_looks_that_never_make_sense_park_at_the_deadline_and_a_later_run_collects(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=200) as stage:
        stage.sandbox.inject("html", vendor="sync", route="poll", times=100_000)
        stage.sandbox.inject("html", vendor="sync", route="list", times=100_000)
        account = stage.account("sync", polling={"first": "1s", "every": "5s", "deadline": "120s"})
        async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(5)) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).parked == 5
        assert (await stage.books()).states() == {Reason.DEADLINE: 5}
        stage.sandbox._desk._orders.clear()
        async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(5)) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 5
        assert stage.creates("sync") == 5
        check_events(await stage.books())


@pytest.mark.parametrize("link", ["", "s3://bucket/film.mp4"])
@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_is_done_without_a_link_parks_soon_and_a_later_run_collects_it(
    vendor: str, link: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(tmp_path, speed=400) as stage:
        with spoilt_links(monkeypatch, link):
            async with stage.scheduler(stage.account(vendor)) as scheduler, scheduler.run(stage.jobs(2, vendor)) as run:
                began = stage.clock.now()
                assert (await asyncio.wait_for(run.wait(), 100)).parked == 2
                assert stage.clock.now() - began < 5000
        assert (await stage.books()).states() == {Reason.UNCONFIRMED: 2}
        message = result_lines(tmp_path / "out")[-1]["error"]["message"]
        assert (link or "no link") in message
        assert "run again to look once more" in message
        async with stage.scheduler(stage.account(vendor)) as scheduler, scheduler.run(stage.jobs(2, vendor)) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 2
        assert stage.creates(vendor) == 2
        check_events(await stage.books())


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_link_that_comes_a_little_after_the_end_is_waited_for(
    vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_ODD", 5000.0)  # a machine may need long for three looks
    async with staged(tmp_path, speed=100) as stage:
        account = stage.account(vendor, polling={"first": "1s", "every": "2s"})
        async with stage.scheduler(account) as scheduler:
            with spoilt_links(monkeypatch, "") as shown:
                task = await scheduler.submit(stage.job(1, vendor))
                await until(lambda: len(shown) >= 3)
            assert (await asyncio.wait_for(task.result(), 100)).state == "succeeded"
        assert stage.creates(vendor) == 1


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_list_call_that_is_refused_is_given_up_for_single_looks_and_that_is_said_once(
    status: int, tmp_path: Path
) -> None:
    async with staged(tmp_path, speed=200) as stage:
        stage.sandbox.inject("refused", vendor="sync", route="list", status=status, times=1000)
        told: list[str] = []
        scheduler = stage.scheduler(stage.account("sync"), notice=told.append)
        async with scheduler, scheduler.run(stage.jobs(30)) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 30
        assert len([text for text in told if "one by one" in text]) == 1
        assert len(stage.sandbox.log("sync", "list")) <= 10


async def test_a_job_that_the_vendor_forgot_fails_and_is_not_bought_again(tmp_path: Path) -> None:
    async with staged(tmp_path, speed=200, settings={"aimlapi": {"fixed_seconds": 5000}}) as stage:
        account = stage.account("aimlapi", polling={"first": "1s", "every": "10s"})
        async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(3)) as run:
            await until(lambda: len({row["job"] for row in stage.sandbox.log("aimlapi", "poll")}) == 3)
            for job in stage.sandbox._vendors["aimlapi"].jobs.values():
                job.deleted = True
            assert (await asyncio.wait_for(run.wait(), 100)).failed == 3
        assert stage.creates("aimlapi") == 3
        assert {line["error"]["kind"] for line in result_lines(tmp_path / "out")} == {"not_found"}


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_job_that_can_be_seen_only_later_is_waited_for(vendor: str, tmp_path: Path) -> None:
    async with staged(tmp_path, speed=200, settings={vendor: {"visible_seconds": 25, "queue_seconds": 40}}) as stage:
        account = stage.account(vendor, polling={"first": "1s", "every": "2s"})
        async with stage.scheduler(account) as scheduler, scheduler.run(stage.jobs(4, vendor)) as run:
            assert (await asyncio.wait_for(run.wait(), 100)).succeeded == 4
        assert stage.creates(vendor) == 4


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_vendor_that_is_not_there_is_waited_for(vendor: str, tmp_path: Path) -> None:
    port = free_port()
    async with staged(tmp_path, speed=100) as stage:
        account = stage.account(vendor, base_url=f"http://127.0.0.1:{port}/{vendor}")
        async with asyncio.timeout(100), stage.scheduler(account) as scheduler:
            tasks = [await scheduler.submit(job) for job in stage.jobs(10, vendor)]
            async for event in tasks[0].events():
                if event.type == "retrying":
                    break
            assert (await tasks[0].why()).gate in ("pause", "upload", "rate", None)
            async with another_door(stage, port):
                for task in tasks:
                    assert (await task.result()).state is viseme.State.SUCCEEDED
        assert stage.creates(vendor) == len(stage.posts(vendor)) == 10
        books = await read_books(tmp_path / "out")
        check_events(books)
        assert all(row.attempt == 1 for row in books.rows.values()), "what never left is no attempt"


@asynccontextmanager
async def another_door(stage: Stage, port: int) -> AsyncIterator[None]:
    """Let the sandbox be reached at another port too."""
    host, _, inner = stage.base.removeprefix("http://").partition(":")
    open_writers: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(host, int(inner))
        open_writers.update((writer, inner_writer))
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    async with await asyncio.start_server(connected, "127.0.0.1", port):
        yield
        for writer in open_writers:
            writer.close()
