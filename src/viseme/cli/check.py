"""``viseme check``: what is wrong with a manifest and its media, before anything is paid for."""

from __future__ import annotations

import json
from contextlib import aclosing

from attrs import asdict, define, field

import viseme
from viseme.cli.figures import counted
from viseme.cli.guard import OK, USAGE, complain
from viseme.cli.manifests import Manifest, open_manifest
from viseme.cli.progress import Counting
from viseme.cli.settings import default_account, load_config
from viseme.cli.tables import show
from viseme.config import Config
from viseme.engine.preflight.checking import Checked, check_rows
from viseme.engine.preflight.screening import NO_PYAV
from viseme.errors import ManifestError
from viseme.failures import Problem
from viseme.wording import quote

__all__ = ["check"]


@define
class _Report:
    """What was found."""

    rows: int = 0
    bad: int = 0
    warned: int = 0
    problems: list[Problem] = field(factory=list[Problem])

    def add(self, checked: Checked) -> None:
        self.rows += 1
        self.bad += any(problem.certain for problem in checked.problems)
        self.warned += any(not problem.certain for problem in checked.problems)
        self.problems += checked.problems

    @property
    def sentence(self) -> str:
        """The counts, in words."""
        told = f"{counted(self.rows, 'row')} checked: "
        if not self.problems:
            return told + "nothing is wrong"
        bad = f"{counted(self.bad, 'row')} cannot be run" if self.bad else "all can be run"
        return told + bad + (f", {counted(self.warned, 'row')} with warnings" if self.warned else "")


def check(manifest: str, *, config: str | None, account: str | None, as_json: bool) -> int:
    """Check a manifest; sends nothing that costs."""
    settings = load_config(config)
    default = default_account(settings, account)
    source = open_manifest(manifest)
    with source.files:
        report = viseme.run(_look(source, settings, default))
    if not report.rows:
        raise ManifestError(f"{source.name} holds no jobs; write one JSON object, or CSV row, per job")
    _tell(report, as_json=as_json)
    return USAGE if report.bad else OK


async def _look(source: Manifest, config: Config, default: str | None) -> _Report:
    report, counting = _Report(), Counting("checking media")
    async with aclosing(check_rows(source.rows, config.accounts, default_account=default)) as every:
        async for checked in every:
            if not report.rows and not checked.measured:
                complain(NO_PYAV)
            report.add(checked)
            counting.show(report.rows)
    counting.clear()
    return report


def _tell(report: _Report, *, as_json: bool) -> None:
    if as_json:
        told = [asdict(problem, filter=lambda _, value: value is not None) for problem in report.problems]
        counts = {"rows": report.rows, "bad": report.bad, "warned": report.warned}
        print(json.dumps({**counts, "problems": told}, indent=2))
        return
    if report.problems:
        show(("line", "key", "field", "verdict", "problem"), [_cells(problem) for problem in report.problems])
    print(report.sentence)


def _cells(problem: Problem) -> tuple[object, ...]:
    key = quote(problem.key, 40) if problem.key is not None else "-"
    certainty = "certain" if problem.certain else "warning"
    return problem.line or "-", key, problem.field or "-", certainty, problem.message
