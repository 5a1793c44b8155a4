"""Where results go: inside the output folder, and each to a place of its own."""

from __future__ import annotations

import os
from typing import Self
from unicodedata import normalize

from attrs import define, field

from viseme.engine.downloads.download import Unfit
from viseme.engine.holdings import Holdings
from viseme.engine.world import World

__all__ = ["Place", "Places"]


@define(eq=False, repr=False)
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

    def room(self, name: str) -> Place:
        """The place for a result of this name; whoever else wants the same file waits."""
        return Place(self, name, os.path.join(self.folder, name), normalize("NFC", name).casefold())

    def doubt(self) -> None:
        """The disk refused something: what is known of the folders may hold no more."""
        self._made.clear()

    def make(self, name: str) -> None:
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


@define(eq=False, repr=False)
class Place:
    """Where a result goes; one has it for oneself while the block (``async with``) lasts.

    Attributes:
        path: of the file.
    """

    _places: Places
    _name: str
    path: str
    _file: str
    """What may be one with it on the disk."""

    def make(self) -> None:
        """Make its folder (blocks). Raises Unfit where a link leads out of the output folder."""
        self._places.make(self._name)

    async def __aenter__(self) -> Self:
        held = self._places.held
        if not held.take_now(self._file):
            await held.take(self._file)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            self._places.doubt()
        self._places.held.let_go(self._file)
