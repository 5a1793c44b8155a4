"""Opening SQLite files, and saying what is wrong with them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from viseme.errors import LedgerError, no_room
from viseme.ledger import migrate
from viseme.wording import quote

__all__ = ["connect", "create", "explain", "explained", "look", "reader", "writer"]

PATIENCE: Final = 30.0
"""Seconds to wait for another connection's transaction."""

_CACHED: Final = 2000
"""KiB of a file that its writer keeps in memory, beside what the system keeps; a reader has half of it."""

_OLDEST: Final = (3, 33, 0)
"""The first SQLite that knows UPDATE FROM."""

_DAMAGED: Final = "it is damaged; keep a copy, then restore a backup or name a new ledger"
_STEPS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, then run again",
    sqlite3.SQLITE_IOERR: "the disk failed; check it and the space left on it, then run again",
    sqlite3.SQLITE_READONLY: "it is read-only; make the file and its folder writable",
    sqlite3.SQLITE_PERM: "it may not be opened; make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; make the file and its folder readable and writable",
    sqlite3.SQLITE_BUSY: "another program keeps it locked; close that program, then run again",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked; close that program, then run again",
    sqlite3.SQLITE_NOTADB: "it is not a database; name another file",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_TOOBIG: "a value is too large for it; make the job's options or metadata smaller",
}


def explain(path: str, error: Exception) -> LedgerError:
    """An error of SQLite or of the system as one sentence with the next step."""
    if isinstance(error, LedgerError):
        return error
    full = isinstance(error, OSError) and no_room(error)
    code = sqlite3.SQLITE_FULL if full else getattr(error, "sqlite_errorcode", 0) & 0xFF
    known = isinstance(error, sqlite3.Error | OSError)  # else it holds what nobody writes
    step = _STEPS.get(code, "see the cause, then run again") if known else _DAMAGED
    return LedgerError(f"the ledger {path} cannot be used: {step} ({quote(str(error))})")


@contextmanager
def explained(path: str) -> Generator[None]:
    """Errors of SQLite and of the system, and bytes that are no text, come out as LedgerError."""
    try:
        yield
    except (sqlite3.Error, OSError, ValueError) as error:
        raise explain(path, error) from error


def connect(path: str, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode, for any thread.

    Args:
        mode: SQLite's, ``ro`` or ``rw``.
        immutable: the file alone is read, without a lock; its write-ahead log is not looked at.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise LedgerError(
            f"Python's SQLite is {sqlite3.sqlite_version}, the ledger needs 3.33 with JSON; use a newer Python"
        )
    address = f"{Path(path).as_uri()}?mode={mode}{'&immutable=1' if immutable else ''}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=PATIENCE)
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def create(path: str) -> None:
    """Make sure of a file that we may write: an empty one, readable by its owner only, where there is none."""
    if os.path.isdir(path):
        raise LedgerError(f"the ledger {path} is a folder; name a file in it")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        step = "free some space" if no_room(error) else "make its folder writable"
        raise LedgerError(
            f"the ledger {path} cannot be written ({error.strerror}); {step}, or name another ledger"
        ) from error


def look(path: str) -> None:
    """Refuse a file that is not ours, or too new, before anything beside it or in it is touched."""
    if os.path.isfile(path) and os.path.getsize(path):
        connection = connect(path, "ro")
        try:
            migrate.refuse_newer(migrate.check(connection, path), path, migrate.SCRIPTS)
        finally:
            connection.close()


def writer(path: str) -> sqlite3.Connection:
    """The owner's connection, with the schema brought up to date."""
    connection = connect(path, "rw")
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise LedgerError(f"the ledger {path} lies where SQLite has no write-ahead log; put it on a local disk")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute(f"PRAGMA cache_size = -{_CACHED}")
        migrate.upgrade(connection, path, migrate.SCRIPTS)
    except BaseException:
        connection.close()
        raise
    return connection


def reader(path: str) -> sqlite3.Connection:
    """A connection that never writes.

    A log beside the ledger is read through a ``-shm``, which SQLite makes even to read. Where it may not be made, in an
    artefact or a mounted snapshot, the file is read alone, which is all of the ledger as long as its log is empty.

    Raises:
        LedgerError: there is no ledger, one of another version, or one whose log cannot be read where it lies.
    """
    if os.path.isdir(path):
        raise LedgerError(f"the ledger {path} is a folder; name a file in it")
    if not os.path.exists(path):
        raise LedgerError(f"there is no ledger {path}; name the one that `viseme run` wrote")
    try:
        return _reader(path)
    except sqlite3.OperationalError:
        if os.access(os.path.dirname(path), os.W_OK):
            raise
    if _has_log(path):
        raise LedgerError(
            f"the ledger {path} cannot be read where its folder is read-only: its last steps are still in {path}-wal;"
            " copy both to a folder that can be written, and look there"
        )
    return _reader(path, immutable=True)


def _has_log(path: str) -> bool:
    with suppress(FileNotFoundError):
        return os.path.getsize(f"{path}-wal") > 0
    return False


def _reader(path: str, *, immutable: bool = False) -> sqlite3.Connection:
    connection = connect(path, "ro", immutable=immutable)
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHED // 2}")
        version = migrate.check(connection, path)
        migrate.refuse_newer(version, path, migrate.SCRIPTS)
        if version < len(migrate.SCRIPTS):
            state = "is still empty" if not version else "was written by an older viseme"
            raise LedgerError(f"the ledger {path} {state}; start its run once with this viseme, then look again")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.close()
        raise
    return connection
