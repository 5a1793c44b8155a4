"""Sync's assets: presigned uploads, the register of what was uploaded or linked, and its listings."""

import mimetypes
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from aiohttp import web

from ..accounts import Account
from .house import Slot
from .sync_rules import Invalid
from .wire import Call, Endpoint, Refusal, reply

if TYPE_CHECKING:
    from .sync import Sync

_TYPES = ("VIDEO", "AUDIO", "IMAGE")


class SyncAssets:
    """The asset endpoints. Sizes are known only for what was uploaded here."""

    def __init__(self, vendor: "Sync") -> None:
        self._vendor = vendor
        self._assets: dict[str, dict[str, dict[str, Any]]] = {}

    def forget(self) -> None:
        """Forgets every asset."""
        self._assets.clear()

    def endpoints(self) -> Sequence[Endpoint]:
        """Assets, in the order in which paths must be tried."""
        read = ("read",)
        return (
            Endpoint("POST", "/v2/assets/upload", "upload", self._upload, ("upload",)),
            Endpoint("POST", "/v2/assets/batch", "assets", self._batch, read),
            Endpoint("POST", "/v2/assets", "assets", self._register),
            Endpoint("GET", "/v2/assets", "assets", self._list, read),
            Endpoint("GET", "/v2/assets/{id}", "assets", self._get, read),
            Endpoint("GET", "/v2/assets/{id}/download", "assets", self._download, read),
            Endpoint("DELETE", "/v2/assets/{id}", "assets", self._delete, read),
        )

    def url_for(self, account: Account, id: object, kind: str) -> str:
        """The URL behind an `assetId` of a create.

        Raises:
            Invalid: There is no such asset, or it is of another type.
        """
        asset = self._of(account).get(str(id))
        if asset is None:
            raise Invalid("There is no such asset", "asset_not_found", "input", 404)
        if asset["type"] != kind.upper():
            raise Invalid("The asset is of another type", "generation_input_asset_type_mismatch", "input")
        return asset["url"]

    def _of(self, account: Account) -> dict[str, dict[str, Any]]:
        return self._assets.setdefault(account.name, {})

    async def _upload(self, call: Call) -> web.StreamResponse:
        body = await _object(call)
        name, kind, size = body.get("fileName"), body.get("contentType"), body.get("size")
        if not isinstance(name, str) or not name or not isinstance(kind, str) or not isinstance(size, int) or size < 1:
            said = "fileName, contentType and size are needed"
            raise Refusal(_refused(400, "generation_input_validation_failed", said))
        if size > self._vendor.settings.max_upload:
            raise Refusal(_refused(422, "file_size_exceeds_plan_limit", "The file is too large"))
        upload, url = self._vendor.uploads.open_slot(name, kind, call.origin)
        return reply({"uploadUrl": upload, "url": url, "expiresIn": 604_800}, 201)

    async def _register(self, call: Call) -> web.StreamResponse:
        body = await _object(call)
        url, kind = body.get("url"), body.get("type")
        if not isinstance(url, str) or kind not in _TYPES:
            raise Refusal(_refused(400, "generation_input_validation_failed", "url and type are needed"))
        slot = self._slot(url)
        if slot is not None and slot.blob is None:
            raise Refusal(_refused(422, "uploaded_file_not_found", "Nothing was uploaded there yet"))
        if slot is not None and slot.blob is not None and slot.blob.size > self._vendor.settings.max_upload:
            raise Refusal(_refused(422, "file_size_exceeds_plan_limit", "The file is too large"))
        asset = self._asset(call, url, kind, slot)
        asset |= {name: body[name] for name in ("name", "visibility", "projectId") if body.get(name)}
        self._of(call.account)[asset["id"]] = asset
        return reply(asset, 201)

    def _slot(self, url: str) -> Slot | None:
        parts = urlsplit(url).path.split("/")
        if len(parts) < 4 or parts[1:3] != ["sync", "files"]:
            return None
        return self._vendor.house.upload(parts[3])

    def _asset(self, call: Call, url: str, kind: str, slot: Slot | None) -> dict[str, Any]:
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        made = self._vendor.house.clock.iso(call.now)
        media_type = slot.content_type if slot else mimetypes.guess_type(name)[0]
        return {
            "id": str(uuid.uuid4()), "createdAt": made, "updatedAt": made, "type": kind, "visibility": "USER",
            "name": name, "url": url, "size": slot.blob.size if slot and slot.blob else None, "format": media_type,
            "inputType": "UPLOAD" if slot else "URL", "durationSeconds": None, "thumbnailUrl": None, "width": None,
            "height": None,
        }  # fmt: skip

    async def _list(self, call: Call) -> web.StreamResponse:
        assets = list(reversed(self._of(call.account).values()))
        limit, cursor = int(call.request.query.get("limit", "100")), call.request.query.get("cursor")
        ids = [asset["id"] for asset in assets]
        start = ids.index(cursor) + 1 if cursor in ids else 0
        page = assets[start : start + max(1, min(100, limit))]
        more = start + len(page) < len(assets)
        return reply({"items": page, "nextCursor": page[-1]["id"] if more else None, "totalCount": len(assets)})

    async def _batch(self, call: Call) -> web.StreamResponse:
        ids = (await _object(call)).get("ids")
        if not isinstance(ids, list) or not 1 <= len(ids) <= 100:  # pyright: ignore[reportUnknownArgumentType]
            raise Refusal(_refused(400, "generation_input_validation_failed", "ids must hold 1 to 100 ids"))
        assets = self._of(call.account)
        return reply([assets[id] for id in ids if id in assets])  # pyright: ignore[reportUnknownVariableType]

    async def _get(self, call: Call) -> web.StreamResponse:
        return reply(self._found(call))

    async def _download(self, call: Call) -> web.StreamResponse:
        return web.Response(text=self._found(call)["url"])

    async def _delete(self, call: Call) -> web.StreamResponse:
        return reply(self._of(call.account).pop(self._found(call)["id"]))

    def _found(self, call: Call) -> dict[str, Any]:
        asset = self._of(call.account).get(call.request.match_info["id"])
        if asset is None:
            raise Refusal(_refused(404, "asset_not_found", "There is no such asset"))
        return asset


async def _object(call: Call) -> dict[str, Any]:
    try:
        body = await call.request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(_refused(400, "generation_input_validation_failed", "the body must be a JSON object"))
    return body  # pyright: ignore[reportUnknownVariableType]


def _refused(status: int, code: str, message: str) -> web.Response:
    return reply({"message": message, "statusCode": status, "errorCode": code}, status)
