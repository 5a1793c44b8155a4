"""What Rask's refusals mean. Its error codes are documented nowhere, so statuses decide. Source: sheet section 8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from attrs import evolve

from viseme.failures import Kind
from viseme.providers.base import Blame, Refused, Reply, Request, Role, Verdict, http_kind, retry_after
from viseme.providers.rask import tokens
from viseme.providers.reading import entry, identifier, said, word
from viseme.wording import quote

__all__ = ["about", "nonsense", "refusal"]

_MONEY = ("minute", "plan", "subscription", "credit", "balance", "quota", "payment", "upgrade", "billing", "tariff")
_ENDPOINTS = "check the endpoint configuration: base_url, lipsync_path and check_face_path"
_ADVICE = {
    Kind.AUTH: "check client_id, client_secret and what they are allowed to do",
    Kind.NO_CREDIT: "add minutes at rask.ai, or check what the plan includes, and run again",
    Kind.NOT_FOUND: "check base_url, and that the id is one of this account's",
    Kind.INVALID: "change the job and run it again",
    Kind.LIMITED: "viseme waits and goes on",
    Kind.TRANSIENT: "viseme tries again",
    Kind.FATE_UNKNOWN: "viseme looks at what became of it before anything is paid again",
}
_BLAME: dict[Kind, Blame] = {
    Kind.AUTH: "account",
    Kind.NO_CREDIT: "account",
    Kind.NOT_FOUND: "account",
    Kind.LIMITED: "account",
    Kind.INVALID: "job",
}


def refusal(request: Request, reply: Reply) -> Verdict:
    """What a reply with an error status means, status and words read."""
    if request.role is Role.FOREIGN:
        return tokens.refused(reply)
    words = _words(reply)
    kind = _kind(request, reply.status, words)
    configured = request.method == "PUT" and reply.status in (404, 405)
    return Verdict(
        kind=kind,
        message=f"rask refused with HTTP {reply.status}: {quote(words)}"
        f"; {_ENDPOINTS if configured else _ADVICE.get(kind, 'see the status')}",
        code=identifier(entry(reply.object().get("detail"), 0, "type")),
        retry_after=retry_after(reply),
        blame=_BLAME.get(kind, "vendor"),
        charged=kind is Kind.FATE_UNKNOWN,
    )


def _kind(request: Request, status: int, words: str) -> Kind:
    if status != 403:
        return http_kind(request, status)
    if any(name in words.lower() for name in _MONEY):
        return Kind.NO_CREDIT
    if request.method == "GET":
        return Kind.NOT_FOUND  # a thing that is somebody else's
    return Kind.INVALID if "/v2/projects/" in request.url else Kind.AUTH  # one project is one job's matter


def _words(reply: Reply) -> str:
    """``detail`` as a text, or as FastAPI's list of places and messages."""
    found = reply.object()
    detail: object = found.get("detail")
    places = "; ".join(_places(cast("list[object]", detail))) if isinstance(detail, list) else None
    shown = said(reply.opening())
    return places or said(cast("object", detail)) or said(found) or shown or "no reason given"


def _places(detail: list[object]) -> Iterable[str]:
    for item in detail[:5]:
        message = word(entry(item, "msg")) or said(item)
        location: object = entry(item, "loc")
        parts = cast("list[object]", location) if isinstance(location, list) else []
        place = ".".join(str(part) for part in parts[:6] if isinstance(part, (str, int)))
        if message:
            yield f"{place}: {message}" if place else message


def nonsense(what: str) -> Refused:
    """A reply with a good status that makes no sense."""
    return Refused(Verdict(kind=Kind.PROTOCOL, message=f"rask answered {what}; check base_url"))


def about(verdict: Verdict, what: str, **changes: Any) -> Verdict:
    """The verdict with what it is about in front of it."""
    return evolve(verdict, message=f"{what}: {verdict.message}", **cast("Mapping[str, Any]", changes))
