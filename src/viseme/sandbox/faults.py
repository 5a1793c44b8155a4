"""Faults on demand: drawn from a seed by probability, or scripted for the next matching requests."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs


class Fault(Enum):
    """What can go wrong. The members say what the client sees and whether the create was booked."""

    RESET_BEFORE = "reset_before"
    """The connection is reset before anything was booked."""
    TOO_MANY = "too_many"
    """A 429 that no limit asked for; `flavour` is `rate` or `seats`."""
    SERVER_ERROR = "server_error"
    """A 5xx before anything was booked; `status` chooses which."""
    REFUSED = "refused"
    """A refusal with the given `status` (400; for Sync also `code`) before anything was booked. Scripted only."""
    LOST_REPLY = "lost_reply"
    """The request was carried out, then the connection closes without a byte of reply."""
    SERVER_ERROR_BOOKED = "server_error_booked"
    """The request was carried out, then a 5xx is sent."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """Sync: booked, then 503 IDEMPOTENCY_OUTCOME_UNKNOWN; `bare=True` leaves out the generation id. Scripted only."""
    HTML = "html"
    """The request was carried out; a proxy's HTML page is sent with status 200."""
    TRUNCATED = "truncated"
    """The request was carried out; half of the body is sent, then the connection closes."""
    SLOW = "slow"
    """The reply comes late, by `seconds` vendor seconds; `body=True`: an upload is read no further for so long."""
    UNKNOWN_STATUS = "unknown_status"
    """A poll shows a status that no document names (`value`)."""
    JOB_FAILED = "job_failed"
    """The created job will fail with a documented code (`code`, and for Sync and Rask's dub `status`).

    In a batch: the first record, the first `records`, or those whose ids `records` lists; `whole=True`: the batch fails
    before it has made anything.
    """
    EXPIRED_LINK = "expired_link"
    """The link has ended early: to a result (the next poll gives a fresh one), or to upload to (`store`)."""
    RESET_BODY = "reset_body"
    """The download is reset half way; an upload (`store`, Rask's `upload`, a form or file in `create`), too."""
    SHORT = "short"
    """Half of the file is sent as if it were all, with a matching Content-Length. Scripted only."""
    RANGE_IGNORED = "range_ignored"
    """A Range request is answered 200 with the whole file."""
    ETAG_CHANGED = "etag_changed"
    """The file was made anew: other bytes, another ETag. Scripted only."""
    REVOKED = "revoked"
    """Rask: the request's access token is revoked, for this request and for ever. Scripted only."""


BEFORE = frozenset({Fault.RESET_BEFORE, Fault.TOO_MANY, Fault.SERVER_ERROR, Fault.REFUSED})
"""Faults that strike before the vendor has done anything."""

_ANYWHERE = (Fault.RESET_BEFORE, Fault.SERVER_ERROR, Fault.SLOW, Fault.HTML, Fault.TRUNCATED)
_OTHERWISE = (Fault.RESET_BEFORE, Fault.SERVER_ERROR, Fault.SLOW)
_BY_ROUTE: dict[str, tuple[Fault, ...]] = {
    "create": (*_ANYWHERE, Fault.TOO_MANY, Fault.LOST_REPLY, Fault.SERVER_ERROR_BOOKED, Fault.JOB_FAILED),
    "batch": (*_ANYWHERE, Fault.TOO_MANY, Fault.LOST_REPLY, Fault.SERVER_ERROR_BOOKED, Fault.JOB_FAILED),
    "batch_poll": (*_ANYWHERE, Fault.TOO_MANY, Fault.UNKNOWN_STATUS),
    "batch_list": (*_ANYWHERE, Fault.TOO_MANY, Fault.UNKNOWN_STATUS),
    "batch_result": _ANYWHERE,
    "batch_file": (*_ANYWHERE, Fault.EXPIRED_LINK, Fault.RESET_BODY),
    "upload": (*_ANYWHERE, Fault.TOO_MANY, Fault.LOST_REPLY),
    "store": (*_OTHERWISE, Fault.LOST_REPLY, Fault.EXPIRED_LINK, Fault.RESET_BODY),
    "assets": (*_ANYWHERE, Fault.TOO_MANY, Fault.LOST_REPLY),
    "link": (*_ANYWHERE, Fault.TOO_MANY, Fault.LOST_REPLY),
    "poll": (*_ANYWHERE, Fault.TOO_MANY, Fault.UNKNOWN_STATUS),
    "list": (*_ANYWHERE, Fault.TOO_MANY, Fault.UNKNOWN_STATUS),
    "project": (*_ANYWHERE, Fault.TOO_MANY, Fault.LOST_REPLY, Fault.SERVER_ERROR_BOOKED, Fault.JOB_FAILED),
    "generate": (*_ANYWHERE, Fault.TOO_MANY, Fault.LOST_REPLY, Fault.SERVER_ERROR_BOOKED),
    "face": (*_ANYWHERE, Fault.TOO_MANY, Fault.LOST_REPLY, Fault.SERVER_ERROR_BOOKED),
    "dub": (*_ANYWHERE, Fault.TOO_MANY, Fault.UNKNOWN_STATUS),
    "result": (*_ANYWHERE, Fault.EXPIRED_LINK, Fault.RESET_BODY, Fault.RANGE_IGNORED),
}


@attrs.frozen(kw_only=True)
class Faults:
    """How probable each fault is, per matching request.

    `seconds` is the lateness of a slow reply, in vendor seconds.
    """

    reset_before: float = 0.0
    too_many: float = 0.0
    server_error: float = 0.0
    lost_reply: float = 0.0
    server_error_booked: float = 0.0
    html: float = 0.0
    truncated: float = 0.0
    slow: float = 0.0
    unknown_status: float = 0.0
    job_failed: float = 0.0
    expired_link: float = 0.0
    reset_body: float = 0.0
    range_ignored: float = 0.0
    seconds: float = 5.0

    @classmethod
    def named(cls, name: str) -> "Faults":
        """One of the presets `none`, `mild` and `hostile`."""
        try:
            return _NAMED[name]
        except KeyError:
            raise ValueError(f"unknown faults {name!r}; known are {', '.join(_NAMED)}") from None

    @staticmethod
    def names() -> tuple[str, ...]:
        """The presets' names."""
        return tuple(_NAMED)

    def chance(self, fault: Fault) -> float:
        """The probability of one fault; 0 for those that are scripted only."""
        return getattr(self, fault.value, 0.0)


_NAMED = {
    "none": Faults(),
    "mild": Faults(reset_before=0.01, too_many=0.02, server_error=0.02, slow=0.03, expired_link=0.02, reset_body=0.03),
    "hostile": Faults(
        reset_before=0.04, too_many=0.05, server_error=0.05, lost_reply=0.05, server_error_booked=0.03, html=0.02,
        truncated=0.03, slow=0.05, unknown_status=0.05, job_failed=0.03, expired_link=0.06, reset_body=0.08,
        range_ignored=0.08,
    ),
}  # fmt: skip


@attrs.frozen
class Struck:
    """A fault that strikes one request, with its particulars and a number in [0, 1) for whatever is left to choose."""

    fault: Fault
    luck: float = 0.0
    details: Mapping[str, Any] = attrs.field(factory=dict[str, Any])

    def get(self, name: str, default: Any) -> Any:
        """A particular, or its default."""
        return self.details.get(name, default)

    def choose(self, options: tuple[Any, ...]) -> Any:
        """One of the options, always the same for the same seed and request."""
        return options[int(self.luck * len(options))]


@attrs.define
class _Order:
    fault: Fault
    vendor: str | None
    route: str | None
    times: int
    details: dict[str, Any]


@attrs.define
class FaultDesk:
    """Decides, request by request, what goes wrong.

    Drawn faults depend on the seed, the vendor, the route and the request's number on that route, and on nothing else.
    """

    seed: int
    faults: Faults
    _orders: list[_Order] = attrs.field(factory=list[_Order])
    _numbers: Counter[tuple[str, str]] = attrs.field(factory=Counter[tuple[str, str]])

    def inject(
        self, fault: Fault | str, *, vendor: str | None = None, route: str | None = None, times: int = 1, **details: Any
    ) -> None:
        """Orders a fault for the next `times` requests of that vendor and route (None: any, but see below).

        Without a route a fault goes where it makes sense: `job_failed` to creates, `expired_link` to results.
        """
        fault = Fault(fault)
        self._orders.append(_Order(fault, vendor, route or _HOME.get(fault), times, details))

    def draw(self, vendor: str, route: str) -> Struck | None:
        """The fault that strikes the request that has just arrived, if one does."""
        number = self._numbers[vendor, route]
        self._numbers[vendor, route] += 1
        for order in self._orders:
            if order.vendor in (None, vendor) and order.route in (None, route):
                order.times -= 1
                if order.times <= 0:
                    self._orders.remove(order)
                return Struck(order.fault, _luck(self.seed, vendor, route, number), order.details)
        return self._drawn(vendor, route, number)

    def _drawn(self, vendor: str, route: str, number: int) -> Struck | None:
        if self.faults is _NAMED["none"]:
            return None
        luck = _luck(self.seed, vendor, route, number)
        for fault in _BY_ROUTE.get(route, _OTHERWISE):
            chance = self.faults.chance(fault)
            if luck < chance:
                return Struck(fault, luck / chance, {"seconds": self.faults.seconds})
            luck -= chance
        return None

    def reset(self) -> None:
        """Drops every order and starts the numbers anew."""
        self._orders.clear()
        self._numbers.clear()


_HOME = {
    Fault.JOB_FAILED: "create",
    Fault.OUTCOME_UNKNOWN: "create",
    Fault.UNKNOWN_STATUS: "poll",
    Fault.EXPIRED_LINK: "result",
    Fault.RESET_BODY: "result",
    Fault.SHORT: "result",
    Fault.RANGE_IGNORED: "result",
    Fault.ETAG_CHANGED: "result",
}


def _luck(seed: int, vendor: str, route: str, number: int) -> float:
    digest = hashlib.blake2b(f"{seed}/{vendor}/{route}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
