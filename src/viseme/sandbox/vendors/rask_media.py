"""Rask's media library: files sent or linked, processed for a while, then ready or failed."""

import mimetypes
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from aiohttp import BodyPartReader, web

from ..faults import Fault
from ..media import Kind, MediaFault
from ..probing import Probe, probe
from .rask_holdings import Media
from .rask_wire import complaint, invalid, no, read
from .wire import Call, Endpoint, Refusal, reply

if TYPE_CHECKING:
    from .rask import Rask

_KINDS = ("video", "audio", "image")


class RaskMedia:
    """The endpoints of the library."""

    def __init__(self, vendor: "Rask") -> None:
        self._vendor = vendor
        self._house = vendor.house

    def endpoints(self) -> Sequence[Endpoint]:
        """Uploads, links and looks."""
        root = "/api/library/v1/media"
        return (
            Endpoint("POST", root, "upload", self._upload, ("all", "upload", "post")),
            Endpoint("POST", f"{root}/link", "link", self._link, ("all", "post")),
            Endpoint("GET", f"{root}/{{id}}", "media", self._get, ("all", "read")),
        )

    async def _upload(self, call: Call) -> web.StreamResponse:
        """POST /api/library/v1/media: multipart, streamed to a file."""
        kind = _kind(call.request.query.get("kind"))
        if call.request.content_type != "multipart/form-data":
            raise invalid(complaint(self._vendor.settings.part_name, "Field required", "missing"))
        media: Media | None = None
        name = call.request.query.get("name")
        async for part in await call.request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "name":
                name = await part.text()
            elif part.name == self._vendor.settings.part_name and media is None:
                media = await self._kept(call, part, kind)
        if media is None:
            raise invalid(complaint(self._vendor.settings.part_name, "Field required", "missing"))
        media.name = name or media.name
        return self._added(call, media)

    async def _kept(self, call: Call, part: BodyPartReader, kind: Kind | None) -> Media:
        name = (part.filename or "upload").replace("\\", "/").rpartition("/")[2] or "upload"
        mime = part.headers.get("Content-Type") or mimetypes.guess_type(name)[0] or "application/octet-stream"
        url, blob = await self._vendor.uploads.keep_part(call, part, name, mime)
        call.row.sha256 = blob.sha256
        return Media(
            name=name, at=call.now, url=url, origin=call.origin, owner=call.account.name, identity=blob.sha256,
            local=True, mime=mime, kind=kind,
        )  # fmt: skip

    async def _link(self, call: Call) -> web.StreamResponse:
        """POST /api/library/v1/media/link."""
        body = await read(call)
        link, name = body.text("link", required=True), body.text("name")
        asked = body.text("kind")
        body.checked()
        if link is None or not link.startswith(("http://", "https://")):
            raise invalid(complaint("link", "Input should be a valid URL", "url_parsing"))
        file = unquote(urlsplit(link).path.rpartition("/")[2])
        media = Media(
            name=name or file or "link", at=call.now, url=link, origin=call.origin, owner=call.account.name,
            identity=link, local=False, mime=mimetypes.guess_type(file)[0], kind=_kind(asked),
        )  # fmt: skip
        return self._added(call, media)

    def _added(self, call: Call, media: Media) -> web.Response:
        self._vendor.holdings(call.account).media[media.id] = media
        call.row.job = media.id
        doomed = call.faulty(Fault.JOB_FAILED) is not None
        if doomed or self._house.studio.fixed is not None:
            media.fault = MediaFault("video", "invalid") if doomed else None
            media.probe = Probe(kind=media.kind or "video", seconds=self._fixed_seconds, sound=True, meta={})
            media.settled_at = media.at + self._vendor.settings.media_seconds
        else:
            self._house.spawn(self._measure(media), making=True)
        return reply(self._told(media, call.now))

    @property
    def _fixed_seconds(self) -> float:
        fixed = self._house.studio.fixed
        return fixed.seconds if fixed is not None else 0.0

    async def _measure(self, media: Media) -> None:
        """Finds out what the file is."""
        studio = self._house.studio
        try:
            path, _ = await studio.obtain(media.source, media.kind or "video", media.origin)
            media.probe = await studio.making(probe, path, media.kind)
        except MediaFault as fault:
            media.fault = fault
        if media.probe is not None:
            media.kind = media.probe.kind
            if media.probe.cover is not None and media.kind == "video":
                await self._preview(media, media.probe.cover)
        media.settled_at = max(media.at + self._vendor.settings.media_seconds, self._house.clock.now())

    async def _preview(self, media: Media, cover: bytes) -> None:
        async def once() -> AsyncIterator[bytes]:
            yield cover

        name = f"{media.name}.jpg"
        url, blob = await self._vendor.uploads.keep(name, "image/jpeg", once(), media.origin)
        media.preview = Media(
            name=name, at=media.at, url=url, origin=media.origin, owner=media.owner, identity=blob.sha256,
            local=True, mime="image/jpeg", kind="image", settled_at=media.at,
        )  # fmt: skip

    async def _get(self, call: Call) -> web.StreamResponse:
        """GET /api/library/v1/media/{id}."""
        call.row.job = call.request.match_info["id"]
        media = self._vendor.holdings(call.account).media.get(call.row.job)
        if media is None:
            raise Refusal(no(404, "Media not found"))
        told = self._told(media, call.now)
        if (struck := call.faulty(Fault.UNKNOWN_STATUS)) and told["status"] == "processing":
            told["status"] = struck.get("value", "scanning")
        return reply(told)

    def _told(self, media: Media, now: float) -> dict[str, Any]:
        clock, status = self._house.clock, media.status(now)
        ready = status == "ready"
        changed = media.at if status == "processing" or media.settled_at is None else media.settled_at
        return {
            "id": media.id,
            "user_id": str(uuid.uuid5(uuid.NAMESPACE_URL, media.owner)),
            "kind": media.kind or "video",
            "status": status,
            "mime_type": media.mime,
            "name": media.name,
            "path": f"library/{media.id}",
            "url": media.url if ready else None,
            "created_at": clock.iso(media.at),
            "updated_at": clock.iso(changed),
            "meta": dict(media.probe.meta) if ready and media.probe is not None else {},
            "preview": self._told(media.preview, now) if ready and media.preview is not None else None,
        }


def _kind(text: str | None) -> Kind | None:
    if text is not None and text not in _KINDS:
        raise invalid(complaint("kind", "Input should be 'video', 'audio' or 'image'", "enum", "query"))
    return text
