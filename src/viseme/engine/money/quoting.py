"""What the rows of a manifest cost at most, without a ledger and without creating anything."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence

from anyio import CapacityLimiter, create_task_group
from attrs import define, frozen

from viseme.config import Account
from viseme.engine.admission.desk import Desk, pools_of
from viseme.engine.intake import Intake
from viseme.engine.money.estimating import Estimator
from viseme.engine.preflight.inspector import Inspector
from viseme.engine.sources import in_lots
from viseme.engine.transport import Transport
from viseme.engine.world import World, real_world
from viseme.errors import JobInvalid
from viseme.failures import Problem
from viseme.jobs import Job
from viseme.manifest import Row
from viseme.money import Quote
from viseme.providers import adapter

__all__ = ["Quoted", "quote_rows"]

_TOGETHER = 64
_AT_ONCE = 16


@frozen(kw_only=True)
class Quoted:
    """A row of a manifest with its quote, or with what keeps it from being run."""

    line: int
    key: str = ""
    quote: Quote | None = None
    problem: Problem | None = None


@define(eq=False, repr=False)
class _Quoter:
    intake: Intake
    estimator: Estimator

    async def row(self, row: Row) -> Quoted:
        if row.job is None:
            return Quoted(line=row.line, problem=Problem(line=row.line, message=row.problem or "this is no job"))
        try:
            return await self.job(row.line, row.job)
        except JobInvalid as error:
            return Quoted(line=row.line, problem=Problem(line=row.line, message=str(error), field=error.field))

    async def job(self, line: int, job: Job) -> Quoted:
        taken = await self.intake.row(job, 0)
        return Quoted(line=line, key=taken.key, quote=await self.estimator.quote(job, taken.account))

    async def batch(self, rows: Sequence[Row]) -> list[Quoted]:
        """Several rows at once, in their order."""
        found = [Quoted(line=row.line) for row in rows]
        few = CapacityLimiter(_AT_ONCE)

        async def one(number: int, row: Row) -> None:
            async with few:
                found[number] = await self.row(row)

        async with create_task_group() as group:
            for number, row in enumerate(rows):
                group.start_soon(one, number, row)
        return found


async def quote_rows(
    rows: Iterable[Row] | AsyncIterable[Row],
    accounts: Sequence[Account],
    *,
    default_account: str | None = None,
    world: World | None = None,
) -> AsyncGenerator[Quoted]:
    """Quote every row of a manifest: measures its media, asks vendors for their estimates, buys nothing.

    Yields:
        each row, in order.
    """
    world = world or real_world()
    async with world.connect() as transport:
        quoter = _quoter(accounts, default_account, world, transport)
        async for lot in in_lots(rows, _TOGETHER):
            for quoted in await quoter.batch(lot):
                yield quoted


def _quoter(accounts: Sequence[Account], default: str | None, world: World, transport: Transport) -> _Quoter:
    providers = {account.name: adapter(account) for account in accounts}
    pools = pools_of(world, list(providers.values()))
    desks = {
        name: Desk(world, provider.account, provider, pools[provider.account.pool], transport)
        for name, provider in providers.items()
    }
    return _Quoter(Intake(world, providers, default), Estimator(desks, Inspector(world, transport)))
