"""The one place where the engine meets the world: clocks, sleep, chance, ids, threads, files and the network.

Everything else takes a :class:`World`, so the whole engine runs in a simulation.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
import random
import stat
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any, Protocol

import aiofiles
import anyio
from attrs import frozen

from viseme.engine.threads import Threads
from viseme.engine.transport import AioTransport, Transport
from viseme.keys import FileStamp

__all__ = ["Appender", "Disk", "RealDisk", "Small", "Timer", "World", "real_world"]

_CHUNK = 1 << 20
_BOOT = "/proc/sys/kernel/random/boot_id"
_PROCESS = os.urandom(16).hex()
"""Stands for the boot where the system does not name it: no other process may then trust what this one left."""


class Timer(Protocol):
    """A call to come; ``cancel`` withdraws it."""

    def cancel(self) -> None: ...


@frozen
class Small:
    """A file that is kept as a whole: written as ``part``, then renamed to ``final``.

    Attributes:
        note: a file that goes where a ``part`` is there already, which it tells of; empty where there is none.
    """

    part: str
    final: str
    data: bytes
    note: str = ""


class Disk(Protocol):
    """Files, by blocking calls; run them through ``World.blocking``. Paths are text."""

    def append(self, path: str, data: list[bytes], *, at: int) -> None:
        """Cut the file (made if absent, mode 0600) to ``at`` bytes and write ``data`` behind them."""
        ...

    def settle(self, part: str, final: str) -> None:
        """Make ``part`` as readable as other new files, sync it to disk, rename it to ``final``, sync the folder."""
        ...

    def keep_all(self, files: Sequence[Small]) -> list[Exception | None]:
        """``append`` the whole of small files and ``settle`` them: each opened once, each folder synced once for all.

        Where a ``part`` is there already, what is noted of it is removed before.

        Returns:
            Why each was refused, in their order; None for those that were kept.
        """
        ...

    def size(self, path: str) -> int | None:
        """The file's size in bytes, None if there is none."""
        ...

    def read(self, path: str) -> Iterator[bytes]:
        """The file's bytes in pieces."""
        ...

    def peek(self, path: str, offset: int, count: int) -> bytes:
        """Up to ``count`` of the file's bytes from an offset."""
        ...

    def remove(self, path: str) -> None:
        """Remove the file if it is there."""
        ...

    def make_folder(self, path: str) -> str:
        """Make a folder and those above it; returns its path with links resolved."""
        ...

    def boot(self) -> str:
        """A name for the time since the machine was started; of what was written before it, some may be missing."""
        ...

    def stamp(self, path: str) -> FileStamp:
        """What identifies a local file. Raises OSError where there is none that can be read: no folder, no pipe."""
        ...


class Appender(Protocol):
    """An open file that is written at its end: one trip to another thread a time, as nothing is kept to be flushed."""

    async def write(self, data: bytes, /) -> int:
        """Write some of the bytes, as a rule all; returns how many."""
        ...

    async def close(self) -> Any: ...


@frozen(kw_only=True, repr=False)
class World:
    """What the engine may touch.

    Attributes:
        monotonic: seconds that only go forward.
        now: UTC seconds.
        sleep: wait so many seconds.
        call_at: call a function at a monotonic time or soon after it, and never before: whoever then looks whether the
            time has come looks once. (uvloop counts in milliseconds, and rounds.)
        random: a number in [0, 1).
        new_id: a text that was never given before; one that is made later sorts behind, where the clock allows.
        blocking: run a blocking function off the event loop.
        appender: open a file for appending.
        connect: the network, for as long as the context lasts.
        close: let go of the threads; what still runs in one is not waited for.
    """

    monotonic: Callable[[], float]
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    call_at: Callable[[float, Callable[[], None]], Timer]
    random: Callable[[], float]
    new_id: Callable[[], str]
    blocking: Callable[[Callable[[], Any]], Awaitable[Any]]
    disk: Disk
    appender: Callable[[str], Awaitable[Appender]]
    connect: Callable[[], AbstractAsyncContextManager[Transport]]
    close: Callable[[], None] = lambda: None


class RealDisk:
    """The machine's files. What is under way is its owner's alone; a result is as readable as files made now are."""

    def __init__(self) -> None:
        mask = os.umask(0o077)  # there is no other way to read it
        os.umask(mask)
        self._mode = 0o666 & ~mask

    def append(self, path: str, data: list[bytes], *, at: int) -> None:
        descriptor = _opened(path, anew=not at)
        try:
            if at:
                if os.fstat(descriptor).st_size != at:
                    os.ftruncate(descriptor, at)
                os.lseek(descriptor, at, os.SEEK_SET)
            for piece in data:
                _write(descriptor, piece)
            size = sum(map(len, data))
            if size >= _CHUNK:
                _hasten(descriptor, at, size)
        finally:
            os.close(descriptor)

    def settle(self, part: str, final: str) -> None:
        descriptor = os.open(part, os.O_RDWR)
        try:
            self._open_up(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(part, final)
        _sync_folder(os.path.dirname(final))

    def keep_all(self, files: Sequence[Small]) -> list[Exception | None]:
        """All are written, then all synced: what got to the disk while others were written needs no sync of its own."""
        refused: list[Exception | None] = [None] * len(files)
        written: list[tuple[int, int]] = []
        for number, file in enumerate(files):
            try:
                written.append((number, self._written(file)))
            except Exception as error:
                refused[number] = error
        renamed: dict[str, list[int]] = {}
        for number, descriptor in written:
            final = files[number].final
            try:
                _renamed(descriptor, files[number].part, final)
            except Exception as error:
                refused[number] = error
            else:
                renamed.setdefault(os.path.dirname(final), []).append(number)
        for folder, numbers in renamed.items():
            try:
                _sync_folder(folder)
            except Exception as error:
                for number in numbers:
                    refused[number] = error
        return refused

    def _written(self, file: Small) -> int:
        """A small file's part, open, with all its bytes."""
        descriptor = self._begun(file)
        try:
            _write(descriptor, file.data)
            self._open_up(descriptor)
            _hasten(descriptor, 0, len(file.data))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _begun(self, file: Small) -> int:
        """A small file's part, empty. Nearly always there is none: then nothing tells of it, and nothing is removed."""
        try:
            return os.open(file.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if file.note:
                self.remove(file.note)
            return _opened(file.part, anew=True)

    def _open_up(self, descriptor: int) -> None:
        with suppress(OSError):  # some file systems have no modes
            os.fchmod(descriptor, self._mode)

    def size(self, path: str) -> int | None:
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return None

    def read(self, path: str) -> Iterator[bytes]:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def peek(self, path: str, offset: int, count: int) -> bytes:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(count)

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.remove(path)

    def make_folder(self, path: str) -> str:
        os.makedirs(path, exist_ok=True)
        return os.path.realpath(path)

    def boot(self) -> str:
        try:
            return Path(_BOOT).read_text("ascii").strip() or _PROCESS
        except (OSError, ValueError):
            return _PROCESS

    def stamp(self, path: str) -> FileStamp:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", path)
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return FileStamp(str(Path(path).resolve()), found.st_size, found.st_mtime_ns)


def _renamed(descriptor: int, part: str, final: str) -> None:
    """Sync a part and give it its name."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(part, final)


def _sync_folder(path: str) -> None:
    folder = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _opened(path: str, *, anew: bool) -> int:
    """A file to write, made if it is absent; what it holds is kept, or forgotten. No link is followed."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if anew else 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags, 0o600)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _hasten(descriptor: int, start: int, count: int) -> None:
    """Have what was just written go to the disk, without waiting: the sync at the end then finds little to do.

    The advice is to forget the bytes; Linux begins to write those that are not on disk yet, and forgets none of these.
    """
    advise = getattr(os, "posix_fadvise", None)
    if advise is not None:
        with suppress(OSError):
            advise(descriptor, start, count, os.POSIX_FADV_DONTNEED)


_chance = random.Random()
"""Chance for names, which are no secrets: the system is asked once, as each call of it costs twice a name's price."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_chance.seed)  # or both processes would make the same names


def _new_id() -> str:
    """When it is made, to 65 µs, and 80 bits by chance.

    So what is written at about the same time lies in the same pages of the ledger, which is keyed by these names: 6.6
    instead of 9.9 pages a job, and beside 100,000 earlier jobs 280 instead of 370 µs of SQLite's thread.
    """
    return ((time.time_ns() >> 16).to_bytes(6, "big") + _chance.getrandbits(80).to_bytes(10, "big")).hex()


def real_world() -> World:
    """The world as it is. Call it inside a running event loop."""
    loop = asyncio.get_running_loop()
    threads = Threads(16)

    async def appender(path: str) -> Appender:
        return await aiofiles.open(path, "ab", buffering=0)

    def call_at(at: float, function: Callable[[], None]) -> Timer:
        return loop.call_at(math.ceil(at * 1000 + 1) / 1000, function)

    return World(
        monotonic=loop.time,
        now=time.time,
        sleep=anyio.sleep,
        call_at=call_at,
        random=random.Random().random,
        new_id=_new_id,
        blocking=threads.run,
        disk=RealDisk(),
        appender=appender,
        connect=AioTransport,
        close=threads.close,
    )
