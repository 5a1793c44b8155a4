"""What only the file has: modes, locks, plans, versions, and disks that fill."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from contextlib import closing, suppress
from pathlib import Path

import pytest
from attrs import evolve
from tests.support.small_disks import small_disk, unwritable
from tests.unit.ledgers import charge, creating, in_line, in_thread, row, upload

from viseme.errors import LedgerBusy, LedgerError
from viseme.events import Event
from viseme.ledger import Change, Order, SqliteLedger, files, migrate, queries
from viseme.ledger import writer as writer_module
from viseme.ledger.bulk import Bulk, pages
from viseme.ledger.lock import OwnerLock
from viseme.results import Reason


def at(path: Path, *, read_only: bool = False) -> SqliteLedger:
    return SqliteLedger(path, blocking=in_thread, read_only=read_only)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "viseme.db"


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def beside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


async def made(path: Path) -> None:
    async with at(path) as ledger:
        await ledger.add([row("a")])


# -- the file ------------------------------------------------------------------------------------------------------


async def test_its_files_are_for_their_owner_only(path: Path) -> None:
    mask = os.umask(0)
    try:
        async with at(path) as ledger:
            await ledger.add([row("a")])
            names = beside(path)
            assert names == ["viseme.db", "viseme.db-shm", "viseme.db-wal", "viseme.db.lock"]
            assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    finally:
        os.umask(mask)
    assert beside(path) == ["viseme.db", "viseme.db.lock"]


async def test_it_is_synced_at_every_commit_in_wal_mode(path: Path) -> None:
    async with at(path) as ledger:
        connection = ledger._writer._connection  # type: ignore[union-attr]
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_missing_folders_are_made(tmp_path: Path) -> None:
    await made(tmp_path / "one" / "two" / "viseme.db")


async def test_odd_names_are_just_names(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%20 é.db"
    await made(path)
    async with at(path, read_only=True) as reader:
        await reader.place_order(Order(verb="cancel"))
        assert len(await reader.tasks(["a"])) == 1


async def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    write(path, b"")
    with pytest.raises(LedgerError, match="still empty"):
        await at(path, read_only=True).open()
    await made(path)


async def test_it_works_in_line_too(path: Path) -> None:
    async with SqliteLedger(path, blocking=in_line) as ledger:
        (task,) = await ledger.add([row("a")])
        await ledger.commit(creating(task))
        assert len(await ledger.seats()) == 1


# -- what is no ledger ---------------------------------------------------------------------------------------------


async def refused(path: Path, *, read_only: bool = False) -> str:
    with pytest.raises(LedgerError) as caught:
        await at(path, read_only=read_only).open()
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_folder_is_refused(tmp_path: Path, read_only: bool) -> None:
    assert "is a folder" in await refused(tmp_path, read_only=read_only)


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, read_only: bool) -> None:
    write(path, b"once upon a time " * 100)
    assert "not a database" in await refused(path, read_only=read_only)
    assert content(path) == b"once upon a time " * 100
    assert beside(path) == ["viseme.db"]


@pytest.mark.parametrize("mark", ["CREATE TABLE photos (x)", "PRAGMA application_id = 7", "PRAGMA user_version = 3"])
async def test_someone_elses_database_is_refused_and_left_alone(path: Path, mark: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(mark)
    connection.commit()
    connection.close()
    before = content(path)
    assert "no ledger of viseme's" in await refused(path)
    assert "no ledger of viseme's" in await refused(path, read_only=True)
    assert content(path) == before
    assert beside(path) == ["viseme.db"]


async def test_a_missing_ledger_cannot_be_read(path: Path) -> None:
    assert "there is no ledger" in await refused(path, read_only=True)
    assert beside(path) == []


async def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "make its folder writable" in await refused(tmp_path / "file" / "viseme.db")


async def test_a_ledger_in_a_folder_that_may_not_be_written_can_be_read(path: Path) -> None:
    await made(path)
    with unwritable(path.parent):
        async with at(path, read_only=True) as ledger:
            assert [task.key for task in await ledger.all_tasks(0, 10)] == ["key-a"]
        assert "its folder" in await refused(path)
    assert beside(path) == ["viseme.db", "viseme.db.lock"]


@pytest.mark.parametrize("index", [True, False], ids=["with-shm", "without-shm"])
async def test_the_steps_in_the_log_of_a_snapshot_are_read_or_said_to_be_there(
    path: Path, tmp_path: Path, index: bool
) -> None:
    snapshot = tmp_path / "snapshot" / "viseme.db"
    snapshot.parent.mkdir()
    async with at(path) as ledger:
        await ledger.add([row("a")])
        for end in ("", "-wal", "-shm" if index else ".lock"):
            write(Path(f"{snapshot}{end}"), content(Path(f"{path}{end}")))
    with unwritable(snapshot.parent):
        if index:
            async with at(snapshot, read_only=True) as ledger:
                assert [task.key for task in await ledger.all_tasks(0, 10)] == ["key-a"]
        else:
            assert f"still in {snapshot}-wal; copy both" in await refused(snapshot, read_only=True)


async def test_a_lock_that_cannot_be_opened_is_refused(path: Path) -> None:
    (path.parent / "viseme.db.lock").mkdir()
    assert "make its folder writable" in await refused(path)


async def test_a_file_system_without_locks_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("viseme.ledger.lock._lock", unsupported)
    assert "local disk" in await refused(path)


async def test_a_file_system_without_a_wal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    monkeypatch.setattr(files, "connect", lambda path, mode: connection)
    with pytest.raises(LedgerError, match="local disk"):
        files.writer("viseme.db")


async def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    with pytest.raises(LedgerError, match="use a newer Python"):
        await at(path).open()


async def test_a_damaged_ledger_is_told_as_such(path: Path) -> None:
    await made(path)
    damaged = bytearray(content(path))
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)
    write(path, bytes(damaged))
    assert "damaged" in await refused(path)
    await asyncio.to_thread(OwnerLock(str(path)).acquire)  # the refusal let go of the lock


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_ledger_whose_own_tables_are_no_text_is_damaged(path: Path, read_only: bool) -> None:
    await made(path)
    damaged = bytearray(content(path))
    place = damaged.index(b"events_task")  # SQLite quotes it in what it says, and Python cannot read that
    damaged[place : place + 2] = b"\x80\x80"
    write(path, bytes(damaged))
    assert "damaged" in await refused(path, read_only=read_only)


# -- one owner -----------------------------------------------------------------------------------------------------


async def test_the_same_process_may_not_own_it_twice(path: Path) -> None:
    write(path.with_name("viseme.db.lock"), b"12345678901234567890 was here")
    async with at(path):
        with pytest.raises(LedgerBusy, match="this process") as caught:
            await at(path).open()
        assert caught.value.pid == os.getpid()
        async with at(path, read_only=True) as reader:
            assert await reader.counts() == []
    await made(path)


async def test_another_name_of_the_same_file_is_the_same_ledger(path: Path, tmp_path: Path) -> None:
    await made(path)
    alias = tmp_path / "alias.db"
    alias.symlink_to(path)
    async with at(path):
        with pytest.raises(LedgerBusy):
            await at(alias).open()


async def test_an_owner_that_has_not_said_its_pid_is_another_process(path: Path) -> None:
    lock = OwnerLock(str(path))
    lock.acquire()
    os.truncate(f"{path}.lock", 0)
    with pytest.raises(LedgerBusy, match="another process") as caught:
        await at(path).open()
    assert caught.value.pid is None
    lock.release()
    lock.release()


def _own(path: str, fork_ready: object, done: object) -> None:
    fork_ready.set()  # type: ignore[attr-defined]
    done.wait(30)  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_does_not_hold_the_lock(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    lock = OwnerLock(str(path))
    lock.acquire()
    child = context.Process(target=_own, args=(str(path), ready, done))
    child.start()
    try:
        assert ready.wait(30)
        with pytest.raises(LedgerBusy):
            OwnerLock(str(path)).acquire()
        lock.release()
        next_owner = OwnerLock(str(path))
        next_owner.acquire()
        next_owner.release()
    finally:
        done.set()
        child.join()


async def test_an_owner_waits_for_another_programs_transaction(path: Path) -> None:
    async with at(path) as ledger:
        intruder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        intruder.execute("BEGIN IMMEDIATE")
        adding = asyncio.ensure_future(ledger.add([row("a")]))
        await asyncio.to_thread(
            lambda: (intruder.execute("SELECT count(*) FROM tasks").fetchall(), intruder.rollback())
        )
        await adding
        intruder.close()


async def test_a_ledger_that_stays_locked_is_told_as_such(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.01)
    async with at(path) as ledger:
        intruder = sqlite3.connect(path, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(ledger.add([row("a")]), ledger.add([row("b")]), return_exceptions=True)
        assert ["close that program" in str(outcome) for outcome in outcomes] == [True, True]
        with pytest.raises(LedgerError, match="close that program"):
            await ledger.place_order(Order(verb="cancel"))
        intruder.rollback()
        intruder.close()
        await ledger.add([row("a")])


# -- how it is asked -----------------------------------------------------------------------------------------------


async def test_the_queue_is_walked_in_its_index(path: Path) -> None:
    await made(path)
    connection = sqlite3.connect(path)
    plan = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {queries.QUEUED}", ("sync", 0, 0, 1, 10))]
    connection.close()
    assert plan == [
        "MERGE (UNION ALL)",
        "LEFT",
        "SEARCH tasks USING INDEX tasks_queued (account=? AND rank=? AND order>?)",
        "RIGHT",
        "SEARCH tasks USING INDEX tasks_queued (account=? AND rank>?)",
    ]


async def test_open_tasks_and_events_are_walked_in_theirs(path: Path) -> None:
    await made(path)
    connection = sqlite3.connect(path)

    def plan(sql: str, *values: object) -> str:
        return " | ".join(step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))

    assert plan(queries._OPEN, 0, None, None, 9) == "SEARCH tasks USING INDEX tasks_open (order>?)"
    assert "USING INDEX tasks_open (order>?)" in plan(writer_module._LOT, 0, 9)
    taken = plan(writer_module._TAKE_OVER, 0, 9, 1, '["sync"]', "[]", 2)
    assert "USING INDEX tasks_open (order>? AND order<?)" in taken
    assert "USING INDEX events_task (task=? AND rowid>?)" in plan(
        queries._EVENTS.format(choice='task = (SELECT "order" FROM tasks WHERE id = ?)'), "a", 0, 9
    )
    assert "USING INDEX events_run (run=? AND rowid>?)" in plan(queries._EVENTS.format(choice="run = ?"), 1, 0, 9)
    intents = plan(queries._INTENTS, "sync", 0.0)
    assert intents.count("intents_ended (account=? AND ended") == 2
    recent = plan(queries._RECENT, "sync", 9)
    assert "intents_ended (account=? AND ended" in recent
    assert "TEMP B-TREE" not in recent
    connection.close()


async def test_times_come_back_to_the_last_bit(path: Path) -> None:
    async with at(path) as ledger:
        task = row("a", observed=1763713723.1234567, since=0.1 + 0.2)
        (added,) = await ledger.add([task])
        assert (await ledger.tasks(["a"]))[0] == added


def test_lots_have_few_sizes_and_lose_nothing() -> None:
    for number in (0, 1, 3, 255, 256, 257, 900):
        items = list(range(number))
        lots = list(pages(items))
        assert [item for lot in lots for item in lot] == items
        assert {len(lot) for lot in lots} <= {1, 2, 4, 8, 16, 32, 64}


async def test_a_ledger_of_version_three_keeps_its_tasks_and_is_asked_for_open_ones_by_their_index(path: Path) -> None:
    def plan() -> str:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(f"EXPLAIN QUERY PLAN {queries._OPEN}", (0, None, None, 9)).fetchone()[3]

    async with at(path) as ledger:
        await ledger.add([row("a"), row("b")])
    index = next(line for line in migrate.SCRIPTS[0].split(";") if "CREATE INDEX tasks_open" in line)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"DROP INDEX tasks_open; {index}; PRAGMA user_version = 3;")
    assert "tasks_open" not in plan()
    async with at(path) as ledger:
        assert [one.id for one in await ledger.open_tasks(0, 9)] == ["a", "b"]
    assert "tasks_open" in plan()


async def test_what_a_constraint_refuses_undoes_its_group_and_the_others_are_written_by_themselves(path: Path) -> None:
    async with at(path) as ledger:
        rows = [row("a"), evolve(row("a"), key="the same id"), row("c")]
        stored = await asyncio.gather(*(ledger.add([one]) for one in rows), return_exceptions=True)
        refused = [isinstance(outcome, LedgerError) for outcome in stored]
        assert refused == [False, True, False]
        assert [one.key for one in await ledger.all_tasks(0, 10)] == [rows[0].key, rows[2].key]


def test_a_bulk_counts_the_rows_it_changed() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (a, b)")
    assert Bulk("INSERT INTO t (a, b) VALUES {rows}", 2).run(connection, [(i, i) for i in range(300)]) == 300
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    assert Bulk("INSERT INTO t (a, b) VALUES {rows}", 2).run(connection, [(-i, i) for i in range(1, 340)]) == 339
    assert len(statements) == 8  # five of 64, 16, 2 and 1
    assert Bulk("DELETE FROM t WHERE a IN (VALUES {rows})", 1).run(connection, [(1,), (299,), (300,)]) == 2
    connection.close()


# -- versions ------------------------------------------------------------------------------------------------------


def version(path: Path) -> tuple[int, int]:
    connection = sqlite3.connect(path)
    found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")]
    connection.close()
    return found[0], found[1]


async def test_a_ledger_bears_its_version_and_our_mark(path: Path) -> None:
    await made(path)
    assert version(path) == (len(migrate.SCRIPTS), int.from_bytes(b"vism", "big"))


async def test_a_newer_ledger_is_refused_and_left_alone(path: Path) -> None:
    await made(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = content(path)
    for read_only in (False, True):
        assert "upgrade viseme" in await refused(path, read_only=read_only)
    assert content(path) == before


async def test_an_older_ledger_is_brought_up_to_date_with_all_it_holds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(path)
    newer = (
        *migrate.SCRIPTS,
        "CREATE TABLE notes (x); INSERT INTO notes SELECT id FROM tasks",
        "ALTER TABLE notes ADD COLUMN y",
    )
    monkeypatch.setattr(migrate, "SCRIPTS", newer)
    assert "older viseme" in await refused(path, read_only=True)
    async with at(path) as ledger:
        assert len(await ledger.tasks(["a"])) == 1
    assert version(path)[0] == len(newer)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT x, y FROM notes").fetchall() == [("a", None)]
    connection.close()


async def test_a_step_that_fails_leaves_the_version_before_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(path)
    first = len(migrate.SCRIPTS)
    steps = ("CREATE TABLE notes (x)", "CREATE TABLE half (x); INSERT INTO nowhere VALUES (1)")
    monkeypatch.setattr(migrate, "SCRIPTS", (*migrate.SCRIPTS, *steps))
    assert "no such table: nowhere" in await refused(path)
    assert version(path)[0] == first + 1
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_schema WHERE name IN ('notes', 'half')").fetchall() == [
        ("notes",)
    ]
    connection.close()


def test_a_step_that_does_not_parse_changes_nothing() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.Error):
        migrate.upgrade(connection, "x", ["CREATE TABEL"])
    assert not connection.in_transaction
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("released", [1, 2])
async def test_every_released_version_can_be_opened(path: Path, released: int) -> None:
    """Add the number of each release's schema here, with a task as it wrote it."""
    connection = sqlite3.connect(path, isolation_level=None)
    migrate.upgrade(connection, str(path), migrate.SCRIPTS[:released])
    connection.executescript("""
        INSERT INTO tasks VALUES (1, 'a', 'k', 0, 1, 'sync', 0, 'waiting', NULL,
            '{"seq":3,"run":1,"account":"sync","state":"waiting","handle":{"id":"v"}}');
        INSERT INTO jobs VALUES (1, '{"id":"a","key":"k","digest":"d","job":{"video":"a.mp4","audio":"a.wav"}}');
        INSERT INTO events VALUES (1, 1, 1, '[1,"queued",5.5,{"account":"sync","model":null}]');
    """)
    connection.close()
    async with at(path) as ledger:
        (task,) = await ledger.tasks(["a"])
        assert (task.key, task.state, task.handle, task.job.audio, task.seq) == (
            "k",
            "waiting",
            {"id": "v"},
            "a.wav",
            3,
        )
        assert [(e.type, e.at) for e in await ledger.events(0, 9)] == [("queued", 5.5)]
        assert await ledger.spending() == []
        await ledger.commit(Change(row=task, was=task, charge=charge(task)))
        moved = evolve(task, run=2, account="jogg", parked=Reason.STOPPED)
        await ledger.commit(Change(row=moved, was=task))
        assert await ledger.tasks(["a"]) == await ledger.open_tasks(0, 9) == [moved]
        await ledger.keep_upload(upload("d"))
        assert [(sum.state, sum.tasks) for sum in await ledger.spending()] == [("reserved", 1)]
        assert await ledger.upload("sync", "d") == upload("d")


# -- a disk that fills ---------------------------------------------------------------------------------------------


async def test_a_full_ledger_refuses_whole_groups_loses_nothing_and_goes_on(path: Path) -> None:
    heard: list[Event] = []
    async with at(path) as ledger:
        ledger.listener = heard.extend
        await ledger.add([row("before")])
        connection = ledger._writer._connection  # type: ignore[union-attr]
        pages_now = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages_now + 2}")
        big = [row(f"t{i}", vendor_says="x" * 4000) for i in range(50)]
        outcomes = await asyncio.gather(*[ledger.add([task]) for task in big], return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {LedgerError}
        assert "free some space" in str(outcomes[0])
        assert [task.id for task in await ledger.all_tasks(0, 99)] == ["before"]
        connection.execute("PRAGMA max_page_count = 100000")
        await asyncio.gather(*[ledger.add([task]) for task in big])
        assert [e.order for e in heard] == list(range(1, 52))
    async with at(path) as ledger:
        assert len(await ledger.all_tasks(0, 99)) == 51


async def test_a_ledger_on_a_disk_that_is_full_says_so_and_lets_go_of_its_lock(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "600k") as folder:
        filler = folder / "filler"
        with suppress(OSError):
            write(filler, bytes(1_000_000))
        assert "free some space" in await refused(folder / "viseme.db")
        filler.unlink()
        await made(folder / "viseme.db")


def test_a_quota_is_a_full_disk_too() -> None:
    assert "free some space" in str(files.explain("viseme.db", OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))))


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on files")
def test_a_disk_that_fills_for_real_loses_nothing_that_was_acknowledged(path: Path) -> None:
    program = textwrap.dedent("""
        import asyncio, resource, signal, sys
        from tests.unit.ledgers import in_thread, row
        from viseme.errors import LedgerError
        from viseme.ledger import SqliteLedger

        async def main(path):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            async with SqliteLedger(path, blocking=in_thread) as ledger:
                resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
                for number in range(1000):
                    try:
                        await ledger.add([row(f"t{number}", vendor_says="x" * 2000)])
                    except LedgerError as error:
                        print("refused", str(error).replace(chr(10), " "))
                        break
                    print("added", f"t{number}", flush=True)
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                await ledger.add([row("after")])
                print("added after", flush=True)

        asyncio.run(main(sys.argv[1]))
    """)
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60, check=False)
    lines = run.stdout.splitlines()
    added = {line.split()[1] for line in lines if line.startswith("added")}
    assert (run.returncode, "after" in added) == (0, True), run.stderr
    (refusal,) = [line for line in lines if line.startswith("refused")]
    assert "then run again" in refusal
    connection = sqlite3.connect(path)
    assert {found for (found,) in connection.execute("SELECT id FROM tasks")} == added
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_disk_that_fails_while_it_is_asked_is_told_as_such(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at(path) as ledger:

        def broken(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(queries, "seats", broken)
        with pytest.raises(LedgerError, match="disk I/O error"):
            await ledger.seats()
