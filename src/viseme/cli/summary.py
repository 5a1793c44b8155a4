"""The last lines of a run: how its jobs ended, why some did not, and what to do about those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from viseme import Tally, Trouble
from viseme.cli.figures import counted
from viseme.cli.guard import INTERRUPTED, OK, SOME_FAILED
from viseme.cli.settings import Places
from viseme.results import Reason, State
from viseme.wording import quote

__all__ = ["NEXT", "Outcome", "lines"]

NEXT = {
    Reason.FATE_UNKNOWN: "`viseme reconcile` shows the choices",
    Reason.DEADLINE: "run the same command again to collect what was paid for",
    Reason.STOPPED: "run the same command again to go on",
    Reason.NO_CREDIT: "top up the account, then run the same command again",
    Reason.BUDGET: "raise the budget, or wait for its next period, then run the same command again",
    Reason.NEEDS_PERSON: "see to it, then run the same command again",
    Reason.UNCONFIRMED: "run the same command again to look once more",
}
"""What to do about parked jobs."""


@frozen(kw_only=True)
class Outcome:
    """What a batch came to.

    Attributes:
        run: its number in the ledger.
        invalid: rows that were left out.
        interrupted: a signal ended it before its jobs had.
    """

    run: int
    tally: Tally
    by_account: Mapping[str, Tally]
    troubles: Sequence[Trouble]
    invalid: int = 0
    interrupted: bool = False

    @property
    def status(self) -> int:
        """The exit status."""
        if self.interrupted:
            return INTERRUPTED
        return OK if self.tally.succeeded == self.tally.total and not self.invalid else SOME_FAILED


def lines(outcome: Outcome, places: Places) -> list[str]:
    """The summary, as sentences."""
    several = len(outcome.by_account) > 1
    told = [f"{counted(outcome.tally.total, 'job')}: {_counts(outcome.tally)}"]
    told += [f"  {quote(name)}: {_counts(tally)}" for name, tally in sorted(outcome.by_account.items()) if several]
    told += [f"  {_trouble(trouble)}" for trouble in outcome.troubles]
    if outcome.invalid:
        were = "was" if outcome.invalid == 1 else "were"
        told.append(f"  {counted(outcome.invalid, 'row')} of the manifest {were} left out as invalid")
    told.append(f"files and results.jsonl are in {quote(places.out)}")
    if outcome.interrupted:
        told.append("interrupted; run the same command again to go on, nothing is paid for twice")
    return told


def _counts(tally: Tally) -> str:
    counts = {
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "cancelled": tally.cancelled,
        "parked": tally.parked,
        "not taken up": tally.total - tally.ended,
    }
    told = ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "nothing to do"
    return f"{told} ({tally.replayed} of them had ended before)" if tally.replayed else told


def _trouble(trouble: Trouble) -> str:
    message = f": {quote(trouble.message, 1000)}" if trouble.message else ""
    such = f"such as {quote(trouble.key, 60)!r}{message}"
    if trouble.state is not State.PARKED:
        return f"{trouble.account}: {trouble.tasks} failed ({trouble.why}), {such}"
    advised = "viseme reconcile" in message or "; run again" in message
    step = "" if advised else f"; {NEXT[Reason(trouble.why)]}"
    return f"{trouble.account}: {trouble.tasks} parked ({trouble.why}), {such}{step}"
