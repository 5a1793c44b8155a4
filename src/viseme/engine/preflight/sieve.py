"""One run's jobs on their way through the preflight: which may be created, which may not, and what to warn of."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from attrs import define, field

from viseme.engine.preflight.screening import Lined, Screening, never_created, untried
from viseme.failures import Problem
from viseme.ledger.base import Ledger

__all__ = ["Sieve"]

_KEPT = 1000
"""Warnings that are kept with their words; the others are only counted."""
_TOGETHER = 256
"""Jobs whose media are looked at together."""


@define(eq=False, repr=False)
class Sieve:
    """Screens the jobs of one run that have never been created.

    Attributes:
        warnings: what may be wrong, the first thousand of them; ``warned`` counts them all.
        total: how many there are, as far as known.
    """

    ledger: Ledger
    screening: Screening
    warnings: list[Problem] = field(factory=list[Problem], init=False)
    warned: int = field(default=0, init=False)
    total: int = field(default=0, init=False)
    _passed: int = field(default=0, init=False)
    """Jobs that were not looked at, since they had been created."""
    _put_off: list[tuple[str, array[int]]] = field(factory=list[tuple[str, "array[int]"]], init=False)
    """Ids of tasks, joined by spaces, with their lines (0 for none): a manifest may be long."""

    @property
    def checked(self) -> int:
        """Jobs that have been through it."""
        return self.screening.looked + self._passed

    async def certain(self, rows: Sequence[Lined]) -> dict[str, list[Problem]]:
        """What keeps tasks that are not yet in the ledger from being created, by their ids."""
        fresh = await untried(self.ledger, [row for row, _ in rows])
        wanted = [(row, line) for row, line in rows if row.key in fresh]
        self.total += len(wanted)
        return await self._screened(wanted)

    def put_off(self, rows: Sequence[Lined]) -> None:
        """Remember tasks of the ledger for :meth:`rest`."""
        self._put_off.append((" ".join(row.id for row, _ in rows), array("q", [line or 0 for _, line in rows])))
        self.total += len(rows)

    async def rest(self) -> list[Problem]:
        """What keeps the tasks that were put off from being created."""
        problems: list[Problem] = []
        for joined, lines in self._put_off:
            ids = joined.split()
            for start in range(0, len(ids), _TOGETHER):
                part = dict(zip(ids[start : start + _TOGETHER], lines[start : start + _TOGETHER], strict=True))
                rows = [(row, part[row.id] or None) for row in await self.ledger.tasks(list(part))]
                rows.sort(key=lambda pair: pair[1] or 0)
                fresh = [(row, line) for row, line in rows if never_created(row)]
                self._passed += len(ids[start : start + _TOGETHER]) - len(fresh)
                problems += [problem for found in (await self._screened(fresh)).values() for problem in found]
        self._put_off = []
        return problems

    async def _screened(self, rows: Sequence[Lined]) -> dict[str, list[Problem]]:
        found = await self.screening.all_problems(rows)
        certain: dict[str, list[Problem]] = {}
        for (row, _), problems in zip(rows, found, strict=True):
            worst = [problem for problem in problems if problem.certain]
            if worst:
                certain[row.id] = worst
            else:
                self._warn(problems)
        return certain

    def _warn(self, problems: Sequence[Problem]) -> None:
        self.warned += len(problems)
        self.warnings += problems[: max(0, _KEPT - len(self.warnings))]
