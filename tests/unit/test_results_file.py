"""``results.jsonl``: whole lines only, and the last line of a key wins."""

from __future__ import annotations

import asyncio
import errno
import json
from datetime import UTC, datetime
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.virtual import DiskAppender, MemoryFiles, simulated_world, virtual_run, virtually

from viseme.attempts import Intent, TaskRow
from viseme.engine.results_file import ResultsFile, result_line
from viseme.errors import VisemeError
from viseme.events import timestamp
from viseme.failures import Failure, Kind
from viseme.jobs import Job
from viseme.results import Cost, Reason, State, Timings

PATH = "out/results.jsonl"
INTENT = Intent(id="i", task="t", account="sync", model="made", endpoint="", attempt=1, stage="lipsync", key="", at=0.0)


def row(key: str = "k", state: State = State.SUCCEEDED, **more: Any) -> TaskRow:
    job = more.pop("job", Job())
    return TaskRow(id=f"t-{key}", key=key, job=job, digest="d", account="sync", state=state, **more)


async def opened(files: MemoryFiles) -> ResultsFile:
    file = ResultsFile(simulated_world(files=files).world, PATH)
    await file.open()
    return file


def lines(files: MemoryFiles) -> list[dict[str, Any]]:
    content = files.files[PATH]
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def last_words(files: MemoryFiles) -> dict[str, str]:
    """As a reader takes them: the last line of a key wins."""
    return {line["key"]: line["state"] for line in lines(files)}


@given(st.floats(0, 4e9) | st.integers(0, 2**31).map(lambda at: at + 0.9999996))
def test_a_time_is_told_as_the_calendar_has_it(at: float) -> None:
    told = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    assert timestamp(at) == told.replace("+00:00", "Z")


def test_a_line_has_every_field_that_scripts_rely_on() -> None:
    full = row(
        parked=Reason.DEADLINE, handle={"id": "v1"}, file="f", bytes=3, sha256="s", attempt=2,
        failure=Failure(kind=Kind.DEADLINE, message="late", code="c"), cost=Cost(amount=1.5, unit="credits", usd=0.1),
        timings=Timings(queued=1_763_686_923.456, ended=1_763_686_924.0), job=Job(model="m", metadata={"a": [1]}),
    )  # fmt: skip
    assert result_line(full) == {
        "key": "k",
        "task": "t-k",
        "state": "parked",
        "reason": "deadline",
        "account": "sync",
        "model": "m",
        "handle": "v1",
        "file": "f",
        "bytes": 3,
        "sha256": "s",
        "error": {"kind": "deadline", "message": "late", "code": "c"},
        "cost": {"amount": 1.5, "unit": "credits", "usd": 0.1, "estimated": False},
        "timings": {
            "queued": "2025-11-21T01:02:03.456Z",
            "created": None,
            "started": None,
            "done": None,
            "ended": "2025-11-21T01:02:04.000Z",
        },
        "attempt": 2,
        "metadata": {"a": [1]},
    }
    bare = result_line(row())
    assert set(bare) == set(result_line(full))
    assert (bare["reason"], bare["error"], bare["cost"], bare["metadata"]) == (None, None, None, {})


@pytest.mark.parametrize(
    "given",
    [
        row(file="f", preview="p", bytes=3, sha256="s", handle={"id": 7}, job=Job(model="m")),
        row(state=State.WAITING, parked=Reason.STOPPED, file="f", intent=INTENT, job=Job(model="m")),
        row(state=State.FAILED, failure=Failure(kind=Kind.JOB_FAILED, message="no"), attempt=1, file="f"),
    ],
)
def test_a_line_tells_what_the_result_tells(given: TaskRow) -> None:
    line, result = result_line(given), given.result()
    told = attrs.asdict(result, filter=lambda field, value: field.name not in ("error", "timings", "preview"))
    assert {name: line[name] for name in told} == told
    assert line.get("preview") == result.preview
    assert (line["error"] is None) is (result.error is None)


@virtually
async def test_lines_are_written_in_their_order_and_behind_those_of_earlier_runs() -> None:
    files = MemoryFiles()
    for run in range(3):
        file = await opened(files)
        for key in "ab":
            file.add(row(f"{key}{run}"))
        assert file.waiting
        await file.write()
        assert not file.waiting
        await file.close()
    assert [line["key"] for line in lines(files)] == ["a0", "b0", "a1", "b1", "a2", "b2"]


@virtually
async def test_the_last_line_of_a_key_wins() -> None:
    files = MemoryFiles()
    file = await opened(files)
    for state in (State.PARKED, State.FAILED, State.SUCCEEDED):
        file.add(row("k", state))
    await file.write()
    assert last_words(files) == {"k": "succeeded"}


@virtually
async def test_lines_that_come_while_one_is_written_are_written_too_and_in_one_go() -> None:
    files = MemoryFiles()
    file = await opened(files)
    file.add(row("a"))
    writing = asyncio.ensure_future(file.write())
    await asyncio.sleep(0)
    for key in "bcd":
        file.add(row(key))
        await file.write()
    await writing
    assert [line["key"] for line in lines(files)] == ["a", "b", "c", "d"]
    assert files.log.count(("append", PATH)) == 2


@virtually
async def test_what_the_disk_takes_in_pieces_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    files, whole = MemoryFiles(), DiskAppender.write

    async def some(self: DiskAppender, data: bytes, /) -> int:
        return await whole(self, data[:7])

    monkeypatch.setattr(DiskAppender, "write", some)
    file = await opened(files)
    file.add(row("a"))
    file.add(row("b"))
    await file.write()
    assert [line["key"] for line in lines(files)] == ["a", "b"]


@virtually
async def test_a_write_that_is_cancelled_is_finished_all_the_same() -> None:
    files = MemoryFiles()
    file = await opened(files)
    file.add(row("a"))
    async with anyio.create_task_group() as group:
        group.start_soon(file.write)
        await asyncio.sleep(0)
        group.cancel_scope.cancel()
    assert last_words(files) == {"a": "succeeded"}
    file.add(row("b"))
    await file.write()
    assert set(last_words(files)) == {"a", "b"}


@virtually
async def test_closing_writes_what_waits_and_closing_twice_is_closing_once() -> None:
    files = MemoryFiles()
    file = await opened(files)
    file.add(row("a"))
    await file.close()
    await file.close()
    assert set(last_words(files)) == {"a"}
    file.add(row("b"))
    await file.write()
    assert set(last_words(files)) == {"a"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.data())
def test_a_torn_last_line_is_cut_off_and_no_whole_one_is_lost(keys: list[str], data: st.DataObject) -> None:
    async def main() -> None:
        files = MemoryFiles()
        file = await opened(files)
        for key in keys:
            file.add(row(key))
        await file.close()
        whole = files.files[PATH]
        size = data.draw(st.integers(0, len(whole)))
        files.files[PATH] = whole[:size]
        kept = whole[:size].count(b"\n")
        file = await opened(files)
        assert [line["key"] for line in lines(files)] == keys[:kept]
        file.add(row("new"))
        await file.close()
        assert [line["key"] for line in lines(files)] == [*keys[:kept], "new"]

    virtual_run(main)


@pytest.mark.parametrize("torn", [b"x" * 200_000, b'{"key": "a"}\n' + b"y" * 200_000, b"\n" + b"z" * 65_535])
@virtually
async def test_a_torn_line_of_any_length_is_cut_off(torn: bytes) -> None:
    files = MemoryFiles(files={PATH: torn})
    await opened(files)
    assert files.files[PATH] == torn[: torn.find(b"\n") + 1]


@virtually
async def test_a_whole_file_is_left_as_it_is() -> None:
    files = MemoryFiles(files={PATH: b'{"key": "a"}\n'})
    await opened(files)
    assert files.log == []


@virtually
async def test_lines_that_a_full_disk_refused_are_written_once_there_is_room_and_what_was_torn_is_mended() -> None:
    files = MemoryFiles()
    file = await opened(files)
    file.add(row("a"))
    await file.write()

    def full(verb: str, path: str) -> None:
        files.files[path] += b'{"key": "b", "sta'  # some of it arrives
        raise OSError(errno.ENOSPC, "No space left on device")

    file.add(row("b"))
    files.trouble = full
    with pytest.raises(OSError, match="No space"):
        await file.write()
    assert file.waiting
    file.add(row("c"))
    files.trouble = lambda verb, path: None
    await file.write()
    await file.close()
    assert [line["key"] for line in lines(files)] == ["a", "b", "c"]


@virtually
async def test_lines_for_which_there_is_no_room_at_the_end_are_said_to_be_in_the_ledger() -> None:
    files = MemoryFiles()
    file = await opened(files)

    def full(verb: str, path: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file.add(row("a"))
    files.trouble = full
    with pytest.raises(VisemeError, match=r"lacks what became of 1 jobs \(No space left on device\); free some space"):
        await file.close()


@virtually
async def test_nothing_is_written_to_a_file_that_was_never_opened() -> None:
    files = MemoryFiles()
    file = ResultsFile(simulated_world(files=files).world, PATH)
    file.add(row("a"))
    await file.write()
    await file.close()
    assert files.files == {}
