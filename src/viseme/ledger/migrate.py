"""The schema's versions: numbered scripts, each applied once, in a transaction, when an owner opens the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from importlib import resources
from typing import Final

from viseme.errors import LedgerError

__all__ = ["APPLICATION", "SCRIPTS", "check", "refuse_newer", "upgrade"]

APPLICATION: Final = 0x7669736D
"""SQLite's ``application_id`` of our files: "vism"."""


def _load() -> tuple[str, ...]:
    folder = resources.files("viseme.ledger") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(file.read_text(encoding="utf-8") for file in files)


SCRIPTS: Final = _load()
"""Script number N leads from version N - 1 to version N."""


def check(connection: sqlite3.Connection, path: str) -> int:
    """The version of a ledger; 0 for an empty file, that may become one.

    Raises:
        LedgerError: it is somebody else's database.
        sqlite3.DatabaseError: it is no database.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application == APPLICATION:
        return version
    if application or version or tables:
        raise LedgerError(f"{path} is a database, but no ledger of viseme's; name another file")
    return 0


def refuse_newer(version: int, path: str, scripts: Sequence[str]) -> None:
    """Raise LedgerError for a ledger that a later release has written."""
    if version > len(scripts):
        raise LedgerError(
            f"the ledger {path} was written by a newer viseme (schema {version}, not {len(scripts)}); upgrade viseme"
        )


def upgrade(connection: sqlite3.Connection, path: str, scripts: Sequence[str] = SCRIPTS) -> None:
    """Bring a ledger to the newest version, script by script; one that fails leaves the version before it.

    Raises:
        LedgerError: the ledger is newer than the scripts, or somebody else's.
    """
    version = check(connection, path)
    refuse_newer(version, path, scripts)
    for number, script in enumerate(scripts[version:], start=version + 1):
        marks = f"PRAGMA application_id = {APPLICATION};\nPRAGMA user_version = {number};"
        steps = f"BEGIN IMMEDIATE;\n{script};\n{marks}\nCOMMIT;"
        try:
            connection.executescript(steps)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
