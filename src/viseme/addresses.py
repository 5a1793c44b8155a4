"""Which hosts are on the public internet, by what is written alone."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from unicodedata import normalize
from urllib.parse import unquote

__all__ = ["private_host"]

_LAST_FOUR: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96")))
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_RESERVED: Final = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20"))
)
"""What some versions of Python take for public addresses."""


def private_host(host: str) -> bool:
    """Whether a host name or address literal is private, loopback, link-local or otherwise not on the public internet.

    Only what the text itself says: names are resolved (and checked again) when a connection is made.
    """
    name = normalize("NFKC", unquote(host)).replace("\u3002", ".").strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return _looks_numeric(name)
    inner = _embedded(address) if address.version == 6 else None
    if inner is not None:
        address = inner
    elif address.version == 6 and address not in _UNICAST:
        return True
    return not address.is_global or address.is_multicast or any(address in network for network in _RESERVED)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, translated, 6to4, by NAT64, or "compatible"."""
    if any(address in network for network in _LAST_FOUR):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


def _looks_numeric(name: str) -> bool:
    """``127.1``, ``0x7f000001`` and their like, which some resolvers read as addresses."""
    return all(re.fullmatch(r"0[xX][0-9a-fA-F]*|[0-9]+", label) for label in name.split("."))
