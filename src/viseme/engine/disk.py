"""Files, by calls that block: what the engine asks of a disk, and the machine's own."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from attrs import frozen

from viseme.keys import FileStamp

__all__ = ["Disk", "RealDisk", "Small"]

_CHUNK = 1 << 20
_BOOT = "/proc/sys/kernel/random/boot_id"
_PROCESS = os.urandom(16).hex()
"""Stands for the boot where the system does not name it: no other process may then trust what this one left."""


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
