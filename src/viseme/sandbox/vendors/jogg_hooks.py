"""JoggAI's webhook endpoints. They are kept and never called: no lip-sync event exists (sheet, section 10)."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .wire import Call, Endpoint, Refusal, reply

if TYPE_CHECKING:
    from .jogg import Jogg


def yes(data: Any) -> web.Response:
    """A good reply in JoggAI's envelope."""
    return reply({"code": 0, "msg": "Success", "data": data})


class JoggHooks:
    """The register of webhook endpoints."""

    def __init__(self, vendor: "Jogg") -> None:
        self._vendor = vendor
        self._hooks: dict[str, dict[str, Any]] = {}

    def endpoints(self) -> Sequence[Endpoint]:
        """Paths below the prefix."""
        return (
            Endpoint("GET", "/endpoints", "hooks", self._list),
            Endpoint("POST", "/endpoint", "hooks", self._add, ("post",)),
            Endpoint("PUT", "/endpoint/{id}", "hooks", self._change),
            Endpoint("DELETE", "/endpoint/{id}", "hooks", self._drop),
            Endpoint("GET", "/events", "hooks", self._events),
        )

    def forget(self) -> None:
        """Forgets every endpoint."""
        self._hooks.clear()

    async def _list(self, call: Call) -> web.StreamResponse:
        """GET /endpoints."""
        return yes({"endpoints": list(self._hooks.values())})

    async def _add(self, call: Call) -> web.StreamResponse:
        """POST /endpoint. Nothing is ever delivered: no lip-sync event exists."""
        body = await self._vendor.body(call)
        id = uuid.uuid4().hex
        self._hooks[id] = {
            "endpoint_id": id, "url": body.get("url"), "secret": uuid.uuid4().hex, "status": "enabled",
            "events": body.get("events", []), "username": call.account.name,
            "created_at": int(self._vendor.house.clock.unix(call.now)),
        }  # fmt: skip
        return yes(self._hooks[id])

    async def _change(self, call: Call) -> web.StreamResponse:
        """PUT /endpoint/{id}: everything but the secret is replaced."""
        hook = self._hooks.get(call.request.match_info["id"])
        if hook is None:
            raise Refusal(self._vendor.no(10104, "Record not found"))
        body = await self._vendor.body(call)
        hook |= {"url": body.get("url"), "events": body.get("events", []), "status": body.get("status", "enabled")}
        return yes(hook)

    async def _drop(self, call: Call) -> web.StreamResponse:
        """DELETE /endpoint/{id}."""
        if self._hooks.pop(call.request.match_info["id"], None) is None:
            raise Refusal(self._vendor.no(10104, "Record not found"))
        return yes(None)

    async def _events(self, call: Call) -> web.StreamResponse:
        """GET /events."""
        return yes({"events": list(self._vendor.settings.event_names)})
