"""Media in Rask's library: handed over or there already, processed, ready. Source: fact sheet section 2."""

from __future__ import annotations

from viseme.attempts import Handle
from viseme.failures import Kind
from viseme.providers.base import Accepted, FilePart, Flow, Observation, Refused, Seen, Uploaded, Verdict
from viseme.providers.rask.calls import Calls
from viseme.providers.rask.refusals import nonsense
from viseme.providers.reading import entry, identifier, number, word
from viseme.wording import quote

__all__ = ["begin", "poll", "upload"]

_YOUNG = 60.0
"""For so many seconds a medium that the library does not show may just not be in sight yet."""
_GONE = frozenset({Kind.NOT_FOUND, Kind.INVALID})


def upload(calls: Calls, source: FilePart | str) -> Flow[Uploaded]:
    """Put a file or a link into the library."""
    reply = yield calls.link(source) if isinstance(source, str) else calls.send(source)
    name = identifier(reply.object().get("id"))
    if name is None:
        raise nonsense("an upload without an id")
    return Uploaded(handle={"id": name}, lifetime=calls.settings.upload_lifetime)


def begin(calls: Calls, handle: Handle, now: float) -> Flow[Accepted]:
    """Look whether a medium can be dubbed already.

    Raises:
        Refused: the library has lost, or could not use, one that was handed over for this or another job; handing it
            over once more may help.
    """
    try:
        seen = yield from poll(calls, handle, now)
    except Refused as refusal:
        if refusal.verdict.kind not in _GONE:
            raise
        seen = _failed("not found", _missing(handle), refusal.verdict.message)
    if seen.verdict is None:
        return Accepted(handle=seen.handle or handle)
    if not handle.get("given"):
        raise Refused(seen.verdict)
    return Accepted(handle=handle, observation=seen)


def poll(calls: Calls, handle: Handle, now: float) -> Flow[Observation]:
    """Look at a medium until it can be dubbed."""
    name = str(handle["id"])
    try:
        reply = yield calls.media(name)
    except Refused as refusal:
        verdict = refusal.verdict
        if verdict.kind not in _GONE or not (handle.get("given") or now - handle.get("since", now) >= _YOUNG):
            raise
        return _failed("not found", _missing(handle), verdict.message)
    found = reply.object()
    status = (word(found.get("status")) or "").strip().lower()
    if status == "failed":
        what = f"rask could not read the video (media {quote(name)} failed)"
        return _failed(status, what, "give a link that is public and direct, or a file that plays")
    if status != "ready":
        return Observation(seen=Seen.RUNNING, status=status or "unknown", hint=5.0)
    kind = (word(found.get("kind")) or "video").strip().lower()
    if kind != "video":
        return _failed(status, f"rask's media {quote(name)} is no video but {quote(kind, 40)}", "give a video")
    seconds = number(entry(found, "meta", "duration_seconds"))
    known = {} if seconds is None or not 0 < seconds < 1e7 else {"seconds": seconds}
    return Observation(seen=Seen.SUCCEEDED, status=status, handle={**handle, **known})


def _missing(handle: Handle) -> str:
    return f"rask's library has no media {quote(handle['id'])} for this account"


def _failed(status: str, what: str, advice: str) -> Observation:
    """Nothing was dubbed, so nothing is charged."""
    verdict = Verdict(kind=Kind.MEDIA_UNREACHABLE, message=f"{what}: {advice}", blame="job")
    return Observation(seen=Seen.FAILED, status=status, verdict=verdict)
