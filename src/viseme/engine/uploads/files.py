"""Local files as vendors are told of them: what they are called, what they are, and the digest of their content."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from functools import partial
from itertools import islice
from os.path import basename, splitext

from attrs import define, field

from viseme.engine.world import World
from viseme.keys import FileStamp
from viseme.providers.base import FilePart

__all__ = ["Digests", "content_type", "file_part"]

_KNOWN = 4096
_SLICE = 32
"""Pieces (of 1 MiB) that are digested in one go; a stop waits no longer than for one."""

_TYPES = {
    "3gp": "video/3gpp",
    "aac": "audio/aac",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "avi": "video/x-msvideo",
    "flac": "audio/flac",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "m4a": "audio/mp4",
    "m4v": "video/mp4",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "png": "image/png",
    "qt": "video/quicktime",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "wma": "audio/x-ms-wma",
    "wmv": "video/x-ms-wmv",
}
"""By the file name's ending. Python's own table differs between releases and machines; a type is part of what a
presigned link is good for, so it is the same everywhere."""
_PLAIN = "application/octet-stream"


def content_type(path: str) -> str:
    """A file's media type by its name; plain bytes where the ending says nothing."""
    return _TYPES.get(splitext(path)[1].lstrip(".").lower(), _PLAIN)


def file_part(stamp: FileStamp) -> FilePart:
    """The file that a stamp describes, as a body."""
    name = basename(stamp.path).encode("utf-8", "replace").decode()
    return FilePart(
        path=stamp.path, size=stamp.size, mtime=stamp.mtime, name=name, content_type=content_type(stamp.path)
    )


@define(eq=False, repr=False)
class Digests:
    """The digests of local files, read once for as long as size and modification time stay the same."""

    _world: World
    _known: OrderedDict[FileStamp, str] = field(factory=OrderedDict[FileStamp, str])

    def known(self, stamp: FileStamp) -> str | None:
        """The digest of a file that was read before."""
        return self._known.get(stamp)

    async def of(self, stamp: FileStamp) -> str:
        """SHA-256 of a file's content, hexadecimal.

        Raises:
            OSError: it cannot be read.
        """
        found = self._known.get(stamp)
        if found is None:
            found = await self._read(stamp.path)
            if await self._world.blocking(partial(self._world.disk.stamp, stamp.path)) != stamp:
                return found  # of what it is no longer; whoever sends it finds that out
            self._known[stamp] = found
        self._known.move_to_end(stamp)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return found

    async def _read(self, path: str) -> str:
        digest, pieces = hashlib.sha256(), self._world.disk.read(path)

        def some() -> bool:
            more = False
            for piece in islice(pieces, _SLICE):
                digest.update(piece)
                more = True
            return more

        while await self._world.blocking(some):
            pass
        return digest.hexdigest()
