"""The last judgement: when all trouble is over, what was paid for has been delivered, and the books agree."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from tests.simulation.files import Files
from tests.simulation.laws import Laws
from tests.simulation.universe import Broken
from tests.simulation.vendors import VENDORS
from tests.simulation.vendors.base import Cdn

from viseme.attempts import TaskRow
from viseme.events import LAST, Event
from viseme.ledger import rows
from viseme.ledger.memory_disk import MemoryDisk
from viseme.results import ENDED, Reason, State

__all__ = ["judge"]

_BY_ORDER = ("reconciling", "cancelled", "failed", "queued")
"""What may follow in a run after a task was parked: a person ordered it."""


def judge(laws: Laws, files: Files, cdn: Cdn, told: list[str]) -> None:
    """Check everything that must hold at the end.

    Raises:
        Broken: something does not.
    """
    tasks = [entry.row() for entry in laws.ledger.tasks.values()]
    _ended_or_parked(tasks)
    _files(tasks, files, cdn)
    _adopted(tasks, laws)
    _delivered(tasks, laws)
    _events(laws.ledger)
    _results(tasks, files)
    _secrets(laws, files, told)


def _ended_or_parked(tasks: list[TaskRow]) -> None:
    """Nothing is left hanging, and nothing waits for a person that no person is needed for."""
    for row in tasks:
        if row.state not in ENDED and row.parked is None:
            raise Broken(f"liveness: {row.key} is {row.state}, neither ended nor parked")
        if row.parked not in (None, Reason.FATE_UNKNOWN):
            words = row.failure.message if row.failure else ""
            raise Broken(f"delivery: {row.key} stays parked ({row.parked}) though all is well: {words}")
        if row.parked is Reason.FATE_UNKNOWN and VENDORS[row.account].tells_all:
            words = row.failure.message if row.failure else ""
            raise Broken(f"fate: that of {row.key} stays unknown, though {row.account} can tell: {words}")


def _files(tasks: list[TaskRow], files: Files, cdn: Cdn) -> None:
    """A file under its final name is whole, and survives a power cut; nothing of its making lies about."""
    for row in tasks:
        if row.state is not State.SUCCEEDED:
            continue
        data = files.synced.get(row.file or "")
        scraps = [name for name in (f"{row.file}.part", f"{row.file}.part.tag") if name in files.now]
        if scraps:
            raise Broken(f"files: {scraps[0]} is left of {row.key}, which is done")
        if data is None or data not in cdn.whole(VENDORS[row.account].film(row)):
            raise Broken(f"files: that of {row.key} is {'missing' if data is None else 'not what the vendor made'}")
        if row.bytes != len(data):
            raise Broken(f"files: that of {row.key} has {len(data)} bytes, the ledger says {row.bytes}")


def _adopted(tasks: list[TaskRow], laws: Laws) -> None:
    """What was paid for at a vendor is the work of one task; a medium may serve several."""
    paid = {booking.id for booking in laws.bookings}
    owned = Counter(str(row.vendor_id) for row in tasks if str(row.vendor_id) in paid)
    twice = [name for name, times in owned.items() if times > 1]
    if twice:
        raise Broken(f"adoption: {twice[0]} at the vendor is the work of two tasks")


def _delivered(tasks: list[TaskRow], laws: Laws) -> None:
    """What came to a good end at a vendor is on disk, unless the customer called it off or gave it up."""
    by_key = {row.key: row for row in tasks}
    made: dict[str, list[str]] = defaultdict(list)
    for booking in laws.bookings:
        if booking.good and booking.stage == "lipsync":
            made[booking.inputs].append(booking.id)
    for inputs, ids in made.items():
        its = [by_key[key] for key in laws.tasks[inputs] if key in by_key]
        have = {str(row.vendor_id) for row in its if row.state is State.SUCCEEDED}
        excused = sum(
            row.state is State.CANCELLED
            or row.parked is Reason.FATE_UNKNOWN
            or (row.state is State.FAILED and row.failure is not None and row.failure.kind == "fate_unknown")
            for row in its
        ) + sum(laws.grants[row.key] for row in its)
        lost = [name for name in ids if name not in have]
        if len(lost) > excused:
            states = ", ".join(f"{row.key} {row.shown}" for row in its)
            raise Broken(f"delivery: {lost[0]} was made and paid for, and is not on disk ({states})")


def _events(disk: MemoryDisk) -> None:
    """Per task: one ``queued`` first, rising numbers, one last event a run, nothing after the end."""
    told: dict[str, list[Event]] = defaultdict(list)
    for order, entry, run, text in disk.events:
        told[entry.key].append(rows.event(order, run, entry.id, entry.key, rows.parse(text)))
    for key, events in told.items():
        kinds = [str(event.type) for event in events]
        if kinds[0] != "queued" or kinds.count("queued") != 1:
            raise Broken(f"events: those of {key} begin with {kinds[:3]}")
        for event, following in pairwise(events):
            if event.seq >= following.seq:
                raise Broken(f"events: {following.type} of {key} has number {following.seq} after {event.seq}")
            ordered = event.type == "parked" and following.type in _BY_ORDER
            if event.type in LAST and event.run == following.run and not ordered:
                raise Broken(f"events: {key} has {following.type} after {event.type} in one run")


def _results(tasks: list[TaskRow], files: Files) -> None:
    """The last line of a key says what the ledger says."""
    lines: dict[str, dict[str, Any]] = {}
    for line in files.now.get("/out/results.jsonl", b"").splitlines():
        found = json.loads(line)
        lines[found["key"]] = found
    for row in tasks:
        found = lines.get(row.key)
        if found is None or found["state"] != row.shown:
            raise Broken(f"results: results.jsonl has {found and found['state']} of {row.key}, which is {row.shown}")


def _secrets(laws: Laws, files: Files, told: list[str]) -> None:
    """No key is anywhere but in our process and on its way to the vendor's own host."""
    disk = laws.ledger
    kept = [entry.fixed + entry.standing for entry in disk.tasks.values()]
    kept += [text for *_, text in disk.events] + [text for *_, text in disk.intents.values()]
    kept += [str(disk.gates), *disk.uploads.values(), *told, *laws.universe.trace]
    kept += [data.decode("latin-1") for path, data in files.now.items() if path.endswith(".jsonl")]
    for secret in laws.secrets:
        for text in kept:
            if secret in text:
                raise Broken(f"secrets: {secret} is in {text[:200]}")
