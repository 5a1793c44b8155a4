"""Where results go: inside the output folder, and each to a place of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from unicodedata import normalize

from attrs import define, field, frozen

from viseme.engine.downloads.download import Unfit
from viseme.engine.holdings import Holdings
from viseme.engine.world import World

__all__ = ["Place", "Places"]


@frozen
class Place:
    """Where a result goes.

    Attributes:
        path: of the file.
        make: makes its folder (blocks); raises Unfit where a link leads out of the output folder.
    """

    path: str
    make: Callable[[], None]


@define(eq=False)
class Places:
    """Makes room for results.

    Attributes:
        folder: the output folder.
    """

    world: World
    folder: str
    held: Holdings = field(factory=Holdings, init=False)
    """The files that someone has."""
    _made: set[str] = field(factory=set[str], init=False)
    """Folders that are there, as far as is known."""

    def room(self, name: str) -> AbstractAsyncContextManager[Place]:
        """The place for a result of this name; whoever else wants the same file waits."""
        return _Room(self, name, normalize("NFC", name).casefold())

    def place(self, name: str) -> Place:
        """Where a result of this name goes."""
        return Place(os.path.join(self.folder, name), partial(self._make, name))

    def doubt(self) -> None:
        """The disk refused something: what is known of the folders may hold no more."""
        self._made.clear()

    def _make(self, name: str) -> None:
        """Make the folders, one below the other, so that nothing is made behind a link that leads out (blocks)."""
        above = name.rpartition("/")[0]
        if above in self._made:
            return
        root = place = self.world.disk.make_folder(self.folder)
        for part in above.split("/") if above else ():
            place = self.world.disk.make_folder(os.path.join(place, part))
            if place != root and not place.startswith(root.rstrip(os.sep) + os.sep):
                raise Unfit("the output name leads out of the output folder through a link; choose another")
        self._made.add(above)


@define(eq=False)
class _Room:
    """A file that one has while the block lasts; ``file`` is what may be one with it on the disk."""

    places: Places
    name: str
    file: str

    async def __aenter__(self) -> Place:
        if not self.places.held.take_now(self.file):
            await self.places.held.take(self.file)
        return self.places.place(self.name)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            self.places.doubt()
        self.places.held.let_go(self.file)
