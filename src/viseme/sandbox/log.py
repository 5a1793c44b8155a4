"""The request log: one row per request, in memory, bounded."""

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import Any

import attrs
from aiohttp import web

_KEPT_HEADERS = ("Range", "If-Range", "If-None-Match", "Content-Type", "User-Agent")


@attrs.define(slots=True)
class Row:
    """One request and what became of it. `at` and `took` are vendor seconds; `status` is None when no reply left.

    `uploaded` counts the bytes of files that came, whole or not; `sha256` is the digest of one that came or left whole.
    `received` is what came, where tests need it: Rask's body (JSON types matter there), and the files within a create,
    each with its bytes and sha256.
    """

    at: float
    vendor: str
    route: str
    method: str
    path: str
    query: str
    account: str | None = None
    authorised: bool = False
    key_digest: str | None = None
    job: str | None = None
    reference: str | None = None
    fault: str | None = None
    status: int | None = None
    bytes: int = 0
    uploaded: int = 0
    sha256: str | None = None
    took: float = 0.0
    received: dict[str, Any] | None = None
    headers: dict[str, str] = attrs.field(factory=dict[str, str])

    def told(self) -> dict[str, Any]:
        """The row as `GET /_sandbox/log` shows it."""
        return {name: getattr(self, name) for name in self.__slots__ if not name.startswith("_")}


def key_digest(key: str | None) -> str | None:
    """A short digest by which a key is recognised; the key itself is never kept."""
    return None if key is None else hashlib.sha256(key.encode()).hexdigest()[:12]


@attrs.define
class Log:
    """The newest rows, oldest first."""

    limit: int = 100_000
    _rows: deque[Row] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rows = deque(maxlen=self.limit)

    def open(self, at: float, vendor: str, route: str, request: web.Request) -> Row:
        """Starts the row of a request that has just arrived."""
        headers = {name.lower(): request.headers[name] for name in _KEPT_HEADERS if name in request.headers}
        row = Row(at, vendor, route, request.method, request.path, request.query_string, headers=headers)
        self._rows.append(row)
        return row

    def rows(self, vendor: str | None = None, route: str | None = None) -> Iterator[Row]:
        """The rows of one vendor, one route, or all."""
        for row in self._rows:
            if vendor in (None, row.vendor) and route in (None, row.route):
                yield row

    def clear(self) -> None:
        """Forgets everything."""
        self._rows.clear()
