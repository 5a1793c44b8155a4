"""What an account's vendor has of our media: each content is handed over once, and kept in the ledger until it ends."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

from anyio import CapacityLimiter
from anyio.abc import TaskGroup
from attrs import define, field

from viseme.attempts import Handle, TaskRow, Upload
from viseme.engine.courier import Courier
from viseme.engine.uploads.files import Digests, file_part
from viseme.engine.uploads.flights import Flights, Told
from viseme.engine.world import World
from viseme.failures import Kind
from viseme.jobs import Job, is_url
from viseme.keys import FileStamp, inputs_digest
from viseme.ledger.base import Ledger
from viseme.providers.base import FilePart, Provider, Refused, Uploaded, Verdict
from viseme.wording import quote

__all__ = ["Tell", "Uploads"]

Tell = Callable[[str, float], None]
"""Told which of the job's fields is on its way, and how far (0 to 100)."""

_AT_ONCE = 4
"""Uploads under way at one account; more only share the same line."""
_MARGIN = 3600.0
"""So long before the vendor forgets a medium (or a quarter of what it keeps it for, if that is less) it counts as gone:
a job has to be done with it by then. Seconds."""
_KNOWN = 4096
_EVERY = 0.25
"""Progress is told this often at most, seconds."""
_RENEW = 600.0
"""A medium is handed over anew at most once in so many seconds."""
_DIGEST, _UNTIL = "_digest", "_until"
"""What the engine writes beside a vendor's handle in a row's ``inputs``: the medium's name, and when it ends."""


@define(eq=False, repr=False)
class Uploads:
    """The media of one account's jobs.

    Attributes:
        digests: shared by all accounts.
    """

    world: World
    ledger: Ledger
    provider: Provider
    courier: Courier
    digests: Digests
    group: TaskGroup
    _few: CapacityLimiter = field(factory=lambda: CapacityLimiter(_AT_ONCE))
    _flights: Flights[Handle] = field(init=False)
    _had: OrderedDict[str, Handle] = field(factory=OrderedDict[str, Handle])
    """What the vendor has, by the medium's name: the handle as rows carry it."""
    _stamps: OrderedDict[str, FileStamp] = field(factory=OrderedDict[str, FileStamp])
    """Local files as they were last seen, by the path as jobs give it."""
    _gone: set[str] = field(factory=set[str])
    """Media that the vendor turned out not to have."""
    _renewed: dict[str, float] = field(factory=dict[str, float])
    """When media were last forgotten, to be handed over anew."""

    def __attrs_post_init__(self) -> None:
        self._flights = Flights(self.group)

    # -- what is there already -------------------------------------------------------------------------------------

    def wanted(self, row: TaskRow) -> bool:
        """Whether the task has media that the vendor must have before its first create."""
        return not row.handles and bool(self.provider.handed_over(row.job))

    def ready(self, row: TaskRow) -> dict[str, Handle] | None:
        """What the vendor calls the task's media, by field; None where some of it has to be handed over first."""
        fields = self.provider.handed_over(row.job) if not row.handles else ()
        if not fields or all(self._lasts(row.inputs.get(name)) for name in fields):
            return row.inputs
        found = {name: self._known(row.job, name) for name in fields}
        if not all(self._lasts(handle) for handle in found.values()) or not self._is_of(row, fields):
            return None
        return {name: handle for name, handle in found.items() if handle is not None}

    def _lasts(self, handle: Handle | None) -> bool:
        if handle is None or handle.get(_DIGEST) in self._gone:
            return False
        until = handle.get(_UNTIL)
        return until is None or self.world.now() < until

    def _known(self, job: Job, name: str) -> Handle | None:
        source = getattr(job, name)
        if is_url(source):
            return self._had.get(self._name(name, _digest_of(source)))
        stamp = self._stamps.get(source)
        digest = None if stamp is None else self.digests.known(stamp)
        return None if digest is None else self._had.get(self._name(name, digest))

    def _is_of(self, row: TaskRow, fields: tuple[str, ...]) -> bool:
        """Whether the files as they were last seen are those that the task was taken with."""
        sources = [source for source in row.job.sources if not is_url(source)]
        if not sources:
            return True
        stamps = {source: self._stamps[source] for source in sources if source in self._stamps}
        return _is_of(row, stamps)

    def _name(self, field: str, digest: str) -> str:
        """What a medium is kept under: one content may be a job's video and its audio, and vendors tell these apart."""
        return hashlib.sha256(f"{self.provider.base} {field} {digest}".encode()).hexdigest()

    # -- handing over ----------------------------------------------------------------------------------------------

    async def obtain(self, row: TaskRow, tell: Tell) -> dict[str, Handle]:
        """Have the vendor given what it lacks of the task's media.

        Returns:
            what it calls them, by the job's field.

        Raises:
            Refused: the vendor refuses one, or a file is gone, or is no longer the one that the task was taken with.
        """
        stamps = await self._look(row)
        found: dict[str, Handle] = {}
        for name in self.provider.handed_over(row.job):
            source = getattr(row.job, name)
            known = row.inputs.get(name)
            if known is not None and self._lasts(known):
                found[name] = known
            elif is_url(source):
                found[name] = await self._shared(row.job, name, source, self._name(name, _digest_of(source)), tell)
            else:
                digest = await self._digest(name, stamps[source])
                found[name] = await self._shared(
                    row.job, name, file_part(stamps[source]), self._name(name, digest), tell
                )
        return found

    async def _look(self, row: TaskRow) -> Mapping[str, FileStamp]:
        stamps: dict[str, FileStamp] = {}
        for name in ("video", "image", "audio"):
            source = getattr(row.job, name)
            if source is None or is_url(source):
                continue
            try:
                stamps[source] = await self.world.blocking(partial(self.world.disk.stamp, source))
            except OSError as error:
                raise _unreadable(name, source, error) from None
        if stamps and not _is_of(row, stamps):
            named = ", ".join(quote(source) for source in stamps)
            raise _refused(f"{named} changed since the job was taken; run the finished file as a job of its own")
        self._stamps.update(stamps)
        while len(self._stamps) > _KNOWN:
            self._stamps.popitem(last=False)
        return stamps

    async def _digest(self, name: str, stamp: FileStamp) -> str:
        try:
            return await self.digests.of(stamp)
        except OSError as error:
            raise _unreadable(name, stamp.path, error) from None

    async def _shared(self, job: Job, name: str, source: FilePart | str, medium: str, tell: Tell) -> Handle:
        known = self._had.get(medium)
        if known is not None and self._lasts(known):
            return known
        ours = False

        async def work(told: Told) -> Handle:
            nonlocal ours
            ours = True
            return await self._hand_over(job, name, source, medium, told)

        handle = await self._flights.join(medium, work, lambda percent: tell(name, percent))
        if ours or _DIGEST in handle:
            return handle
        return await self._hand_over(job, name, source, medium, lambda percent: tell(name, percent))

    async def _hand_over(self, job: Job, name: str, source: FilePart | str, medium: str, told: Told) -> Handle:
        kept = await self.ledger.upload(self.provider.account.name, medium)
        if kept is not None and medium not in self._gone:
            handle = _handle(kept)
            if self._lasts(handle):
                return self._have(medium, handle)
        async with self._few:
            uploaded = await self._send(job, name, source, told)
        if uploaded.lifetime is not None and uploaded.lifetime <= 0:
            return uploaded.handle
        now = self.world.now()
        until = None if uploaded.lifetime is None else now + uploaded.lifetime
        account = self.provider.account.name
        kept = Upload(account=account, digest=medium, handle=uploaded.handle, at=now, expires=until)
        await self.ledger.keep_upload(kept)
        self._gone.discard(medium)
        return self._have(medium, _handle(kept))

    async def _send(self, job: Job, name: str, source: FilePart | str, told: Told) -> Uploaded:
        due = 0.0

        def sent(done: int, length: int) -> None:
            nonlocal due
            now = self.world.monotonic()
            if now >= due or done == length:
                due = now + _EVERY
                told(round(100 * done / length, 1))

        return await self.courier.run(self.provider.upload(job, name, source), sent=sent)

    def _have(self, medium: str, handle: Handle) -> Handle:
        self._had[medium] = handle
        self._had.move_to_end(medium)
        if len(self._had) > _KNOWN:
            self._had.popitem(last=False)
        return handle

    # -- what turned out to be gone --------------------------------------------------------------------------------

    async def forget(self, inputs: Mapping[str, Handle]) -> bool:
        """The vendor does not have these media, whatever it said: nobody is given them again.

        What was handed over anew a short while ago is not doubted again: it may be another medium that is missing.

        Returns:
            whether that was news, so that handing them over anew may help.
        """
        now = self.world.monotonic()
        media = [handle[_DIGEST] for handle in inputs.values() if _DIGEST in handle]
        news = [medium for medium in media if now - self._renewed.get(medium, -_RENEW) >= _RENEW]
        for medium in news:
            self._gone.add(medium)
            self._renewed[medium] = now
            self._had.pop(medium, None)
            await self.ledger.forget_upload(self.provider.account.name, medium)
        return bool(news)

    def forget_soon(self, inputs: Mapping[str, Handle]) -> None:
        """The same, from where nothing can be awaited."""
        if inputs:
            self.group.start_soon(self.forget, inputs)


def _handle(kept: Upload) -> Handle:
    """An upload as rows carry it."""
    handle = {**kept.handle, _DIGEST: kept.digest}
    if kept.expires is not None:
        handle[_UNTIL] = kept.expires - min(_MARGIN, (kept.expires - kept.at) / 4)
    return handle


def _digest_of(link: str) -> str:
    return hashlib.sha256(link.encode("utf-8", "surrogatepass")).hexdigest()


def _is_of(row: TaskRow, stamps: Mapping[str, FileStamp]) -> bool:
    """Whether a task was taken with these files."""
    accounts = row.job.route if len(row.job.route) > 1 else row.account
    return inputs_digest(row.job, accounts, stamps) == row.digest


def _unreadable(name: str, source: str, error: OSError) -> Refused:
    if isinstance(error, FileNotFoundError):
        return _refused(f"{name} {quote(source)!r} vanished before it was uploaded; put it back and run again")
    return _refused(f"{name} {quote(source)!r} cannot be read: {error.strerror or error}; run again once it can be")


def _refused(message: str) -> Refused:
    return Refused(Verdict(kind=Kind.INVALID, message=message, blame="job"))
