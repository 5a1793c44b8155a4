"""What the tester sees behind the vendors: health, bill, log, results; and the orders it may give."""

import contextlib
import json
from collections.abc import Iterable
from typing import Any, Protocol, cast

from aiohttp import web

from .clock import Clock


class Stage(Protocol):
    """What stands before: the sandbox, as far as the tester may look at it and steer it."""

    @property
    def clock(self) -> Clock: ...

    def bill(self) -> dict[str, Any]: ...

    def log(self, vendor: str | None = None, route: str | None = None) -> list[dict[str, Any]]: ...

    def results(self, vendor: str | None = None) -> list[dict[str, Any]]: ...

    def inject(self, fault: str, **details: Any) -> None: ...

    def configure(self, vendor: str, **changes: Any) -> None: ...

    def reset(self) -> None: ...


def routes(sandbox: Stage) -> Iterable[web.RouteDef]:
    """The routes under `/_sandbox`."""

    async def health(request: web.Request) -> web.Response:
        return _json({"ok": True, "speed": sandbox.clock.speed, "now": sandbox.clock.now()})

    async def bill(request: web.Request) -> web.Response:
        return _json(sandbox.bill())

    async def log(request: web.Request) -> web.Response:
        return _json(sandbox.log(request.query.get("vendor"), request.query.get("route")))

    async def results(request: web.Request) -> web.Response:
        return _json(sandbox.results(request.query.get("vendor")))

    async def faults(request: web.Request) -> web.Response:
        for order in cast("list[dict[str, Any]]", await _body(request, list)):
            fault = order.pop("fault", None) or order.pop("kind", None)
            try:
                sandbox.inject(fault, **order)
            except (TypeError, ValueError) as error:
                return _json({"error": str(error)}, 400)
        return _json({"ok": True})

    async def settings(request: web.Request) -> web.Response:
        for vendor, changes in cast("dict[str, dict[str, Any]]", await _body(request, dict)).items():
            try:
                sandbox.configure(vendor, **changes)
            except (TypeError, ValueError, KeyError) as error:
                return _json({"error": str(error)}, 400)
        return _json({"ok": True})

    async def reset(request: web.Request) -> web.Response:
        sandbox.reset()
        return _json({"ok": True})

    return (
        web.get("/_sandbox/health", health),
        web.get("/_sandbox/bill", bill),
        web.get("/_sandbox/log", log),
        web.get("/_sandbox/results", results),
        web.post("/_sandbox/faults", faults),
        web.post("/_sandbox/settings", settings),
        web.post("/_sandbox/reset", reset),
    )


def _json(data: object, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(data), status=status, content_type="application/json")


async def _body(request: web.Request, kind: type) -> Any:
    body: Any = None
    with contextlib.suppress(ValueError):
        body = await request.json()
    if isinstance(body, dict) and kind is list:
        body = [cast("dict[str, Any]", body)]
    if not isinstance(body, kind):
        raise web.HTTPBadRequest(text=json.dumps({"error": f"send a JSON {kind.__name__}"}))
    return cast(Any, body)
