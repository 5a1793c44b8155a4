"""A world without waiting: an event loop whose clock leaps, a disk and a network in memory.

``asyncio`` and ``anyio`` sleeps, time-outs and ``call_at`` take no time: when nothing else can run, the clock jumps to
the next of them. When nothing is left to jump to, the loop raises :class:`Stuck` instead of hanging.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint
from attrs import define, field, frozen

from viseme.engine.disk import Disk, Small
from viseme.engine.transport import Line, Stream, Transport, Wire
from viseme.engine.world import Appender, World
from viseme.keys import FileStamp
from viseme.providers.base import Outcome, Reply

__all__ = [
    "EPOCH",
    "MemoryFiles",
    "MemoryNetwork",
    "Served",
    "Simulation",
    "Stuck",
    "VirtualLoop",
    "settled",
    "simulated_world",
    "virtual_run",
    "virtually",
]

T = TypeVar("T")
EPOCH = 1_763_600_000.0
"""What the wall clock shows while the loop's clock shows zero, UTC seconds."""
_START = 1000.0


class Stuck(RuntimeError):
    """Every task waits, and no time is left to pass."""


class _Leaping(selectors.DefaultSelector):
    """Waits for nothing: where the loop would sleep, its clock goes forward."""

    clock = _START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise Stuck("every task waits for another; nothing is left to happen")
        self.clock += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.clock


def virtual_run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function to its end on a loop of its own, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def virtually(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a test in virtual time of a coroutine function; fixtures and Hypothesis see its arguments."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        virtual_run(functools.partial(test, *args, **kwargs))

    assert inspect.iscoroutinefunction(test)
    return run


async def settled() -> None:
    """Wait until every other task waits for something; no time passes."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(0)
        if not loop._ready:  # type: ignore[attr-defined]
            return


# -- files ---------------------------------------------------------------------------------------------------------


@define
class MemoryFiles:
    """A disk in memory. What was not synced before a ``crash`` is forgotten.

    Attributes:
        files: what a reader finds now.
        durable: what a crash leaves.
        log: what was done, as ``(verb, path)``.
        trouble: called before each write with its verb and path; what it raises, the write raises.
        watch: called before each look at a file with its path and the offset (-1 where its stamp is taken).
        changed: modification times of files, nanoseconds; 0 for those that are not named.
        boots: how often the machine was started.
    """

    files: dict[str, bytes] = field(factory=dict[str, bytes])
    durable: dict[str, bytes] = field(factory=dict[str, bytes])
    log: list[tuple[str, str]] = field(factory=list[tuple[str, str]])
    trouble: Callable[[str, str], None] = field(default=lambda verb, path: None)
    watch: Callable[[str, int], None] = field(default=lambda path, offset: None)
    changed: dict[str, int] = field(factory=dict[str, int])
    boots: int = 1

    def crash(self) -> None:
        """Lose what was not synced, and start the machine again."""
        self.files = dict(self.durable)
        self.boots += 1

    def append(self, path: str, data: list[bytes], *, at: int) -> None:
        self._do("append", path)
        known = self.files.get(path, b"")
        self.files[path] = known[:at].ljust(at, b"\0") + b"".join(data)

    def settle(self, part: str, final: str) -> None:
        self._do("sync", part)
        self.durable[part] = self.files[part]
        self._do("rename", final)
        self.files[final] = self.files.pop(part)
        self._do("sync folder", final)
        self.durable[final] = self.durable.pop(part)

    def keep_all(self, files: Sequence[Small]) -> list[Exception | None]:
        return [self._kept(file) for file in files]

    def _kept(self, file: Small) -> Exception | None:
        try:
            if file.part in self.files and file.note:
                self.remove(file.note)
            self.append(file.part, [file.data], at=0)
            self.settle(file.part, file.final)
        except OSError as error:
            return error
        return None

    def size(self, path: str) -> int | None:
        return None if path not in self.files else len(self.files[path])

    def read(self, path: str) -> Iterator[bytes]:
        content = self.files[path]
        yield from (content[start : start + 65536] for start in range(0, len(content), 65536))

    def peek(self, path: str, offset: int, count: int) -> bytes:
        self.watch(path, offset)
        self._need(path)
        return self.files[path][offset : offset + count]

    def remove(self, path: str) -> None:
        self._do("remove", path)
        self.files.pop(path, None)
        self.durable.pop(path, None)

    def make_folder(self, path: str) -> str:
        return path

    def boot(self) -> str:
        return str(self.boots)

    def stamp(self, path: str) -> FileStamp:
        self.watch(path, -1)
        self._need(path)
        return FileStamp(path, len(self.files[path]), self.changed.get(path, 0))

    def _need(self, path: str) -> None:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)

    def _do(self, verb: str, path: str) -> None:
        self.trouble(verb, path)
        self.log.append((verb, path))


@frozen
class DiskAppender:
    """A file of a disk in memory, opened for more."""

    disk: Disk
    path: str

    async def write(self, data: bytes, /) -> int:
        await checkpoint()
        self.disk.append(self.path, [data], at=self.disk.size(self.path) or 0)
        return len(data)

    async def close(self) -> None:
        await checkpoint()


# -- the network ---------------------------------------------------------------------------------------------------


@frozen
class Served:
    """A download's reply: ``breaks`` is raised behind its last piece."""

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict[str, str])
    pieces: Iterable[bytes] = ()
    breaks: Exception | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await checkpoint()
            yield piece
        await checkpoint()
        if self.breaks is not None:
            raise self.breaks


async def _taken(wire: Wire) -> bytes:
    """A body's bytes, as a server reads them."""
    if wire.body is None or isinstance(wire.body, bytes):
        return wire.body or b""
    whole = b"".join([piece async for piece in wire.body.pieces()])
    assert len(whole) == wire.body.length
    return whole


async def _nothing(line: Line, wire: Wire) -> Outcome:
    return Reply(status=200, body=b"{}")


def _no_file(url: str, headers: Mapping[str, str]) -> Served:
    return Served(404)


@define
class MemoryNetwork:
    """A network of two functions.

    Attributes:
        answer: what comes of a request.
        serve: what a download gives; may raise ``Broken``.
        sent: the requests so far.
        bodies: the bodies of the requests so far that arrived whole.
        fetched: the downloads so far, with their headers.
        open: how many requests and downloads are under way.
    """

    answer: Callable[[Line, Wire], Awaitable[Outcome]] = _nothing
    serve: Callable[[str, Mapping[str, str]], Served] = _no_file
    sent: list[tuple[Line, Wire]] = field(factory=list[tuple[Line, Wire]])
    bodies: list[bytes] = field(factory=list[bytes])
    fetched: list[tuple[str, dict[str, str]]] = field(factory=list[tuple[str, dict[str, str]]])
    open: int = 0

    async def send(self, line: Line, wire: Wire) -> Outcome:
        self.sent.append((line, wire))
        self.open += 1
        try:
            await checkpoint()
            self.bodies.append(await _taken(wire))
            return await self.answer(line, wire)
        finally:
            self.open -= 1

    @asynccontextmanager
    async def fetch(
        self, url: str, headers: Mapping[str, str], *, private: bool, stall: float, method: str = "GET"
    ) -> AsyncIterator[Stream]:
        self.fetched.append((url, dict(headers)))
        self.open += 1
        try:
            await checkpoint()
            served = self.serve(url, headers)
            yield served
        finally:
            self.open -= 1


# -- all of it -----------------------------------------------------------------------------------------------------


@frozen
class Simulation:
    """A world, and what a test may do to it."""

    world: World
    files: MemoryFiles
    network: MemoryNetwork


def simulated_world(
    *, seed: int = 0, files: MemoryFiles | None = None, network: MemoryNetwork | None = None
) -> Simulation:
    """A world in virtual time, with seeded chance and ids. Call it inside a running :class:`VirtualLoop`."""
    loop = asyncio.get_running_loop()
    chance = random.Random(seed)
    disk, net = files or MemoryFiles(), network or MemoryNetwork()

    async def blocking(function: Callable[[], T]) -> T:
        await checkpoint()
        try:
            return function()
        finally:
            await cancel_shielded_checkpoint()

    async def appender(path: str) -> Appender:
        await checkpoint()
        disk.files.setdefault(path, b"")
        return DiskAppender(disk, path)

    def connect() -> AbstractAsyncContextManager[Transport]:
        @asynccontextmanager
        async def connected() -> AsyncIterator[Transport]:
            yield net

        return connected()

    world = World(
        monotonic=loop.time,
        now=lambda: EPOCH + loop.time(),
        sleep=anyio.sleep,
        call_at=loop.call_at,
        random=chance.random,
        new_id=lambda: f"{chance.getrandbits(128):032x}",
        blocking=blocking,
        disk=disk,
        appender=appender,
        connect=connect,
    )
    return Simulation(world, disk, net)
