"""Rask's access tokens: client credentials in, a token that runs out or is revoked. Source: fact sheet section 1."""

from __future__ import annotations

from base64 import b64encode

from attrs import define, field
from tests.simulation.network import Answer, Call, answer
from tests.simulation.universe import Universe

__all__ = ["BASIC", "ID", "SECRET", "TOKEN", "Tokens"]

ID = "ID-of-rask"
SECRET = "SECRET-of-rask"
BASIC = b64encode(f"{ID}:{SECRET}".encode()).decode()
TOKEN = "TOKEN-of-rask"
"""How every token begins."""


@define(eq=False)
class Tokens:
    """Issues tokens on a host of its own."""

    universe: Universe
    host = "id.sim"
    _until: dict[str, float] = field(factory=dict[str, float])
    _issued: int = 0

    def handle(self, call: Call) -> Answer:
        form = call.form()
        proved = call.headers.get("authorization") == f"Basic {BASIC}" or form.get("client_secret") == SECRET
        if call.method != "POST" or not proved or form.get("grant_type") != "client_credentials":
            return answer({"error": "invalid_client"}, 400)
        life = self.universe.chance("tokens").choice((30, 90, 3600))
        self._issued += 1
        token = f"{TOKEN}-{self._issued}"
        self._until[token] = self.universe.now + life
        return answer({"access_token": token, "expires_in": life, "token_type": "Bearer"})

    def know(self, call: Call) -> bool:
        """Whether a request bears a token that is good."""
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self._until and not call.twin and self.universe.strike("token revoked"):
            del self._until[token]
        return self.universe.now < self._until.get(token, 0.0)
