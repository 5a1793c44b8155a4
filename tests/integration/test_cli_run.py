"""`viseme run` and `viseme resume`: manifests, exit statuses, events, going on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.support.commands import Command, desk, in_order

full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")


def sizes(folder: Path) -> dict[str, int]:
    """The films in a folder."""
    return {path.name: path.stat().st_size for path in folder.glob("*.mp4")}


def drained(descriptor: int) -> bytes:
    """All that is in a pipe and is still to come."""
    with open(descriptor, "rb") as reader:
        return reader.read()


async def test_a_manifest_is_brought_home_and_run_again_without_another_create(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        manifest = at.write(*(at.row(n, account=("sync", "jogg", "aimlapi")[n % 3]) for n in range(9)))
        first = await at.viseme("run", manifest, "--events", "-", "--quiet")
        assert (first.status, first.err) == (0, "")
        told = in_order(first.events())
        assert len(told) == 9
        assert all(types[0] == "queued" and types[-1] == "succeeded" for types in told.values())
        results = at.results()
        assert {line["key"]: line["state"] for line in results} == {f"k{n}": "succeeded" for n in range(9)}
        assert sizes(tmp_path / "out") == {f"{line['key']}.mp4": line["bytes"] for line in results}

        again = await at.viseme("run", manifest, "--events", "-")
        assert again.status == 0
        assert [(event["type"], event.get("replayed")) for event in again.events()] == [("succeeded", True)] * 9
        assert "9 succeeded (9 of them had ended before)" in again.err
        assert at.creates() == 9


async def test_csv_outputs_ledger_and_fresh_events_file(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        row = at.row(1)
        (tmp_path / "jobs.csv").write_text(
            "video,audio,key,output,options\n"
            f'{row["video"]},{row["audio"]},one,deep/er/one.mp4,"{{""sync_mode"": ""loop""}}"\n'
        )
        (tmp_path / "events.jsonl").write_text("of an earlier run\n")
        options = ("--out", "films", "--ledger", "elsewhere/l.db", "--events", "events.jsonl")
        done = await at.viseme("run", "jobs.csv", *options)
        assert (done.status, done.out) == (0, "")
        assert (tmp_path / "films" / "deep" / "er" / "one.mp4").exists()
        assert (tmp_path / "elsewhere" / "l.db").exists()
        assert not (tmp_path / "films" / "viseme.db").exists()
        lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
        assert lines[-1]["type"] == "succeeded"


async def test_stdin_is_a_manifest_and_account_beats_the_default(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        given = json.dumps(at.row(2)).encode() + b"\n\n" + json.dumps(at.row(3, account="sync")).encode()
        done = await at.viseme("run", "-", "--account", "jogg", given=given)
        assert done.status == 0
        assert {line["key"]: line["account"] for line in at.results()} == {"k2": "jogg", "k3": "sync"}
        assert "\x1b" not in done.err  # nothing is drawn where no terminal is


async def test_closed_standard_streams_do_not_abort_a_command(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        manifest = at.write(at.row(1))
        for arguments, closed, status in (
            (["run", manifest], "<&- >&- 2>&-", 0),
            (["status"], ">&- <&-", 0),
            (["run", "-"], "<&-", 2),
        ):
            program = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "viseme", *arguments]
            done = await (await Command.run(program, folder=tmp_path)).finished()
            assert done.status == status, done.err
        assert "standard input is closed" in done.err
        assert at.creates() == 1


async def test_failed_jobs_make_status_1_and_are_paid_again_only_when_asked(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.sandbox.inject("job_failed", vendor="sync")
        manifest = at.write(at.row(1))
        failed = await at.viseme("run", manifest)
        assert failed.status == 1
        assert "sync: 1 failed (job_failed), such as 'k1'" in failed.err
        assert (await at.viseme("run", manifest)).status == 1
        assert at.creates() == 1
        assert (await at.viseme("run", manifest, "--retry-failed")).status == 0
        assert at.creates() == 2
        redone = await at.viseme("run", manifest, "--redo", "k1", "--redo", "stranger")
        assert redone.status == 0
        assert "--redo stranger: the manifest has no job with that key" in redone.err
        assert at.creates() == 3


async def test_an_empty_account_parks_its_jobs_and_resume_goes_on(tmp_path: Path) -> None:
    async with desk(tmp_path, settings={"aimlapi": {"credits": 0.0}}) as at:
        done = await at.viseme("run", at.write(at.row(1), at.row(2, account="aimlapi")))
        assert done.status == 1
        assert "aimlapi: 1 parked (no_credit), such as 'k2'" in done.err
        assert "top up the account" in done.err
        at.sandbox.configure("aimlapi", credits=1e9)
        resumed = await at.viseme("resume", "--events", "-")
        assert resumed.status == 0
        assert [event["key"] for event in resumed.events() if event["type"] == "succeeded"] == ["k2"]
        nothing = await at.viseme("resume")
        assert (nothing.status, "nothing is open" in nothing.err) == (0, True)


async def test_a_row_of_a_live_producer_starts_before_the_next_is_written(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        command = await at.start("run", "-", "--skip-invalid", "--events", "-")
        await command.give(at.row(1))
        while json.loads(await command.line())["type"] != "succeeded":
            pass
        assert at.creates() == 1
        await command.give({"video": "ftp://host/clip.mp4"}, at.row(2))
        done = await command.finished(b"no json\n")
        assert done.status == 1
        assert "line 2: video has the scheme 'ftp'" in done.err
        assert "line 4: this is not JSON" in done.err
        assert at.creates() == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, number: int) -> None:
    async with desk(tmp_path, slow=True) as at:
        manifest = at.write(*(at.row(n, account=("sync", "jogg")[n % 2]) for n in range(20)))
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a background shell leaves it to its children
        try:
            command = await at.start("run", manifest, "--events", "-")
        finally:
            signal.signal(signal.SIGINT, before)
        await at.until(lambda: at.creates() >= 3)
        command.interrupt(number)
        stopped = await command.finished()
        assert stopped.status == 130
        assert "run the same command again to go on" in stopped.err
        told = in_order(stopped.events())
        assert (len(told), {types[-1] for types in told.values()}) == (20, {"parked"})

        at.let_go()
        again = await at.viseme("run", manifest, "--events", "-")
        assert again.status == 0
        assert {types[-1] for types in in_order(again.events()).values()} == {"succeeded"}
        assert at.creates() == 20


async def test_a_second_interrupt_does_not_wait_for_replies(tmp_path: Path) -> None:
    async with desk(tmp_path, "jogg", slow=True) as at:
        at.sandbox.inject("slow", vendor="jogg", route="create", seconds=3000.0)  # on a clock that stands still
        command = await at.start("run", at.write(at.row(1)))
        await at.until(lambda: at.creates() == 1)
        command.interrupt()
        assert command.process.stderr is not None
        assert b"interrupt again to stop at once" in await command.process.stderr.readline()
        command.interrupt()
        assert (await command.finished(seconds=5)).status == 130


async def test_a_reader_of_events_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        theirs, ours = os.pipe()
        command = await at.start("run", at.write(*(at.row(n) for n in range(30))), "--events", "-", stdout=ours)
        os.close(ours)
        await asyncio.to_thread(os.read, theirs, 1)
        os.close(theirs)
        done = await command.finished()
        assert done.status == 0
        assert "no more events are written to standard output" in done.err
        assert len(at.results()) == 30


async def test_a_reader_of_events_that_sleeps_holds_nothing_up_and_misses_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        theirs, ours = os.pipe()
        manifest = at.write(*(at.row(n) for n in range(150)))
        command = await at.start("run", manifest, "--events", "-", "--quiet", stdout=ours)
        os.close(ours)
        results = tmp_path / "out" / "results.jsonl"
        await at.until(lambda: results.exists() and results.read_bytes().count(b"\n") == 150)
        text = await asyncio.to_thread(drained, theirs)
        assert (await command.finished()).status == 0
        assert len(text) > 1 << 16  # more than a pipe holds
        assert len(in_order([json.loads(line) for line in text.splitlines()])) == 150


@full_device
@pytest.mark.parametrize("unbuffered", ["", "1"])
async def test_what_cannot_be_printed_is_said_in_a_sentence(tmp_path: Path, unbuffered: str) -> None:
    (tmp_path / "viseme.toml").write_text('[accounts.sync]\napi_key = "k"\n')
    program = ["sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-m", "viseme"]
    for arguments in (["accounts"], ["--version"], ["status", "--help"], ["sandbox", "--port", "0"]):
        command = await Command.run([*program, *arguments], folder=tmp_path, environ={"PYTHONUNBUFFERED": unbuffered})
        done = await command.finished()
        assert done.status == 1, arguments
        assert done.err == (
            "viseme: standard output cannot be written (No space left on device); free some space there, or send it"
            " elsewhere\n"
        )


@full_device
async def test_an_events_file_on_a_full_disk_ends_the_events_and_not_the_run(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        done = await at.viseme("run", at.write(at.row(1)), "--events", "/dev/full")
        assert done.status == 0
        assert "no more events are written to /dev/full (No space left on device)" in done.err
