"""Where results go: inside the output folder, and each to a place of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import PurePosixPath
from unicodedata import normalize

from attrs import define, field, frozen

from viseme.engine.downloads.download import Unfit
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
    _taken: dict[str, asyncio.Lock] = field(factory=dict[str, asyncio.Lock], init=False)
    _made: set[PurePosixPath] = field(factory=set[PurePosixPath], init=False)
    """Folders that are there, as far as is known."""

    @asynccontextmanager
    async def room(self, name: str) -> AsyncGenerator[Place]:
        """The place for a result of this name; whoever else wants the same file waits."""
        place = normalize("NFC", name).casefold()  # what may be one file
        lock = self._taken.setdefault(place, asyncio.Lock())
        try:
            async with lock:
                yield Place(os.path.join(self.folder, name), partial(self._make, name))
        except OSError:
            self._made.clear()
            raise
        finally:
            if not lock.locked():
                self._taken.pop(place, None)

    def _make(self, name: str) -> None:
        """Make the folders, one below the other, so that nothing is made behind a link that leads out (blocks)."""
        above = PurePosixPath(name).parent
        if above in self._made:
            return
        root = place = self.world.disk.make_folder(self.folder)
        for part in above.parts:
            place = self.world.disk.make_folder(os.path.join(place, part))
            if place != root and not place.startswith(root.rstrip(os.sep) + os.sep):
                raise Unfit("the output name leads out of the output folder through a link; choose another")
        self._made.add(above)
