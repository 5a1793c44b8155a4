"""From a job to a row: its account found, its inputs checked for free, its key and digest made."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from unicodedata import normalize

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.engine.lifecycle.line import BATCH
from viseme.engine.world import World
from viseme.errors import JobInvalid
from viseme.evolving import evolve, packed
from viseme.jobs import Job, cover_name, is_own, is_url, output_name, preview_name
from viseme.keys import FileStamp, inputs_digest
from viseme.providers.base import Provider
from viseme.results import ENDED, State, Timings
from viseme.wording import quote

__all__ = ["Intake"]

_KEY_LIMIT = 500
_NAMES = 50_000
"""So many output names that jobs stated are remembered, and as many that are made of keys."""
_BLANK = packed(TaskRow(id="", key="", job=Job(), digest="", account=""))
"""What each row is a copy of, which takes a fifth of making one (0.9 against 4.3 µs)."""


async def _nobody(key: str) -> TaskRow | None:
    return None


@define(eq=False, repr=False)
class Intake:
    """Makes rows of jobs.

    Attributes:
        providers: by account.
        default: the account of jobs that name none.
        known: finds the task of a key in the ledger.
        ledger: the ledger's path below the output folder; empty if it lies elsewhere.
        folder: the output folder, links followed; empty where nothing is written.
    """

    world: World
    providers: Mapping[str, Provider]
    default: str | None = None
    known: Callable[[str], Awaitable[TaskRow | None]] = field(default=_nobody)
    ledger: str = ""
    folder: str = ""
    _owners: OrderedDict[str, str] = field(factory=OrderedDict[str, str], init=False)
    """The keys of the jobs that stated an output, by its name."""
    _unstated: deque[str] = field(factory=lambda: deque[str](maxlen=_NAMES), init=False)
    """The keys of the jobs that stated none; they are named once a job states one."""
    _named: OrderedDict[str, str] = field(factory=OrderedDict[str, str], init=False)
    """Those that were named, by the output's name."""
    _read: OrderedDict[str, None] = field(factory=OrderedDict[str, None], init=False)
    """The local files in the output folder that jobs read, by name."""

    async def row(self, job: Job, run: int, mode: str | None = None) -> TaskRow:
        """The row of a new task.

        Args:
            mode: ``batch`` or ``single``; None for what the account says.

        Raises:
            JobInvalid: the job cannot be run as it stands; nothing was sent.
            TypeError: it is no job.
        """
        if not isinstance(job, Job):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{type(job).__name__} is no job; make a viseme.Job of it, as in viseme.Job(**fields)")
        route = self.route(job)
        for name in route:
            self._check(name, job, alone=len(route) == 1)
        account = route[0]
        together = self._together(account, mode)
        if all(map(is_url, job.sources)):
            digest = inputs_digest(job, account if len(route) == 1 else route)
        else:
            digest = await self._digest_with_files(job, route)
        key = job.key or digest[:32]
        if len(key) > _KEY_LIMIT or not key.isprintable():
            raise JobInvalid(
                f"key {quote(key, 60)!r} is no name; use up to {_KEY_LIMIT} printable characters", field="key"
            )
        if self.ledger or self._read or self._owners or job.output is not None:
            await self._own_place(job, key)
        if job.output is None:
            self._unstated.append(key)
        return evolve(
            _BLANK,
            id=self.world.new_id(),
            key=key,
            job=job,
            digest=digest,
            account=account,
            run=run,
            mode=BATCH if together else "",
            timings=Timings(queued=self.world.now()),
        )

    async def _own_place(self, job: Job, key: str) -> None:
        """Two jobs that have not ended do not share a file, nor does one with the ledger."""
        name = output_name(key, job.output)
        if self.ledger and is_own(self.ledger, name):
            raise JobInvalid(
                f"the result {quote(name)!r} would overwrite the ledger; give another output", field="output"
            )
        if self._read:
            self._spare_what_is_read(name)
        if job.output is None and not self._owners:
            return
        name = _one_file(name)
        owner = self._owners.get(name, key)
        if owner == key and job.output is not None:
            owner = self._named_by_keys().get(name, key)
        if owner != key:
            before = await self.known(owner)
            if before is None or before.state not in ENDED:
                raise JobInvalid(
                    f"output {quote(job.output or name)!r} is that of the job {quote(owner, 60)!r} already;"
                    " give one of them another",
                    field="output",
                )
        if job.output is not None:
            _remember(self._owners, name, key)

    def _named_by_keys(self) -> Mapping[str, str]:
        """The keys of the jobs that stated no output, by its name."""
        while self._unstated:
            key = self._unstated.popleft()
            _remember(self._named, _one_file(output_name(key, None)), key)
        return self._named

    def _spare_what_is_read(self, name: str) -> None:
        written = (name, preview_name(name), cover_name(name))
        lost = next((one for one in written if _one_file(one) in self._read), None)
        if lost is not None:
            raise JobInvalid(
                f"the result {quote(lost)!r} would overwrite a file that a job reads; give another output or --out",
                field="output",
            )

    async def _digest_with_files(self, job: Job, route: tuple[str, ...]) -> str:
        """What makes the job the same job; a file that is needed no more may be gone."""
        try:
            stamps = await self._stamps(job)
        except JobInvalid:
            kept = await self.known(job.key) if job.key else None
            if kept is None or (kept.state is State.QUEUED and not kept.attempt) or _inputs(kept.job) != _inputs(job):
                raise
            return kept.digest
        for name in route:
            self._check_files(self.providers[name], job, stamps)
        return inputs_digest(job, route[0] if len(route) == 1 else route, stamps)

    def route(self, job: Job) -> tuple[str, ...]:
        """The names of the accounts that may run a job, in order: its own, else the default, else the only one."""
        if job.account is None:
            names = (self.default,) if self.default else tuple(self.providers) if len(self.providers) == 1 else ()
        else:
            names = job.route
        if not names:
            raise JobInvalid(
                f"the job names no account and there is no default; configured are {', '.join(self.providers)}",
                field="account",
            )
        for name in names:
            if name not in self.providers:
                raise JobInvalid(
                    f"account {quote(name)!r} is not configured; configured are {', '.join(self.providers)}",
                    field="account",
                )
        return names

    def _check(self, account: str, job: Job, *, alone: bool) -> None:
        try:
            self.providers[account].check(job)
        except JobInvalid as error:
            if alone:
                raise
            raise JobInvalid(
                f"at {account}: {error} (or leave {account} out of the job's accounts)", field=error.field
            ) from None

    def _together(self, account: str, mode: str | None) -> bool:
        """Whether the account's jobs are created in batches."""
        provider = self.providers[account]
        wanted = mode or provider.account.mode
        if wanted == BATCH and provider.sheet.batch is None:
            raise JobInvalid(f"{provider.name} has no batches; leave mode out, or have {account} run singly")
        return wanted == BATCH

    def _check_files(self, provider: Provider, job: Job, stamps: Mapping[str, FileStamp]) -> None:
        for name in provider.handed_over(job):
            stamp = stamps.get(getattr(job, name))
            if stamp is not None:
                provider.check_file(job, name, stamp)

    def _note_read(self, path: str) -> None:
        """Remember a file that must not be written over."""
        if self.folder and path.startswith(os.path.join(self.folder, "")):
            self._read[_one_file(os.path.relpath(path, self.folder).replace(os.sep, "/"))] = None
            if len(self._read) > _NAMES:
                self._read.popitem(last=False)

    async def _stamps(self, job: Job) -> dict[str, FileStamp]:
        stamps: dict[str, FileStamp] = {}
        for name in ("video", "image", "audio"):
            source: str | None = getattr(job, name)
            if source is None or is_url(source):
                continue
            try:
                stamps[source] = await self.world.blocking(partial(self.world.disk.stamp, source))
            except OSError as error:
                raise JobInvalid(f"{name} {quote(source)!r} cannot be read: {error.strerror}", field=name) from None
            self._note_read(stamps[source].path)
        return stamps


def _remember(names: OrderedDict[str, str], name: str, key: str) -> None:
    """Note whose name it is, and forget the oldest of too many."""
    names[name] = key
    names.move_to_end(name)
    if len(names) > _NAMES:
        names.popitem(last=False)


def _one_file(name: str) -> str:
    """A name as many a disk takes it: equal for names of one file there."""
    return normalize("NFC", name).casefold()


_INPUTS = ("account", "model", "video", "image", "audio", "text", "voice", "language", "source_language", "options")


def _inputs(job: Job) -> list[object]:
    """What makes two jobs the same job, but for the files behind the paths."""
    return [getattr(job, name) for name in _INPUTS]
