"""A request on its way through a vendor, and the replies."""

import json
from collections.abc import Awaitable, Callable, Mapping

import attrs
from aiohttp import web

from ..accounts import Account
from ..faults import Fault, Struck
from ..log import Row


@attrs.define(eq=False)
class Call:
    """One request on its way through a vendor."""

    request: web.Request
    now: float
    row: Row
    struck: Struck | None
    _account: Account | None = None

    @property
    def account(self) -> Account:
        """The account of the key; only for endpoints that ask for one."""
        if self._account is None:
            raise LookupError("this endpoint asks for no key")
        return self._account

    def enter(self, account: Account) -> None:
        """Notes whose request this is."""
        self._account = account

    def faulty(self, fault: Fault) -> Struck | None:
        """The fault that struck this request, if it is this one."""
        return self.struck if self.struck is not None and self.struck.fault is fault else None

    @property
    def origin(self) -> str:
        """The address by which the client reached the sandbox."""
        return f"{self.request.scheme}://{self.request.host}"


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@attrs.frozen
class Endpoint:
    """One method and path of a vendor. `route` is its name in log and faults, `windows` the limits it counts in."""

    method: str
    path: str
    route: str
    handler: Handler
    windows: tuple[str, ...] = ()
    key: bool = True


class Refusal(Exception):
    """A request is turned away with this reply."""

    def __init__(self, reply: web.Response) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Dropped(Exception):
    """The connection is to be reset here and now."""


class Throttled(Refusal):
    """A request is turned away by a limit."""


def reply(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON reply, compact as JavaScript back ends write it."""
    body = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json", charset="utf-8")
