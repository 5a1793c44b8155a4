"""`viseme status`: whatever numbers a ledger holds, it shows something, and as JSON it can be read."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import viseme
from viseme.cli.status import status
from viseme.ledger import SqliteLedger


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger without jobs."""

    async def make() -> None:
        async with SqliteLedger(str(tmp_path / "viseme.db"), blocking=anyio.to_thread.run_sync):
            pass

    viseme.run(make())
    return tmp_path / "viseme.db"


def show_gates(ledger: Path, number: str) -> None:
    """Put a number, as JSON spells it, wherever the gates of an account have one."""
    gates = {
        "at": "?",
        "seats": {"taken": "?", "limit": "?", "stated": "?"},
        "create": {"gate": "pause", "until": "?", "message": "the house is full"},
        "rates": {"create": [{"rate": "9/s", "room": "?", "waiting": "?", "pace": None}]},
    }
    text = json.dumps({"house": gates}).replace('"?"', number)
    connection = sqlite3.connect(ledger)
    with connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'gates'", (text,))
    connection.close()


NUMBERS = ["253402300799", "253402300800", "2.8e11", "1e300", "-1e300", "-62135596801", "0", "-1.5", "9" * 300]
BEYOND = ["1e999", "-1e999", "9" * 400, "NaN"]
"""What the standard library reads, and orjson does not."""


def as_strict_json(text: str) -> Any:
    def never(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=never)


@pytest.mark.parametrize("number", [*NUMBERS, *BEYOND])
def test_whatever_number_stands_in_the_gates_status_shows_something(
    ledger: Path, number: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viseme.ledger.rows.parse", json.loads)
    show_gates(ledger, number)
    assert status(out=None, ledger=str(ledger), as_json=False) == 0
    assert "pause: the house is full" in " ".join(capsys.readouterr().out.split())
    assert status(out=None, ledger=str(ledger), as_json=True) == 0
    shown = as_strict_json(capsys.readouterr().out)["accounts"]["house"]
    assert shown["gates"]["create"]["message"] == "the house is full"
    assert shown["gates_at"][-1] == "Z"
