"""Values as Rask may write them: flags and whole numbers also as text, links with signatures. Source: sheet 10."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

from viseme.providers.reading import number

__all__ = ["bare", "flag", "whole"]

_SIGNS = re.compile(
    r"x-|expire|signature|token|policy|key-pair-id|awsaccesskeyid|hdne|(sig|se|sp|sv|sr|st|exp)$", re.IGNORECASE
)
"""Names of what signs a link."""

_FLAGS = {"true": True, "false": False, "1": True, "0": False}


def flag(value: object) -> bool | None:
    """True or false, also as text in any case or as 1 and 0; None where it is unknown, which is not false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return bool(value) if value in (0, 1) else None
    return _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None


def whole(value: object) -> int | None:
    """A whole number that is not negative, also as text."""
    found = number(value)
    return int(found) if found is not None and 0 <= found < 1e9 and found.is_integer() else None


def bare(link: str | None) -> str | None:
    """A link without its signature: one that is signed anew leads to the same file, another file has another path."""
    if link is None:
        return None
    try:
        parts = urlsplit(link)
    except ValueError:
        return link
    kept = [(name, value) for name, value in parse_qsl(parts.query) if not _SIGNS.match(name)]
    return f"{parts.scheme}://{parts.netloc}{parts.path}" + (f"?{urlencode(kept)}" if kept else "")
