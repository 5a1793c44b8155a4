"""A disk that fails, tears what it writes, and forgets what was not synced when the power fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from tests.simulation.universe import Universe

from viseme.engine.disk import Small
from viseme.keys import FileStamp

__all__ = ["Disk", "Files", "Gone"]


class Gone(OSError):
    """Whoever asks is dead."""


@define(eq=False)
class Files:
    """What lies on the disk, whoever lives.

    Attributes:
        now: what a reader finds.
        synced: what is left after the power failed.
        boots: how often the machine was started.
    """

    universe: Universe
    now: dict[str, bytes] = field(factory=dict[str, bytes])
    synced: dict[str, bytes] = field(factory=dict[str, bytes])
    changed: dict[str, int] = field(factory=dict[str, int])
    boots: int = 1

    def put(self, path: str, data: bytes) -> None:
        """A file that was there before."""
        self.now[path] = self.synced[path] = data

    def power_cut(self) -> None:
        """Forget what was not synced: wholly, in part, or so that holes are left where it was."""
        self.boots += 1
        chance = self.universe.chance("power cut: files")
        left = dict(self.synced)
        for path, data in sorted(self.now.items()):
            known = left.get(path, b"")
            if data == known or chance.random() < 0.4:
                continue
            keep = chance.randint(0, len(data))
            hole = chance.random() < 0.5
            left[path] = data[:keep].ljust(len(data), b"\0") if hole else data[:keep]
        self.now, self.synced = left, dict(left)


@frozen
class Disk:
    """The disk as one life of our process has it."""

    files: Files

    def _do(self, verb: str, path: str) -> None:
        universe = self.files.universe
        universe.peril(f"before {verb} {path}")
        self._alive()
        if universe.strike("disk", f"{verb} {path}"):
            full = universe.chance("disk: how").random() < 0.5
            raise OSError(errno.ENOSPC if full else errno.EIO, "No space left" if full else "Input/output error", path)

    def _alive(self) -> None:
        if self.files.universe.doomed is not None:
            raise Gone("the process is dead")

    def append(self, path: str, data: list[bytes], *, at: int) -> None:
        whole = b"".join(data)
        try:
            self._do("append", path)
        except OSError:
            whole = whole[: len(whole) // 2]
            raise
        finally:
            known = self.files.now.get(path, b"")[:at].ljust(at, b"\0")
            if self.files.universe.doomed is None:
                self.files.now[path] = known + whole

    def settle(self, part: str, final: str) -> None:
        self._rename(part, final)
        self.sync_folder({part: final})

    def keep_all(self, files: Sequence[Small]) -> list[Exception | None]:
        refused = [_tried(self._write, file) for file in files]
        for number, file in enumerate(files):
            refused[number] = refused[number] or _tried(self._rename, file.part, file.final)
        renamed: dict[str, list[int]] = {}
        for number, file in enumerate(files):
            if refused[number] is None:
                renamed.setdefault(os.path.dirname(file.final), []).append(number)
        for numbers in renamed.values():
            error = _tried(self.sync_folder, {files[number].part: files[number].final for number in numbers})
            for number in numbers:
                refused[number] = error
        return refused

    def _write(self, file: Small) -> None:
        if file.part in self.files.now and file.note:
            self.remove(file.note)
        self.append(file.part, [file.data], at=0)

    def _rename(self, part: str, final: str) -> None:
        self._do("sync", part)
        self.files.synced[part] = self.files.now[part]
        self._do("rename", final)
        self.files.now[final] = self.files.now.pop(part)

    def sync_folder(self, renamed: Mapping[str, str]) -> None:
        """What was renamed in a folder, by its old names, has its new name from now on whatever happens."""
        self._do("sync folder", next(iter(renamed.values())))
        for part, final in renamed.items():
            self.files.synced[final] = self.files.synced.pop(part)

    def size(self, path: str) -> int | None:
        self._alive()
        data = self.files.now.get(path)
        return None if data is None else len(data)

    def read(self, path: str) -> Iterator[bytes]:
        self._alive()
        content = self._content(path)
        yield from (content[start : start + 4096] for start in range(0, len(content), 4096))

    def peek(self, path: str, offset: int, count: int) -> bytes:
        self._alive()
        return self._content(path)[offset : offset + count]

    def remove(self, path: str) -> None:
        self._do("remove", path)
        self.files.now.pop(path, None)

    def make_folder(self, path: str) -> str:
        self._alive()
        return path

    def boot(self) -> str:
        self._alive()
        return str(self.files.boots)

    def stamp(self, path: str) -> FileStamp:
        self._alive()
        return FileStamp(path, len(self._content(path)), self.files.changed.get(path, 0))

    def _content(self, path: str) -> bytes:
        if path not in self.files.now:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return self.files.now[path]


def _tried(step: Callable[..., None], *args: Any, **more: Any) -> OSError | None:
    try:
        step(*args, **more)
    except OSError as error:
        return error
    return None
