"""One download: streamed to a part file, taken up where it broke off, checked, hashed, synced, renamed."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import Factory, define, field, frozen

from viseme.config import Downloads
from viseme.engine.disk import Small
from viseme.engine.downloads.container import page_in_disguise, torn_mp4
from viseme.engine.downloads.landing import Landings
from viseme.engine.transport import Broken, Stream, Transport
from viseme.engine.uncut import uncut
from viseme.engine.world import World
from viseme.wording import quote

__all__ = ["DeadLink", "Download", "Landed", "Unfit", "describe", "remove_part"]

_FLUSH, _MOST = 1 << 20, 1 << 22
"""So many bytes at least are handed to the disk at once; of a large file more, as each time costs two hops."""
_HEAD = 512
_CRAWL, _SPAN = 256, 60.0
"""A request that has brought fewer bytes a second, after so many seconds, is broken off: it would never end."""
_LEAST = 8
"""A file of fewer bytes is no video."""
_GONE = frozenset({400, 401, 403, 404, 410})
_SIZE = re.compile(r"[0-9]{1,18}")
_TAG = re.compile(r"[ -~]{1,500}")
"""What may stand in a header."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class DeadLink(Exception):
    """The link leads to no file any more; another may."""


class Unfit(Exception):
    """What was fetched is not a complete video file, or may not be kept."""


class _TooLarge(Unfit):
    """It has more bytes than are taken."""


@frozen
class Landed:
    """A file under its final name."""

    bytes: int
    sha256: str


@define(eq=False, repr=False)
class Download:
    """Fetches one file.

    Args:
        final: the file's path; the part file is ``<final>.part``, what it was cut from, and in which boot of the
            machine, is noted in ``<final>.part.tag``.
        video: whether the file must be a video; a cover is taken as it is.
        make: makes the folder (blocks); called before anything there is touched.
        fresh: whether nothing of it can be there yet. What is there all the same is overwritten.
        landings: where small files go to the disk together with others; alone where it is not given.
    """

    world: World
    transport: Transport
    limits: Downloads
    url: str
    final: str
    private: bool = False
    video: bool = True
    make: Callable[[], None] = field(default=lambda: None)
    fresh: bool = False
    landings: Landings = field(default=Factory(lambda self: Landings(self.world), takes_self=True))
    _hash: Any = None
    """Of what is written; made with the first of it."""
    _written: int = 0
    _pieces: list[bytes] = field(factory=list[bytes])
    _pending: int = 0
    _total: int | None = None
    _tag: str | None = None
    _noted: bool = False
    """Whether there is a tag file, as far as is known."""
    _made: bool = False
    _writing: asyncio.Future[None] | None = None
    """What was handed to the disk last; more is taken meanwhile."""

    @property
    def part(self) -> str:
        """Where the bytes gather."""
        return self.final + ".part"

    @property
    def tag(self) -> str:
        """Where it is noted what they were cut from."""
        return self.part + ".tag"

    async def run(self) -> Landed:
        """Fetch the file.

        Raises:
            DeadLink: the link is dead.
            Unfit: it is no video, too large, or leads where viseme does not go.
            Broken: the connection broke off too often without bringing anything new.
            OSError: the disk refused.
        """
        vain = 0
        try:
            if not self.fresh:
                await self._resume()
            while True:
                before, began = self._written + self._pending, self.world.monotonic()
                try:
                    if await self._once():
                        return await self._land()
                    message = "the connection ended early"
                except Broken as broken:
                    if broken.unsafe:
                        raise Unfit(str(broken)) from None
                    message = str(broken)
                gained = self._written + self._pending - before
                vain = 0 if gained > 0 and not self._crawls(gained, began) else vain + 1
                if vain >= self.limits.tries:
                    await self._flush()
                    await self._caught_up()
                    raise Broken(f"the download broke off {vain} times in a row: {message}")
                await self.world.sleep(min(30.0, 0.5 * 2.0**vain) * (1 + self.world.random() / 4))
        except _TooLarge:
            await self._finished()
            await self.world.blocking(partial(remove_part, self.world, self.final))  # nobody will go on with it
            raise
        finally:
            if self._writing is not None:
                await self._finished()

    async def _finished(self) -> None:
        """Nothing is written any more."""
        with suppress(OSError):  # it ended for another reason
            await self._caught_up()

    def _crawls(self, gained: int, began: float) -> bool:
        lasted = self.world.monotonic() - began
        return lasted > _SPAN and gained < _CRAWL * lasted

    # -- one request -----------------------------------------------------------------------------------------------

    async def _once(self) -> bool:
        """Send one request and take what it brings; True once the file is complete."""
        headers = {"Accept-Encoding": "identity", "Accept": "*/*"}
        have = self._written + self._pending
        if have and self._tag:
            headers["Range"] = f"bytes={have}-"
            headers["If-Range"] = self._tag
        elif have:
            self._restart()
        fetching = self.transport.fetch(self.url, headers, private=self.private, stall=self.limits.stall)
        async with fetching as stream:
            if not self._opens(stream):
                return self._total is not None and self._written + self._pending == self._total
            await self._take(stream)
        have = self._written + self._pending
        if self._total is not None and have > self._total:
            self._restart()
            return False
        return self._total is None or have == self._total

    def _opens(self, stream: Stream) -> bool:
        """Read the status line and headers; True if the body is to be taken."""
        status, headers = stream.status, stream.headers
        if status in _GONE:
            raise DeadLink(f"the link answers HTTP {status}")
        if status == 416:
            if self._total is None or self._written + self._pending != self._total:
                self._restart()
            return False
        if status not in (200, 206):
            raise Broken(f"the link answers HTTP {status}")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Unfit("the link answers with a compressed body that was not asked for")
        if status == 206:
            return self._continues(headers)
        self._restart()
        self._identify(headers)
        length = headers.get("content-length", "")
        self._total = int(length) if _SIZE.fullmatch(length) else None
        self._refuse_large(self._total or 0)
        return True

    def _continues(self, headers: Mapping[str, str]) -> bool:
        match = _RANGE.fullmatch(headers.get("content-range", ""))
        total = int(match[3]) if match and match[3] != "*" else self._total
        if match is None or int(match[1]) != self._written + self._pending or (self._total or total) != total:
            self._restart()
            return False
        self._total = total
        self._refuse_large(total or 0)
        return True

    async def _take(self, stream: Stream) -> None:
        before, began = self._written + self._pending, self.world.monotonic()
        async for piece in stream.chunks():
            if not piece:
                continue
            have = self._written + self._pending
            if self._crawls(have - before, began):
                raise Broken(f"the download crawls: {have - before} bytes in more than {_SPAN:g} s")
            if have < _HEAD and not self._written:
                self._refuse_page(stream.headers, b"".join([*self._pieces, piece])[:_HEAD])
            self._refuse_large(have + len(piece))
            self._pieces.append(piece)
            self._pending += len(piece)
            if self._pending >= _FLUSH and self._pending >= min(_MOST, self._written // 8):
                await self._flush()

    def _identify(self, headers: Mapping[str, str]) -> None:
        """Note what a later request must match: a strong ETag, else Last-Modified."""
        tag = headers.get("etag", "")
        tag = tag if tag.startswith('"') else headers.get("last-modified", "")
        self._tag = tag if _TAG.fullmatch(tag) else None
        if headers.get("accept-ranges", "").lower() == "none":
            self._tag = None

    def _refuse_page(self, headers: Mapping[str, str], head: bytes) -> None:
        page = page_in_disguise(headers, head) if self.video and len(head) >= _LEAST else None
        if page is not None:
            raise DeadLink(page)

    def _refuse_large(self, size: int) -> None:
        if size > self.limits.max_bytes:
            raise _TooLarge(
                f"the result has more than {self.limits.max_bytes} bytes; raise downloads.max_bytes to take it"
            )

    # -- the part file ---------------------------------------------------------------------------------------------

    async def _resume(self) -> None:
        """Take up what an earlier run left, if it is known what it was cut from; else remove it.

        A part is not synced before it is whole, so that of an earlier boot may hold zeros where bytes never reached
        the disk before the power went: it is removed too. So is a short one: it may be a small file that was about to
        land, which has no note of its own, and what lies there may be of another.
        """

        def look() -> tuple[str | None, int, Any]:
            self._make()
            disk = self.world.disk
            size = disk.size(self.part)
            noted = b"" if disk.size(self.tag) is None else b"".join(disk.read(self.tag))
            boot, _, tag = noted.decode("latin-1").partition("\n")
            if size is None or size < _FLUSH or not _TAG.fullmatch(tag) or boot != disk.boot():
                remove_part(self.world, self.final)
                return None, 0, None
            digest = hashlib.sha256()
            for piece in disk.read(self.part):
                digest.update(piece)
            return tag, size, digest

        self._tag, self._written, self._hash = await self.world.blocking(look)
        self._noted = self._tag is not None

    def _restart(self) -> None:
        """Forget what is there."""
        self._pieces, self._pending, self._written, self._total = [], 0, 0, None

    async def _flush(self) -> None:
        """Hand what has gathered to the disk, once what was handed over before is written."""
        await self._caught_up()
        if not self._pending:
            return
        pieces, at, tag = self._pieces, self._written, self._tag
        self._pieces, self._written, self._pending = [], self._written + self._pending, 0

        def write() -> None:
            self._write(pieces, at)
            if not at and tag:
                self._noted = True
                note = f"{self.world.disk.boot()}\n{tag}"
                self.world.disk.append(self.tag, [note.encode("latin-1", "replace")], at=0)

        self._writing = asyncio.ensure_future(self.world.blocking(write))

    async def _caught_up(self) -> None:
        """Wait until what was handed to the disk is written, whatever cancels the caller meanwhile."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await uncut(writing)

    def _write(self, pieces: list[bytes], at: int) -> None:
        """Write behind what is there. Off the event loop."""
        self._make()
        if not at:
            self._forget(sure=not self.fresh)
        self.world.disk.append(self.part, pieces, at=at)
        if not at:
            self._hash = hashlib.sha256()
        for piece in pieces:
            self._hash.update(piece)

    def _forget(self, *, sure: bool) -> None:
        """Remove what is noted of another version, which the new bytes must not be taken for. Off the event loop.

        Args:
            sure: whether it is known if there is such a note.
        """
        if self._noted or not sure:
            self._noted = False
            self.world.disk.remove(self.tag)

    def _make(self) -> None:
        """Make the folder, once. Off the event loop."""
        if not self._made:
            self.make()
            self._made = True

    async def _land(self) -> Landed:
        """Write what is left, check the whole, sync and rename: one trip to the disk, for a small file with others."""
        if self._writing is not None:
            await self._caught_up()
        size = self._written + self._pending
        if not size:
            raise DeadLink("the link answers with an empty file")
        if size < _LEAST and self.video:
            raise DeadLink(f"the link answers with {size} bytes, which are no video")
        if self._written:
            await self.world.blocking(self._settle)
        else:
            await self.landings.land(self._small)
        return Landed(size, self._hash.hexdigest())

    def _small(self) -> Small:
        """What came, all of it in memory. Off the event loop."""
        self._make()
        self._forget(sure=True)  # where a part is there that nobody knew of, its note goes as it is overwritten
        data = b"".join(self._pieces)
        self._refuse_torn(len(data), partial(_part_of, data))
        self._hash = hashlib.sha256(data)
        return Small(self.part, self.final, data, self.tag)

    def _settle(self) -> None:
        """Write what is left behind what is there, and give it its name. Off the event loop."""
        disk = self.world.disk
        if self._pending:
            self._write(self._pieces, self._written)
        self._refuse_torn(self._written + self._pending, partial(disk.peek, self.part))
        disk.settle(self.part, self.final)
        if self._noted:
            disk.remove(self.tag)

    def _refuse_torn(self, size: int, read: Callable[[int, int], bytes]) -> None:
        torn = torn_mp4(size, read) if self.video else None
        if torn is not None:
            remove_part(self.world, self.final)
            raise DeadLink(torn)


def remove_part(world: World, final: str) -> None:
    """Remove what was fetched of a file, and what is noted of it (blocks)."""
    world.disk.remove(final + ".part")
    world.disk.remove(final + ".part.tag")


def _part_of(data: bytes, offset: int, count: int) -> bytes:
    return data[offset : offset + count]


def describe(error: BaseException) -> str:
    """A download's failure in one line."""
    return quote(str(error) or type(error).__name__)
