"""Lip-sync jobs over hosted APIs: never paid twice, never lost, every account at its limits.

A name is loaded from its module when it is first used, so that whoever needs little (a command's help, a value) waits
for little. ``from viseme import Scheduler`` loads the engine there and then.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:
    from viseme.attempts import Handle
    from viseme.config import Account, Config, Downloads, Polling, parse_config
    from viseme.engine.run import Run, Tally, Trouble
    from viseme.engine.scheduler import Scheduler
    from viseme.engine.task import Task, Why
    from viseme.errors import (
        ConfigError,
        JobCancelled,
        JobFailed,
        JobInvalid,
        LedgerBusy,
        LedgerError,
        ManifestError,
        MissingExtra,
        Parked,
        ProviderError,
        SchedulerClosed,
        VisemeError,
    )
    from viseme.events import Event, EventType
    from viseme.failures import Failure, Kind, Problem
    from viseme.jobs import Job
    from viseme.money import Budget, Price, Quote
    from viseme.oneliner import lipsync
    from viseme.results import Artifact, Cost, Reason, Result, State, Timings
    from viseme.running import run
    from viseme.units import Rate

__all__ = [
    "Account",
    "Artifact",
    "Budget",
    "Config",
    "ConfigError",
    "Cost",
    "Downloads",
    "Event",
    "EventType",
    "Failure",
    "Handle",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobInvalid",
    "Kind",
    "LedgerBusy",
    "LedgerError",
    "ManifestError",
    "MissingExtra",
    "Parked",
    "Polling",
    "Price",
    "Problem",
    "ProviderError",
    "Quote",
    "Rate",
    "Reason",
    "Result",
    "Run",
    "Scheduler",
    "SchedulerClosed",
    "State",
    "Tally",
    "Task",
    "Timings",
    "Trouble",
    "VisemeError",
    "Why",
    "lipsync",
    "parse_config",
    "run",
]

_HOMES = {
    "Account": "viseme.config",
    "Artifact": "viseme.results",
    "Budget": "viseme.money",
    "Config": "viseme.config",
    "ConfigError": "viseme.errors",
    "Cost": "viseme.results",
    "Downloads": "viseme.config",
    "Event": "viseme.events",
    "EventType": "viseme.events",
    "Failure": "viseme.failures",
    "Handle": "viseme.attempts",
    "Job": "viseme.jobs",
    "JobCancelled": "viseme.errors",
    "JobFailed": "viseme.errors",
    "JobInvalid": "viseme.errors",
    "Kind": "viseme.failures",
    "LedgerBusy": "viseme.errors",
    "LedgerError": "viseme.errors",
    "ManifestError": "viseme.errors",
    "MissingExtra": "viseme.errors",
    "Parked": "viseme.errors",
    "Polling": "viseme.config",
    "Price": "viseme.money",
    "Problem": "viseme.failures",
    "ProviderError": "viseme.errors",
    "Quote": "viseme.money",
    "Rate": "viseme.units",
    "Reason": "viseme.results",
    "Result": "viseme.results",
    "Run": "viseme.engine.run",
    "Scheduler": "viseme.engine.scheduler",
    "SchedulerClosed": "viseme.errors",
    "State": "viseme.results",
    "Tally": "viseme.engine.run",
    "Task": "viseme.engine.task",
    "Timings": "viseme.results",
    "Trouble": "viseme.engine.run",
    "VisemeError": "viseme.errors",
    "Why": "viseme.engine.task",
    "lipsync": "viseme.oneliner",
    "parse_config": "viseme.config",
    "run": "viseme.running",
}
"""Where each name comes from; what type checkers read above says the same."""


if not typing.TYPE_CHECKING:  # to type checkers, a misspelt name stays an error

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(home), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
