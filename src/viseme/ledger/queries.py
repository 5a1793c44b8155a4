"""Questions to a ledger file, each answered by one row of text that is parsed at once.

That is cheaper than an object for every column of every row, and SQLite runs through all rows without the interpreter's
lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from viseme.attempts import Intent, Seat, TaskRow, Upload
from viseme.events import Event
from viseme.ledger import rows
from viseme.ledger.base import Count, Rank
from viseme.ledger.bulk import marks, pages
from viseme.ledger.charges import SUMS, totals
from viseme.money import Spending
from viseme.results import Reason, State

__all__ = [
    "NOT_ENDED",
    "QUEUED",
    "adopted",
    "all_tasks",
    "by_keys",
    "counts",
    "events",
    "gates",
    "has_orders",
    "intents",
    "last_event",
    "open_tasks",
    "queued",
    "recent",
    "seats",
    "spending",
    "tasks",
    "upload",
]

_TASKS: Final = """
    SELECT group_concat(
        '[' || t."order" || ',' || jobs.body || ',' || t.body || ',' || json_array(t.run, t.account, t.state, t.parked)
            || ']'
    )
    FROM ({chosen}) AS t JOIN jobs ON jobs."order" = t."order"
"""

# In two halves, because SQLite takes only the first part of `(rank, "order") > (?2, ?3)` into its walk through the
# index, and would step over the whole queue of a rank for every page.
QUEUED: Final = """
    SELECT "order", rank, run, account, state, parked, body FROM tasks
    WHERE account = ?1 AND state = 'queued' AND parked IS NULL AND held = 0 AND run >= ?4 AND rank = ?2 AND "order" > ?3
    UNION ALL
    SELECT "order", rank, run, account, state, parked, body FROM tasks
    WHERE account = ?1 AND state = 'queued' AND parked IS NULL AND held = 0 AND run >= ?4 AND rank > ?2
    ORDER BY rank, "order" LIMIT ?5
"""

NOT_ENDED: Final = "state <> 'succeeded' AND state <> 'failed' AND state <> 'cancelled'"
"""In the words of an index, which is not used for others."""

_OPEN: Final = f"""
    SELECT "order", run, account, state, parked, body FROM tasks
    WHERE {NOT_ENDED} AND held = 0 AND "order" > ?
        AND (?2 IS NULL OR account = ?2) AND (?3 IS NULL OR run = ?3)
    ORDER BY "order" LIMIT ?4
"""

_ALL: Final = """
    SELECT "order", run, account, state, parked, body FROM tasks WHERE held = 0 AND "order" > ? ORDER BY "order" LIMIT ?
"""

_CHOSEN: Final = 'SELECT "order", run, account, state, parked, body FROM tasks WHERE {column} IN ({marks})'

_EVENTS: Final = """
    SELECT group_concat(
        '[' || e."order" || ',' || e.run || ',' || json_quote(tasks.id) || ',' || json_quote(tasks.key) || ','
            || e.body || ']'
    )
    FROM (SELECT "order", task, run, body FROM events WHERE {choice} AND "order" > ? ORDER BY "order" LIMIT ?) AS e
    JOIN tasks ON tasks."order" = e.task
"""

_COUNTS: Final = """
    SELECT account, state, parked, count(*) FROM tasks WHERE held = 0 AND (?1 IS NULL OR run = ?1)
    GROUP BY account, state, parked ORDER BY account, state, parked
"""

_INTENTS: Final = """
    SELECT group_concat(body) FROM (
        SELECT body FROM intents WHERE account = ?1 AND ended IS NULL
        UNION ALL
        SELECT body FROM intents WHERE account = ?1 AND ended > ?2
    )
"""

_SEATS: Final = "SELECT group_concat(body) FROM (SELECT body FROM seats WHERE id > ? ORDER BY id LIMIT ?)"

_RECENT: Final = """
    SELECT group_concat(body) FROM (
        SELECT body FROM intents WHERE account = ? AND ended IS NOT NULL ORDER BY ended DESC, id DESC LIMIT ?
    )
"""

_ADOPTED: Final = """
    SELECT tasks.id FROM adopted JOIN tasks ON tasks."order" = adopted.task
    WHERE adopted.account = ? AND adopted.vendor_id = ?
"""


def _page(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    """What a query with a single ``group_concat`` found, parsed."""
    text = connection.execute(sql, values).fetchone()[0]
    return [] if text is None else rows.parse(f"[{text}]")


def _tasks(connection: sqlite3.Connection, chosen: str, values: Sequence[Any]) -> list[TaskRow]:
    return [rows.task(*found) for found in _page(connection, _TASKS.format(chosen=chosen), values)]


def _order(row: TaskRow) -> int:
    return row.order


def _id(seat: Seat) -> str:
    return seat.id


def _rank(row: TaskRow) -> Rank:
    return rows.rank(row.job.priority), row.order


def _chosen(connection: sqlite3.Connection, column: str, names: Sequence[str]) -> list[TaskRow]:
    found: list[TaskRow] = []
    for page in pages(tuple(dict.fromkeys(names))):
        found += _tasks(connection, _CHOSEN.format(column=column, marks=marks(page)), page)
    return found


def tasks(connection: sqlite3.Connection, ids: Sequence[str]) -> list[TaskRow]:
    """The tasks with these ids."""
    return _chosen(connection, "id", ids)


def by_keys(connection: sqlite3.Connection, keys: Sequence[str]) -> list[TaskRow]:
    """The tasks with these keys."""
    return _chosen(connection, "key", keys)


def queued(connection: sqlite3.Connection, account: str, run: int, after: Rank | None, limit: int) -> list[TaskRow]:
    """A page of an account's queue."""
    rank, order = (rows.rank(1 << 62), 0) if after is None else (rows.rank(-after[0]), after[1])
    return sorted(_tasks(connection, QUEUED, (account, rank, order, run, limit)), key=_rank)


def open_tasks(
    connection: sqlite3.Connection, after: int, limit: int, account: str | None, run: int | None
) -> list[TaskRow]:
    """A page of the tasks that have not ended."""
    return sorted(_tasks(connection, _OPEN, (after, account, run, limit)), key=_order)


def all_tasks(connection: sqlite3.Connection, after: int, limit: int) -> list[TaskRow]:
    """A page of all tasks."""
    return sorted(_tasks(connection, _ALL, (after, limit)), key=_order)


def seats(connection: sqlite3.Connection, after: str, limit: int) -> list[Seat]:
    """A page of the open seats."""
    return sorted((rows.seat(body) for body in _page(connection, _SEATS, (after, limit))), key=_id)


def intents(connection: sqlite3.Connection, account: str, since: float) -> list[Intent]:
    """Intents that are open, or ended after ``since``."""
    return [rows.intent(body) for body in _page(connection, _INTENTS, (account, since))]


def recent(connection: sqlite3.Connection, account: str, creates: int) -> list[TaskRow]:
    """The tasks of the newest creates that have ended."""
    ended = sorted((body["ended"], body["id"], body["task"]) for body in _page(connection, _RECENT, (account, creates)))
    places = {task: place for place, (_, _, task) in enumerate(ended)}
    return sorted(tasks(connection, list(places)), key=lambda row: places[row.id])


def adopted(connection: sqlite3.Connection, account: str, vendor_id: str) -> str | None:
    """The task that has a vendor id."""
    found = connection.execute(_ADOPTED, (account, rows.vendor_id({"id": vendor_id}))).fetchone()
    return None if found is None else found[0]


def events(connection: sqlite3.Connection, after: int, limit: int, task: str | None, run: int | None) -> list[Event]:
    """A page of events."""
    choices: list[str] = []
    values: list[Any] = []
    if task is not None:
        choices.append('task = (SELECT "order" FROM tasks WHERE id = ?)')
        values.append(task)
    if run is not None:
        choices.append("+run = ?" if task is not None else "run = ?")
        values.append(run)
    found = _page(connection, _EVENTS.format(choice=" AND ".join(choices) or "1"), (*values, after, limit))
    return sorted([rows.event(*parts) for parts in found], key=lambda event: event.order or 0)


def last_event(connection: sqlite3.Connection) -> int:
    """The order of the newest event, 0 before the first."""
    return connection.execute('SELECT ifnull(max("order"), 0) FROM events').fetchone()[0]


def counts(connection: sqlite3.Connection, run: int | None) -> list[Count]:
    """How many tasks stand where."""
    return [
        Count(account=account, state=State(state), parked=None if parked is None else Reason(parked), tasks=number)
        for account, state, parked, number in connection.execute(_COUNTS, (run,)).fetchall()
    ]


def spending(connection: sqlite3.Connection, since: str) -> list[Spending]:
    """The charges summed, of the days from ``since`` on."""
    return [totals(row) for row in connection.execute(SUMS, (since,)).fetchall()]


def upload(connection: sqlite3.Connection, account: str, digest: str) -> Upload | None:
    """What an account's vendor calls a medium."""
    sql = "SELECT body FROM uploads WHERE account = ? AND digest = ?"
    found = connection.execute(sql, (account, digest)).fetchone()
    return None if found is None else rows.upload(rows.parse(found[0]))


def has_orders(connection: sqlite3.Connection) -> bool:
    """Whether an order waits."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM orders)").fetchone()[0])


def gates(connection: sqlite3.Connection) -> dict[str, Any]:
    """What the owner last showed."""
    text = connection.execute("SELECT value FROM meta WHERE name = 'gates'").fetchone()[0]
    return {} if text is None else rows.parse(text)
