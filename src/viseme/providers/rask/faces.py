"""The face check before a lip-sync, and the last wait before one. Source: fact sheet sections 4 and 11, seed 000."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from viseme.attempts import Handle
from viseme.failures import Kind
from viseme.providers.base import Flow, Observation, Refused, Seen, Verdict
from viseme.providers.rask import dubs, infos
from viseme.providers.rask.calls import Calls
from viseme.providers.rask.infos import Info
from viseme.providers.rask.refusals import about
from viseme.results import Reason
from viseme.wording import quote

__all__ = ["poll"]

_LOST = frozenset({Kind.TRANSIENT, Kind.PROTOCOL})
_PARKS = {Kind.NO_CREDIT: Reason.NO_CREDIT, Kind.NOT_FOUND: Reason.NEEDS_PERSON}


def poll(calls: Calls, handle: Handle, now: float) -> Flow[Observation]:
    """Look until the project may have its lip-sync: dubbed, with a face, and with no other lip-sync under way.

    The handle's ``paid`` tells whether its dub was. A check that nobody began is begun by hand when the grace time is
    over, and again, later, where nothing came of that.
    """
    name = str(handle["id"])
    info = yield from infos.look(calls, name)
    kept = {**handle, "since": handle.get("since", now)}
    judged = _judged(name, info, kept, now, calls.settings.face_check_grace)
    if judged is not None:
        return judged
    project = yield from dubs.look(calls, name)
    dubbed = dubs.watch(project, kept)
    if dubbed.seen is not Seen.SUCCEEDED:
        return dubbed
    if info.face is None and info.has_face is None:
        return (yield from _begin(calls, name, kept, now))
    if info.working:
        return _waits("another lip-sync is under way", kept, 15.0)
    return evolve(dubbed, status="face found")


def _judged(name: str, info: Info, handle: Handle, now: float, grace: float) -> Observation | None:
    """What the face check by itself says; None where the project decides what follows."""
    waited = now - handle["since"]
    if info.face == "failed":
        return _failed("failed", _broken(name, handle))
    if info.face is None and info.has_face is None:
        return None if waited >= grace and _may_ask(handle, now, grace) else _waits("face check not begun", handle, 5.0)
    if info.face not in (None, "done", "outdated"):
        return _waits(info.face or "", handle, 5.0)
    if info.has_face is None:
        if waited < grace:
            return _waits(f"{info.face}, nothing said of a face", handle, 10.0)
        return _unsaid(name, handle)
    return None if info.has_face else _failed("no face", _faceless(name, handle))


def _may_ask(handle: Handle, now: float, grace: float) -> bool:
    """Whether the check was never begun by hand, or nothing came of that: soon where the request was lost, later where
    it seemed to be taken. The check costs nothing."""
    asked = handle.get("asked")
    return asked is None or now - asked >= (max(grace, 30.0) if handle.get("lost") else max(10 * grace, 300.0))


def _begin(calls: Calls, name: str, handle: Handle, now: float) -> Flow[Observation]:
    asked = {**handle, "asked": now}
    try:
        yield calls.check_face(name)
    except Refused as refusal:
        verdict = refusal.verdict
        if verdict.kind in _LOST:
            return _waits("face check asked for", {**asked, "lost": True}, 5.0)
        if verdict.kind in _PARKS:
            return evolve(_waits("face check refused", handle), park=_PARKS[verdict.kind], verdict=verdict)
        if verdict.kind is not Kind.INVALID:
            raise
        info = yield from infos.look(calls, name)
        if info.face is None:
            return _failed("face check refused", about(verdict, f"the face check of project {quote(name)}"))
    return _waits("started", {**asked, "lost": False}, 5.0)


def _waits(status: str, handle: Handle, hint: float | None = None) -> Observation:
    return Observation(seen=Seen.RUNNING, status=status, handle=handle, hint=hint)


def _failed(status: str, verdict: Verdict) -> Observation:
    return Observation(seen=Seen.FAILED, status=status, verdict=verdict)


def _faceless(name: str, handle: Handle) -> Verdict:
    return Verdict(
        kind=Kind.INVALID,
        message=f"rask found no face in the video of project {quote(name)}, so no lip-sync was run or billed;"
        " give a video that shows a face",
        blame="job",
        charged=bool(handle.get("paid")),
    )


def _broken(name: str, handle: Handle) -> Verdict:
    return Verdict(
        kind=Kind.JOB_FAILED,
        message=f"the face check of project {quote(name)} failed; no lip-sync was run or billed:"
        " write to support@rask.ai and name the project",
        charged=bool(handle.get("paid")),
    )


def _unsaid(name: str, handle: Handle) -> Observation:
    verdict = Verdict(
        kind=Kind.PROTOCOL,
        message=f"the face check of project {quote(name)} is done, but rask does not say whether there is a face;"
        " the next run asks again",
    )
    changes: dict[str, Any] = {"park": Reason.UNCONFIRMED, "verdict": verdict}
    return evolve(_waits("done", handle), **changes)
