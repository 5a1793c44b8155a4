"""The way of a run's jobs into the ledger: read lazily, checked, looked at, priced, added, or known already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import cast

from anyio import Semaphore, create_task_group
from attrs import define, field

from viseme.attempts import TaskRow
from viseme.engine.core import Again, Core
from viseme.engine.intake import Intake
from viseme.engine.money.pricing import priced
from viseme.engine.preflight.screening import Lined, refusal
from viseme.engine.preflight.sieve import Sieve
from viseme.engine.sources import each
from viseme.engine.uncut import uncut
from viseme.errors import JobInvalid, ManifestError
from viseme.failures import Problem
from viseme.jobs import Job
from viseme.manifest import Row
from viseme.wording import quote

__all__ = ["Feeding", "Jobs", "other_inputs"]

_BATCH = 256
_PAGE = 32
"""Open tasks that are read at a time. With four times as many the garbage collector, which goes through all watches,
runs twice as often: a fifth of a restart's CPU."""
_LOT = 2048
"""Open tasks that are taken over at a time; other writes wait for some 20 ms then."""
_LOOKED_AT = 32
"""How many jobs are added at a time, or of a live source at once, where their media are looked at first."""
_AHEAD = 10_000
"""How many jobs are taken from the source before some of them have ended."""

Jobs = Iterable[Job] | AsyncIterable[Job] | Iterable[Row] | AsyncIterable[Row]


@define(eq=False, repr=False, kw_only=True)
class Feeding:
    """Takes the jobs of one run in.

    Attributes:
        number: the run's.
        whole: nothing is begun before the source was read to its end.
        problems: grows with each row that is left out.
        expect: told of the account of tasks, and how many they are, once the run counts them.
        done: told of each task that needs nothing more.
        under_way: tells how many tasks have been taken in and have not ended.
    """

    core: Core
    intake: Intake
    number: int
    again: Again
    whole: bool
    skip_invalid: bool
    mode: str | None
    sieve: Sieve | None
    problems: list[Problem]
    expect: Callable[[str, int], None]
    done: Callable[[TaskRow], None]
    under_way: Callable[[], int]
    _known: list[tuple[str, str]] = field(factory=list[tuple[str, str]])
    """Tasks that the ledger had already, by account and id."""

    async def open_tasks(self) -> None:
        """Go on with all that is open in the ledger."""
        after, taking = 0, asyncio.ensure_future(self._take_over(0))
        try:
            while last := await uncut(taking):
                taking = asyncio.ensure_future(self._take_over(last))  # while these are gone on with
                others: list[tuple[str, str]] = []
                while after < last:
                    page = await self.core.book.open_tasks(after, _PAGE)
                    rows = [row for row in page if row.order <= last]
                    after = rows[-1].order if rows else last
                    await self.core.attach([row.id for row in rows if row.run == self.number], self.number)
                    others += [(row.account, row.id) for row in rows if self._remains(row)]
                await self._take_up(others)
        finally:
            await uncut(taking)  # whatever is the run's by then has been counted

    async def _take_over(self, after: int) -> int | None:
        """Have what dead runs left under way of a lot of open tasks; returns the last one's ``order``."""
        lot = await self.core.take_over(self.number, after, _LOT)
        for account, tasks in lot.tasks.items():
            self.expect(account, tasks)
        return lot.last

    def _remains(self, row: TaskRow) -> bool:
        """Whether a task goes on, and could not be taken over."""
        return row.run != self.number and row.account in self.core.offices

    async def jobs(self, jobs: Jobs) -> None:
        """Take in all jobs of a source, as fast as the run lets them through.

        Raises:
            JobInvalid, ManifestError: a job cannot be run, and nobody said to leave such out.
        """
        eager = not self.whole and isinstance(jobs, AsyncIterable)
        if eager and self.sieve is not None:
            await self._eagerly(jobs)
            return
        size = _LOOKED_AT if self.sieve is not None and not self.whole else _BATCH
        batch: list[Lined] = []
        async for given in each(jobs):
            line, row = await self._row(given)
            if row is not None:
                batch.append((row, line))
            if len(batch) >= size or (batch and eager):
                await self._add(batch)
                batch = []
                await self._keep_back()
        if batch:
            await self._add(batch)
        if self.whole:
            await self._begin()

    async def _eagerly(self, jobs: Jobs) -> None:
        """Add each job of a live source as soon as its media were looked at, some of them at once."""
        places = Semaphore(_LOOKED_AT)

        async def add(row: TaskRow, line: int | None) -> None:
            try:
                await self._add([(row, line)])
            finally:
                places.release()

        try:
            async with create_task_group() as group:
                async for given in each(jobs):
                    line, row = await self._row(given)
                    if row is not None:
                        await places.acquire()
                        group.start_soon(add, row, line)
                        await self._keep_back()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _row(self, given: Job | Row) -> tuple[int | None, TaskRow | None]:
        job, line = (given.job, given.line) if isinstance(given, Row) else (given, None)
        try:
            if isinstance(given, Row) and given.job is None:
                raise JobInvalid(given.problem or "the row is empty")
            return line, await self.intake.row(cast("Job", job), self.number, self.mode)
        except JobInvalid as error:
            self._refuse(error, line)
            return line, None

    def _refuse(self, error: JobInvalid, line: int | None) -> None:
        """Note a bad row, or, where nobody asked for bad rows to be noted, raise."""
        if not (self.skip_invalid or self.whole):
            raise error
        self.problems.append(Problem(message=str(error), line=line, field=error.field, kind=error.kind))

    async def _sifted(self, batch: list[Lined]) -> list[Lined]:
        """The batch without the jobs that would certainly fail for their media."""
        if self.sieve is None or (self.whole and not self.skip_invalid):
            return batch
        certain = await self.sieve.certain(batch)
        for row, line in batch:
            error = refusal(certain.get(row.id, ()))
            if error is not None:
                self._refuse(error, line)
        return [(row, line) for row, line in batch if row.id not in certain]

    async def _priced(self, batch: list[Lined]) -> list[Lined]:
        """The batch with its prices, without the jobs for which a budget could not be kept."""
        kept: list[Lined] = []
        found = await priced(self.core.cashier, self.core.ledger, [row for row, _ in batch])
        for (_, line), row in zip(batch, found, strict=True):
            if isinstance(row, JobInvalid):
                self._refuse(row, line)
            else:
                kept.append((row, line))
        return kept

    async def _add(self, batch: list[Lined]) -> None:
        batch = await self._priced(await self._sifted(batch))
        stored = await self.core.book.add([row for row, _ in batch], held=self.whole)
        known: list[tuple[str, str]] = []
        for (given, line), kept in zip(batch, stored, strict=True):
            if kept.id == given.id:
                self.expect(given.account, 1)
            elif kept.digest != given.digest:
                self._refuse(other_inputs(given), line)
            else:
                known.append((kept.account, kept.id))
        if self.whole:
            self._known += known
            if self.sieve is not None and not self.skip_invalid:
                self.sieve.put_off([(kept, line) for (_, line), kept in zip(batch, stored, strict=True)])
        else:
            self.core.queued([kept for (given, _), kept in zip(batch, stored, strict=True) if kept.id == given.id])
            await self._take_up(known)

    async def _begin(self) -> None:
        """The whole source was read: let its tasks be seen, or refuse it all."""
        if self.sieve is not None:
            self.problems += await self.sieve.rest()
        if self.problems and not self.skip_invalid:
            problems = sorted(self.problems, key=lambda problem: problem.line or 0)
            raise ManifestError(f"{len(problems)} rows cannot be run", problems)
        await self.core.ledger.release(self.number)
        self.core.released()
        await self._take_up(self._known)
        self._known = []

    async def _take_up(self, known: Sequence[tuple[str, str]]) -> None:
        for start in range(0, len(known), _BATCH):
            lot = known[start : start + _BATCH]
            for account, _ in lot:
                self.expect(account, 1)
            for row in await self.core.take_up_all([task for _, task in lot], self.number, self.again):
                self.done(row)

    async def _keep_back(self) -> None:
        while not self.whole and self.under_way() >= _AHEAD:
            await self.core.journal.changed()


def other_inputs(row: TaskRow) -> JobInvalid:
    return JobInvalid(
        f"key {quote(row.key, 60)!r} belongs to a job with other inputs; give this one another key", field="key"
    )
