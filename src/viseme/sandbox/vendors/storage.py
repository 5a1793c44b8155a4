"""Where a vendor keeps results: behind links that may end."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from ..blob import Blob, Spoil, send
from ..faults import Fault
from ..jobs import Job
from ..links import EXPIRED_XML, FORGED_XML
from .wire import Call, Endpoint

if TYPE_CHECKING:
    from .base import Vendor

SPOILS: dict[Fault, Spoil] = {
    Fault.RESET_BODY: "reset_body",
    Fault.TRUNCATED: "truncated",
    Fault.SHORT: "short",
}
"""What can happen to a file on its way out."""


class Storage:
    """The results of one vendor. Their links need no key."""

    def __init__(self, vendor: "Vendor") -> None:
        self._vendor = vendor
        self._house = vendor.house

    def endpoints(self) -> Sequence[Endpoint]:
        """Where results lie."""
        result = self._vendor.result_path.format(grant="{grant}", token="{token}", file="{file}")
        return (Endpoint("GET", result, "result", self._result, key=False),)

    def result_url(self, job: Job, origin: str, file: str = "result.mp4", *, fresh: bool = False) -> str:
        """A link to the job's file; the same one until it ends, then a fresh one (or a fresh one every time)."""
        vendor, now = self._vendor, self._house.clock.now()
        if fresh or job.link_until is None or job.link_until <= now:
            job.link_until = now + (vendor.settings.link_seconds or math.inf)
        path = f"{job.token}/{job.link_serial}"
        grant = f"{job.link_until:.3f}-{job.link_serial}-{self._house.signer.sign(path, job.link_until)}"
        where = vendor.result_path.format(grant=grant, token=job.token, file=quote(file))
        query = "" if "{grant}" in vendor.result_path else f"?X-Amz-Signature={grant}"
        return f"{origin}/{vendor.name}{where}{query}"

    async def _result(self, call: Call) -> web.StreamResponse:
        info, signed = call.request.match_info, "{grant}" not in self._vendor.result_path
        job = self._vendor.tokens.get(info["token"])
        if job is None or job.deleted or job.film is None or not job.phase(call.now).ended:
            return web.Response(status=404, text="Not Found")
        call.row.job, call.row.account = job.id, job.account
        complaint = self._judge(job, call.request.query.get("X-Amz-Signature", "") if signed else info["grant"], call)
        if complaint is not None:
            return web.Response(status=403 if signed else 404, text=complaint, content_type="application/xml")
        if info["file"].endswith(".jpg"):
            return (await send(call.request, Blob.of(job.film.cover), "image/jpeg"))[0]
        return await self._film(job, call)

    def _judge(self, job: Job, grant: str, call: Call) -> str | None:
        """Why a link does not open, if it does not."""
        until, _, rest = grant.partition("-")
        serial, _, signature = rest.partition("-")
        try:
            valid = self._house.signer.valid(f"{job.token}/{serial}", float(until), signature)
        except ValueError:
            valid = False
        if not valid:
            return FORGED_XML
        if call.faulty(Fault.EXPIRED_LINK):
            job.link_serial, job.link_until = job.link_serial + 1, None
        return EXPIRED_XML if float(until) <= call.now or serial != str(job.link_serial) else None

    async def _film(self, job: Job, call: Call) -> web.StreamResponse:
        if call.faulty(Fault.ETAG_CHANGED):
            job.edition, job.received = job.edition + 1, 0
        slow = call.faulty(Fault.SLOW)
        response, sent = await send(
            call.request,
            job.blob,
            "video/mp4",
            ignore_range=call.faulty(Fault.RANGE_IGNORED) is not None,
            spoil=SPOILS.get(call.struck.fault) if call.struck else None,
            pause=partial(self._house.clock.sleep, slow.get("seconds", 5.0)) if slow else None,
        )
        if sent is not None:
            call.row.bytes = sent.end - sent.start
            if sent.complete and call.row.bytes == job.blob.size:
                call.row.sha256 = job.blob.sha256
            if job.deliver(sent.start, sent.end) and job.deliveries == 1:
                self._vendor.delivered(job)
        return response
