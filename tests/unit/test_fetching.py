"""Bringing results home: who goes first, and what becomes of a task whose result cannot be fetched."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import pytest
from attrs import define, evolve, field
from tests.support.video import box, video
from tests.support.virtual import MemoryFiles, MemoryNetwork, Served, Simulation, settled, simulated_world, virtually

from viseme.attempts import TaskRow
from viseme.config import Downloads
from viseme.engine.downloads.fetching import Fetcher
from viseme.engine.lifecycle.advance import advance
from viseme.engine.lifecycle.book import Book
from viseme.engine.lifecycle.signals import Fetched, Signal, Unfetched
from viseme.engine.lifecycle.steps import Policy, Step
from viseme.engine.transport import Broken
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.results import Artifact, Reason, State

MOVIE = video(2000)
JOB = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav")


@define(eq=False)
class Held:
    desk: Bench
    row: TaskRow

    async def take(self, signal: Signal) -> Step | None:
        self.desk.taken.append((self.row.id, signal))
        step = advance(self.row, signal, Policy(), 0.0)
        if step is not None:
            self.row = self.desk.rows[self.row.id] = step.row
        return step


@define(eq=False)
class Bench:
    """A fetcher, its rows, and what became of them. ``serve`` answers by a link's last part."""

    world: Simulation
    fetcher: Fetcher = field(init=False)
    rows: dict[str, TaskRow] = field(factory=dict[str, TaskRow])
    taken: list[tuple[str, Signal]] = field(factory=list[tuple[str, Signal]])
    notices: list[str] = field(factory=list[str])
    serve: Callable[[str], Served] = lambda name: Served(200, {"content-type": "video/mp4"}, [MOVIE])

    @asynccontextmanager
    async def hold(self, task: str) -> AsyncIterator[Held]:
        yield Held(self, self.rows[task])

    def answer(self, url: str, headers: Mapping[str, str]) -> Served:
        return self.serve(url.rsplit("/", 1)[1])

    def put(self, name: str, *, expires: float | None = None, cover: bool = False, **more: Any) -> None:
        outputs = [Artifact(url=f"https://cdn.example/{name}", expires_at=expires)]
        if cover:
            outputs.append(Artifact(url=f"https://cdn.example/{name}-cover", role="cover"))
        given = {"outputs": tuple(outputs), "handle": {"id": name}, "state": State.FETCHING, **more}
        self.rows[name] = TaskRow(id=name, key=name, digest="d", account="house", **{"job": JOB, **given})
        self.fetcher.put(self.rows[name])

    @property
    def order(self) -> list[str]:
        return [url.rsplit("/", 1)[1] for url, _ in self.world.network.fetched]

    def signal(self, name: str) -> Signal:
        (found,) = [signal for task, signal in self.taken if task == name]
        return found


@asynccontextmanager
async def bench(files: MemoryFiles | None = None, **limits: Any) -> AsyncIterator[Bench]:
    one = Bench(simulated_world(files=files, network=MemoryNetwork()))
    one.world.network.serve = one.answer
    async with anyio.create_task_group() as group:
        one.fetcher = Fetcher(
            one.world.world, cast("Book", one), one.world.network, Downloads(**limits), "out", group,
            lambda account: False, one.notices.append,
        )  # fmt: skip
        yield one
        group.cancel_scope.cancel()


def slow(seconds: float) -> Callable[[str], Served]:
    class Slow(Served):
        async def chunks(self) -> AsyncIterator[bytes]:
            await anyio.sleep(seconds)
            yield MOVIE

    return lambda name: Slow(200, {"content-type": "video/mp4"}, [MOVIE])


@virtually
async def test_a_result_comes_home_under_its_jobs_name() -> None:
    async with bench() as one:
        one.put("a")
        one.put("b", job=evolve(JOB, output="deep/x.mp4"))
        await settled()
        assert one.world.files.durable == {"out/a.mp4": MOVIE, "out/deep/x.mp4": MOVIE}
        found = one.signal("b")
        assert isinstance(found, Fetched)
        assert (found.file, found.bytes) == ("out/deep/x.mp4", 2000)
        assert one.rows["b"].state is State.SUCCEEDED


@virtually
async def test_only_so_many_are_fetched_at_once_and_those_whose_links_die_first_go_first() -> None:
    async with bench(concurrency=2) as one:
        one.serve = slow(10)
        for name, expires in [("a", None), ("b", None), ("c", 900.0), ("d", 100.0), ("e", None), ("f", 500.0)]:
            one.put(name, expires=expires)
        await settled()
        assert one.order == ["a", "b"]
        await anyio.sleep(35)
        assert one.order == ["a", "b", "d", "f", "c", "e"]


@virtually
async def test_a_task_that_is_put_twice_is_fetched_once() -> None:
    async with bench(concurrency=1) as one:
        one.serve = slow(10)
        for _ in range(2):
            one.put("a")
            one.put("b")
        await anyio.sleep(30)
        assert one.order == ["a", "b"]


@pytest.mark.parametrize(
    "more", [{"parked": Reason.STOPPED}, {"state": State.CANCELLED}, {"state": State.WAITING}], ids=str
)
@virtually
async def test_a_task_that_nobody_waits_for_any_more_is_not_fetched(more: dict[str, Any]) -> None:
    async with bench() as one:
        one.put("a", **more)
        await settled()
        assert (one.order, one.taken) == ([], [])


@virtually
async def test_a_cover_is_fetched_where_it_is_wanted_and_whatever_becomes_of_it_the_task_succeeds() -> None:
    def breaks(_: str) -> Served:
        raise Broken("no way", unsafe=True)

    picture = Served(200, {"content-type": "image/jpeg"}, [b"\xff\xd8 picture"])
    covers: list[tuple[Callable[[str], Served], int]] = [
        (lambda _: picture, 0), (lambda _: Served(404), 1), (lambda _: Served(200, {}, []), 1), (breaks, 1),
        (lambda _: Served(200, {}, [b"half a pict"], Broken("reset")), 1),
    ]  # fmt: skip
    for cover, notices in covers:
        async with bench(covers=True) as one:
            movie = one.serve
            one.serve = lambda name: cover(name) if name.endswith("-cover") else movie(name)  # noqa: B023
            one.put("a", cover=True)
            await anyio.sleep(600)
            assert one.rows["a"].state is State.SUCCEEDED
            assert len(one.notices) == notices
            assert set(one.world.files.files) == {"out/a.mp4", *(() if notices else ("out/a.jpg",))}


@virtually
async def test_a_cover_that_nobody_wants_is_not_fetched() -> None:
    async with bench() as one:
        one.put("a", cover=True)
        await settled()
        assert one.order == ["a"]


@pytest.mark.parametrize(
    ("served", "kind", "refresh"),
    [
        (Served(403), Kind.RESULT_EXPIRED, True),
        (Served(200, {}, [b"<html>"]), Kind.RESULT_EXPIRED, True),
        (Served(200, {}, [box(b"ftyp", b"isom")]), Kind.RESULT_EXPIRED, True),
        (Served(200, {"content-encoding": "gzip"}, [MOVIE]), Kind.PROTOCOL, False),
        (Served(200, {"content-length": str(21 * 1024**3)}, [MOVIE]), Kind.PROTOCOL, False),
        (Served(503), Kind.TRANSIENT, False),
    ],
    ids=str,
)
@virtually
async def test_a_dead_link_is_asked_for_anew_and_what_is_no_fault_of_the_link_is_not(
    served: Served, kind: Kind, refresh: bool
) -> None:
    async with bench(tries=2) as one:
        one.serve = lambda name: served
        one.put("a")
        await anyio.sleep(60)
        found = one.signal("a")
        assert isinstance(found, Unfetched)
        assert (found.failure.kind, found.refresh) == (kind, refresh)
        assert one.rows["a"].state is (State.WAITING if refresh else State.FETCHING)
        assert one.rows["a"].parked is (None if refresh else Reason.NEEDS_PERSON)


@virtually
async def test_a_result_without_a_link_is_asked_for_anew() -> None:
    async with bench() as one:
        one.put("a", outputs=(Artifact(url="https://cdn.example/c", role="cover"),))
        await settled()
        found = one.signal("a")
        assert isinstance(found, Unfetched)
        assert (found.failure.kind, found.refresh) == (Kind.RESULT_EXPIRED, True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@virtually
async def test_a_full_disk_parks_the_task_with_the_next_step(number: int) -> None:
    def full(verb: str, path: str) -> None:
        if verb == "append":
            raise OSError(number, os.strerror(number))

    async with bench(MemoryFiles(trouble=full)) as one:
        one.put("a")
        await settled()
        row = one.rows["a"]
        assert (row.state, row.parked) == (State.FETCHING, Reason.NEEDS_PERSON)
        assert row.failure is not None
        assert row.failure.kind is Kind.DISK
        assert f"{os.strerror(number)}. Free some space" in row.failure.message


@virtually
async def test_a_name_that_leads_out_of_the_folder_through_a_link_is_refused() -> None:
    class Linked(MemoryFiles):
        def make_folder(self, path: str) -> str:
            return path.replace("out/away", "/elsewhere")

    async with bench(Linked()) as one:
        one.put("a", job=evolve(JOB, output="away/a.mp4"))
        await settled()
        row = one.rows["a"]
        assert one.order == []
        assert row.failure is not None
        assert (row.parked, row.failure.kind) == (Reason.NEEDS_PERSON, Kind.PROTOCOL)


@virtually
async def test_stopping_breaks_downloads_off_begins_none_and_keeps_what_came() -> None:
    async with bench(concurrency=1) as one:
        one.serve = slow(10)
        one.put("a")
        one.put("b")
        await anyio.sleep(1)
        one.fetcher.stop()
        await anyio.sleep(60)
        one.put("c")
        await anyio.sleep(60)
        assert (one.order, one.taken) == (["a"], [])


@virtually
async def test_a_task_that_is_called_off_is_broken_off_and_the_next_goes_on() -> None:
    async with bench(concurrency=1) as one:
        one.serve = slow(10)
        one.put("a")
        one.put("b")
        await anyio.sleep(1)
        one.fetcher.withdraw("a")
        one.fetcher.withdraw("unknown")
        await anyio.sleep(15)
        assert [task for task, _ in one.taken] == ["b"]


@virtually
async def test_a_task_that_is_called_off_before_its_download_began_is_not_fetched() -> None:
    async with bench(concurrency=1) as one:
        one.put("a")
        one.put("b")
        one.fetcher.withdraw("a")
        await anyio.sleep(15)
        assert ([task for task, _ in one.taken], one.order) == (["b"], ["b"])


@virtually
async def test_what_was_fetched_of_a_result_that_nobody_wants_is_removed() -> None:
    files = MemoryFiles(files={"out/a.mp4.part": b"x", "out/a.mp4.part.tag": b"t", "out/b.mp4.part": b"y"})
    async with bench(files) as one:
        one.put("a", state=State.CANCELLED)
        await one.fetcher.discard(one.rows["a"])
        assert files.files == {"out/b.mp4.part": b"y"}

        def refuses(verb: str, path: str) -> None:
            raise OSError(errno.EIO, "Input/output error")

        files.trouble = refuses
        await one.fetcher.discard(one.rows["a"])
