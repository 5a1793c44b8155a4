"""What a flow yields and is sent: requests, replies, and the outcome of one that got none."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from attrs import field, frozen

from viseme.attempts import Handle
from viseme.codec import loads
from viseme.errors import Kind

__all__ = [
    "Credential",
    "Fault",
    "Flow",
    "Outcome",
    "Reply",
    "Request",
    "Role",
    "Save",
    "Step",
    "http_kind",
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
class Request:
    """One HTTP request, described.

    Attributes:
        url: absolute and percent-encoded; sent as it stands.
        classes: the rate classes that it counts in.
        json: the body, or None for none.
        hold: how long the vendor may hold the reply back (long-poll), seconds.
    """

    method: str
    url: str
    role: Role = Role.SAFE
    classes: tuple[str, ...] = ("all",)
    headers: Mapping[str, str] = field(factory=dict[str, str])
    json: Any = None
    hold: float = 0.0


@frozen(kw_only=True)
class Reply:
    """What came back. ``headers`` has lower-case names."""

    status: int
    headers: Mapping[str, str] = field(factory=dict[str, str])
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return loads(self.body)
        except ValueError:
            return None

    def object(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none."""
        value = self.json()
        return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


@frozen(kw_only=True)
class Fault:
    """A request without a reply. ``sent`` tells whether any of it may have left this machine."""

    sent: bool
    message: str


Outcome = Reply | Fault


@frozen
class Save:
    """A handle to be committed before the flow goes on."""

    handle: Handle


Step = Request | Save
Flow = Generator[Step, Reply, T]


@frozen
class Credential:
    """What proves an account to its vendor; ``expires`` in UTC seconds, None for never."""

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
    try:
        seconds = float(reply.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None
