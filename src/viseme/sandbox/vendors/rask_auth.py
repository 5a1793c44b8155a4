"""Rask's access tokens: client credentials at an OAuth2 token endpoint in the manner of Cognito."""

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
from aiohttp import web

from ..accounts import Account, account_name
from .wire import Call, Endpoint, Refusal, Throttled, reply

if TYPE_CHECKING:
    from .rask import Rask

SCOPES = ("api/source", "api/input", "api/output", "api/limit")


@attrs.frozen
class Token:
    """Whose token it is, until when it opens the API, and under which generation it was issued."""

    account: str
    until: float
    generation: int


class RaskAuth:
    """Issues tokens and knows them again. The client id and secret `sandbox` open the vendor's own account."""

    def __init__(self, vendor: "Rask") -> None:
        self._vendor = vendor
        self._tokens: dict[str, Token] = {}

    def endpoints(self) -> Sequence[Endpoint]:
        """The token endpoint, which asks for no token."""
        return (Endpoint("POST", "/oauth2/token", "token", self._issue, key=False),)

    def account_of(self, token: str) -> str | None:
        """The account that a token opens now."""
        found = self._tokens.get(token)
        if found is None or found.generation != self._vendor.settings.token_generation:
            return None
        return found.account if self._vendor.house.clock.now() < found.until else None

    def revoke(self, token: str | None) -> None:
        """Makes a token worthless."""
        self._tokens.pop(token or "", None)

    async def _issue(self, call: Call) -> web.StreamResponse:
        """POST /oauth2/token."""
        if call.request.content_type != "application/x-www-form-urlencoded":
            raise _refused("invalid_request")
        form = {name: str(value) for name, value in (await call.request.post()).items()}
        account = self._client(call, form)
        wait = account.window("token").take(call.now, self._vendor.settings.token)
        if wait:
            raise Throttled(self._vendor.too_fast(call, wait))
        if form.get("grant_type") != "client_credentials":
            raise _refused("unsupported_grant_type" if form.get("grant_type") else "invalid_request")
        if set(form.get("scope", "").split()) - set(SCOPES):
            raise _refused("invalid_scope")
        token, seconds = self._new(account, call.now)
        return reply({"access_token": token, "expires_in": seconds, "token_type": "Bearer"})

    def _client(self, call: Call, form: Mapping[str, str]) -> Account:
        id, secret = _basic(call.request) or (form.get("client_id", ""), form.get("client_secret", ""))
        name = account_name(self._vendor.name, id)
        if name is None or secret not in (id, "sandbox"):
            raise _refused("invalid_client")
        call.row.account, call.row.authorised = name, True
        account = self._vendor.accounts.setdefault(name, Account(name))
        call.enter(account)
        return account

    def _new(self, account: Account, now: float) -> tuple[str, int]:
        """A token and its life in whole seconds of the client's clock, of which none is promised in vain."""
        clock, seconds = self._vendor.house.clock, self._vendor.settings.token_seconds
        real = clock.unix(now + seconds) - clock.unix(now)
        told = max(1, int(real + 1e-6))
        until = now + max(seconds, told * seconds / real if real > 0 else 0.0)
        self._tokens = {text: known for text, known in self._tokens.items() if known.until > now}
        token = secrets.token_urlsafe(48)
        self._tokens[token] = Token(account.name, until, self._vendor.settings.token_generation)
        self._vendor.holdings(account).tokens += 1
        return token, told


def _basic(request: web.Request) -> tuple[str, str] | None:
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        id, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (id, secret) if colon else ("", "")


def _refused(error: str) -> Refusal:
    return Refusal(reply({"error": error}, 400))
