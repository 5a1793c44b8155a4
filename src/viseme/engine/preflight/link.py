"""The head of what a link leads to: HEAD, then a piece or two by Range, without credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping

import anyio
from attrs import define, evolve, field, frozen

from viseme.engine.preflight.facts import Facts, Reach
from viseme.engine.preflight.pieces import Pieces
from viseme.engine.transport import Broken, Transport

__all__ = ["Answer", "Link", "head_of", "judged"]

_PATIENCE = 10.0
"""Seconds for one request."""
_GONE = frozenset({404, 410})
_PASSING = frozenset({408, 425, 429})
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
_NOTHING = re.compile(r"bytes \*/([0-9]{1,18})")
_SIZE = re.compile(r"[0-9]{1,18}")


@frozen(kw_only=True)
class Answer:
    """What came of one request.

    Attributes:
        status: None where nothing came; ``trouble`` says why.
        body: its first bytes, from ``start`` of the file on.
        ended: whether the file ends with them.
        unsafe: whether the link leads to a private address.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(factory=dict[str, str])
    body: bytes = b""
    start: int = 0
    ended: bool = False
    trouble: str = ""
    unsafe: bool = False

    @property
    def read(self) -> bool:
        """Whether it brought the file, or a piece of it."""
        return self.status in (200, 206) and not self.packed

    @property
    def packed(self) -> bool:
        """Whether the body is compressed, though nobody asked for that."""
        return self.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")

    @property
    def total(self) -> int | None:
        """The file's size."""
        told = self.headers.get("content-range", "")
        if self.status == 416:
            match = _NOTHING.fullmatch(told)
            return int(match[1]) if match else None
        if self.status == 206:
            match = _RANGE.fullmatch(told)
            return int(match[2]) if match and match[2] != "*" else None
        length = self.headers.get("content-length", "")
        if _SIZE.fullmatch(length) and not self.packed:
            return int(length)
        return len(self.body) if self.ended else None

    @property
    def content_type(self) -> str | None:
        """The media type, lower case, without parameters."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower() or None


@define(eq=False, repr=False)
class Link:
    """One link, asked piece by piece."""

    transport: Transport
    url: str
    private: bool

    async def ask(self, method: str, start: int = 0, count: int = 0) -> Answer:
        """Send one request: for the headers, or for ``count`` bytes from ``start`` on."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if method == "GET":
            headers["Range"] = f"bytes={start}-{start + count - 1}"
        got = _Gathered()
        with anyio.move_on_after(_PATIENCE):
            try:
                fetching = self.transport.fetch(self.url, headers, private=self.private, stall=_PATIENCE, method=method)
                async with fetching as stream:
                    got.answer = Answer(status=stream.status, headers=stream.headers)
                    if method == "GET" and stream.status in (200, 206):
                        async for piece in stream.chunks():
                            got.take(piece)
                            if got.size >= count:
                                break
                        else:
                            got.ended = True
            except Broken as broken:
                if got.answer is None:
                    return Answer(trouble=str(broken), unsafe=broken.unsafe)
        return got.whole(count)


@define
class _Gathered:
    """What one request has brought so far."""

    answer: Answer | None = None
    pieces: list[bytes] = field(factory=list[bytes])
    size: int = 0
    ended: bool = False

    def take(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.size += len(piece)

    def whole(self, count: int) -> Answer:
        if self.answer is None:
            return Answer(trouble=f"no answer within {_PATIENCE:g} s")
        match = _RANGE.fullmatch(self.answer.headers.get("content-range", "")) if self.answer.status == 206 else None
        start = int(match[1]) if match else 0
        return evolve(self.answer, body=b"".join(self.pieces)[:count], start=start, ended=self.ended)


def judged(answer: Answer) -> Facts | None:
    """What an answer without the file means; None for one that brought it."""
    if answer.status is None:
        return Facts(reach=Reach.SILENT, answer=answer.trouble)
    if answer.status == 416:
        empty = answer.total == 0
        return Facts(
            fault="is empty" if empty else None,
            doubt=None if empty else "cannot be looked at: its host refuses to send a piece of it",
            bytes=answer.total,
            content_type=answer.content_type,
        )
    if answer.status in (200, 206):
        return None
    said = f"HTTP {answer.status}"
    if answer.status in _GONE:
        return Facts(reach=Reach.GONE, answer=said)
    passing = answer.status >= 500 or answer.status in _PASSING
    return Facts(reach=Reach.SILENT if passing else Reach.REFUSED, answer=said)


def head_of(answer: Answer) -> Pieces:
    """The pieces that a first answer brought."""
    pieces = Pieces(answer.total)
    pieces.put(answer.start, answer.body)
    return pieces
