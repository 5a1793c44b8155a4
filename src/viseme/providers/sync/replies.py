"""What Sync's replies mean. Source: fact sheet sections 2 to 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from viseme.evolving import evolve
from viseme.failures import Kind
from viseme.providers.base import (
    Blame,
    Model,
    Observation,
    Reply,
    Request,
    Role,
    Seen,
    Verdict,
    http_kind,
    retry_after,
)
from viseme.providers.reading import artifacts, entry, identifier, number, said, word
from viseme.providers.sync.codes import Meaning, meaning
from viseme.providers.verdicts import without_link
from viseme.results import Cost
from viseme.wording import quote

__all__ = ["observe", "refusal"]

_ALIVE = {
    "PENDING": Observation(seen=Seen.QUEUED, status="PENDING"),
    "PROCESSING": Observation(seen=Seen.RUNNING, status="PROCESSING"),
}
_LONGEST_HINT = 300.0
"""No look is put off longer than by so many seconds: what a job in sight costs is one request."""
_ENDED_BADLY = frozenset({"FAILED", "REJECTED", "CANCELED", "CANCELLED", "TIMED_OUT"})
"""The later ones only stand in documents of 2025 (section 3)."""

_PENDING_KINDS = frozenset(
    {Kind.TRANSIENT, Kind.FATE_UNKNOWN, Kind.NO_SEAT, Kind.RATE_LIMITED, Kind.LIMITED, Kind.NOT_FOUND}
)
"""Kinds that say nothing of a job that has ended."""

_BLAME: dict[Kind, Blame] = {
    Kind.AUTH: "account",
    Kind.NO_CREDIT: "account",
    Kind.LIMITED: "account",
    Kind.INVALID: "job",
    Kind.NOT_FOUND: "account",
}
_ADVICE = {
    Kind.AUTH: "check api_key",
    Kind.NO_CREDIT: "settle the account's billing at sync.so and run again",
    Kind.LIMITED: "viseme waits and goes on",
    Kind.INVALID: "change the job and run it again",
    Kind.NOT_FOUND: "check base_url, or the id that was asked for",
    Kind.TRANSIENT: "viseme tries again",
    Kind.FATE_UNKNOWN: "the same key is asked again; nothing is paid twice",
}


def observe(found: Mapping[str, Any], models: Mapping[str, Model], reply: Reply | None = None) -> Observation:
    """One look at a generation. Without an ``outputUrl`` nothing is done yet, whatever the status says."""
    told, percent = found.get("status"), found.get("progress_percent")
    progress = None if percent is None else _progress(percent)
    hint = None if reply is None else retry_after(reply)
    if hint is not None and hint > _LONGEST_HINT:
        hint = _LONGEST_HINT
    alive = _ALIVE.get(told) if isinstance(told, str) else None
    if alive is not None:
        return alive if progress is None and hint is None else evolve(alive, progress=progress, hint=hint)
    raw = word(told) or "unknown"
    status, link = raw.strip().upper(), found.get("outputUrl")
    if status == "COMPLETED" and (outputs := artifacts(link)):
        return Observation(
            seen=Seen.SUCCEEDED, status=status, progress=100.0, outputs=outputs, cost=_cost(found, models)
        )
    if status in _ENDED_BADLY:
        return Observation(seen=Seen.FAILED, status=status, verdict=_ended_badly(found, status))
    return Observation(
        seen=Seen.QUEUED if status == "PENDING" else Seen.RUNNING,
        status=raw,
        progress=progress,
        verdict=without_link("sync", status, link) if status == "COMPLETED" else None,
        hint=hint,
    )


def _progress(told: object) -> float | None:
    percent = number(told)
    return None if percent is None else min(100.0, max(0.0, percent))


def _cost(found: Mapping[str, Any], models: Mapping[str, Model]) -> Cost | None:
    """No reply carries a cost; it is reckoned from the length and the price table (section 7)."""
    seconds, model = number(found.get("outputDuration")), models.get(str(found.get("model")))
    if seconds is None or seconds < 0 or model is None or model.price is None:
        return None
    return model.price.cost(seconds)


def _ended_badly(found: Mapping[str, Any], status: str) -> Verdict:
    """Billing is per output frame, so a job without output presumably costs nothing (an assumption, section 7)."""
    code = _code(found)
    known = meaning(code)
    if known is None or known.kind in _PENDING_KINDS:
        # A job is rejected before it runs, by moderation or the plan's limits (section 3): the same again is in vain.
        rejected = status == "REJECTED" or (known is not None and known.blame != "vendor")
        known = Meaning(
            Kind.INVALID if rejected else Kind.JOB_FAILED,
            "job" if rejected else "vendor",
            "change the job and run it again" if rejected else "no output, so presumably no charge",
        )
    words = said(found.get("error")) or said(found.get("message")) or "no reason given"
    return Verdict(
        kind=known.kind,
        message=f"sync ended the job as {status}: {_quoted(words, code)}; {known.advice}",
        code=code,
        blame=known.blame,
        charged=False,
    )


def refusal(request: Request, reply: Reply) -> Verdict:
    """What an HTTP error means: for a paid request its fate first, else the code, else the status."""
    found = reply.object()
    code = _code(found)
    known = _settled(request, reply.status, code)
    kind = known.kind if known else _kind(request, reply.status, code)
    words = said(found.get("message")) or said(found.get("error")) or said(reply.opening()) or "no reason given"
    generation = identifier(found.get("generationId"))
    return Verdict(
        kind=kind,
        message=f"sync refused with HTTP {reply.status}: {_quoted(words, code)}{_label(found)}"
        f"; {known.advice if known else _ADVICE[kind]}",
        code=code,
        retry_after=_wait(found, reply),
        blame=known.blame if known else _BLAME.get(kind, "vendor"),
        charged=kind is Kind.FATE_UNKNOWN,
        handle={"id": generation} if generation is not None and kind is Kind.FATE_UNKNOWN else None,
        limit=_limit(found),
        line=_line(found),
    )


def _settled(request: Request, status: int, code: str | None) -> Meaning | None:
    """The code's meaning, where neither the request's fate nor the status says more."""
    known = meaning(code)
    if known is None or status >= 500:
        return None
    if request.role is Role.PAID:
        return None if status in (408, 409) or known.kind is Kind.FATE_UNKNOWN else known
    return None if known.kind in (Kind.FATE_UNKNOWN, Kind.JOB_FAILED) else known


def _kind(request: Request, status: int, code: str | None) -> Kind:
    """A 409, and whatever the vendor says of a key but that it is malformed, leaves open what became of the job."""
    known = meaning(code)
    if request.role is Role.PAID and (status == 409 or (known is not None and known.kind is Kind.FATE_UNKNOWN)):
        return Kind.FATE_UNKNOWN
    kind = http_kind(request, status)
    return Kind.TRANSIENT if status == 409 else kind


def _code(found: Mapping[str, Any]) -> str | None:
    """``errorCode`` in polled objects and refusals, ``error_code`` in webhooks and older replies (section 9)."""
    return identifier(found.get("errorCode")) or identifier(found.get("error_code"))


def _wait(found: Mapping[str, Any], reply: Reply) -> float | None:
    seconds = number(found.get("retryAfterSeconds"))
    return seconds if seconds is not None and 0 <= seconds < 1e9 else retry_after(reply)


def _limit(found: Mapping[str, Any]) -> int | None:
    limit = number(found.get("concurrencyLimit"))
    return int(limit) if limit is not None and 1 <= limit < 1e6 else None


def _line(found: Mapping[str, Any]) -> int | None:
    line = number(found.get("lineNumber"))  # of a batch's record (section 2.8)
    return int(line) if line is not None and 1 <= line < 1e6 else None


def _quoted(words: str, code: str | None) -> str:
    return quote(words) + (f" ({quote(code, 80)})" if code else "")


def _label(found: Mapping[str, Any]) -> str:
    parts = [("field", entry(found, "field")), ("request", entry(found, "requestId"))]
    told = [f"{name} {quote(value, 80)}" for name, value in parts if word(value)]
    return f" [{', '.join(told)}]" if told else ""
