"""``viseme run`` and ``viseme resume``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from attrs import frozen

import viseme
from viseme import Budget, Config, Run, Scheduler
from viseme.cli.driving import Batch, drive
from viseme.cli.eventfile import EventFile, open_events
from viseme.cli.figures import counted
from viseme.cli.guard import OK, SOME_FAILED, Unusable, complain
from viseme.cli.manifests import open_manifest
from viseme.cli.progress import Progress, on_terminal
from viseme.cli.reading import reading
from viseme.cli.settings import CONFIG, Places, default_account, load_config, places
from viseme.cli.summary import Outcome, lines
from viseme.errors import ManifestError
from viseme.results import ENDED
from viseme.wording import quote

__all__ = ["Again", "Sitting", "resume", "run"]


@frozen(kw_only=True)
class Sitting:
    """What ``run`` and ``resume`` have in common, as it was given."""

    out: str | None = None
    config: str | None = None
    ledger: str | None = None
    events: str | None = None
    budget: str | None = None
    wait: bool = False
    quiet: bool = False


@frozen(kw_only=True)
class Again:
    """Which jobs that have ended are to be created, and paid for, anew."""

    retry_failed: bool = False
    redo: tuple[str, ...] = ()


@frozen
class _Engine:
    """What the engine is made of."""

    config: Config
    sitting: Sitting
    places: Places
    default: str | None
    progress: Progress

    def scheduler(self) -> Scheduler:
        return Scheduler(
            self.config.accounts,
            output=self.places.out,
            ledger=self.places.ledger,
            default_account=self.default,
            downloads=self.config.downloads,
            wait=self.sitting.wait,
            budget=_budget(self.sitting.budget),
            notice=self.progress.say,
        )

    async def drive(self, begin: Callable[[Scheduler], Run], events: EventFile | None) -> Outcome:
        return await drive(Batch(scheduler=self.scheduler(), begin=begin, progress=self.progress, events=events))

    def tell(self, outcome: Outcome) -> None:
        told = self.progress.say if outcome.status == OK else self.progress.insist
        told("\n".join(lines(outcome, self.places)))


def run(
    manifest: str,
    sitting: Sitting,
    *,
    account: str | None,
    skip_invalid: bool,
    again: Again,
    mode: Literal["single", "batch"] | None = None,
    preflight: bool = True,
) -> int:
    """Run a manifest, or go on with it."""
    config = load_config(sitting.config)
    engine = _engine(config, sitting, default_account(config, account))
    engine.progress.problems = skip_invalid
    source = open_manifest(manifest)

    def begin(scheduler: Scheduler) -> Run:
        return scheduler.run(
            source.rows,
            whole=not skip_invalid,
            skip_invalid=skip_invalid,
            retry_failed=again.retry_failed,
            redo=again.redo,
            mode=mode,
            preflight=preflight,
        )

    async def main() -> Outcome:
        outcome = await engine.drive(begin, _events(engine, *filter(None, [source.path])))
        for key in await _not_redone(engine.places, again.redo, outcome.run):
            engine.progress.insist(f"--redo {quote(key, 60)}: the manifest has no job with that key")
        if outcome.tally.total or outcome.invalid or outcome.interrupted:
            engine.tell(outcome)
            await engine.progress.close()
            return outcome
        raise ManifestError(f"{source.name} holds no jobs; write one JSON object, or CSV row, per job")

    with source.files:
        try:
            return viseme.run(main()).status
        except ManifestError as error:
            if error.problems:
                rows = counted(len(error.problems), "row")
                raise ManifestError(
                    f"{source.name}: {rows} cannot be run, so nothing was started; mend them, or leave them out with"
                    " --skip-invalid",
                    error.problems,
                ) from None
            raise


def resume(sitting: Sitting) -> int:
    """Go on with all that is open."""
    config = load_config(sitting.config)
    engine = _engine(config, sitting, config.default_account)

    async def main() -> int:
        open_tasks = await _open_tasks(engine.places)
        known = {account.name for account in config.accounts}
        strangers = {name: number for name, number in open_tasks.items() if name not in known}
        for name, number in strangers.items():
            complain(
                f"{number} open jobs belong to the account {quote(name)!r}, which is not configured; add it for them"
            )
        if len(open_tasks) == len(strangers):
            engine.progress.say(f"nothing {'else ' if strangers else ''}is open in {quote(engine.places.ledger)}")
            await engine.progress.close()
            return SOME_FAILED if strangers else OK
        outcome = await engine.drive(lambda scheduler: scheduler.resume(), _events(engine))
        engine.tell(outcome)
        await engine.progress.close()
        return outcome.status or (SOME_FAILED if strangers else OK)

    return viseme.run(main())


def _engine(config: Config, sitting: Sitting, default: str | None) -> _Engine:
    progress = Progress(quiet=sitting.quiet, live=on_terminal() and not sitting.quiet)
    engine = _Engine(config, sitting, places(sitting.out, sitting.ledger), default, progress)
    engine.scheduler()  # what is wrong with the accounts is said before anything is made
    return engine


def _budget(given: str | None) -> Budget | None:
    try:
        return None if given is None else Budget.parse(given)
    except ValueError as error:
        raise Unusable(f"--budget: {error}") from None


def _events(engine: _Engine, *manifest: str) -> EventFile | None:
    engine.places.make()
    target = engine.sitting.events
    return None if target is None else open_events(target, engine.places, [engine.sitting.config or CONFIG, *manifest])


async def _open_tasks(where: Places) -> dict[str, int]:
    """How many tasks have not ended, by account."""
    found: dict[str, int] = {}
    async with reading(where.ledger) as ledger:
        for count in await ledger.counts():
            if count.state not in ENDED:
                found[count.account] = found.get(count.account, 0) + count.tasks
    return found


async def _not_redone(where: Places, redo: Sequence[str], run: int) -> list[str]:
    """The keys that were to be redone and that no row of the manifest had."""
    if not redo:
        return []
    async with reading(where.ledger) as ledger:
        done = {row.key for row in await ledger.by_keys(redo) if row.run == run}
    return [key for key in redo if key not in done]
