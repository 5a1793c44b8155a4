"""Edited segments, which have to be processed before a project is dubbed again. Source: fact sheet section 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from viseme.attempts import Handle
from viseme.failures import Kind
from viseme.providers.base import Flow, Observation, Refused, Seen, Verdict
from viseme.providers.rask import dubs, infos
from viseme.providers.rask.calls import Calls
from viseme.providers.rask.statuses import Phase
from viseme.providers.reading import listing, word
from viseme.wording import quote

__all__ = ["poll"]

_PASSING = frozenset({Kind.TRANSIENT, Kind.LIMITED, Kind.RATE_LIMITED})
_TRIES = 3
_UNKNOWN = frozenset({Kind.NOT_FOUND, Kind.INVALID})


def poll(calls: Calls, handle: Handle) -> Flow[Observation]:
    """Look until nothing stands in the way of a new dub: no dub, no lip-sync and no segment is being worked at."""
    name = str(handle["id"])
    try:
        project = yield from dubs.look(calls, name)
    except Refused as refusal:
        if refusal.verdict.kind in _UNKNOWN:
            failed = dubs.not_ours(name, refusal.verdict)
            return Observation(seen=Seen.FAILED, status="not found", verdict=failed)
        raise
    if project.phase in (Phase.NOT_BEGUN, Phase.WORKING):
        return Observation(seen=Seen.RUNNING, status=project.status or "none", hint=10.0)
    info = yield from infos.look(calls, name)
    if info.working:
        return Observation(seen=Seen.RUNNING, status="a lip-sync is under way", hint=15.0)
    try:
        reply = yield calls.transcription(name)
    except Refused as refusal:
        return _unread(handle, refusal)
    return _judged(name, listing(reply.object().get("segments")) or [])


def _unread(handle: Handle, refusal: Refused) -> Observation:
    """Segments that cannot be read hold nothing up, unless the trouble may be over at the next look."""
    misses = int(handle.get("misses", 0)) + 1
    if refusal.verdict.kind is Kind.AUTH:
        raise refusal
    if refusal.verdict.kind in _PASSING and misses < _TRIES:
        return Observation(seen=Seen.RUNNING, status="segments unread", handle={**handle, "misses": misses})
    return Observation(seen=Seen.SUCCEEDED, status="segments unread")


def _judged(name: str, segments: Sequence[Mapping[str, Any]]) -> Observation:
    states = [(word(segment.get("status")) or "").strip().lower() for segment in segments]
    if "error" in states:
        wrong = quote(segments[states.index("error")].get("id"), 60)
        verdict = Verdict(
            kind=Kind.INVALID,
            message=f"segment {wrong} of project {quote(name)} is in error; correct it at rask.ai, then run again",
            blame="job",
        )
        return Observation(seen=Seen.FAILED, status="error", verdict=verdict)
    if "processing" in states:
        return Observation(seen=Seen.RUNNING, status="processing", hint=5.0)
    return Observation(seen=Seen.SUCCEEDED, status="updated")
