"""``results.jsonl``: a line per task that ended or parked in a run, appended; the last line of a key wins."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
from anyio import CancelScope
from attrs import define, field

from viseme.codec import dumps
from viseme.engine.world import Appender, World
from viseme.errors import VisemeError
from viseme.events import timestamp
from viseme.results import Cost, Result

__all__ = ["ResultsFile", "result_line"]

_COST = tuple(attribute.name for attribute in attrs.fields(Cost))


def result_line(result: Result) -> dict[str, Any]:
    """A result as ``results.jsonl`` has it; times in RFC 3339."""
    timings = {name: None if at is None else timestamp(at) for name, at in result.timings.__dict__.items()}
    error, cost = result.error, result.cost
    preview = {} if result.preview is None else {"preview": result.preview}
    return {
        "key": result.key,
        "task": result.task,
        "state": str(result.state),
        "reason": None if result.reason is None else str(result.reason),
        "account": result.account,
        "model": result.model,
        "handle": result.handle,
        "file": result.file,
        **preview,
        "bytes": result.bytes,
        "sha256": result.sha256,
        "error": None if error is None else {"kind": str(error.kind), "message": error.message, "code": error.code},
        "cost": None if cost is None else {name: getattr(cost, name) for name in _COST},
        "timings": timings,
        "attempt": result.attempt,
        "metadata": result.metadata,
    }


@define(eq=False, repr=False)
class ResultsFile:
    """Appends result lines, grouped: while one write is under way the next lines gather."""

    world: World
    path: str
    _lines: list[bytes] = field(factory=list[bytes])
    _file: Appender | None = None
    _writing: bool = False
    _opened: bool = False

    async def open(self) -> None:
        """Cut off a torn last line of a killed run, then open for appending."""
        self._opened = True
        self._file = await self._mended()

    async def _mended(self) -> Appender:
        path, disk = self.path, self.world.disk

        def mend() -> None:
            disk.make_folder(os.path.dirname(path) or ".")
            size = disk.size(path)
            if size is not None:
                disk.stamp(path)  # refuses a pipe, whose other end nobody may ever open
            if size and disk.peek(path, size - 1, 1) != b"\n":
                disk.append(path, [], at=_last_line_end(size, partial(disk.peek, path)))

        await self.world.blocking(mend)
        return await self.world.appender(path)

    def add(self, result: Result) -> None:
        """Add a line; it is written soon, by :meth:`write`."""
        self._lines.append(dumps(result_line(result)) + b"\n")

    @property
    def waiting(self) -> bool:
        """Whether lines wait to be written."""
        return bool(self._lines)

    async def write(self) -> None:
        """Write the lines that wait.

        Raises:
            OSError: the disk refuses; the lines wait on, and the next call mends the file.
        """
        if not self._opened or self._writing:
            return
        self._writing = True
        try:
            with CancelScope(shield=True):
                while self._lines:
                    await self._append()
        finally:
            self._writing = False

    async def _append(self) -> None:
        file = self._file = self._file or await self._mended()
        lines, self._lines = self._lines, []
        data = b"".join(lines)
        try:
            while data:
                data = data[await file.write(data) :]
        except OSError:
            self._lines, self._file = lines + self._lines, None
            with suppress(OSError):
                await file.close()
            raise

    async def close(self) -> None:
        """Write what is left and close.

        Raises:
            VisemeError: the disk refuses.
        """
        with CancelScope(shield=True):
            try:
                await self.write()
            except OSError as error:
                raise VisemeError(
                    f"{self.path} lacks what became of {len(self._lines)} jobs ({error.strerror or error});"
                    " free some space, then run again: the ledger has it, and what was paid for is kept"
                ) from error
            finally:
                file, self._file, self._opened = self._file, None, False
                if file is not None:
                    await file.close()


def _last_line_end(size: int, read: Callable[[int, int], bytes]) -> int:
    """Where the last whole line of a file of ``size`` bytes ends."""
    end = size
    while end > 0:
        start = max(0, end - 65536)
        newline = read(start, end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
