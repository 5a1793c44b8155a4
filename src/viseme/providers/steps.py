"""What a flow yields and is sent: requests, replies, and the outcome of one that got none."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from attrs import field, frozen

from viseme.attempts import Handle
from viseme.codec import loads
from viseme.evolving import copied
from viseme.failures import Kind
from viseme.wording import quote

__all__ = [
    "Base64Of",
    "Body",
    "Credential",
    "Fault",
    "FilePart",
    "Flow",
    "Form",
    "Multipart",
    "Outcome",
    "Reply",
    "Request",
    "Role",
    "Save",
    "Step",
    "TextPart",
    "http_kind",
    "look_at",
    "retry_after",
]

T = TypeVar("T")


class Role(StrEnum):
    """What a request may do, which says how it is treated."""

    PAID = "paid"
    """Starts something that costs money: sent once, and only after its intent is on disk."""
    SAFE = "safe"
    """Changes nothing that matters; repeated beneath the flow when it fails in passing."""
    UPLOAD = "upload"
    """Carries an input to the vendor; may be repeated."""
    FOREIGN = "foreign"
    """Goes to a host that is not the vendor's API: no credentials."""


@frozen(kw_only=True)
class FilePart:
    """A local file's bytes, as a body or a part of one; read piece by piece when it is sent.

    Attributes:
        path: resolved.
        size: in bytes; a file that has another size or ``mtime`` when it is sent is refused.
        mtime: modification time in nanoseconds.
        name: what the vendor is told it is called.
        content_type: its media type, like ``video/mp4``.
    """

    path: str
    size: int
    mtime: int
    name: str
    content_type: str


@frozen
class Base64Of:
    """A local file as a ``data:`` URI; may stand for any text inside a JSON body. Small files only: held in memory."""

    file: FilePart


@frozen(kw_only=True)
class TextPart:
    """Text that goes as if it were a file."""

    text: str
    name: str
    content_type: str


@frozen
class Multipart:
    """A ``multipart/form-data`` body: names with text or a file, in order."""

    parts: tuple[tuple[str, str | TextPart | FilePart], ...]


@frozen
class Form:
    """An ``application/x-www-form-urlencoded`` body."""

    fields: Mapping[str, str]


Body = FilePart | Multipart | Form


@frozen(kw_only=True, slots=False)  # such are made in half the time, and each look makes one
class Request:
    """One HTTP request, described.

    Attributes:
        url: absolute and percent-encoded; sent as it stands.
        classes: the rate classes that it counts in.
        json: the body as JSON, or None; texts in it may be a :class:`Base64Of`.
        body: the body where it is no JSON. A file is sent with its length; its ``Content-Type`` is the file's.
        hold: how long the vendor may hold the reply back (long-poll), seconds.
        claim: of a paid request, what may be paid for once only over all tasks of the account (a dubbed version and
            mode of a project): where another task's create carried it out, its job is taken and nothing is sent.
    """

    method: str
    url: str
    role: Role = Role.SAFE
    classes: tuple[str, ...] = ("all",)
    headers: Mapping[str, str] = field(factory=dict[str, str])
    json: Any = None
    body: Body | None = None
    hold: float = 0.0
    claim: str = ""


_LOOK = Request(method="GET", url="", classes=("read", "all"))


def look_at(url: str, hold: float = 0.0) -> Request:
    """A request that reads something and changes nothing, as most do: a copy of one such (0.4 against 2.1 µs)."""
    return copied(_LOOK, {"url": url, "hold": hold})


@frozen(slots=False)
class Reply:
    """What came back. ``headers`` are asked for by their names in lower case."""

    status: int
    headers: Mapping[str, str] = field(factory=dict[str, str])
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON, or None where it is none. It is read once, and the same value for all that ask."""
        kept = self.__dict__  # as functools.cached_property keeps it, which takes a lock before Python 3.12 (1.3 µs)
        if "read" in kept:
            return kept["read"]
        try:
            read = kept["read"] = loads(self.body)
        except ValueError:
            read = kept["read"] = None
        return read

    def object(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none."""
        value = self.json()
        return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]

    def opening(self) -> str:
        """The body's first words, with a mark where they were cut: a secret that is cut there can be told by it."""
        return quote(self.body[:1000].decode(errors="replace"), 160)


@frozen(kw_only=True)
class Fault:
    """A request without a reply. ``sent`` tells whether any of it may have left this machine."""

    sent: bool
    message: str


Outcome = Reply | Fault


@frozen
class Save:
    """What a flow wants to find again, should its paid request's reply be lost.

    It is written down with the intent (``Intent.saved``), before the paid request leaves.
    """

    handle: Handle


Step = Request | Save
Flow = Generator[Step, Reply, T]


@frozen
class Credential:
    """What proves an account to its vendor.

    Attributes:
        expires: when another one is obtained, UTC seconds (some time before the vendor stops taking this one); None
            for never. One that expires is also obtained anew, once, after a 401.
    """

    value: str = field(repr=False)
    expires: float | None = None


_KINDS = {
    400: Kind.INVALID,
    401: Kind.AUTH,
    402: Kind.NO_CREDIT,
    403: Kind.AUTH,
    404: Kind.NOT_FOUND,
    405: Kind.NOT_FOUND,
    408: Kind.TRANSIENT,
    413: Kind.INVALID,
    415: Kind.INVALID,
    422: Kind.INVALID,
    425: Kind.TRANSIENT,
    429: Kind.LIMITED,
}


def http_kind(request: Request, status: int) -> Kind:
    """What an HTTP status says by itself; a 5xx (or 408) leaves the fate of a paid request open."""
    kind = _KINDS.get(status, Kind.TRANSIENT if status >= 500 else Kind.INVALID)
    return Kind.FATE_UNKNOWN if kind is Kind.TRANSIENT and request.role is Role.PAID else kind


def retry_after(reply: Reply) -> float | None:
    """Seconds of a ``Retry-After`` header in its number form; the engine reads the date form, which needs a clock."""
    told = reply.headers.get("retry-after")
    if told is None:
        return None
    try:
        seconds = float(told)
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None
