"""Brings results home: a few downloads at once, those whose links die first going first."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import count

from attrs import Factory, define, field

from viseme.attempts import TaskRow
from viseme.config import Downloads
from viseme.engine.crew import Crew
from viseme.engine.cuts import Cut
from viseme.engine.downloads.download import DeadLink, Download, Unfit, describe, remove_part
from viseme.engine.downloads.landing import Landings
from viseme.engine.downloads.places import Place, Places
from viseme.engine.lifecycle.book import Book, Hold
from viseme.engine.lifecycle.signals import Fetched, Unfetched
from viseme.engine.transport import Broken, Transport
from viseme.engine.world import World
from viseme.errors import no_room
from viseme.failures import Failure, Kind
from viseme.jobs import cover_name, output_name, preview_name
from viseme.results import Artifact, State

__all__ = ["Fetcher"]

_SPARE = 5.0
"""A link that lives for so many seconds more is too old to begin with."""
_Turn = tuple[float, int, str, float, bool]
"""When a result's links die, its ticket, its task, when it came here, and whether nothing of it can be there yet."""


@define(eq=False, repr=False)
class Fetcher:
    """The downloads of all accounts.

    Attributes:
        folder: where results go.
        private: whether an account may reach private addresses.
        notice: called with a sentence that the user should read.
    """

    world: World
    book: Book
    transport: Transport
    limits: Downloads
    folder: str
    crew: Crew
    private: Callable[[str], bool]
    notice: Callable[[str], None]
    _queue: list[_Turn] = field(factory=list["_Turn"])
    """Those for which there was no room, the first that dies before the others."""
    _queued: set[str] = field(factory=set[str])
    _tickets: count[int] = field(factory=count)
    _under_way: dict[str, Cut] = field(factory=dict[str, Cut])
    _places: Places = field(init=False, default=Factory(lambda self: Places(self.world, self.folder), takes_self=True))
    _landings: Landings = field(init=False, default=Factory(lambda self: Landings(self.world), takes_self=True))
    _stopping: bool = False

    def put(self, row: TaskRow, *, fresh: bool = False) -> None:
        """Fetch a task's result.

        Args:
            fresh: nothing of it can be there yet, so nothing is looked for.
        """
        if self._stopping or row.id in self._queued or row.id in self._under_way:
            return
        if self._has_room():
            self._begin(row.id, self.world.now(), fresh)
            return
        heapq.heappush(self._queue, (_dies(row), next(self._tickets), row.id, self.world.now(), fresh))
        self._queued.add(row.id)

    def stop(self) -> None:
        """Break off; part files stay and are taken up later."""
        self._stopping = True
        for cut in self._under_way.values():
            cut.make()

    def withdraw(self, task: str) -> None:
        """Break off one."""
        cut = self._under_way.get(task)
        if cut is not None:
            cut.make()

    async def discard(self, row: TaskRow) -> None:
        """Remove what was fetched of a result that nobody wants any more."""
        name = output_name(row.key, row.job.output)
        for each in (name, preview_name(name)):
            await self._remove_part(each)

    async def _remove_part(self, name: str) -> None:
        with suppress(OSError):
            await self.world.blocking(partial(remove_part, self.world, os.path.join(self.folder, name)))

    def _has_room(self) -> bool:
        return len(self._under_way) < self.limits.concurrency

    def _begin(self, task: str, since: float, fresh: bool) -> None:
        cut = self._under_way[task] = Cut()
        self.crew.start_soon(self._fetch, task, cut, since, fresh)

    def _fill(self) -> None:
        while self._queue and self._has_room() and not self._stopping:
            _, _, task, since, fresh = heapq.heappop(self._queue)
            self._queued.discard(task)
            self._begin(task, since, fresh)

    async def _fetch(self, task: str, cut: Cut, since: float, fresh: bool) -> None:
        try:
            if cut.made:
                return
            with cut:
                async with self.book.hold(task) as hold:
                    if hold.row.state is State.FETCHING and not hold.row.parked:
                        await self._bring(hold, since, fresh)
        finally:
            del self._under_way[task]
            if self._queue:
                self._fill()

    async def _bring(self, hold: Hold, since: float, fresh: bool) -> None:
        """Fetch a held task's result.

        Args:
            since: when it came here, UTC seconds.
            fresh: nothing of it can be there yet.
        """
        video = _of_role(hold.row.outputs, "video", "preview")
        if video is None:
            await hold.take(
                Unfetched(Failure(kind=Kind.RESULT_EXPIRED, message="no link to the result is known"), True)
            )
            return
        if video.expires_at is not None and since + _SPARE < video.expires_at <= self.world.now() + _SPARE:
            message = "the link to the result ran out while others were fetched"
            await hold.take(Unfetched(Failure(kind=Kind.RESULT_EXPIRED, message=message), refresh=True, tried=False))
            return
        name = output_name(hold.row.key, hold.row.job.output)
        name = preview_name(name) if video.role == "preview" else name
        try:
            async with self._places.room(name) as place:
                landed = await self._download(hold.row, video, place, fresh).run()
                file = place.path
        except (DeadLink, Unfit, Broken, OSError) as error:
            await hold.take(_failed(error))
            return
        if self.limits.covers:
            await self._bring_cover(hold.row, name, fresh)
        await hold.take(Fetched(file, landed.bytes, landed.sha256))

    def _download(self, row: TaskRow, output: Artifact, place: Place, fresh: bool) -> Download:
        return Download(
            self.world,
            self.transport,
            self.limits,
            output.url,
            place.path,
            private=self.private(row.account),
            video=output.role != "cover",
            make=place.make,
            fresh=fresh,
            landings=self._landings,
        )

    async def _bring_cover(self, row: TaskRow, name: str, fresh: bool) -> None:
        """Fetch the cover image if there is one; whatever happens to it, the task goes on."""
        cover = _of_role(row.outputs, "cover")
        if cover is None:
            return
        try:
            async with self._places.room(cover_name(name)) as place:
                await self._download(row, cover, place, fresh).run()
        except (DeadLink, Unfit, Broken, OSError) as error:
            await self._remove_part(cover_name(name))  # it is not tried again
            self.notice(f"{row.key}: the cover could not be fetched: {describe(error)}")


def _of_role(outputs: Iterable[Artifact], *roles: str) -> Artifact | None:
    for output in outputs:
        if output.role in roles:
            return output
    return None


def _dies(row: TaskRow) -> float:
    """When a row's links die, UTC seconds; a link of unknown life that is the second one goes first."""
    known = [output.expires_at for output in row.outputs if output.expires_at is not None]
    return min(known, default=0.0 if row.tries else math.inf)


def _failed(error: DeadLink | Unfit | Broken | OSError) -> Unfetched:
    if isinstance(error, DeadLink):
        return Unfetched(Failure(kind=Kind.RESULT_EXPIRED, message=f"the result could not be fetched: {error}"), True)
    if isinstance(error, OSError):
        full = ". Free some space and run again: what was paid for is kept." if no_room(error) else ""
        return Unfetched(
            Failure(kind=Kind.DISK, message=f"the result could not be written: {error.strerror or error}{full}")
        )
    kind = Kind.PROTOCOL if isinstance(error, Unfit) else Kind.TRANSIENT
    return Unfetched(
        Failure(kind=kind, message=f"the result could not be fetched: {describe(error)}; run again to go on")
    )
