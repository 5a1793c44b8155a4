"""A file of which only some pieces are at hand, in the form that PyAV reads."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

__all__ = ["Missing", "Pieces", "PiecesFile"]


class Missing(Exception):
    """Bytes were asked for that are not at hand."""


@define(eq=False, repr=False)
class Pieces:
    """Bytes by their offset in a file of ``size`` bytes.

    Args:
        size: of the whole file; None where nobody knows, which makes the end of what is at hand its end.
        peek: reads up to n bytes at an offset of a file that is here: ``peek(offset, n)``; None for one that is not.
    """

    size: int | None
    _peek: Callable[[int, int], bytes] | None = None
    _held: list[tuple[int, bytes]] = field(factory=list[tuple[int, bytes]], init=False)

    def put(self, offset: int, data: bytes) -> None:
        """Keep a piece."""
        if data:
            self._held.append((offset, data))

    @property
    def end(self) -> int:
        """Where the file ends."""
        return self.size if self.size is not None else max((at + len(data) for at, data in self._held), default=0)

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes at an offset; none at the file's end.

        Raises:
            Missing: the first of them is not at hand.
        """
        if offset >= self.end or count <= 0:
            return b""
        if self._peek is not None:
            return self._peek(offset, count)
        for at, data in self._held:
            if at <= offset < at + len(data):
                return data[offset - at : offset - at + count]
        raise Missing


@define(eq=False, repr=False)
class PiecesFile:
    """Pieces as a file that is read and sought in. What is missing reads as the end.

    Attributes:
        missed: the first byte that was asked for and is not at hand, None if nothing was missing.
    """

    pieces: Pieces
    missed: int | None = None
    _at: int = 0

    def read(self, count: int) -> bytes:
        try:
            data = self.pieces.read(self._at, count)
        except Missing:
            self.missed = self._at if self.missed is None else self.missed
            return b""
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self.pieces.end)[whence])
        return self._at

    def tell(self) -> int:
        return self._at
