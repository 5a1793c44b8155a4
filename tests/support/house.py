"""A vendor that tests script: its flows, sheet and verdicts are what they are told to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve

from viseme.attempts import Handle, Intent
from viseme.config import Account
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.base import (
    Accepted,
    Credential,
    Flow,
    Model,
    Observation,
    Outcome,
    Provider,
    Reply,
    Request,
    Role,
    Safety,
    Seen,
    Sheet,
    Verdict,
)

__all__ = ["BASE", "House", "account", "house"]

BASE = "https://api.house.example/v1"


class House(Provider):
    """Polls ``/jobs/ID``, lists ``/jobs``, creates at ``/create``; replies are JSON.

    Attributes:
        expires: how long a token lives; None for the plain key.
        refuse: asked first for a verdict.
    """

    name = "house"
    sheet = Sheet(base_url=BASE, models={"m": Model(name="m")}, rates={}, concurrency=4)

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.expires: float | None = None
        self.refuse: Callable[[Request, Outcome], Verdict | None] = lambda request, outcome: None

    def authorize(self, old: Credential | None, now: float) -> Flow[Credential]:
        if self.expires is None:
            return Credential(self.account.api_key or "")
        reply = yield Request(method="POST", url="https://login.house.example/token", role=Role.FOREIGN, classes=())
        return Credential(str(reply.object().get("token")), now + self.expires)

    def sign(self, request: Request, credential: Credential, now: float) -> Mapping[str, str]:
        return {"X-Key": credential.value, "X-Signed": f"{now:.0f}"}

    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        reply = yield Request(
            method="POST", url=f"{self.base}/create", role=Role.PAID, classes=("create", "post", "all"),
            json={"key": intent.key},
        )  # fmt: skip
        return Accepted(handle={"id": reply.object()["id"]})

    def poll(self, handle: Handle, hold: float = 0.0, now: float = 0.0) -> Flow[Observation]:
        reply = yield Request(method="GET", url=f"{self.base}/jobs/{handle['id']}", classes=("read", "all"), hold=hold)
        return seen(reply.object())

    def poll_many(self, handles: Sequence[Handle]) -> Flow[Mapping[str, Observation]]:
        ids = ",".join(handle["id"] for handle in handles)
        reply = yield Request(method="GET", url=f"{self.base}/jobs?ids={ids}", classes=("read", "all"))
        return {name: seen(said) for name, said in reply.object().items()}

    def verdict(self, request: Request, outcome: Outcome) -> Verdict | None:
        return self.refuse(request, outcome) or super().verdict(request, outcome)

    def refusal(self, request: Request, reply: Reply) -> Verdict:
        said = reply.object()
        kinds = {401: Kind.AUTH, 404: Kind.NOT_FOUND, 405: Kind.NOT_FOUND, 429: Kind.RATE_LIMITED, 503: Kind.TRANSIENT}
        kind = Kind(said["kind"]) if "kind" in said else kinds.get(reply.status, Kind.INVALID)
        return Verdict(
            kind=kind, message=str(said.get("message", f"HTTP {reply.status}")), retry_after=said.get("wait")
        )


def seen(said: Mapping[str, Any]) -> Observation:
    """``{"s": "running", "p": 50, "hint": 3}`` as an observation; ``odd`` says what makes no sense about it."""
    odd = Verdict(kind=Kind.PROTOCOL, message=str(said["odd"])) if "odd" in said else None
    return Observation(
        seen=Seen(said["s"]), status=str(said["s"]), progress=said.get("p"), hint=said.get("hint"), verdict=odd
    )


def account(**more: Any) -> Account:
    """An account of the house."""
    return Account("house", **{"api_key": "secret", **more})


def house(*, safety: Safety = Safety.NONE, given: Account | None = None, **sheet: Any) -> House:
    """The house with another sheet."""
    provider = House(given or account())
    provider.sheet = evolve(House.sheet, safety=safety, **sheet)
    return provider
