"""What vendors and manifests say cannot steer a terminal, forge a line or turn the writing around, wherever it goes."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console
from tests.support.commands import Command
from tests.support.hosts import hosted

from viseme.attempts import TaskRow
from viseme.cli.guard import complain
from viseme.cli.live import LiveView, table_of
from viseme.cli.manifests import open_manifest
from viseme.cli.progress import Progress
from viseme.cli.reconcile import reconcile
from viseme.cli.standing import Standing
from viseme.cli.status import status
from viseme.cli.tables import show
from viseme.config import parse_config
from viseme.engine.results_file import result_line
from viseme.errors import VisemeError
from viseme.events import Event, EventType
from viseme.failures import Failure, Kind
from viseme.jobs import Job
from viseme.manifest import read_csv, read_jsonl
from viseme.providers import adapter
from viseme.providers.base import Answer, Observation, Seen, Undecided, Verdict
from viseme.results import State
from viseme.wording import legible, one_line

EVIL = (
    "\x1b[5mBLINK\x1b[0m\x1b]0;pwned\x07\x1b]8;;http://evil.example\x07click\x1b]8;;\x07\x9b31m\u202etxt.exe\u2066\u200f"
    "\r\nviseme: 9 jobs: 9 succeeded\n\x00\x08\x7f [blink]bold[/blink] [link=http://evil.example]here[/link] \U000e0041"
)
STEERING = re.compile(r"\x1b\[5m|\x1b\]|[\x00\x07\x08\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0041]")


def harmless(text: str) -> None:
    found = STEERING.search(text)
    assert found is None, text[max(0, found.start() - 80) : found.end() + 80] if found else ""
    assert not re.search(r"^viseme: 9 jobs", text, re.MULTILINE), "no line of its own was forged"


# -- whole commands ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def heckler(status: int) -> AsyncIterator[str]:
    """Vendors that refuse or fail everything, with abuse in every word."""

    async def handle(request: web.Request) -> web.Response:
        if request.path.endswith("/token"):
            return web.json_response({"access_token": "token-of-rask", "expires_in": 3600})
        words: dict[str, Any] = dict.fromkeys(("message", "msg", "error", "detail", "error_code", "rid", "name"), EVIL)
        words |= {"id": "t1", "task_id": "t1", "status": "failed" if request.method == "GET" else EVIL, "code": EVIL}
        words |= {"data": words.copy()} | ({"code": 0} if status == 200 else {})
        return web.json_response(words, status=status, headers={"X-Odd": "\u202e"})

    async with hosted(handle) as base:
        yield base


def configured(folder: Path, base: str) -> None:
    common = f'base_url = "{base}"\nallow_private_hosts = true\npolling = {{ first = "0.1s", every = "0.1s" }}\n'
    rask = f'client_id = "id"\nclient_secret = "secret-of-rask"\ntoken_url = "{base}/token"\nallow_paid = true\n'
    keys = {"sync": 'api_key = "key-of-sync"\n', "jogg": 'api_key = "key-of-jogg"\n', "rask": rask}
    keys |= {"aimlapi": 'api_key = "key-of-aimlapi"\n'}
    (folder / "viseme.toml").write_text("".join(f"[accounts.{name}]\n{common}{key}" for name, key in keys.items()))
    media = {"video": f"{base}/v.mp4", "audio": f"{base}/a.wav"}
    jobs = [{**media, "account": name, "key": f"[blink]{name}[/blink]"} for name in ("sync", "jogg", "aimlapi")]
    jobs.append({"video": f"{base}/v.mp4", "language": "es", "account": "rask", "key": "[link=x]rask"})
    bad = [{**media, "account": EVIL}, {**media, "key": EVIL}, {**media, EVIL: 1}, {**media, "options": {EVIL: EVIL}}]
    bad += [{**media, "account": "sync", "model": EVIL}, {"video": f"x:{EVIL}"}, {**media, "output": EVIL}]
    lines = [*map(json.dumps, jobs + bad), EVIL.replace("\n", "")]
    (folder / "jobs.jsonl").write_text("\n".join(lines), encoding="utf-8")


async def watched(folder: Path, *arguments: str) -> tuple[str, str]:
    """What a command writes to its terminal, which it takes stderr for, and to standard output."""
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "viseme", *arguments), cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=slave,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    out = asyncio.create_task(process.communicate())
    seen = await asyncio.to_thread(_drained, master)
    os.close(master)
    return seen.decode(), (await asyncio.wait_for(out, 100))[0].decode()


def _drained(master: int) -> bytes:
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end has closed
            return seen
        if not piece:
            return seen
        seen += piece


@pytest.mark.parametrize("code", [200, 400])
async def test_a_run_over_vendors_that_abuse_the_terminal_shows_their_words_and_obeys_none(
    code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with heckler(code) as base:
        configured(tmp_path, base)
        seen, out = await watched(tmp_path, "run", "jobs.jsonl", "--skip-invalid", "--no-preflight", "--events", "-")
    harmless(seen)
    harmless(out)
    written = (tmp_path / "out/results.jsonl").read_text(encoding="utf-8")
    harmless(written)
    assert r"\x1b[5mBLINK" in seen, "the words are shown"
    assert "[blink]" in seen, "and no markup is obeyed"
    assert {json.loads(line)["state"] for line in written.splitlines()} <= {"failed", "parked"}
    assert len(written.splitlines()) == 4
    for line in (*out.splitlines(), *written.splitlines()):
        told = json.loads(line)
        message = (told.get("error") or {}).get("message", "") if "error" in told else ""
        assert message.isprintable()
    place = str(tmp_path / "out")
    await asyncio.to_thread(status, out=place, ledger=None, as_json=False)
    await asyncio.to_thread(reconcile, resubmit=None, abandon=None, out=place, ledger=None, config=None)
    captured = capfd.readouterr()
    harmless(captured.out + captured.err)


async def test_a_check_of_an_abusive_manifest_shows_its_words_and_obeys_none(tmp_path: Path) -> None:
    configured(tmp_path, "http://127.0.0.1:9")
    done = await (await Command.start("check", "jobs.jsonl", folder=tmp_path)).finished()
    harmless(done.out + done.err)
    assert done.status == 2


def test_abusive_names_and_columns_are_refused_without_obeying_them(tmp_path: Path) -> None:
    name = re.sub(r"[/\x00\ud800-\udfff]", "", EVIL)[:60]
    told: list[str] = []
    for file in (name, f"{name}.csv", f"{name}.jsonl"):
        with pytest.raises(VisemeError) as caught:
            open_manifest(str(tmp_path / file))
        told.append(str(caught.value))
    rows = [*read_csv([f'video,"{EVIL}"\n']), *read_csv(["priority\n", f'"{EVIL}"\n']), *read_jsonl([EVIL])]
    for text in (*told, *(str(row.problem) for row in rows)):
        assert text.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        '"EVIL" = 1',
        'default_account = "EVIL"\n[accounts.sync]\napi_key = "key-of-sync"',
        '[accounts."EVIL"]\napi_key = "x"',
        '[accounts.sync]\nprovider = "EVIL"',
        '[accounts.sync]\n"EVIL" = 1',
        '[accounts.sync]\n"EVIL" = "$NOT_SET_ANYWHERE"',
        '[accounts.sync]\napi_key = "key-of-sync"\nbase_url = "EVIL"',
        '[accounts.sync]\napi_key = "key-of-sync"\nrates = { "EVIL" = "1/s" }',
        '[accounts.sync]\napi_key = "key-of-sync"\nprice = { "EVIL" = "EVIL" }',
        '[accounts.sync]\napi_key = "key-of-sync"\nbudget = "EVIL"',
        '[accounts.sync]\napi_key = "key-of-sync"\npolling = { "EVIL" = "EVIL" }',
    ],
)
def test_an_abusive_configuration_is_refused_without_obeying_it(text: str) -> None:
    inert = "".join(f"\\U{ord(c):08x}" for c in EVIL)

    def read() -> None:
        for account in parse_config(text.replace("EVIL", inert), source="viseme.toml", environ={}).accounts:
            adapter(account)

    with pytest.raises(VisemeError) as caught:
        read()
    harmless(str(caught.value))


# -- each way out --------------------------------------------------------------------------------------------------


def test_someone_elses_words_are_legible_once_they_are_a_value() -> None:
    values: list[Any] = [
        Failure(kind=Kind.INVALID, message=EVIL, code=EVIL),
        Verdict(kind=Kind.INVALID, message=EVIL),
        Observation(seen=Seen.RUNNING, status=EVIL),
        Answer(outcome="too_late", message=EVIL),
        Undecided(message=EVIL),
    ]
    for value in values:
        for text in (getattr(value, name, None) for name in ("message", "code", "status")):
            assert text is None or text.isprintable()
    assert len(values[2].status) <= 200


def test_a_line_of_the_results_is_one_line() -> None:
    error = Failure(kind=Kind.INVALID, message=EVIL, code=EVIL)
    row = TaskRow(id="t", key="k", job=Job(), digest="d", state=State.FAILED, account="a", failure=error)
    told = json.dumps(result_line(row), ensure_ascii=False)
    assert told.isprintable()


def test_the_terminal_is_told_nothing_that_steers_it(capfd: pytest.CaptureFixture[str]) -> None:
    complain(one_line(EVIL))
    show(("key", "why"), [(EVIL, EVIL)])
    progress = Progress()
    progress.insist(EVIL)
    captured = capfd.readouterr()
    harmless(captured.out + captured.err)
    assert not STEERING.search(progress._waiting[0])


def test_the_live_view_takes_no_account_for_markup() -> None:
    console = Console(width=300, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    rows = [Standing(account=name, queued=0, in_flight=0, done=0, failed=0, parked=0, per_minute=None) for name in
            ("[blink]x[/blink]", EVIL)]  # fmt: skip
    console.print(table_of(rows))
    view = LiveView(console)
    view.print([legible("[blink]x[/blink] [link=http://evil.example]y[/link]")])
    view.stop()
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert not STEERING.search(told)
    assert "[blink]x[/blink]" in told
    assert "[link=http://evil.example]y[/link]" in told


def test_an_event_keeps_to_its_line() -> None:
    event = Event(seq=1, task="t", key="k", type=EventType.FAILED, at=1.0, data={"message": legible(EVIL)}, run=1)
    assert "\\n" in json.dumps(event.to_dict())
    assert len(json.dumps(event.to_dict(), ensure_ascii=False).splitlines()) == 1
