"""The one who writes a ledger file: a group of works, one transaction.

What fails undoes all of it anyway (``OR ROLLBACK``): else SQLite keeps each page as it was before a statement of many
rows, so as to undo that alone, and writes a fifth of all that it writes into files for nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.errors import LedgerError
from viseme.events import Event
from viseme.ledger import files, queries, rows
from viseme.ledger.base import UNDER_WAY, Order, TakenOver
from viseme.ledger.bulk import Bulk
from viseme.ledger.charges import Stored
from viseme.ledger.works import (
    Add,
    Commit,
    Discard,
    ForgetUpload,
    Given,
    KeepUpload,
    Newcomer,
    NextRun,
    Outcome,
    Release,
    Step,
    TakeOrders,
    TakeOver,
    Work,
    WriteGates,
)
from viseme.wording import quote

__all__ = ["Writer", "missing"]

_ADD_TASKS = Bulk(
    'INSERT OR ROLLBACK INTO tasks ("order", id, key, held, run, account, rank, state, parked, body) VALUES {rows}', 10
)
_ADD_JOBS = Bulk('INSERT OR ROLLBACK INTO jobs ("order", body) VALUES {rows}', 2)
_ADD_HELD = Bulk("INSERT OR ROLLBACK INTO held (task, run, body) VALUES {rows}", 3)
_ADD_EVENTS = Bulk('INSERT OR ROLLBACK INTO events ("order", task, run, body) VALUES {rows}', 4)
_SET_TASKS = Bulk(
    "UPDATE OR ROLLBACK tasks SET run = new.column3, account = new.column4, rank = new.column5, state = new.column6,"
    " parked = nullif(new.column7, ''), body = ifnull(new.column8, tasks.body) FROM (VALUES {rows}) AS new"
    ' WHERE tasks."order" = new.column1 AND tasks.id = new.column2 AND tasks.held = 0',
    8,
)
_SET_JOBS = Bulk('INSERT OR REPLACE INTO jobs ("order", body) VALUES {rows}', 2)
_SET_INTENTS = Bulk("INSERT OR REPLACE INTO intents (id, account, ended, body) VALUES {rows}", 4)
_SET_SEATS = Bulk("INSERT OR REPLACE INTO seats (id, body) VALUES {rows}", 2)
_CLOSE_SEATS = Bulk("DELETE FROM seats WHERE id IN (VALUES {rows})", 1)
_SET_CHARGES = Bulk(
    "INSERT OR REPLACE INTO charges (id, task, account, pool, day, state, unit, amount, usd) VALUES {rows}", 9
)
_REFUND = Bulk("DELETE FROM charges WHERE id IN (VALUES {rows})", 1)
_ADOPT = Bulk("INSERT OR IGNORE INTO adopted (account, vendor_id, task) VALUES {rows}", 3)
_CLAIM = Bulk("INSERT OR REPLACE INTO adopted (account, vendor_id, task) VALUES {rows}", 3)

_RELEASE: Final = (
    'INSERT OR ROLLBACK INTO events ("order", task, run, body)'
    " SELECT ? + row_number() OVER (ORDER BY task), task, run, body FROM held WHERE run = ?",
    'UPDATE OR ROLLBACK tasks SET held = 0 WHERE "order" IN (SELECT task FROM held WHERE run = ?)',
    "DELETE FROM held WHERE run = ?",
)
_DISCARD: Final = (
    'DELETE FROM jobs WHERE "order" IN (SELECT task FROM held WHERE ?1 IS NULL OR run = ?1)',
    'DELETE FROM tasks WHERE "order" IN (SELECT task FROM held WHERE ?1 IS NULL OR run = ?1)',
    "DELETE FROM held WHERE ?1 IS NULL OR run = ?1",
)

_LOT: Final = f"""
    SELECT max("order") FROM (
        SELECT "order" FROM tasks
        WHERE {queries.NOT_ENDED} AND held = 0 AND "order" > ? ORDER BY "order" LIMIT ?
    )
"""
_LEFT: Final = f"""
    {queries.NOT_ENDED} AND held = 0 AND "order" > ?1 AND "order" <= ?2 AND run < ?3
        AND state IN ({", ".join(f"'{state}'" for state in sorted(UNDER_WAY))}) AND parked IS NULL
        AND account IN (SELECT value FROM json_each(?4)) AND id NOT IN (SELECT value FROM json_each(?5))
"""
"""What dead runs left of a lot; the first words are those of an index."""
_COUNT_LEFT: Final = f"SELECT account, count(*) FROM tasks WHERE {_LEFT} GROUP BY account"
_TAKE_OVER: Final = f"UPDATE tasks SET run = ?6 WHERE {_LEFT}"


def missing(task: str) -> LedgerError:
    """A change to a task that cannot be changed."""
    return LedgerError(f"the task {quote(task)} is not in the ledger, or not released yet; add it first")


class Writer:
    """Owns the writing connection.

    Args:
        connection: in autocommit mode; closed by its giver.
        path: for messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._task: int = connection.execute('SELECT ifnull(max("order"), 0) FROM tasks').fetchone()[0]
        self._event = queries.last_event(connection)

    def clear(self) -> None:
        """Remove what a crashed owner held."""
        for outcome in self.write([Discard(None)]):
            if isinstance(outcome, Exception):
                raise outcome

    def write(self, group: Sequence[Work]) -> list[Outcome]:
        """Write a group in one transaction; if a work of it is at fault and not the disk, each by itself."""
        place = self._task, self._event
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = self._all(group)
            self._connection.execute("COMMIT")
        except Exception as error:
            self._task, self._event = place
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            if len(group) == 1 or _disk(error):
                return [files.explain(self._path, error) for _ in group]
        else:
            return outcomes
        return [outcome for work in group for outcome in self.write([work])]

    def _all(self, group: Sequence[Work]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for kind, alike in groupby(group, type):
            outcomes += _ACTIONS[kind](self, list(alike))
        return outcomes

    # -- tasks -------------------------------------------------------------------------------------------------------

    def _adds(self, adds: Sequence[Add]) -> list[Outcome]:
        keys = [new.row.key for add in adds for new in add.newcomers]
        known = {row.key: row for row in queries.by_keys(self._connection, keys)}
        outcomes: list[Outcome] = []
        fresh: list[tuple[int, Newcomer, bool]] = []
        for add in adds:
            told: list[Event] = []
            found: list[TaskRow] = []
            for new in add.newcomers:
                row = known.get(new.row.key)
                if row is None:
                    row = known[new.row.key] = self._place(new, add.held, fresh, told)
                found.append(row)
            outcomes.append(Given(value=found, events=told))
        self._insert(fresh)
        return outcomes

    def _place(self, new: Newcomer, held: bool, fresh: list[tuple[int, Newcomer, bool]], told: list[Event]) -> TaskRow:
        self._task += 1
        event = 0
        if not held:
            event = self._event = self._event + 1
            told.append(rows.numbered(new.queued, event))
        fresh.append((event, new, held))
        return rows.placed(new.row, self._task)

    def _insert(self, fresh: Sequence[tuple[int, Newcomer, bool]]) -> None:
        first = self._task - len(fresh) + 1
        numbered = [(order, *parts) for order, parts in enumerate(fresh, start=first)]
        _ADD_TASKS.run(self._connection, [_columns(order, new, held) for order, _, new, held in numbered])
        _ADD_JOBS.run(self._connection, [(order, new.fixed) for order, _, new, _ in numbered])
        texts = [(event, order, new.row.run, new.queued_text) for order, event, new, held in numbered if not held]
        _ADD_EVENTS.run(self._connection, texts)
        later = [(order, new.row.run, new.queued_text) for order, _, new, held in numbered if held]
        _ADD_HELD.run(self._connection, later)

    def _releases(self, releases: Sequence[Release]) -> list[Outcome]:
        return [self._release(release.run) for release in releases]

    def _release(self, run: int) -> Given:
        before = self._event
        tell, show, forget = _RELEASE
        self._event += self._connection.execute(tell, (before, run)).rowcount
        self._connection.execute(show, (run,))
        self._connection.execute(forget, (run,))
        return Given(span=(before, self._event))

    def _discards(self, discards: Sequence[Discard]) -> list[Outcome]:
        for discard in discards:
            for sql in _DISCARD:
                self._connection.execute(sql, (discard.run,))
        return [Given()] * len(discards)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _commits(self, commits: Sequence[Commit]) -> list[Outcome]:
        """What several steps say of the same thing, the last one of them decides."""
        lot = _Lot()
        outcomes: list[Outcome] = []
        for commit in commits:
            told: list[Event] = []
            for step in commit.steps:
                lot.add(step)
                order = step.change.row.order
                for event, text in zip(step.change.events, step.texts, strict=True):
                    self._event += 1
                    lot.events.append((self._event, order, event.run, text))
                    told.append(rows.numbered(event, self._event))
            outcomes.append(Given(events=told))
        self._set_tasks(lot.tasks)
        for bulk, values in lot.others():
            if values:
                bulk.run(self._connection, values)
        return outcomes

    def _set_tasks(self, tasks: Mapping[tuple[int, str], Sequence[Any]]) -> None:
        if _SET_TASKS.run(self._connection, list(tasks.values())) != len(tasks):
            raise missing(next(name for order, name in tasks if not self._changeable(order, name)))

    def _changeable(self, order: int, name: str) -> bool:
        sql = 'SELECT 1 FROM tasks WHERE "order" = ? AND id = ? AND held = 0'
        return self._connection.execute(sql, (order, name)).fetchone() is not None

    def _takes_over(self, lots: Sequence[TakeOver]) -> list[Outcome]:
        return [self._take_over(lot) for lot in lots]

    def _take_over(self, lot: TakeOver) -> Given:
        """One statement for a whole lot: some 7 µs a task, without the interpreter's lock."""
        last = self._connection.execute(_LOT, (lot.after, lot.limit)).fetchone()[0]
        if last is None:
            return Given(value=TakenOver())
        left = lot.after, last, lot.before, lot.accounts, lot.but
        tasks = dict(self._connection.execute(_COUNT_LEFT, left).fetchall())
        if tasks:
            self._connection.execute(_TAKE_OVER, (*left, lot.run))
        return Given(value=TakenOver(last=last, tasks=tasks))

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _runs(self, asked: Sequence[NextRun]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for _ in asked:
            self._connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'run'")
            number = self._connection.execute("SELECT value FROM meta WHERE name = 'run'").fetchone()[0]
            outcomes.append(Given(value=number))
        return outcomes

    def _orders(self, asked: Sequence[TakeOrders]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for _ in asked:
            found = self._connection.execute("SELECT id, verb, key FROM orders ORDER BY id").fetchall()
            self._connection.execute("DELETE FROM orders")
            outcomes.append(Given(value=[Order(id=number, verb=verb, key=key) for number, verb, key in found]))
        return outcomes

    def _gates(self, shown: Sequence[WriteGates]) -> list[Outcome]:
        self._connection.execute("UPDATE meta SET value = ? WHERE name = 'gates'", (shown[-1].text,))
        return [Given()] * len(shown)

    def _keep(self, uploads: Sequence[KeepUpload]) -> list[Outcome]:
        sql = "INSERT OR REPLACE INTO uploads (account, digest, body) VALUES (?, ?, ?)"
        self._connection.executemany(sql, [(upload.account, upload.digest, upload.text) for upload in uploads])
        return [Given()] * len(uploads)

    def _forget(self, uploads: Sequence[ForgetUpload]) -> list[Outcome]:
        sql = "DELETE FROM uploads WHERE account = ? AND digest = ?"
        self._connection.executemany(sql, [(upload.account, upload.digest) for upload in uploads])
        return [Given()] * len(uploads)


@define
class _Lot:
    """What the steps of a group write, by statement; each thing stands there once, as the last step of it says."""

    tasks: dict[tuple[int, str], tuple[Any, ...]] = field(factory=dict[tuple[int, str], "tuple[Any, ...]"])
    jobs: dict[int, tuple[int, str]] = field(factory=dict[int, "tuple[int, str]"])
    intents: dict[str, tuple[str, str, float | None, str]] = field(factory=dict[str, Any])
    adopted: list[tuple[str, str, int]] = field(factory=list["tuple[str, str, int]"])
    claims: dict[tuple[str, str], tuple[str, str, int]] = field(factory=dict["tuple[str, str]", Any])
    seats: dict[str, str | None] = field(factory=dict[str, "str | None"])
    charges: dict[str, Stored | None] = field(factory=dict[str, "Stored | None"])
    events: list[tuple[int, int, int, str]] = field(factory=list["tuple[int, int, int, str]"])

    def add(self, step: Step) -> None:
        """Add what a step writes, but for its events."""
        change, row = step.change, step.change.row
        order, name, standing = row.order, (row.order, row.id), step.standing
        if standing is None and name in self.tasks:
            standing = self.tasks[name][-1]
        parked = "" if row.parked is None else str(row.parked)
        rank = rows.rank(row.job.priority)
        self.tasks[name] = (*name, row.run, row.account, rank, str(row.state), parked, standing)
        if step.fixed is not None:
            self.jobs[order] = order, step.fixed
        if step.intent is not None:
            self.intents[step.intent[0]] = step.intent
        if step.vendor_id is not None:
            self.adopted.append((row.account, step.vendor_id, order))
        if step.claim is not None:
            self.claims[row.account, step.claim] = row.account, step.claim, order
        if change.closes is not None:
            self.seats[change.closes] = None
        if step.opens is not None:
            self.seats[step.opens[0]] = step.opens[1]
        if change.refunds is not None:
            self.charges[change.refunds] = None
        if step.charge is not None:
            self.charges[step.charge[0]] = step.charge

    def others(self) -> tuple[tuple[Bulk, list[Any]], ...]:
        """What is written beside the tasks, with the statements that do it."""
        return (
            (_SET_JOBS, list(self.jobs.values())),
            (_SET_INTENTS, list(self.intents.values())),
            (_ADOPT, self.adopted),
            (_CLAIM, list(self.claims.values())),
            (_CLOSE_SEATS, [(name,) for name, text in self.seats.items() if text is None]),
            (_SET_SEATS, [(name, text) for name, text in self.seats.items() if text is not None]),
            (_REFUND, [(name,) for name, charge in self.charges.items() if charge is None]),
            (_SET_CHARGES, [charge for charge in self.charges.values() if charge is not None]),
            (_ADD_EVENTS, self.events),
        )


def _columns(order: int, new: Newcomer, held: bool) -> tuple[Any, ...]:
    row = new.row
    parked = None if row.parked is None else str(row.parked)
    rank = rows.rank(row.job.priority)
    return order, row.id, row.key, int(held), row.run, row.account, rank, str(row.state), parked, new.standing


_ACTIONS: Final[dict[type[Work], Callable[[Writer, Any], list[Outcome]]]] = {
    Add: Writer._adds,  # pyright: ignore[reportPrivateUsage]
    Commit: Writer._commits,  # pyright: ignore[reportPrivateUsage]
    Release: Writer._releases,  # pyright: ignore[reportPrivateUsage]
    Discard: Writer._discards,  # pyright: ignore[reportPrivateUsage]
    NextRun: Writer._runs,  # pyright: ignore[reportPrivateUsage]
    TakeOrders: Writer._orders,  # pyright: ignore[reportPrivateUsage]
    TakeOver: Writer._takes_over,  # pyright: ignore[reportPrivateUsage]
    WriteGates: Writer._gates,  # pyright: ignore[reportPrivateUsage]
    KeepUpload: Writer._keep,  # pyright: ignore[reportPrivateUsage]
    ForgetUpload: Writer._forget,  # pyright: ignore[reportPrivateUsage]
}


def _disk(error: Exception) -> bool:
    """Whether the file is at fault, so that writing the works one by one would help none of them."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
