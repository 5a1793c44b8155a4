"""Bad input: each has its own sentence with the place and the next step, status 2, and nothing is created."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from tests.support.commands import Desk, desk

from viseme.cli import main
from viseme.sandbox import Sandbox

Prepare = Callable[[Desk], None]
KEY = 'api_key = "x"\n'


def config(text: str) -> Prepare:
    """Write a configuration and a good manifest."""

    def prepare(at: Desk) -> None:
        (at.folder / "viseme.toml").write_text(text)
        at.write(at.row(1))

    return prepare


def rows(*given: dict[str, object] | str) -> Prepare:
    """Write a manifest whose second and further rows are these; rows without media get good ones."""

    def prepare(at: Desk) -> None:
        media = {name: at.row(0)[name] for name in ("video", "audio")}
        at.write(at.row(1), *(row if isinstance(row, str) else {**media, **row} for row in given))

    return prepare


def file(name: str, text: str | bytes) -> Prepare:
    """Write a file beside a good manifest."""

    def prepare(at: Desk) -> None:
        at.write(at.row(1))
        path = at.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return prepare


def clip(make: Callable[[Path], None], **row: object) -> Prepare:
    """Write a manifest whose second row names a local clip that is made so."""

    def prepare(at: Desk) -> None:
        make(at.folder / "clip.mp4")
        rows({"video": "clip.mp4", **row})(at)

    return prepare


def sparse(size: int) -> Callable[[Path], None]:
    """Make a file of so many bytes."""

    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return make


def foreign_ledger(at: Desk) -> None:
    at.write(at.row(1))
    (at.folder / "out").mkdir()
    with sqlite3.connect(at.folder / "out" / "viseme.db") as other:
        other.execute("CREATE TABLE recipes (name)")


def good(at: Desk) -> None:
    at.write(at.row(1))


RUN = ("run", "jobs.jsonl")
CASES: dict[str, tuple[Prepare, tuple[str, ...], str]] = {
    # the configuration
    "no config": (lambda at: (at.folder / "viseme.toml").unlink(), RUN, 'api_key = "$SYNC_API_KEY"'),
    "named config missing": (good, (*RUN, "--config", "no.toml"), "there is no configuration no.toml"),
    "config no TOML": (config("[accounts"), RUN, "viseme.toml: this is not TOML"),
    "config not UTF-8": (file("viseme.toml", b"\xff\xfe"), RUN, "viseme.toml is not UTF-8 text"),
    "missing key": (config("[accounts.sync]\n"), RUN, "accounts.sync: api_key is missing"),
    "unset variable": (config('[accounts.sync]\napi_key = "$NO_SUCH_KEY"\n'), RUN, "NO_SUCH_KEY, which is not set"),
    "unknown provider": (config(f"[accounts.nobody]\n{KEY}"), RUN, "there is no provider 'nobody'; known are sync"),
    "unknown setting": (config(f"[accounts.sync]\n{KEY}speed = 2\n"), RUN, "unknown name 'speed'; known are"),
    "bad duration": (
        config(f'[accounts.sync]\n{KEY}polling = {{ every = "soon" }}\n'),
        RUN,
        "soon is not a duration; write it as",
    ),
    "bad rate": (
        config(f'[accounts.sync]\n{KEY}rates = {{ create = "many" }}\n'),
        RUN,
        "rates.create: many is not a rate",
    ),
    "private vendor": (
        config(f'[accounts.sync]\n{KEY}base_url = "http://10.0.0.1"\n'),
        RUN,
        "10.0.0.1 is a private address",
    ),
    "unknown --account": (good, (*RUN, "--account", "nobody"), "--account 'nobody' is not configured; configured are"),
    # the manifest as a whole
    "no manifest": (good, ("run", "other.jsonl"), "there is no manifest other.jsonl"),
    "a folder": (lambda at: (at.folder / "x.csv").mkdir(), ("run", "x.csv"), "is a folder"),
    "another kind": (file("jobs.yaml", ""), ("run", "jobs.yaml"), "give a .jsonl or .csv file"),
    "empty": (file("none.jsonl", "\n\n"), ("run", "none.jsonl"), "none.jsonl holds no jobs"),
    "csv header": (file("a.csv", "video,sound\n"), ("run", "a.csv"), "line 1: unknown column 'sound'; known are video"),
    "csv not UTF-8": (file("a.csv", b"\xff\xfev\0"), ("run", "a.csv"), "line 1: this is not UTF-8 text"),
    # its rows
    "no JSON": (rows("{video"), RUN, "line 2: this is not JSON"),
    "unknown field": (rows({"vidoe": "x"}), RUN, "line 2: unknown field 'vidoe'; known are video"),
    "unknown account": (rows({"account": "nobody"}), RUN, "line 2: account 'nobody' is not configured"),
    "unknown model": (rows({"model": "lipsync-9"}), RUN, "line 2: sync has no model 'lipsync-9'; known are lipsync-2"),
    "unknown option": (rows({"options": {"sync_mod": "loop"}}), RUN, "line 2: options: unknown name 'sync_mod'"),
    "another scheme": (rows({"video": "s3://bucket/a.mp4"}), RUN, "line 2: video has the scheme 's3'"),
    "output outside": (rows({"output": "../../a.mp4"}), RUN, "line 2: output '../../a.mp4' leaves the output folder"),
    "one key twice": (
        rows({"key": "k1", "text": "other", "voice": "v", "audio": None}),
        RUN,
        "line 2: key 'k1' belongs to a job with other inputs",
    ),
    "one output twice": (
        rows({"key": "a", "output": "x.mp4"}, {"key": "b", "output": "x.mp4"}),
        RUN,
        "line 3: output 'x.mp4' is that of line 2 already",
    ),
    "a local file": (rows({"video": "clips/a.mp4"}), RUN, "line 2: video"),
    # its clips
    "an empty clip": (clip(Path.touch), RUN, "clip.mp4' is empty; give the clip itself"),
    "a folder for a clip": (clip(Path.mkdir), RUN, "clip.mp4' cannot be read: it is a folder"),
    "a pipe for a clip": (clip(os.mkfifo), RUN, "clip.mp4' cannot be read: it is a pipe or a device, not a file"),
    "a link to nothing": (clip(lambda at: at.symlink_to("gone.mp4")), RUN, "clip.mp4' cannot be read: No such file"),
    "a clip over the limit": (clip(sparse(6 * 2**30)), RUN, "clip.mp4' has 6442450944 bytes, sync takes"),
    "a clip too large to go inside": (
        clip(sparse(5 * 2**20), account="aimlapi"),
        RUN,
        "aimlapi takes local files of up to 4194304 inside the request (max_inline); host it and give its URL",
    ),
    "long input": (rows("x" * 100_000), RUN, "line 2: this is not JSON"),
    # where things go
    "foreign ledger": (foreign_ledger, RUN, "is a database, but no ledger of viseme's; name another file"),
    "no ledger at all": (file("out/viseme.db", "a text, for certain\n" * 99), RUN, "it is not a database"),
    "a file as --out": (file("taken", ""), (*RUN, "--out", "taken"), "--out taken is a file; name a folder"),
    "events into the ledger": (good, (*RUN, "--events", "out/viseme.db"), "would overwrite a file of the run itself"),
    "events into a folder": (good, (*RUN, "--events", "."), "make it writable, or name another place"),
    "unknown command": (good, ("rum",), "No such command 'rum'"),
    "unknown command option": (good, (*RUN, "--fast"), "No such option"),
}


@pytest.fixture(scope="module")
def untouched() -> Iterator[tuple[Sandbox, str]]:
    """A sandbox in a thread of its own, of which nobody shall buy anything."""
    loop, ended = asyncio.new_event_loop(), asyncio.Event()
    address: Future[str] = Future()
    sandbox = Sandbox(fixed_size=20_000)

    async def serve() -> None:
        async with sandbox.serve() as at:
            address.set_result(at)
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    yield sandbox, address.result(30)
    loop.call_soon_threadsafe(ended.set)
    thread.join(30)
    loop.close()


@pytest.mark.parametrize("name", CASES)
def test_bad_input_has_its_own_sentence_and_costs_nothing(
    tmp_path: Path,
    name: str,
    untouched: tuple[Sandbox, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    prepare, arguments, sentence = CASES[name]
    at = Desk(tmp_path, *untouched)
    at.configure("sync", "jogg", "aimlapi")
    prepare(at)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["viseme", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert sentence in err
    assert ended.value.code == 2
    assert out == ""
    assert "Traceback" not in err
    assert all(len(line) < 1000 for line in err.splitlines())
    assert at.creates() == 0


async def test_the_process_ends_with_the_status_and_the_sentence(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        done = await at.viseme("run", "-", "--events", "-")
        assert (done.status, done.out) == (2, "")
        assert done.err == "viseme: standard input holds no jobs; write one JSON object, or CSV row, per job\n"


async def test_every_bad_row_is_told_at_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        rows({"video": "ftp://a/b"}, "[]", {"priority": "high"})(at)
        done = await at.viseme(*RUN)
        assert done.status == 2
        assert "jobs.jsonl: 3 rows cannot be run, so nothing was started" in done.err
        assert [line.split(":")[0] for line in done.err.splitlines()[1:]] == ["  line 2", "  line 3", "  line 4"]


async def test_media_on_a_private_host_are_refused_where_the_account_does_not_allow_them(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        (tmp_path / "viseme.toml").write_text(f"[accounts.sync]\n{KEY}")
        done = await at.viseme("run", at.write(at.row(1)))
        assert done.status == 2
        assert "line 1: video is on 127.0.0.1, which sync cannot reach" in done.err


async def test_a_vendor_that_answers_html_loses_nothing_that_was_paid_for(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.sandbox.inject("html", vendor="jogg", route="create")
        at.sandbox.inject("html", vendor="sync", route="poll")
        done = await at.viseme("run", at.write(at.row(1, account="jogg"), at.row(2)))
        assert done.status == 1
        assert "jogg: 1 parked (fate_unknown), such as 'k1': the create's reply was lost" in done.err
        assert "sync: 1 succeeded" in done.err
        assert at.creates() == 2


async def test_a_wrong_key_parks_the_jobs_and_a_right_one_collects_them(tmp_path: Path) -> None:
    async with desk(tmp_path, "jogg", api_key="no-such-key") as at:
        manifest = at.write(*(at.row(n) for n in range(5)))
        done = await at.viseme("run", manifest)
        assert done.status == 1
        assert "jogg: 5 parked (needs_person), such as 'k0'" in done.err
        assert "no-such-key" not in done.err
        at.configure("jogg")
        assert (await at.viseme("run", manifest)).status == 0
        assert at.creates() == 5


async def test_a_disk_that_is_full_parks_the_result_and_keeps_what_was_paid_for(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        manifest = at.write(at.row(1))
        (tmp_path / "out" / "k1.mp4.part").mkdir(parents=True)  # a place that cannot be written, as on a full disk
        done = await at.viseme("run", manifest)
        assert done.status == 1
        told = "sync: 1 parked (needs_person), such as 'k1': the result could not be written: Is a directory; see to it"
        assert told in done.err
        (tmp_path / "out" / "k1.mp4.part").rmdir()
        assert (await at.viseme("run", manifest)).status == 0
        assert at.creates() == 1
