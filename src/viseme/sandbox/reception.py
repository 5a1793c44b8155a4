"""What happens to every request between the socket and a vendor: log, fault, key, rate, handler, spoiled reply."""

from aiohttp import web
from aiohttp.typedefs import Handler as HttpHandler

from .blob import drained, drop
from .faults import Fault, FaultDesk, Struck
from .links import BUSY_XML, HTML_PAGE
from .log import key_digest
from .vendors.base import Vendor
from .vendors.wire import Call, Dropped, Endpoint, Refusal, Throttled

_SERVER_ERRORS = (500, 502, 503)
_SERVED = ("result", "asset", "batch_file")
_STORES = (*_SERVED, "store")
_CREATES = ("create", "batch")


def receive(vendor: Vendor, endpoint: Endpoint, desk: FaultDesk) -> HttpHandler:
    """The aiohttp handler of one endpoint."""

    async def handle(request: web.Request) -> web.StreamResponse:
        clock, log = vendor.house.clock, vendor.house.log
        now = clock.now()
        row = log.open(now, vendor.name, endpoint.route, request)
        row.key_digest = key_digest(vendor.key_of(request))
        struck = desk.draw(vendor.name, endpoint.route)
        row.fault = struck.fault.value if struck else None
        call = Call(request, now, row, struck)
        try:
            reply = await _answer(vendor, endpoint, call)
        finally:
            row.took = clock.now() - now
        if reply is None:
            return web.Response(status=500)
        row.status = reply.status
        if isinstance(reply, web.Response):
            row.bytes = reply.content_length or 0
        return reply

    return handle


async def _answer(vendor: Vendor, endpoint: Endpoint, call: Call) -> web.StreamResponse | None:
    """The reply, or None when the connection was dropped instead."""
    struck = call.struck
    if struck is not None and struck.fault is Fault.RESET_BEFORE:
        return _dropped(call, reset=True)
    if struck is not None and struck.fault is Fault.LOST_REPLY and call.row.route in _SERVED:
        return _dropped(call, reset=False)
    try:
        vendor.admit(call, endpoint)
        if struck is not None and (early := _before(vendor, call, struck)) is not None:
            return early
        reply = await endpoint.handler(call)
    except Dropped:
        return _dropped(call, reset=True)
    except Refusal as refusal:
        reply = refusal.reply
        if call.row.account is not None and not isinstance(refusal, Throttled):
            call.account.bill.refused += 1
    return reply if struck is None else await _after(vendor, call, struck, reply)


def _before(vendor: Vendor, call: Call, struck: Struck) -> web.Response | None:
    if call.row.route in _STORES:
        return _storage_fault(struck)
    match struck.fault:
        case Fault.TOO_MANY:
            flavour = struck.get("flavour", "rate" if struck.luck < 0.5 else "seats")
            if flavour == "seats" and call.row.route in _CREATES:
                return vendor.too_many_jobs(call)
            return vendor.too_fast(call, struck.get("seconds", 10.0))
        case Fault.SERVER_ERROR:
            return vendor.broken(call, struck.get("status", struck.choose(_SERVER_ERRORS)))
        case Fault.REFUSED:
            return vendor.broken(call, struck.get("status", 400))
        case _:
            return None


def _storage_fault(struck: Struck) -> web.Response | None:
    """What an object store, which is not the vendor's API, answers in trouble."""
    match struck.fault:
        case Fault.HTML:
            return web.Response(text=HTML_PAGE, content_type="text/html")
        case Fault.TOO_MANY | Fault.SERVER_ERROR | Fault.REFUSED:
            status = struck.get("status", 503)
            return web.Response(status=status, text=BUSY_XML, content_type="application/xml")
        case _:
            return None


async def _after(vendor: Vendor, call: Call, struck: Struck, reply: web.StreamResponse) -> web.StreamResponse | None:
    if reply.prepared:
        return reply
    match struck.fault:
        case Fault.SLOW if not struck.get("body", False):
            await vendor.house.clock.sleep(struck.get("seconds", 5.0))
        case Fault.LOST_REPLY:
            return _dropped(call, reset=struck.get("reset", False))
        case Fault.SERVER_ERROR_BOOKED:
            return vendor.broken(call, struck.get("status", struck.choose(_SERVER_ERRORS)))
        case Fault.HTML:
            return web.Response(text=HTML_PAGE, content_type="text/html")
        case Fault.TRUNCATED if isinstance(reply, web.Response):
            return await _truncated(call, reply)
        case _:
            pass
    return reply


def _dropped(call: Call, *, reset: bool) -> None:
    drop(call.request, reset=reset)


async def _truncated(call: Call, whole: web.Response) -> web.StreamResponse:
    body = bytes(whole.body) if isinstance(whole.body, bytes) else b""
    half = web.StreamResponse(status=whole.status, headers={"Content-Type": whole.content_type})
    half.content_length = len(body)
    await half.prepare(call.request)
    await half.write(body[: len(body) // 2])
    await drained(call.request)
    drop(call.request, reset=False)
    return half
