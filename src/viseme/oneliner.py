"""One job, one line."""

from __future__ import annotations

import os
from typing import Any

from attrs import evolve

from viseme.config import Account
from viseme.engine.scheduler import Scheduler
from viseme.jobs import Job
from viseme.results import Result

__all__ = ["lipsync"]


async def lipsync(
    *,
    account: Account,
    output: str | os.PathLike[str] = "out",
    ledger: str | os.PathLike[str] | None = None,
    **job: Any,
) -> Result:
    """Run one job to its end and return its result.

    Args:
        account: the account that runs it.
        output: the folder that the result goes to; the ledger is ``viseme.db`` in it unless ``ledger`` names another.
        job: the fields of :class:`viseme.Job`, e.g. ``video`` and ``audio``.

    Raises:
        JobInvalid: the job cannot be run as it stands.
        JobFailed, JobCancelled, Parked: as :meth:`viseme.Task.result`. Calling again with the same fields goes on where
            it was, and never creates the job twice.
    """
    async with Scheduler([account], output=output, ledger=ledger) as scheduler:
        task = await scheduler.submit(evolve(Job(**job), account=account.name))
        return await task.result()
