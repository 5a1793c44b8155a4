"""What a create request to Sync carries: JSON or multipart, an idempotency key; and the shape of its errors."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from aiohttp import BodyPartReader, web

from .uploads import Uploads
from .wire import Call, Refusal, reply

_KEY = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_NESTED = ("input", "options", "segments", "dubParams", "dialogueEdit")


def error(
    status: int,
    code: str,
    message: str | list[str],
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> web.Response:
    """An error body; `extra` are the fields that only some errors have."""
    body: dict[str, Any] = {"message": message, "statusCode": status, "errorCode": code, **extra}
    if field is not None:
        body["field"] = field
    return reply(body, status, headers)


async def read_body(call: Call, uploads: Uploads) -> dict[str, Any]:
    """The body as one object; files become input items with the URL where they are kept, and a `_held` blob.

    Raises:
        Refusal: The body cannot be read.
    """
    if call.request.content_type == "multipart/form-data":
        return await _form(call, uploads)
    return await object_body(call)


async def object_body(call: Call) -> dict[str, Any]:
    """A body that must be a JSON object.

    Raises:
        Refusal: It is none.
    """
    try:
        body = json.loads(await call.request.read())
    except ValueError:
        said = {"message": "Unexpected token in JSON", "error": "Bad Request", "statusCode": 400}
        raise Refusal(reply(said, 400)) from None
    if not isinstance(body, dict):
        raise Refusal(error(400, "generation_input_validation_failed", ["the body must be an object"]))
    return cast("dict[str, Any]", body)


async def _form(call: Call, uploads: Uploads) -> dict[str, Any]:
    """Nested values of a form must be JSON strings (sheet, 2.2)."""
    body: dict[str, Any] = {}
    files: list[dict[str, Any]] = []
    async for part in await call.request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            continue
        if part.filename is not None:
            files.append(await _file(call, part, uploads))
        else:
            body[part.name] = _value(part.name, await part.text())
    items: Any = body.get("input", [])
    body["input"] = [*items, *files] if isinstance(items, list) else items
    return body


async def _file(call: Call, part: BodyPartReader, uploads: Uploads) -> dict[str, Any]:
    mime = part.headers.get("Content-Type") or "application/octet-stream"
    url, blob = await uploads.keep_part(call, part, part.filename or "file", mime)
    call.row.received = {**(call.row.received or {}), str(part.name): {"bytes": blob.size, "sha256": blob.sha256}}
    return {"type": part.name, "url": url, "_held": blob}


def _value(name: str, text: str) -> Any:
    if name not in _NESTED:
        return text
    try:
        return json.loads(text)
    except ValueError:
        said = [f"{name} must be JSON"]
        raise Refusal(error(400, "generation_input_validation_failed", said)) from None


def idempotency_key(call: Call) -> str | None:
    """The request's key: exactly one header of 1 to 128 characters.

    Raises:
        Refusal: The header is empty, repeated or malformed.
    """
    keys = call.request.headers.getall("Idempotency-Key", [])
    if not keys:
        return None
    call.row.reference = keys[0][:200]
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise Refusal(error(400, "INVALID_IDEMPOTENCY_KEY", "Send one key of 1 to 128 characters"))
    return keys[0]


def digestible(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with files replaced by their digests: what makes two creates the same."""
    shown = {name: value for name, value in body.items() if value is not None}
    if isinstance(shown.get("input"), list):
        shown["input"] = [_digest(item) for item in shown["input"]]
    return shown


def echoed(item: Mapping[str, Any]) -> dict[str, Any]:
    """An input item as Sync repeats it; an uploaded file has no public address here."""
    if "_held" not in item:
        return dict(item)
    return {"type": item["type"], "url": f"https://uploads.invalid/{item['_held'].sha256[:24]}"}


def _digest(item: Any) -> Any:
    if not isinstance(item, dict) or "_held" not in item:
        return cast(Any, item)
    entry = cast("dict[str, Any]", item)
    return {"type": entry["type"], "sha256": entry["_held"].sha256}
