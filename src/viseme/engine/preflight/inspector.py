"""Inspects media: each distinct source once, a few at a time."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from urllib.parse import urlsplit

import anyio
from attrs import define, evolve, field

from viseme.engine.preflight.expiry import expires_at
from viseme.engine.preflight.facts import Facts, Reach
from viseme.engine.preflight.kinds import container_of, page_of, torn
from viseme.engine.preflight.link import Answer, Link, head_of, judged
from viseme.engine.preflight.measuring import Measured, can_measure, measure
from viseme.engine.preflight.pieces import Missing, Pieces
from viseme.engine.transport import Transport
from viseme.engine.world import World
from viseme.jobs import is_url
from viseme.wording import quote

__all__ = ["Inspector"]

_AT_ONCE = 8
_MEASURED_AT_ONCE = 2
"""PyAV works in threads of the engine's, which are few."""
_KNOWN = 20_000
"""How many sources are remembered."""
_STALE = 3600.0
"""After so many seconds a source is looked at anew: a service may run for weeks."""
_FIRST = 512 * 1024
_MORE = (512 * 1024, 1024 * 1024, 2 * 1024 * 1024)
"""Sizes of the further pieces, asked for where the index of the file is not in the first."""
_DEAF = 3
"""A host that let so many requests in a row go unanswered is not asked again for ``_PAUSE`` seconds."""
_PATIENCE = 30.0
"""How long one link may take in all, seconds."""
_PAUSE = 60.0

Name = tuple[object, ...]


@define
class _Entry:
    """A source that is being looked at, or was."""

    at: float
    done: anyio.Event = field(factory=anyio.Event)
    facts: Facts | None = None


@define(eq=False, repr=False)
class Inspector:
    """Finds out what media are, without credentials and without paying for anything.

    Attributes:
        measuring: whether PyAV is there; without it lengths and streams stay unknown.
        looked: whether anything was looked at yet, so that something may be known.
    """

    world: World
    transport: Transport
    measuring: bool = field(factory=can_measure)
    looked: bool = field(default=False, init=False)
    _known: OrderedDict[Name, _Entry] = field(factory=OrderedDict[Name, _Entry], init=False)
    _doors: anyio.Semaphore = field(factory=lambda: anyio.Semaphore(_AT_ONCE), init=False)
    _threads: anyio.Semaphore = field(factory=lambda: anyio.Semaphore(_MEASURED_AT_ONCE), init=False)
    _deaf: OrderedDict[str, tuple[int, float]] = field(factory=OrderedDict[str, "tuple[int, float]"], init=False)

    async def facts(self, source: str, *, private: bool) -> Facts:
        """What a source is; nothing that is wrong with it is raised.

        Args:
            source: an http(s) URL or a local path.
            private: whether private addresses may be asked.
        """
        name = await self._name(source, private)
        while True:
            entry = self._known.get(name)
            if entry is None or self.world.monotonic() - entry.at > _STALE:
                return await self._look(name, source, private)
            await entry.done.wait()
            if entry.facts is not None:
                self._known.move_to_end(name, last=True)
                return entry.facts

    async def known(self, source: str, *, private: bool) -> Facts | None:
        """What a source is, if that was found out already; None else, and nothing is asked for it."""
        entry = self._known.get(await self._name(source, private))
        return None if entry is None else entry.facts

    async def _name(self, source: str, private: bool) -> Name:
        """What is the same for the same source: a local file that was changed is another."""
        if is_url(source):
            return (source, private)
        try:
            stamp = await self.world.blocking(partial(self.world.disk.stamp, source))
        except OSError:
            return (source, None)
        return (stamp.path, stamp.size, stamp.mtime)

    async def _look(self, name: Name, source: str, private: bool) -> Facts:
        self.looked = True
        entry = self._known[name] = _Entry(self.world.monotonic())
        try:
            async with self._doors:
                entry.facts = await (self._link(source, private) if is_url(source) else self._file(source))
            return entry.facts
        finally:
            if entry.facts is None and self._known.get(name) is entry:
                del self._known[name]  # its asker was called off; the next one looks
            entry.done.set()
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)

    # -- local files -----------------------------------------------------------------------------------------------

    async def _file(self, path: str) -> Facts:
        disk = self.world.disk
        try:
            stamp = await self.world.blocking(partial(disk.stamp, path))
            head = await self.world.blocking(partial(disk.peek, stamp.path, 0, 4096))
        except OSError as error:
            return Facts(reach=Reach.GONE, answer=error.strerror or "it cannot be read")
        if not stamp.size:
            return Facts(fault="is empty", bytes=0)
        pieces = Pieces(stamp.size, partial(disk.peek, stamp.path))
        return await self._judge(Facts(bytes=stamp.size), pieces, head, None)

    # -- links -----------------------------------------------------------------------------------------------------

    async def _link(self, url: str, private: bool) -> Facts:
        known = Facts(expires=expires_at(url))
        host = urlsplit(url).netloc.lower()
        if self._is_deaf(host):
            return evolve(known, reach=Reach.SILENT, answer="its host has not answered several requests in a row")
        with anyio.move_on_after(_PATIENCE):
            return await self._visit(url, host, known, private)
        self._heard(host, Answer(trouble="it drips"))
        return evolve(known, reach=Reach.SILENT, answer=f"its host did not send its beginning within {_PATIENCE:g} s")

    async def _visit(self, url: str, host: str, known: Facts, private: bool) -> Facts:
        link = Link(self.transport, url, private)
        heading = await link.ask("HEAD")
        if heading.status is None and (heading.unsafe or heading.trouble.startswith("cannot connect")):
            self._heard(host, heading)
            return evolve(known, reach=Reach.SILENT, answer=heading.trouble)
        answer = await link.ask("GET", 0, _FIRST)
        self._heard(host, answer)
        if answer.packed:
            return self._packed(evolve(known, content_type=answer.content_type), answer)
        facts = judged(answer)
        if facts is not None:
            return evolve(facts, expires=known.expires)
        size = answer.total if answer.total is not None else heading.total if heading.status == 200 else None
        return await self._opened(evolve(known, content_type=answer.content_type, bytes=size), link, answer)

    async def _opened(self, facts: Facts, link: Link, answer: Answer) -> Facts:
        if facts.bytes == 0 or (answer.ended and not answer.body):
            return evolve(facts, fault="is empty", bytes=0)
        if answer.start or not answer.body:
            return evolve(facts, doubt="cannot be looked at: its host broke off before its first byte")
        pieces = head_of(answer)
        pieces.size = facts.bytes
        return await self._judge(facts, pieces, answer.body, link if answer.status == 206 else None)

    @staticmethod
    def _packed(facts: Facts, answer: Answer) -> Facts:
        page = page_of(facts.content_type, b"")
        if page is not None:
            return evolve(facts, fault=f"is {page}, not the media itself")
        coding = quote(answer.headers["content-encoding"], 20)
        return evolve(facts, doubt=f"is sent compressed ({coding}), so it was not looked at")

    def _is_deaf(self, host: str) -> bool:
        times, since = self._deaf.get(host, (0, 0.0))
        return times >= _DEAF and self.world.monotonic() - since < _PAUSE

    def _heard(self, host: str, answer: Answer) -> None:
        """Note whether a host answers, so that thousands of links to a dead one do not take hours."""
        if answer.status is not None:
            self._deaf.pop(host, None)
        elif not answer.unsafe:
            self._deaf[host] = (self._deaf.get(host, (0, 0.0))[0] + 1, self.world.monotonic())
            while len(self._deaf) > _KNOWN:
                self._deaf.popitem(last=False)

    # -- what it is ------------------------------------------------------------------------------------------------

    async def _judge(self, facts: Facts, pieces: Pieces, head: bytes, link: Link | None) -> Facts:
        page = page_of(facts.content_type, head)
        if page is not None:
            return evolve(facts, fault=f"is {page}, not the media itself")
        facts = evolve(facts, container=container_of(head))
        found, fault = await self._measured(pieces, link)
        facts = evolve(
            facts,
            measured=found.opened,
            seconds=found.seconds,
            rough=found.rough,
            width=found.width,
            height=found.height,
            fps=found.fps,
            video=found.video,
            audio=found.audio,
            picture=found.picture,
            fault=fault,
        )
        if facts.fault is not None or found.opened or not self.measuring:
            return facts
        if found.broken and found.missed is None and pieces.size is not None:
            return evolve(facts, fault="is not media that FFmpeg can read")
        return evolve(facts, doubt="could not be measured: FFmpeg does not know it by the part that was looked at")

    async def _measured(self, pieces: Pieces, link: Link | None) -> tuple[Measured, str | None]:
        """Measure, fetching the pieces that FFmpeg asks for; and why the file is certainly not whole."""
        found, fault = await self._measure(pieces)
        for size in _MORE:
            if found.complete or found.missed is None or link is None:
                break
            answer = await link.ask("GET", found.missed, size)
            if answer.status != 206 or answer.packed or not answer.start <= found.missed:
                break
            pieces.put(answer.start, answer.body)
            if not self._has(pieces, found.missed):
                break
            found, fault = await self._measure(pieces)
        return found, fault

    async def _measure(self, pieces: Pieces) -> tuple[Measured, str | None]:
        def look() -> tuple[Measured, str | None]:
            return measure(pieces) if self.measuring else Measured(), torn(pieces)

        async with self._threads:
            return await self.world.blocking(look)

    @staticmethod
    def _has(pieces: Pieces, offset: int) -> bool:
        try:
            return bool(pieces.read(offset, 1))
        except Missing:
            return False
