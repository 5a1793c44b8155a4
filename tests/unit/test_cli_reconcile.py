"""What `viseme reconcile` shows: what is open and why, what the vendor can still tell, and what each choice costs."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from viseme.attempts import Intent, TaskRow
from viseme.cli.reconcile import reconcile
from viseme.events import timestamp
from viseme.failures import Failure, Kind
from viseme.jobs import Job
from viseme.ledger.base import Change
from viseme.ledger.sqlite import SqliteLedger
from viseme.money import Charge
from viseme.results import Reason, State

NOW = time.time()
HOSTS = {
    "sync": "https://api.sync.so",
    "jogg": "https://api.jogg.ai",
    "asked": "https://api.jogg.ai",
    "aimlapi": "https://api.aimlapi.com",
    "rask": "https://api.rask.ai",
}
CONFIG = """
[accounts.sync]
api_key = "k-sync-0123"
replay_lifetime = "2h"
[accounts.jogg]
api_key = "k-jogg-0123"
[accounts.asked]
provider = "jogg"
api_key = "k-jogg-0123"
lookup = true
[accounts.aimlapi]
api_key = "k-aiml-0123"
[accounts.rask]
client_id = "k-rask-0123"
client_secret = "k-rask-0123"
"""


def lost(account: str, key: str, age: float = 60.0, host: str | None = None, **more: Any) -> TaskRow:
    intent = Intent(
        id=f"i-{key}", task=key, account=account, model=None, endpoint=host or HOSTS.get(account, "https://x.example"),
        attempt=1, stage="lipsync", key=f"viseme-{key}", at=NOW - age, ended=NOW - age + 1,
    )  # fmt: skip
    row = TaskRow(
        id=key, key=key, job=Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav"), digest="d",
        account=account, state=State.RECONCILING, parked=Reason.FATE_UNKNOWN, attempt=1, intent=intent,
        failure=Failure(kind=Kind.FATE_UNKNOWN, message=f"the reply of {key} was lost"),
    )  # fmt: skip
    return evolve(row, **more)


def kept(folder: Path, *rows: TaskRow) -> None:
    async def write() -> None:
        async with SqliteLedger(folder / "viseme.db", blocking=asyncio.to_thread) as ledger:
            added = await ledger.add([evolve(row, state=State.QUEUED, parked=None, intent=None) for row in rows])
            now = [evolve(row, order=one.order, seq=one.seq) for row, one in zip(rows, added, strict=True)]
            await ledger.commit(*(Change(row=row) for row in now))

    asyncio.run(write())


def listed(folder: Path, capsys: pytest.CaptureFixture[str], config: str | None = CONFIG) -> tuple[dict[str, str], str]:
    """The lines by their key, and all that was said."""
    name = folder / "viseme.toml"
    if config is not None:
        name.write_text(config)
    given = None if config is None else str(name)
    assert reconcile(resubmit=None, abandon=None, out=str(folder), ledger=None, config=given) == 0
    said = capsys.readouterr()
    return {line.split()[0]: line for line in said.out.splitlines() if line[:1].isalpha()}, said.out + said.err


def test_each_vendor_can_tell_what_its_sheet_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(
        tmp_path, lost("sync", "s"), lost("sync", "old", 3 * 3600), lost("jogg", "j"), lost("asked", "ja"),
        lost("sync", "ahead", -300), lost("aimlapi", "a"), lost("rask", "r"), lost("gone", "g"),
        lost("sync", "moved", host="https://b.example"),
    )  # fmt: skip
    lines, _ = listed(tmp_path, capsys)
    asks, waits = "the next run asks the vendor", "waits for you"
    for key, stands, tells in [
        ("s", asks, f"all: its key is good until {timestamp(NOW - 60 + 7200)}"),
        ("old", waits, "nothing: its key is older than 2 h, so it is not sent again"),
        ("ahead", waits, f"nothing: the clock was set back since its key was sent at {timestamp(NOW + 300)}, so"),
        ("j", waits, "nothing: jogg cannot tell what became of it"),
        ("ja", asks, "where it is, if it shows in a lookup; never that it is not there"),
        ("a", asks, "where it is, if it shows in a lookup; never that it is not there"),
        ("r", asks, "all: it can be looked up, and its absence proved"),
        ("g", waits, "unknown: the account is not configured here"),
        ("moved", waits, "nothing: it went to https://b.example, which is not where sync is now"),
    ]:
        assert stands in lines[key], key
        assert tells in lines[key], key
        assert f"the reply of {key} was lost" in lines[key]


@pytest.mark.parametrize(("account", "first"), [("sync", True), ("aimlapi", True), ("jogg", False)])
def test_what_the_next_run_asks_for_is_not_to_be_decided_before(
    account: str, first: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(tmp_path, lost(account, "a"))
    _, said = listed(tmp_path, capsys)
    assert ("Where the next run asks the vendor, run it first" in said) == first
    assert ("viseme run, or resume" in said) == first
    assert said.index("own list") < said.index("--resubmit KEY")


def test_what_is_at_stake_is_what_was_set_aside_or_what_the_table_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    charge = Charge(
        id="c:1", task="c", account="jogg", pool="jogg", day="2026-11-21", unit="credits", amount=Decimal("0.24")
    )
    kept(
        tmp_path, lost("jogg", "c", charge=charge), lost("jogg", "j"), lost("aimlapi", "a"), lost("sync", "s"),
        lost("gone", "g"),
    )  # fmt: skip
    lines, said = listed(tmp_path, capsys)
    for key, stake in [
        ("c", " 0.24 credits "), ("j", " 0.008 credits a second "), ("a", " 2,000,000 credits "),
        ("s", " 0.05 usd a second "), ("g", " unknown "),
    ]:  # fmt: skip
        assert stake in lines[key], key
    assert "create it anew: if the lost one was carried out, what is at stake is paid again" in said
    assert "end it as failed: if it was carried out, what is at stake is paid and lost" in said
    assert "0123" not in said, "no key is shown"


def test_one_that_was_not_parked_is_said_to_be_under_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(tmp_path, lost("sync", "s", state=State.CREATING, parked=None, failure=None))
    lines, _ = listed(tmp_path, capsys)
    assert "under way, or left by a run that was killed" in lines["s"]
    assert "no reply was written down" in lines["s"]


def test_without_a_configuration_the_list_is_shown_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept(tmp_path, lost("sync", "s"))
    lines, said = listed(tmp_path, capsys, None)
    assert "unknown: the account is not configured here" in lines["s"]
    assert "what the vendors can tell is not known here: there is no viseme.toml" in said
