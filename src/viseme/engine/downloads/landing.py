"""Small results go to the disk together: those that are ready at the same time share a thread, and its effort.

Each call on the disk gives the interpreter's lock away and has to win it back from the event loop, and each sync waits
for the disk. Beside a busy event loop a file takes 145 µs of CPU where sixteen go together and 200 alone, and is there
in a third of the time. With 200 jobs in flight some ten go together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from attrs import define, field

from viseme.engine.disk import Small
from viseme.engine.uncut import Ending
from viseme.engine.world import World

__all__ = ["Landings"]

_MOST = 16
"""So many go together."""
_LONG = 0.05
"""Where a result has waited for so many seconds, another group begins beside those that are under way: the disk is
slow. One alone is cheapest, as two fight for the interpreter."""
_AT_ONCE = 4
"""So many groups are under way at most: the ledger needs threads too."""


@define(eq=False, repr=False)
class Landings:
    """Who waits for the disk. What becomes ready while a group is under way goes with the next one."""

    world: World
    _ready: deque[_Landing] = field(factory=deque["_Landing"], init=False)
    _groups: set[asyncio.Task[None]] = field(factory=set["asyncio.Task[None]"], init=False)
    _watching: bool = field(default=False, init=False)
    """Whether a timer is set that looks after those that wait."""

    def land(self, made: Callable[[], Small]) -> Awaitable[None]:
        """Keep a small file; who is cancelled meanwhile waits for its end first.

        Args:
            made: gives the file, off the event loop; what it raises is raised here, and the file is not kept.
        """
        return _Landing(self, made).to_the_end()

    def put(self, landing: _Landing) -> None:
        """Let a file go with the next group, which gathers until the event loop's next turn."""
        self._ready.append(landing)
        if not self._groups:
            self._begin()
        elif not self._watching:
            self._watch(landing)

    def _begin(self) -> None:
        group = asyncio.ensure_future(self._work())
        self._groups.add(group)
        group.add_done_callback(self._over)

    def _over(self, group: asyncio.Task[None]) -> None:
        self._groups.discard(group)
        if self._ready and not self._groups:  # put since it looked last, or it was called off and they were not
            self._begin()

    def _watch(self, landing: _Landing) -> None:
        """Look after a while whether one that waits now is still waiting."""
        self._watching = True
        self.world.call_at(self.world.monotonic() + _LONG, partial(self._relieve, landing))

    def _relieve(self, landing: _Landing) -> None:
        self._watching = False
        if landing in self._ready and len(self._groups) < _AT_ONCE:
            self._begin()
        if self._ready:
            self._watch(self._ready[-1])

    async def _work(self) -> None:
        while self._ready:
            group = [self._ready.popleft() for _ in range(min(_MOST, len(self._ready)))]
            try:
                await self.world.blocking(partial(self._keep, group))
            except asyncio.CancelledError as error:
                _fail(group, error)
                raise
            except BaseException as error:
                _fail(group, error)  # and raised where they wait
            finally:
                for landing in group:
                    landing.end()

    def _keep(self, group: list[_Landing]) -> None:
        """Keep the files of a group, each with its own outcome. Off the event loop."""
        sound: list[tuple[_Landing, Small]] = []
        for landing in group:
            try:
                sound.append((landing, landing.made()))
            except Exception as error:
                landing.error = error
        refused = self.world.disk.keep_all([file for _, file in sound])
        for (landing, _), error in zip(sound, refused, strict=True):
            landing.error, landing.kept = error, error is None


def _fail(group: list[_Landing], error: BaseException) -> None:
    """Whatever was not kept for a reason of its own was not for this one."""
    for landing in group:
        if not landing.kept and landing.error is None:
            landing.error = error


@define(eq=False, repr=False)
class _Landing(Ending):
    """A small file on its way to the disk."""

    landings: Landings
    made: Callable[[], Small]
    kept: bool = False

    def begin(self) -> None:
        self.landings.put(self)
