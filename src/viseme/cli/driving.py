"""Drives one batch from the opening of the engine to the summary, and through an interruption."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from anyio import create_task_group
from attrs import frozen

from viseme import Run, Scheduler
from viseme.cli.eventfile import EventFile
from viseme.cli.guard import usable
from viseme.cli.interrupts import Interrupts, interrupts
from viseme.cli.progress import Progress
from viseme.cli.summary import Outcome
from viseme.errors import VisemeError

__all__ = ["Batch", "drive"]


@frozen(kw_only=True)
class Batch:
    """What is to be run, and who is told of it.

    Attributes:
        begin: makes the run once the scheduler is open.
    """

    scheduler: Scheduler
    begin: Callable[[Scheduler], Run]
    progress: Progress
    events: EventFile | None = None


async def drive(batch: Batch) -> Outcome:
    """Run a batch until its jobs have ended or parked, or a signal comes.

    Raises:
        Unusable, LedgerBusy: the ledger or the output folder cannot be used; nothing was begun.
        ManifestError: nothing was begun.
        VisemeError: the engine stopped.
    """
    progress, scheduler = batch.progress, batch.scheduler

    def first() -> None:
        progress.say("stopping: creates that have left are waited for, up to 10 s; interrupt again to stop at once")
        scheduler.stop()

    async with AsyncExitStack() as stack:
        heard = stack.enter_context(interrupts(first, scheduler.hurry))
        if batch.events is not None:
            stack.callback(batch.events.close)
        stack.push_async_callback(progress.close)
        with usable():
            await stack.enter_async_context(scheduler)
        return await _run(batch, heard)


async def _run(batch: Batch, heard: Interrupts) -> Outcome:
    error: VisemeError | None = None
    run, interrupted = batch.begin(batch.scheduler), False
    async with create_task_group() as group:
        async with run:
            group.start_soon(batch.progress.follow, run)
            if batch.events is not None:
                group.start_soon(_write_events, batch.events, run, batch.progress, heard)
            try:
                with heard.scope:
                    await run.wait()
            except VisemeError as caught:
                error = caught
            interrupted = heard.count > 0 and not run.finished
        batch.progress.finish()
    if error is not None and not interrupted:
        raise error
    return Outcome(
        run=run.number,
        tally=run.tally,
        by_account=run.by_account,
        troubles=run.troubles,
        invalid=len(run.problems),
        interrupted=interrupted,
    )


async def _write_events(events: EventFile, run: Run, progress: Progress, heard: Interrupts) -> None:
    with heard.patience:
        await events.follow(run, progress.say)
