"""A manifest as the engine takes it: rows from a file or from standard input, each read when it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, closing
from typing import IO

from attrs import define, evolve, field

from viseme.cli.guard import Unusable
from viseme.cli.threads import abandonable, read_some
from viseme.errors import ManifestError
from viseme.jobs import Job, is_url, output_name
from viseme.manifest import LONGEST, Row, read_csv, read_jsonl
from viseme.wording import quote

__all__ = ["Manifest", "open_manifest"]

_CHUNK = 1 << 16
_SOURCES = ("video", "image", "audio")


@define
class Manifest:
    """Rows, and what has to be closed behind them."""

    name: str
    rows: Iterable[Row] | AsyncIterable[Row]
    path: str | None = None
    files: ExitStack = field(factory=ExitStack)


def open_manifest(source: str) -> Manifest:
    """Open ``.jsonl``, ``.csv`` or ``-`` (JSON lines on standard input).

    Raises:
        Unusable: there is no such file, or it is none of these.
    """
    if source == "-":
        return Manifest("standard input", _checked_later(_from_stdin()))
    kind = os.path.splitext(source)[1].lower()
    if kind not in (".jsonl", ".csv"):
        raise Unusable(
            f"{quote(source)} is not a manifest that viseme reads; give a .jsonl or .csv file, or - for JSON lines on"
            " standard input"
        )
    file = _opened(source)
    folder = os.path.dirname(os.path.abspath(source))
    lines = _lines(file, source)
    rows = read_jsonl(lines) if kind == ".jsonl" else read_csv(_decoded(lines, source))
    stack = ExitStack()
    stack.enter_context(closing(file))
    return Manifest(quote(source), _checked(rows, folder), source, stack)


def _opened(source: str) -> IO[bytes]:
    try:
        return open(source, "rb", buffering=1 << 20)
    except FileNotFoundError:
        raise Unusable(f"there is no manifest {quote(source)}; check its name") from None
    except IsADirectoryError:
        raise Unusable(f"the manifest {quote(source)} is a folder; name a .jsonl or .csv file in it") from None
    except OSError as error:
        raise Unusable(f"the manifest {quote(source)} cannot be read: {error.strerror}") from None


def _lines(file: IO[bytes], source: str) -> Iterator[bytes]:
    try:
        while line := file.readline(LONGEST + 1):
            yield line
            while len(line) > LONGEST and not line.endswith(b"\n"):
                line = file.readline(LONGEST + 1)  # the rest of what was refused
    except OSError as error:
        raise ManifestError(f"{quote(source)} cannot be read to its end: {error.strerror}; nothing was lost") from None


def _decoded(lines: Iterable[bytes], source: str) -> Iterator[str]:
    """Text for the CSV reader. A cell that is not UTF-8 spoils its row and no other; such a header spoils them all."""
    for number, line in enumerate(lines):
        if number == 0:
            try:
                line.decode()
            except UnicodeDecodeError:
                raise ManifestError(f"{quote(source)}: line 1: this is not UTF-8 text; save it as UTF-8") from None
        yield line.decode(errors="surrogateescape")


def _checked(rows: Iterable[Row], folder: str) -> Iterator[Row]:
    outputs = _Outputs()
    for row in rows:
        yield outputs.check(_anchored(row, folder))


async def _checked_later(rows: AsyncIterator[Row]) -> AsyncIterator[Row]:
    outputs, folder = _Outputs(), os.getcwd()
    async for row in rows:
        yield outputs.check(_anchored(row, folder))


def _anchored(row: Row, folder: str) -> Row:
    """Local paths are relative to the manifest."""
    if row.job is None:
        return row
    local = {
        name: os.path.abspath(os.path.join(folder, source))
        for name in _SOURCES
        if (source := getattr(row.job, name)) is not None and not is_url(source)
    }
    return evolve(row, job=evolve(row.job, **local)) if local else row


@define
class _Outputs:
    """Which row has which output; only names that rows state are kept, as hashes."""

    _taken: dict[int, tuple[int, int]] = field(factory=dict[int, tuple[int, int]])

    def check(self, row: Row) -> Row:
        """The row, or the problem that another job's result goes to the same file."""
        job = row.job
        if job is None or not (job.output or (job.key and self._taken)):
            return row
        name = output_name(job.key or "", job.output)
        line, owner = self._taken.get(hash(name), (row.line, _identity(job)))
        if owner != _identity(job):
            return Row(
                row.line, problem=f"output {quote(name)!r} is that of line {line} already; give one of them another"
            )
        if job.output:
            self._taken[hash(name)] = (line, owner)
        return row


def _identity(job: Job) -> int:
    """Equal for rows that are the same job."""
    return hash(job.key or repr(evolve(job, priority=0, metadata={})))


async def _from_stdin() -> AsyncIterator[Row]:
    """JSON lines as they arrive; a job of a live producer starts at once."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise ManifestError("standard input is closed; name a manifest file, or pipe one in")
    descriptor = sys.stdin.fileno()
    number, begun = 0, list[bytes]()
    while chunk := await _next_chunk(descriptor):
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            number += 1
            for row in read_jsonl([b"".join([*begun, line])]):
                yield evolve(row, line=number)
            begun.clear()
        if sum(map(len, begun)) <= LONGEST:  # else there is enough of it to be refused
            begun.append(rest)
    for row in read_jsonl([b"".join(begun)]):
        yield evolve(row, line=number + 1)


async def _next_chunk(descriptor: int) -> bytes:
    try:
        return await abandonable(lambda: read_some(descriptor, _CHUNK))
    except OSError as error:
        raise ManifestError(f"standard input cannot be read: {error.strerror}; pipe JSON lines in") from None
