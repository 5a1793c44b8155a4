"""What a vendor is sent: presigned uploads, and files that come with a call; streamed, never held in memory."""

import hashlib
import math
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import BodyPartReader, web

from ..blob import Blob, Hasher, send
from ..faults import Fault
from ..links import EXPIRED_XML, FORGED_XML
from .house import Slot
from .wire import Call, Dropped, Endpoint

if TYPE_CHECKING:
    from .base import Vendor

_PIECE = 1 << 20


class Uploads:
    """The files that a vendor was sent. Its links need no key."""

    def __init__(self, vendor: "Vendor") -> None:
        self._vendor = vendor
        self._house = vendor.house

    def endpoints(self) -> Sequence[Endpoint]:
        """Upload slots (`store`) and what was uploaded (`asset`)."""
        slot = "/files/{id}/{file}"
        return (
            Endpoint("PUT", slot, "store", self._store, key=False),
            Endpoint("GET", slot, "asset", self._asset, key=False),
        )

    def open_slot(self, name: str, content_type: str, origin: str) -> tuple[str, str]:
        """Makes a presigned upload; returns the link to PUT to and the link that the file will have."""
        id, life = uuid.uuid4().hex, self._vendor.settings.upload_seconds
        slot = Slot(name, content_type, until=self._house.clock.now() + (math.inf if life is None else life))
        self._house.uploads[id] = slot
        file = f"{origin}/{self._vendor.name}/files/{id}/{quote(name, safe='')}"
        return f"{file}?X-Amz-Signature={self._house.signer.sign(id, slot.until)}", file

    async def keep(self, name: str, content_type: str, chunks: AsyncIterable[bytes], origin: str) -> tuple[str, Blob]:
        """Keeps a file that the vendor's API was sent; returns its link and its bytes."""
        id = uuid.uuid4().hex
        blob = await self._written(id, chunks)
        self._house.uploads[id] = self._filled(Slot(name, content_type), blob)
        return f"{origin}/{self._vendor.name}/files/{id}/{quote(name, safe='')}", blob

    async def keep_part(self, call: Call, part: BodyPartReader, name: str, content_type: str) -> tuple[str, Blob]:
        """Keeps one file of a form, as `keep` does."""
        return await self.keep(name, content_type, self.arriving(call, _pieces(part)), call.origin)

    async def arriving(self, call: Call, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The bytes of an upload as they come, counted in the log, with what was ordered to go wrong half way.

        Raises:
            Dropped: The connection is to be reset in the middle of the body, or the customer has left.
        """
        half, slow = (call.request.content_length or 0) // 2, call.faulty(Fault.SLOW)
        late = slow is not None and slow.get("body", False)
        async for chunk in _while_connected(chunks):
            call.row.uploaded += len(chunk)
            yield chunk
            if call.row.uploaded < half:
                continue
            if call.faulty(Fault.RESET_BODY):
                raise Dropped
            if late and slow is not None:
                late = False
                await self._house.clock.sleep(slow.get("seconds", 5.0))

    async def _store(self, call: Call) -> web.StreamResponse:
        """PUT to a presigned link, with the content type that it was signed for."""
        id = call.request.match_info["id"]
        slot = self._house.uploads.get(id)
        signature = call.request.query.get("X-Amz-Signature", "")
        signed = slot is not None and self._house.signer.valid(id, slot.until, signature)
        if slot is None or not signed or call.request.headers.get("Content-Type") != slot.content_type:
            return web.Response(status=403, text=FORGED_XML, content_type="application/xml")
        if call.faulty(Fault.EXPIRED_LINK):
            slot.expired = True
        if slot.expired or slot.until <= call.now:
            return web.Response(status=403, text=EXPIRED_XML, content_type="application/xml")
        blob = await self._written(id, self.arriving(call, call.request.content.iter_chunked(_PIECE)))
        self._filled(slot, blob)
        call.row.sha256 = blob.sha256
        return web.Response(status=200, headers={"ETag": blob.etag})

    def _filled(self, slot: Slot, blob: Blob) -> Slot:
        life = self._vendor.settings.asset_seconds
        slot.blob, slot.kept_until = blob, self._house.clock.now() + (math.inf if life is None else life)
        return slot

    async def _written(self, id: str, chunks: AsyncIterable[bytes]) -> Blob:
        """Writes a file as it comes; one that breaks off leaves what was there before."""
        path, blocking = self._house.upload_path(id), self._house.studio.blocking
        part, hasher = path.with_suffix(f".{uuid.uuid4().hex}"), hashlib.sha256()
        file: Any = await blocking(part.open, "wb", buffering=0)
        try:
            async for chunk in chunks:
                await blocking(_append, file, hasher, chunk)
            await blocking(file.close)
            await blocking(part.rename, path)
        except BaseException:
            self._house.studio.afterwards(_discard, file, part)
            raise
        return await blocking(Blob.mapped, path, hasher.hexdigest())

    async def _asset(self, call: Call) -> web.StreamResponse:
        slot = self._house.upload(call.request.match_info["id"])
        if slot is None or slot.blob is None:
            return web.Response(status=404, text="Not Found")
        return (await send(call.request, slot.blob, slot.content_type))[0]


def _append(file: Any, hasher: Hasher, chunk: bytes) -> None:
    file.write(chunk)
    hasher.update(chunk)


def _discard(file: Any, path: Path) -> None:
    file.close()
    path.unlink(missing_ok=True)


async def _while_connected(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    except ConnectionError:
        raise Dropped from None


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(_PIECE):
        yield bytes(chunk)
