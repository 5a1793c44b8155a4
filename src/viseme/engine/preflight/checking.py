"""A whole manifest looked at, without a ledger and without creating anything."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence

from attrs import define, field, frozen

from viseme.attempts import TaskRow
from viseme.config import Account
from viseme.engine.intake import Intake
from viseme.engine.preflight.inspector import Inspector
from viseme.engine.preflight.screening import Lined, Screening
from viseme.engine.sources import in_lots
from viseme.engine.transport import Transport
from viseme.engine.world import World, real_world
from viseme.errors import JobInvalid
from viseme.failures import Problem
from viseme.manifest import Row
from viseme.providers import adapter
from viseme.wording import quote

__all__ = ["Checked", "check_rows"]

_TOGETHER = 64
"""Rows whose media are looked at together."""


@frozen
class Checked:
    """A row of a manifest, and what is wrong with it: certain problems and warnings.

    Attributes:
        measured: whether lengths and streams could be looked at at all (PyAV is installed).
    """

    line: int
    problems: tuple[Problem, ...]
    measured: bool = True


async def check_rows(
    rows: Iterable[Row] | AsyncIterable[Row],
    accounts: Sequence[Account],
    *,
    default_account: str | None = None,
    world: World | None = None,
) -> AsyncGenerator[Checked]:
    """Check every row of a manifest and look at its media; sends nothing that costs, and nothing to a vendor.

    Yields:
        each row, in order.
    """
    world = world or real_world()
    async with world.connect() as transport:
        check = _check(accounts, default_account, world, transport)
        async for lot in in_lots(rows, _TOGETHER):
            for checked in await check.batch(lot):
                yield checked


def _check(accounts: Sequence[Account], default: str | None, world: World, transport: Transport) -> _Check:
    providers = {account.name: adapter(account) for account in accounts}
    return _Check(Intake(world, providers, default), Screening(Inspector(world, transport), providers))


@define(eq=False, repr=False)
class _Check:
    intake: Intake
    screening: Screening
    _keys: dict[int, tuple[int, int]] = field(factory=dict[int, tuple[int, int]])
    """Hashes of keys, with those of the inputs and the line that had them first."""

    async def batch(self, rows: Sequence[Row]) -> list[Checked]:
        """Check some rows, their media at once."""
        found: dict[int, list[Problem]] = {row.line: [] for row in rows}
        tasks: list[Lined] = []
        for row in rows:
            try:
                tasks.append((await self._task(row), row.line))
            except JobInvalid as error:
                key = row.job.key if row.job is not None else None
                found[row.line].append(
                    Problem(message=str(error), line=row.line, field=error.field, key=key, kind=error.kind)
                )
        for problems in await self.screening.all_problems(tasks):
            for problem in problems:
                found[problem.line or 0].append(problem)
        measured = self.screening.inspector.measuring
        return [Checked(line, tuple(problems), measured) for line, problems in found.items()]

    async def _task(self, row: Row) -> TaskRow:
        if row.job is None:
            raise JobInvalid(row.problem or "the row is empty")
        task = await self.intake.row(row.job, 0)
        inputs, line = self._keys.setdefault(hash(task.key), (hash(task.digest), row.line))
        if inputs != hash(task.digest):
            key = quote(task.key, 60)
            raise JobInvalid(
                f"key {key!r} is that of line {line}, a job with other inputs; give this one another key", field="key"
            )
        return task
