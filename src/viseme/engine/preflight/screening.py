"""Looks at the media of whole jobs, and tells which jobs would fail for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from anyio import create_task_group
from attrs import define, evolve, field

from viseme.attempts import TaskRow
from viseme.engine.lifecycle.line import BATCH
from viseme.engine.preflight.facts import Facts
from viseme.engine.preflight.inspector import Inspector
from viseme.engine.preflight.rules import MEDIA, Flaw, flaws, read_by_vendor
from viseme.errors import JobInvalid
from viseme.failures import Problem
from viseme.ledger.base import Ledger
from viseme.providers.base import Provider
from viseme.results import State

__all__ = ["NO_PYAV", "Lined", "Screening", "never_created", "refusal", "untried"]

NO_PYAV = (
    "lengths, sizes and streams of the media are not checked, since PyAV is not installed; pip install 'viseme[media]'"
    " adds it"
)

Lined = tuple[TaskRow, int | None]
"""A new task, and its line in the manifest, where it has one."""


@define(eq=False, repr=False)
class Screening:
    """Looks at the media of a batch of jobs.

    Attributes:
        looked: at the media of how many jobs so far.
    """

    inspector: Inspector
    providers: Mapping[str, Provider]
    looked: int = 0
    _ahead: Counter[str] = field(factory=Counter[str])
    """How many jobs were screened before, by account: they get their seats first."""

    async def problems(self, row: TaskRow, line: int | None = None) -> list[Problem]:
        """What is wrong with a task's media, certain or not."""
        provider = self.providers[row.account]
        turns = self._ahead[row.account] // (provider.account.concurrency or provider.sheet.concurrency)
        self._ahead[row.account] += 1
        found = await self._flaws(row, provider, turns)
        self.looked += 1
        return [_problem(flaw, row.key, line) for flaw in found]

    async def all_problems(self, rows: Sequence[Lined]) -> list[list[Problem]]:
        """The same for several tasks, at once; in their order."""
        found: list[list[Problem]] = [[] for _ in rows]

        async def one(number: int, row: TaskRow, line: int | None) -> None:
            found[number] = await self.problems(row, line)

        async with create_task_group() as group:
            for number, (row, line) in enumerate(rows):
                group.start_soon(one, number, row, line)
        return found

    async def _flaws(self, row: TaskRow, first: Provider, turns: int) -> list[Flaw]:
        """The flaws at the first account; certain only where every account of the route would fail the job."""
        now = self.inspector.world.now()
        together = row.mode == BATCH
        found = flaws(row.job, first, await self._facts(row, first), now=now, turns=turns, together=together)
        if not any(flaw.certain for flaw in found):
            return found
        for name in row.job.route[1:]:
            other = self.providers[name]
            there = flaws(row.job, other, await self._facts(row, other), now=now)
            if not any(flaw.certain for flaw in there):
                return [evolve(flaw, certain=False) for flaw in found]
        return found

    async def _facts(self, row: TaskRow, provider: Provider) -> dict[str, Facts]:
        private = provider.account.allow_private_hosts
        named = {name: source for name in MEDIA if (source := getattr(row.job, name)) is not None}
        return {
            name: await self.inspector.facts(source, private=private)
            for name, source in named.items()
            if not read_by_vendor(provider, source)
        }


def _problem(flaw: Flaw, key: str, line: int | None) -> Problem:
    return Problem(message=flaw.message, line=line, field=flaw.field, key=key, kind=flaw.kind, certain=flaw.certain)


def never_created(row: TaskRow) -> bool:
    """Whether nothing was ever created for a task, so that its media are still needed."""
    return row.state is State.QUEUED and row.attempt == 0 and row.intent is None


async def untried(ledger: Ledger, rows: Sequence[TaskRow]) -> set[str]:
    """The keys of those tasks that the ledger does not know, or has never created."""
    known = {row.key: row for row in await ledger.by_keys([row.key for row in rows])}
    return {row.key for row in rows if row.key not in known or never_created(known[row.key])}


def refusal(problems: Sequence[Problem]) -> JobInvalid | None:
    """The first certain problem as an error."""
    worst = next((problem for problem in problems if problem.certain), None)
    return None if worst is None else JobInvalid(worst.message, field=worst.field, kind=worst.kind)
