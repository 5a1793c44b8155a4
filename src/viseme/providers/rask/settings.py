"""What an account at Rask is told, and what the vendor does not publish. Source: fact sheet sections 1 and 11."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

from viseme.addresses import private_host
from viseme.errors import ConfigError
from viseme.units import Seconds, duration
from viseme.wording import quote

__all__ = ["RaskSettings", "check_credentials", "check_token_url"]

TOKEN_URL = "https://rask-prod.auth.us-east-2.amazoncognito.com/oauth2/token"
SCOPES = "api/source api/input api/output api/limit"
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/\{id\}(/[A-Za-z0-9._~-]+)*")


def _path(_: object, attribute: Attribute[Any], value: str) -> None:
    if not _PATH.fullmatch(value):
        raise ValueError(f"{attribute.name} {quote(value)!r} is no path of a project; write {attribute.default}")


def _part(_: object, attribute: Attribute[Any], value: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", value):
        raise ValueError(f"{attribute.name} {quote(value)!r} is no name of a form field; write data")


def _factor(_: object, attribute: Attribute[Any], value: float) -> None:
    if not 0 <= value <= 100:
        raise ValueError(f"{attribute.name} must be between 0 and 100, not {value:g}")


@frozen(kw_only=True)
class RaskSettings:
    """An account's credentials and consent, and the figures that the vendor does not publish.

    Attributes:
        client_id: of the API credentials at app.rask.ai/account.
        client_secret: that belongs to it.
        token_url: where they are exchanged for a token; used as given.
        client_auth: how they go there: in a ``basic`` header, or in the form (``post``).
        scopes: what the token is asked for.
        allow_paid: consent to calls that may cost minutes: dubs, dubs made again, whole lip-syncs.
        face_check_grace: a face check that has not begun by itself so long after the dub is begun by hand.
        stale_grace: how long the vendor may go on showing the lip-sync before; also how long a lost create may take to
            be seen.
        upload_lifetime: how long a medium in the library is trusted to stay there.
        lipsync_minute_multiplier: minutes charged per minute of lip-sync.
        media_part_name: the form field that carries an uploaded file.
        lipsync_path, check_face_path: the endpoints whose pages could not be read (sheet section 11).
    """

    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    token_url: str = TOKEN_URL
    client_auth: Literal["basic", "post"] = "basic"
    scopes: str = SCOPES
    allow_paid: bool = False
    face_check_grace: Seconds = field(default=60.0, converter=duration)
    stale_grace: Seconds = field(default=60.0, converter=duration)
    upload_lifetime: Seconds = field(default=24 * 3600.0, converter=duration)
    lipsync_minute_multiplier: float = field(default=1.0, validator=_factor)
    media_part_name: str = field(default="data", validator=_part)
    lipsync_path: str = field(default="/v2/projects/{id}/lipsync", validator=_path)
    check_face_path: str = field(default="/v2/projects/{id}/check_face", validator=_path)


def check_credentials(settings: RaskSettings) -> None:
    """Refuse credentials that are missing, or that no vendor gave; a secret is never shown.

    Raises:
        ConfigError: the message names the setting.
    """
    for name, value in (("client_id", settings.client_id), ("client_secret", settings.client_secret)):
        if not value:
            variable = f"RASK_{name.upper()}"
            raise ConfigError(f'{name} is missing; write {name} = "${variable}" and export that variable')
        if not value.isascii() or not value.isprintable() or " " in value:
            raise ConfigError(f"{name} holds characters that no credential has; copy it again")


def check_token_url(url: str, *, private: bool) -> None:
    """Refuse an address to which no secret may travel.

    Args:
        private: whether the account may reach private hosts.

    Raises:
        ConfigError: it is no https URL, or a private address.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(f"token_url: {quote(url)!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"token_url: {quote(url)!r} must start with https:// and name a host")
    if parts.username or parts.password or parts.fragment:
        raise ConfigError("token_url: leave out user names, passwords and fragments")
    if private_host(host) and not private:
        raise ConfigError(
            f"token_url: {quote(host)} is a private address;"
            " set allow_private_hosts = true if that is where the vendor is"
        )
    if parts.scheme == "http" and not private:
        raise ConfigError(
            "token_url: the secret would travel unencrypted; use https://,"
            " or set allow_private_hosts = true for a local host"
        )
