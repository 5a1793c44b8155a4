"""Manifests: one job per line of JSON, or per row of CSV. Reading is lazy and never stops at a bad row."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from attrs import frozen

from viseme.errors import JobInvalid
from viseme.jobs import FIELDS, Job
from viseme.wording import quote

__all__ = ["LONGEST", "Row", "read_csv", "read_jsonl"]

LONGEST = 8 << 20
"""A line of more bytes (or characters, where it is text) is no row."""
_OBJECTS = ("options", "metadata")


@frozen
class Row:
    """One row of a manifest: a job, or what is wrong with it."""

    line: int
    job: Job | None = None
    problem: str | None = None


def read_jsonl(lines: Iterable[str | bytes]) -> Iterator[Row]:
    """Read JSON objects, one a line; blank lines are passed over."""
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST:
            yield Row(number, problem=f"the line is longer than {LONGEST >> 20} MiB, which no job is; mend it")
            continue
        try:
            text = line.decode() if isinstance(line, bytes) else line
        except UnicodeDecodeError:
            yield Row(number, problem="this is not UTF-8 text")
            continue
        text = text.removeprefix("\ufeff").strip()
        if text:
            yield _row(number, _object, text)


def read_csv(lines: Iterable[str]) -> Iterator[Row]:
    """Read rows under a header line; ``options`` and ``metadata`` hold JSON objects, empty cells stand for nothing."""
    reader = csv.DictReader(_without_mark(lines), restkey="", strict=True)
    try:
        unknown = [name for name in reader.fieldnames or () if name not in FIELDS]
    except (csv.Error, UnicodeDecodeError) as error:
        yield Row(1, problem=f"the header cannot be read: {error}")
        return
    twice = [name for name, times in Counter(reader.fieldnames or ()).items() if times > 1]
    if twice and not unknown:
        yield Row(1, problem=f"column {quote(twice[0])!r} is there twice; leave one of them out")
        return
    if unknown:
        yield Row(1, problem=f"unknown column {quote(unknown[0])!r}; known are {', '.join(FIELDS)}")
        return
    while True:
        try:
            cells = next(reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            # where the next row begins is a guess now, and a guess may buy something
            yield Row(reader.line_num + 1, problem=f"the row cannot be read, so nothing behind it is: {error}")
            return
        if cells is None:
            return
        yield _row(reader.line_num, _cells, cells)


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if number == 0 else line


def _row(line: int, read: Any, source: Any) -> Row:
    try:
        return Row(line, job=_job(read(source)))
    except JobInvalid as error:
        return Row(line, problem=str(error))


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise JobInvalid(f"this is not JSON ({error}): {quote(text, 80)}") from None
    if not isinstance(value, dict):
        raise JobInvalid(f'a row must be a JSON object like {{"video": ..., "audio": ...}}, not {quote(text, 80)}')
    return cast("dict[str, Any]", value)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"{quote(twice)!r} is there twice; leave one of them out")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _cells(cells: Mapping[str, Any]) -> Mapping[str, Any]:
    if "" in cells:
        raise JobInvalid("the row has more cells than the header has columns; quote cells that hold a comma")
    row: dict[str, Any] = {name: cell for name, cell in cells.items() if cell not in (None, "")}
    for name in _OBJECTS:
        if name in row:
            row[name] = _object(row[name])
    if "priority" in row:
        try:
            row["priority"] = int(row["priority"])
        except ValueError:
            raise JobInvalid(
                f"priority must be a whole number, not {quote(row['priority'])}", field="priority"
            ) from None
    return row


def _job(row: Mapping[str, Any]) -> Job:
    unknown = [name for name in row if name not in FIELDS]
    if unknown:
        raise JobInvalid(f"unknown field {quote(unknown[0])!r}; known are {', '.join(FIELDS)}")
    return Job(**row)
