"""A book over a ledger in memory, whose disk is slow and may refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from attrs import define, field
from tests.support.virtual import simulated_world
from tests.unit.ledgers import SlowDisk

from viseme.attempts import TaskRow
from viseme.engine.journal import Journal
from viseme.engine.lifecycle.book import Book
from viseme.engine.lifecycle.steps import Policy, Step
from viseme.events import Event
from viseme.jobs import Job
from viseme.ledger import MemoryLedger

__all__ = ["Shelf", "shelf"]

_JOB = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav")


@define(eq=False)
class Shelf(SlowDisk):
    """A book over a ledger whose disk is slow and may refuse."""

    ledger: MemoryLedger = field(init=False)
    book: Book = field(init=False)
    steps: list[Step] = field(factory=list[Step])
    events: list[Event] = field(factory=list[Event])

    def heard(self, events: Sequence[Event]) -> None:
        self.events += events
        self.book.journal.publish(events)

    async def add(self, *names: str) -> None:
        await self.ledger.add([
            TaskRow(id=name, key=name, job=_JOB, digest="d", account="house", run=1) for name in names
        ])  # fmt: skip
        self.events.clear()

    async def stored(self, name: str = "a") -> TaskRow:
        (row,) = await self.ledger.tasks([name])
        return row


@asynccontextmanager
async def shelf(*names: str) -> AsyncIterator[Shelf]:
    one = Shelf()
    one.ledger = MemoryLedger(sync=one.sync)
    one.book = Book(simulated_world().world, one.ledger, Journal(one.ledger), lambda row: Policy(), one.steps.append)
    one.ledger.listener = one.heard
    async with one.ledger:
        await one.add(*names)
        yield one
