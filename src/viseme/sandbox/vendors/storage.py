"""Where a vendor keeps files: results behind links that may end, and slots for presigned uploads."""

import math
import uuid
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from ..blob import Blob, Spoil, send
from ..faults import Fault
from ..jobs import Job
from ..links import EXPIRED_XML, FORGED_XML
from .house import Slot
from .wire import Call, Endpoint

if TYPE_CHECKING:
    from .base import Vendor

_SPOILS: dict[Fault, Spoil] = {
    Fault.RESET_BODY: "reset_body",
    Fault.TRUNCATED: "truncated",
    Fault.SHORT: "short",
}


class Storage:
    """The object store of one vendor. Its links need no key."""

    def __init__(self, vendor: "Vendor") -> None:
        self._vendor = vendor
        self._house = vendor.house

    def endpoints(self) -> Sequence[Endpoint]:
        """Results, upload slots and what was uploaded."""
        result = self._vendor.result_path.format(grant="{grant}", token="{token}", file="{file}")
        slot = "/files/{id}/{file}"
        return (
            Endpoint("GET", result, "result", self._result, key=False),
            Endpoint("PUT", slot, "store", self._store, key=False),
            Endpoint("GET", slot, "asset", self._asset, key=False),
        )

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
            spoil=_SPOILS.get(call.struck.fault) if call.struck else None,
            pause=partial(self._house.clock.sleep, slow.get("seconds", 5.0)) if slow else None,
        )
        if sent is not None:
            call.row.bytes = sent.end - sent.start
            if sent.complete and call.row.bytes == job.blob.size:
                call.row.sha256 = job.blob.sha256
            if job.deliver(sent.start, sent.end) and job.deliveries == 1:
                self._vendor.delivered(job)
        return response

    def open_slot(self, name: str, content_type: str, origin: str) -> tuple[str, str]:
        """Makes a presigned upload; returns the link to PUT to and the link that the file will have."""
        id = uuid.uuid4().hex
        self._house.uploads[id] = Slot(name, content_type)
        asset = f"{origin}/{self._vendor.name}/files/{id}/{quote(name)}"
        return f"{asset}?X-Amz-Signature={self._house.signer.sign(id, math.inf)}", asset

    async def _store(self, call: Call) -> web.StreamResponse:
        id = call.request.match_info["id"]
        slot = self._house.uploads.get(id)
        signature = call.request.query.get("X-Amz-Signature", "")
        signed = slot is not None and self._house.signer.valid(id, math.inf, signature)
        if slot is None or not signed or call.request.headers.get("Content-Type") != slot.content_type:
            return web.Response(status=403, text=FORGED_XML, content_type="application/xml")
        slot.blob = await self._written(id, call.request.content.iter_chunked(1 << 20))
        call.row.bytes, call.row.sha256 = slot.blob.size, slot.blob.sha256
        return web.Response(status=200, headers={"ETag": slot.blob.etag})

    async def keep(self, name: str, content_type: str, chunks: AsyncIterator[bytes], origin: str) -> tuple[str, Blob]:
        """Keeps a file that the vendor's API was sent; returns its link and its bytes."""
        id = uuid.uuid4().hex
        blob = await self._written(id, chunks)
        self._house.uploads[id] = Slot(name, content_type, blob)
        return f"{origin}/{self._vendor.name}/files/{id}/{quote(name, safe='')}", blob

    async def _written(self, id: str, chunks: AsyncIterator[bytes]) -> Blob:
        path, blocking = self._house.studio.folder / f"upload-{id}", self._house.studio.blocking
        file: Any = await blocking(path.open, "wb")
        try:
            async for chunk in chunks:
                await blocking(file.write, chunk)
        finally:
            await blocking(file.close)
        return await blocking(Blob.read, path)

    async def _asset(self, call: Call) -> web.StreamResponse:
        slot = self._house.uploads.get(call.request.match_info["id"])
        if slot is None or slot.blob is None:
            return web.Response(status=404, text="Not Found")
        return (await send(call.request, slot.blob, slot.content_type))[0]
