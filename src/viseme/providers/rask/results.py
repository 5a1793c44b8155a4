"""What a look at a lip-sync means, when the one before may still be in sight. Source: sheet section 4, traps 2 to 4."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from viseme.attempts import Handle
from viseme.failures import Kind
from viseme.providers.base import Observation, Seen, Verdict
from viseme.providers.rask.infos import Info
from viseme.providers.rask.values import bare
from viseme.providers.reading import artifacts
from viseme.results import Artifact, Cost, Reason
from viseme.wording import quote

__all__ = ["as_before", "is_new", "judge"]

_ENDED = frozenset({"done", "outdated"})
_EMPTY_LOOKS = 5


def is_new(info: Info, handle: Handle) -> bool:
    """Whether what is done is not what was in sight before the order."""
    if info.status != "done":
        return False
    before: dict[str, Any] = handle.get("before") or {}
    if handle.get("begun") or before.get("status") not in _ENDED:
        return True
    return info.path is not None and before.get("path") is not None and not as_before(info, handle)


def as_before(info: Info, handle: Handle) -> bool:
    """Whether what is in sight is what was in sight before the order, as far as that can be told."""
    before: dict[str, Any] = handle.get("before") or {}
    if info.status == "failed":
        return before.get("status") == "failed"
    if info.status not in _ENDED or before.get("status") not in _ENDED:
        return False
    return info.path is not None and bare(info.path) == bare(before.get("path"))


def judge(info: Info, handle: Handle, now: float, grace: float) -> Observation:
    """What a look says of the lip-sync that the handle stands for.

    Args:
        handle: ``before`` is what was in sight before the order, ``at`` when that was given, ``begun`` whether work on
            it was seen, ``moved`` whether its progress was, ``again`` since when ``before`` is in sight once more.
        grace: seconds for which the one before may stay in sight.
    """
    if "result" in handle:
        return _again(info, handle)
    if info.working:
        return _working(info, handle)
    waited = now - float(handle["at"])
    if handle.get("begun") and as_before(info, handle):
        since = float(handle.get("again", now))
        if now - since < grace:  # an old copy may tell of it, or the new result lies where the old one lay
            return Observation(seen=Seen.RUNNING, status=info.status or "", handle={**handle, "again": since}, hint=5.0)
    if info.status == "failed" and (_changed(info, handle) or waited >= grace):
        return Observation(seen=Seen.FAILED, status="failed", verdict=_failed(handle), cost=_cost(handle))
    if is_new(info, handle):
        return _done(info, handle, waited, grace)
    if waited < grace or (info.status is None and handle.get("begun")):
        return Observation(seen=Seen.RUNNING, status=info.status or "none", handle=handle, hint=5.0)
    return Observation(
        seen=Seen.RUNNING,
        status=info.status or "none",
        handle=handle,
        park=Reason.UNCONFIRMED,
        verdict=_unconfirmed(info, handle, grace),
    )


def _working(info: Info, handle: Handle) -> Observation:
    """Queued as long as no progress was ever shown; a pause in the telling is no return to the queue."""
    moved = bool(handle.get("moved")) or info.progress is not None
    kept = {name: value for name, value in handle.items() if name != "again"}
    return Observation(
        seen=Seen.RUNNING if moved else Seen.QUEUED,
        status=info.status or "",
        progress=info.progress,
        queue_position=None if moved else info.ahead,
        handle={**kept, "begun": True, "moved": moved},
        hint=15.0 if moved else 30.0,
    )


def _changed(info: Info, handle: Handle) -> bool:
    before: dict[str, Any] = handle.get("before") or {}
    return bool(handle.get("begun")) or before.get("status") != info.status


def _done(info: Info, handle: Handle, waited: float, grace: float) -> Observation:
    if info.path is None:
        return _empty(handle, waited, grace)
    outputs = artifacts(info.path)
    if not outputs:
        message = (
            f"rask's link to the lip-sync of project {quote(handle['id'])} is no http(s) link: {quote(info.path)};"
            " the result can be had at rask.ai, or run again to look once more"
        )
        return _no_file(message, handle)
    role = "preview" if handle.get("keep") else "video"
    made = tuple(Artifact(url=one.url, role=role, expires_at=one.expires_at) for one in outputs)
    # What was ordered has been seen: when its link runs out, the next look is not asked for proof again.
    return Observation(
        seen=Seen.SUCCEEDED,
        status="done",
        progress=100.0,
        outputs=made,
        cost=_cost(handle),
        handle={**handle, "begun": True, "result": bare(info.path)},
    )


def _again(info: Info, handle: Handle) -> Observation:
    """A result that was seen before, asked for once more: only the same file will do, since nothing else tells a
    preview from the whole (sheet section 4, trap 3)."""
    if info.status == "done" and info.path is not None and bare(info.path) == handle["result"]:
        return _done(info, handle, 0.0, 0.0)
    message = (
        f"project {quote(handle['id'])} shows another lip-sync by now, so this one's result cannot be fetched again;"
        " it can be had at rask.ai, or made anew (--redo)"
    )
    verdict = Verdict(kind=Kind.RESULT_EXPIRED, message=message, charged=True)
    return Observation(seen=Seen.RUNNING, status=info.status or "none", park=Reason.NEEDS_PERSON, verdict=verdict)


def _empty(handle: Handle, waited: float, grace: float) -> Observation:
    """Done, with the link still to come: a few more looks, then an error (trap 4)."""
    looks, since = int(handle.get("empty", 0)) + 1, float(handle.get("empty_since", waited))
    noted = {**handle, "empty": looks, "empty_since": since}
    if looks < _EMPTY_LOOKS or waited - since < grace:
        return Observation(seen=Seen.RUNNING, status="done", progress=100.0, handle=noted, hint=5.0)
    message = (
        f"rask calls the lip-sync of project {quote(handle['id'])} done and gives no link to it;"
        " write to support@rask.ai and name the project, or run again to look once more"
    )
    return _no_file(message, noted)


def _no_file(message: str, handle: Handle) -> Observation:
    """What was paid for is done and cannot be fetched as it is shown; a later run looks again."""
    verdict = Verdict(kind=Kind.PROTOCOL, message=message, charged=True)
    return Observation(
        seen=Seen.RUNNING,
        status="done",
        progress=100.0,
        verdict=verdict,
        park=Reason.UNCONFIRMED,
        cost=_cost(handle),
        handle=handle,
    )


def _failed(handle: Handle) -> Verdict:
    """When minutes are taken, and whether they are given back, is not documented (sheet section 7)."""
    return Verdict(
        kind=Kind.JOB_FAILED,
        message=f"the lip-sync of project {quote(handle['id'])} failed; write to support@rask.ai and name the project",
        charged=True,  # the dub was, and a second try of the same version is not to be had
    )


def _unconfirmed(info: Info, handle: Handle, grace: float) -> Verdict:
    shown = {None: "no lip-sync", "outdated": "a lip-sync of an older dub"}.get(info.status, "the lip-sync before")
    return Verdict(
        kind=Kind.PROTOCOL,
        message=f"the lip-sync of project {quote(handle['id'])} was ordered, but rask still shows {shown}"
        f" after {grace:g} s (stale_grace); nothing is ordered again, and the next run looks again",
    )


def _cost(handle: Handle) -> Cost | None:
    known: dict[str, Any] | None = handle.get("cost")
    return None if known is None else evolve(Cost(**known), estimated=True)
