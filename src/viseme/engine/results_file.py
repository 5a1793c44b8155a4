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

from viseme.attempts import TaskRow
from viseme.codec import dumps
from viseme.engine.world import Appender, World
from viseme.errors import VisemeError
from viseme.events import timestamp
from viseme.results import Cost, State

__all__ = ["ResultsFile", "result_line"]

_COST = tuple(attribute.name for attribute in attrs.fields(Cost))


def result_line(row: TaskRow) -> dict[str, Any]:
    """What ``row.result()`` tells, as ``results.jsonl`` has it, with times in RFC 3339. No result is made for that."""
    timings = {name: None if at is None else timestamp(at) for name, at in row.timings.__dict__.items()}
    state, error, cost = row.shown, row.failure, row.cost
    preview = {} if row.preview is None else {"preview": row.preview}
    return {
        "key": row.key,
        "task": row.id,
        "state": str(state),
        "reason": None if row.parked is None else str(row.parked),
        "account": row.account,
        "model": row.intent.model if row.intent else row.job.model,
        "handle": row.vendor_id,
        "file": row.file if row.state is State.SUCCEEDED else None,
        **preview,
        "bytes": row.bytes,
        "sha256": row.sha256,
        "error": None if error is None else {"kind": str(error.kind), "message": error.message, "code": error.code},
        "cost": None if cost is None else {name: getattr(cost, name) for name in _COST},
        "timings": timings,
        "attempt": row.attempt,
        "metadata": row.job.metadata,
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

    def add(self, row: TaskRow) -> None:
        """Add the line of a task that ended or parked; it is written soon, by :meth:`write`."""
        self._lines.append(dumps(result_line(row)) + b"\n")

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
