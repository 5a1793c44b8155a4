"""Until when a signed link holds, as far as its query says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

__all__ = ["expires_at"]

_SPANS = (("x-amz-date", "x-amz-expires"), ("x-goog-date", "x-goog-expires"), ("x-oss-date", "x-oss-expires"))
"""Signing time and seconds from then on: S3 and what speaks like it, Google, Alibaba."""
_MOMENTS = ("expires", "exp", "expiry", "expiration", "expires_at", "expire", "se")
"""Unix seconds (S3 and Google in their older form, CloudFront), or a date (Azure's ``se``)."""
_WHOLE = re.compile(r"[0-9]{1,13}")
_COMPACT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_EARLIEST, _LATEST = 1e9, 1e11
"""Of what may be seconds since 1970; larger numbers are milliseconds, smaller ones something else."""


def expires_at(url: str) -> float | None:
    """When a link stops working, UTC seconds; None where it does not say so."""
    try:
        query = parse_qsl(urlsplit(url).query, max_num_fields=200)
    except ValueError:
        return None
    given = {name.lower(): value for name, value in reversed(query)}
    ends = [end for end in (*_spans(given), *(_moment(given.get(name, "")) for name in _MOMENTS)) if end is not None]
    return min(ends, default=None)


def _spans(given: Mapping[str, str]) -> list[float | None]:
    return [_span(given.get(start, ""), given.get(length, "")) for start, length in _SPANS]


def _span(start: str, length: str) -> float | None:
    if not _COMPACT.fullmatch(start) or not _WHOLE.fullmatch(length):
        return None
    try:
        return datetime.strptime(start, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp() + int(length)
    except ValueError:
        return None


def _moment(text: str) -> float | None:
    if _WHOLE.fullmatch(text):
        number = float(text)
        number = number / 1000 if number >= _LATEST else number
        return number if _EARLIEST <= number < _LATEST else None
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
