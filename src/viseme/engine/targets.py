"""Where a request goes: an address in two parts, of which the first, its origin, is the same for nearly all."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote

import aiohttp
from attrs import frozen
from yarl import URL

from viseme.wording import quote as shown

__all__ = ["Origin", "Target", "Unwritable", "target"]

_USUAL = re.compile(r"""(https?://[!"$-.0->@-~]+)(/[!"$->@-~]*(?:\?[!"$-~]+)?)""")
"""An origin, and the path and query of an address that stands in a request's first line as it is."""
_UNFIT = re.compile(r"[^!-~]+")
_BREAKING = re.compile(r"[\r\n\0]")


class Unwritable(ValueError):
    """The request cannot be written as HTTP; it has not left."""


@frozen(eq=False, repr=False)
class Origin:
    """A scheme, a host and a port, with a name and a password where the address has them.

    Attributes:
        text: as the address gives it.
        told: the lines of a request's head that follow from it.
    """

    text: str
    url: URL
    told: str


Target = tuple[Origin, str]
"""An origin, and a path with its query."""


def target(text: str, base: Target | None = None) -> Target:
    """An address as it was given; what no address may hold (white space, other letters) is percent-encoded.

    One of the usual form needs no further look where its origin is known (0.6 against 5 µs).

    Args:
        base: what it is relative to.

    Raises:
        ValueError: it is no http(s) address.
    """
    usual = _USUAL.fullmatch(text)
    if usual is not None and (origin := _origin(usual[1])) is not None:
        return origin, usual[2]
    url = _url(_UNFIT.sub(lambda match: quote(match[0]), text))
    url = url if base is None else _url(f"{base[0].text}{base[1]}").join(url)
    found = _origin(f"{url.scheme}://{url.raw_authority}")
    if found is None:
        raise ValueError(f"{shown(text)!r} is no http(s) address")
    if _BREAKING.search(url.raw_path_qs):
        raise Unwritable("the address of the request would break its line")
    return found, url.raw_path_qs


@lru_cache(maxsize=256)
def _origin(text: str) -> Origin | None:
    """What stands before an address's path; None where it leads nowhere, or not by http(s)."""
    url = _url(text)
    if url.scheme not in ("http", "https") or not url.raw_host or not 0 < (url.port or 0) < 65536:
        return None
    told = f"Host: {url.host_port_subcomponent}\r\n"
    if _BREAKING.search(text):
        raise Unwritable("the address of the request would break its line")
    if url.raw_user or url.raw_password:
        told += f"Authorization: {aiohttp.encode_basic_auth(url.user or '', url.password or '')}\r\n"
    return Origin(text, url, told)


def _url(text: str) -> URL:
    """An address taken apart. Raises ValueError."""
    try:
        return URL(text, encoded=True)
    except IndexError:  # yarl, of brackets in the name before an empty host
        raise ValueError("Invalid IPv6 URL") from None
