"""Rask's access tokens: OAuth2 client credentials at an endpoint in the manner of Cognito. Source: sheet section 1."""

from __future__ import annotations

import base64

from viseme.failures import Kind
from viseme.providers.base import Credential, Flow, Form, Refused, Reply, Request, Role, Verdict, retry_after
from viseme.providers.rask.settings import RaskSettings
from viseme.providers.reading import number, said, word
from viseme.wording import quote

__all__ = ["basic", "obtain", "refused"]

_MARGIN = 60.0
_SHARE = 0.1
_ASSUMED = 3600.0
_PASSING = frozenset({408, 425, 429})
_ADVICE = {
    "invalid_client": "check client_id and client_secret",
    "invalid_grant": "check client_id and client_secret, and that the account's plan includes the API",
    "unauthorized_client": "check that the account's plan includes the API",
    "invalid_scope": "check scopes",
}


def obtain(settings: RaskSettings, now: float) -> Flow[Credential]:
    """A token, to be renewed a minute before its end, or a tenth of its life where that is shorter.

    Args:
        now: UTC seconds.
    """
    fields, headers = {"grant_type": "client_credentials"}, dict[str, str]()
    if settings.scopes.strip():
        fields["scope"] = settings.scopes
    if settings.client_auth == "basic":
        headers["authorization"] = f"Basic {basic(settings)}"
    else:
        fields |= {"client_id": settings.client_id, "client_secret": settings.client_secret}
    reply = yield Request(
        method="POST", url=settings.token_url, role=Role.FOREIGN, classes=(), headers=headers, body=Form(fields)
    )
    found = reply.object()
    token, life = word(found.get("access_token")), number(found.get("expires_in"))
    if token is None or not token.isascii() or not token.isprintable() or " " in token:
        raise Refused(_no_token())
    life = life if life is not None and 0 < life < 1e9 else _ASSUMED
    return Credential(token, now + life - min(_MARGIN, life * _SHARE))


def basic(settings: RaskSettings) -> str:
    """Client id and secret as a Basic header carries them."""
    return base64.b64encode(f"{settings.client_id}:{settings.client_secret}".encode()).decode()


def refused(reply: Reply) -> Verdict:
    """What a token endpoint's refusal means: whatever does not pass by itself is the account's trouble."""
    found = reply.object()
    code = word(found.get("error"))
    passing = reply.status >= 500 or reply.status in _PASSING
    words = said(found.get("error_description")) or code or said(found) or f"HTTP {reply.status}"
    advice = _ADVICE.get(code or "", "check token_url, client_id and client_secret")
    return Verdict(
        kind=Kind.TRANSIENT if passing else Kind.AUTH,
        message=f"rask gave no access token (HTTP {reply.status}): {quote(words)}"
        f"; {'viseme tries again' if passing else advice}",
        code=code,
        retry_after=retry_after(reply) if passing else None,
        blame="vendor" if passing else "account",
    )


def _no_token() -> Verdict:
    return Verdict(
        kind=Kind.AUTH,
        message="rask's token endpoint answered without an access_token; check token_url",
        blame="account",
    )
