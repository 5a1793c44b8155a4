"""Reading what vendors wrote: every value may be missing, of another type, or not fit to be written down."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlsplit

from viseme.jobs import plain_host
from viseme.results import Artifact

__all__ = [
    "artifacts",
    "encode",
    "entry",
    "http_link",
    "identifier",
    "link_expiry",
    "listing",
    "moment",
    "number",
    "said",
    "texts",
    "word",
]

_TEXT_KEYS = ("message", "msg", "detail", "details", "error", "name", "type", "description")
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")
_LONGEST = 16_384
"""A link of more characters is none: no server takes one."""
_EARLIEST, _LATEST = 0.0, 32503680000.0  # 1970 to 3000, in UTC seconds


def entry(value: object, *path: str | int) -> Any:
    """What stands at a path of names and positions; None where it leads nowhere."""
    for step in path:
        if isinstance(step, str) and isinstance(value, Mapping):
            value = cast("Mapping[str, object]", value).get(step)
        elif isinstance(step, int) and isinstance(value, list) and len(cast("list[object]", value)) > step:
            value = cast("list[object]", value)[step]
        else:
            return None
    return value


def listing(body: object) -> list[Mapping[str, Any]] | None:
    """The objects of a list, or of the first list in an object; None where there is no list."""
    if isinstance(body, Mapping):
        values = list(cast("Mapping[str, object]", body).values())
        return next((listing(cast("object", value)) for value in values if isinstance(value, list)), None)
    if not isinstance(body, list):
        return None
    return [cast("Mapping[str, Any]", row) for row in cast("list[object]", body) if isinstance(row, Mapping)]


def word(value: object) -> str | None:
    """A text that is not empty and can be written as UTF-8."""
    if not isinstance(value, str) or not value.strip():
        return None
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def identifier(value: object) -> str | None:
    """A vendor's id: a text or a whole number, opaque, of at most 300 printable characters."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**40 else None
    text = word(value)
    return text if text is not None and len(text) <= 300 and text.isprintable() else None


def number(value: object) -> float | None:
    """A finite number, also where it is spelled as text."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def moment(value: object) -> float | None:
    """UTC seconds from Unix seconds, Unix milliseconds or ISO 8601."""
    seconds = number(value)
    if seconds is None and isinstance(value, str):
        try:
            read = datetime.fromisoformat(value)
            seconds = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if seconds is None:
        return None
    seconds = seconds / 1000 if seconds > _LATEST else seconds
    return seconds if _EARLIEST < seconds < _LATEST else None


def texts(value: object, depth: int = 4) -> Iterable[str]:
    """The readable texts of an error, whatever its shape: a text, a list, or an object around one of these."""
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, list) and depth:
        for item in cast("list[object]", value)[:5]:
            yield from texts(item, depth - 1)
    elif isinstance(value, Mapping) and depth:
        for name in _TEXT_KEYS:
            found = list(texts(cast("Mapping[str, object]", value).get(name), depth - 1))
            if found:
                yield from found
                return


def said(value: object) -> str | None:
    """An error's texts in one line, or None where it holds none."""
    return "; ".join(dict.fromkeys(texts(value))) or None


def encode(value: str) -> str:
    """A text as one part of a URL's path or query; nothing in it keeps a meaning of its own."""
    return value if _UNRESERVED.fullmatch(value) else quote(value, safe="", errors="replace")


def artifacts(video: object, cover: object = None) -> tuple[Artifact, ...]:
    """What can be fetched: the video, if there is one, and its cover."""
    url = http_link(video)
    if url is None:
        return ()
    found = Artifact(url=url, role="video", expires_at=link_expiry(url))
    beside = None if cover is None else http_link(cover)
    return (found,) if beside is None else (found, Artifact(url=beside, role="cover", expires_at=link_expiry(beside)))


def http_link(value: object) -> str | None:
    """An http(s) address of at most ``_LONGEST`` characters."""
    text = word(value)
    if text is None or len(text) > _LONGEST:
        return None
    if plain_host(text) is not None:
        return text
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return None
    return text.strip() if usable else None


def link_expiry(url: str) -> float | None:
    """When a signed link dies, UTC seconds, where its query tells.

    Understands ``X-Amz-Date`` and ``X-Goog-Date`` with their ``-Expires`` (S3, Google), and ``Expires`` beside a
    signature (older S3, CloudFront).
    """
    asked = url.partition("?")[2]
    if "%" not in asked and "expires" not in asked.lower():
        return None
    try:
        query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    except ValueError:
        return None
    for vendor in ("amz", "goog"):
        signed, lifetime = query.get(f"x-{vendor}-date"), number(query.get(f"x-{vendor}-expires"))
        if signed is not None and lifetime is not None:
            begin = _stamp(signed)
            return None if begin is None else begin + lifetime
    if "signature" in query or "key-pair-id" in query:
        return moment(query.get("expires"))
    return None


def _stamp(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
