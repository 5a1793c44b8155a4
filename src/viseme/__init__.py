"""Lip-sync jobs over hosted APIs: never paid twice, never lost, every account at its limits."""

from viseme.attempts import Handle
from viseme.config import Account, Config, Downloads, Polling, parse_config
from viseme.engine.run import Run, Tally, Trouble
from viseme.engine.scheduler import Scheduler
from viseme.engine.task import Task, Why
from viseme.errors import (
    ConfigError,
    Failure,
    JobCancelled,
    JobFailed,
    JobInvalid,
    Kind,
    LedgerBusy,
    LedgerError,
    ManifestError,
    MissingExtra,
    Parked,
    Problem,
    ProviderError,
    SchedulerClosed,
    VisemeError,
)
from viseme.events import Event, EventType
from viseme.jobs import Job
from viseme.money import Budget, Price, Quote
from viseme.oneliner import lipsync
from viseme.results import Artifact, Cost, Reason, Result, State, Timings
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
]
