"""What a batch request to Sync carries: JSON Lines in a form, or rows in JSON; and what is wrong with it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

import attrs
from aiohttp import BodyPartReader

from .sync_body import error
from .wire import Call, Refusal

FEWEST, MOST = 20, 500
LARGEST = 5 * 1024**2
"""In bytes; 5 MB is what is documented."""
_ENDPOINT = "/v2/generate"


@attrs.frozen
class Record:
    """One generation of a batch; `line` counts from 1."""

    line: int
    id: str
    payload: dict[str, Any]


@attrs.frozen
class Submission:
    """A batch as it was sent."""

    records: tuple[Record, ...]
    webhook: str | None
    dry_run: bool


async def read_batch(call: Call) -> Submission:
    """Reads a batch request.

    Raises:
        Refusal: It cannot be read, it is too small or too large, or one of its records is bad.
    """
    fields = await (_form(call) if call.request.content_type == "multipart/form-data" else _object(call))
    rows: list[tuple[int, Any]] = fields["rows"]
    records = tuple(_record(line, row) for line, row in rows)
    _check_ids(records)
    if not FEWEST <= len(records) <= MOST:
        raise wrong(f"a batch takes {FEWEST} to {MOST} requests, not {len(records)}")
    webhook = fields.get("webhook_url") or None
    if webhook is not None and not str(webhook).startswith(("http://", "https://")):
        raise wrong("webhook_url must be a URL address")
    return Submission(records, webhook, str(fields.get("dry_run", False)).lower() == "true")


def wrong(message: str | list[str], line: int | None = None, code: str | None = None) -> Refusal:
    """The refusal of a whole batch, with the number of the line that is to blame."""
    place: dict[str, Any] = {} if line is None else {"lineNumber": line}
    return Refusal(error(400, code or "generation_input_validation_failed", message, **place))


async def _form(call: Call) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    async for part in await call.request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            continue
        if part.name == "input":
            fields["rows"] = list(_lines(await _limited(part)))
        else:
            fields[part.name] = await part.text()
    if "rows" not in fields:
        raise wrong("input: a JSON Lines file is needed")
    return fields


async def _limited(part: BodyPartReader) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(1 << 16):
        data += chunk
        if len(data) > LARGEST:
            raise _too_large()
    return bytes(data)


def _lines(data: bytes) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(data.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            yield line, json.loads(text)
        except ValueError:
            raise wrong("the line is no JSON", line) from None


async def _object(call: Call) -> dict[str, Any]:
    try:
        body: Any = json.loads(await call.request.read())
    except ValueError:
        raise wrong("Unexpected token in JSON") from None
    rows = cast("dict[str, Any]", body).get("rows") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise wrong("rows must be an array")
    if sum(len(json.dumps(row)) + 1 for row in cast("list[Any]", rows)) > LARGEST:
        raise _too_large()
    return {**cast("dict[str, Any]", body), "rows": list(enumerate(cast("list[Any]", rows), start=1))}


def _too_large() -> Refusal:
    return wrong("the batch is larger than 5 MB")


def _record(line: int, row: Any) -> Record:
    if not isinstance(row, dict):
        raise wrong("the record must be an object", line)
    record = cast("dict[str, Any]", row)
    id, payload = record.get("request_id"), record.get("payload")
    if not isinstance(id, str) or not id:
        raise wrong("request_id must be a string", line)
    if record.get("endpoint") != _ENDPOINT:
        raise wrong(f"endpoint must be {_ENDPOINT}", line)
    if not isinstance(payload, dict):
        raise wrong("payload must be an object", line)
    return Record(line, id, cast("dict[str, Any]", payload))


def _check_ids(records: Sequence[Record]) -> None:
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise wrong("request_id is not unique", record.line)
        seen.add(record.id)
