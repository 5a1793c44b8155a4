"""Rask's lip-syncs: ordered once per dub and mode, and told from the one before. Source: sheet sections 4 to 8."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from viseme.attempts import Handle, Intent
from viseme.failures import Kind
from viseme.providers.base import (
    Absent,
    Accepted,
    Finding,
    Flow,
    Found,
    Observation,
    Refused,
    Reply,
    Save,
    Seen,
    Undecided,
    Verdict,
)
from viseme.providers.rask import dubs, infos, results
from viseme.providers.rask.calls import Calls
from viseme.providers.rask.infos import Info
from viseme.providers.rask.refusals import about
from viseme.providers.rask.statuses import Phase, Project
from viseme.providers.rask.values import whole
from viseme.results import Reason
from viseme.wording import quote

__all__ = ["create", "poll", "reconcile"]


def create(calls: Calls, handle: Handle, *, several: bool) -> Flow[Accepted]:
    """Order a lip-sync of a project's present dub.

    Args:
        handle: with ``id``, ``stage`` and ``mode``, and what the stages before know of edits; ``had`` is the result
            that this job has seen of the project before.
        several: whether several faces are on screen at once.
    """
    name, mode = str(handle["id"]), str(handle["mode"])
    project = yield from _dubbed(calls, handle)
    info = yield from infos.look(calls, name)
    _check(name, info)
    handle = {**handle, "version": project.version, "before": _noted(info, handle)}
    yield Save(handle)
    claim = f"{name}@{project.version}#{mode}"
    try:
        reply = yield calls.run(name, several=several, free=mode == "preview", claim=claim)
    except Refused as refusal:
        return (yield from _refused(calls, handle, refusal.verdict))
    if not _tells(reply):
        return (yield from _unsaid(calls, handle))
    ahead = whole(reply.object().get("tasks_in_lipsync_queue"))
    return Accepted(
        handle=handle, observation=Observation(seen=Seen.QUEUED, status="started", queue_position=ahead, hint=30.0)
    )


def _dubbed(calls: Calls, handle: Handle) -> Flow[Project]:
    """The project, if it is dubbed.

    Raises:
        Refused: it is not; for the time being, or for good.
    """
    name = str(handle["id"])
    try:
        project = yield from dubs.look(calls, name)
    except Refused as refusal:
        if refusal.verdict.kind is Kind.NOT_FOUND:
            raise Refused(dubs.not_ours(name, refusal.verdict)) from None
        raise
    seen = dubs.watch(project, handle)
    if seen.seen is Seen.SUCCEEDED:
        return project
    if project.phase is Phase.EDITED:
        raise Refused(evolve(dubs.edited(project), park=Reason.NEEDS_PERSON))
    if seen.verdict is not None:
        raise Refused(seen.verdict)
    raise Refused(dubs.busy(name, f"it is not dubbed ({quote(project.status or 'not begun')})"))


def _check(name: str, info: Info) -> None:
    """Let nothing be ordered without a face, or beside another lip-sync.

    Raises:
        Refused: there is none, or there is one under way.
    """
    if info.working:
        raise Refused(dubs.busy(name, "another lip-sync of it is under way"))
    if info.has_face is None:  # it was found once: an old copy may tell of the time before
        raise Refused(dubs.busy(name, "its video is not known to show a face"))
    if not info.has_face:
        message = f"the video of project {quote(name)} has no face, so no lip-sync was run or billed"
        raise Refused(Verdict(kind=Kind.INVALID, message=message, blame="job"))


def _noted(info: Info, handle: Handle) -> dict[str, Any]:
    """What is in sight before the order, to be told from what comes of it.

    An old copy may show nothing where this job has seen its preview already (``had``), which another look may show.
    """
    if info.status is None and "had" in handle:
        return {"status": "done", "path": handle["had"], "progress": None}
    return {"status": info.status, "path": info.path, "progress": info.progress}


def _refused(calls: Calls, handle: Handle, verdict: Verdict) -> Flow[Accepted]:
    """A refusal of what is under way all the same is none.

    Raises:
        Refused: it is one.
    """
    name = str(handle["id"])
    if verdict.kind is Kind.NO_CREDIT and handle["mode"] == "preview":
        # Free minutes are apart: without them whole lip-syncs go on, and no preview turns into one.
        what = f"the free lip-sync of project {quote(name)}"
        raise Refused(about(verdict, what, park=Reason.NO_CREDIT))
    if verdict.kind is not Kind.INVALID:
        raise Refused(verdict)
    return (yield from _in_sight(calls, handle, Refused(about(verdict, f"the lip-sync of project {quote(name)}"))))


def _tells(reply: Reply) -> bool:
    """Whether a good reply to an order is Rask's own: it names one of the two fields that there are, empty or not."""
    return any(name in reply.object() for name in ("tasks_in_lipsync_queue", "lipsync_task_status"))


def _unsaid(calls: Calls, handle: Handle) -> Flow[Accepted]:
    """A good reply that says nothing of the order, which may have come from anybody on the way.

    Raises:
        Refused: nothing of the order is in sight.
    """
    words = f"rask's reply to the order of a lip-sync of project {quote(handle['id'])} says nothing of it"
    unknown = Verdict(kind=Kind.FATE_UNKNOWN, message=f"{words}; viseme looks for it", charged=True)
    return (yield from _in_sight(calls, handle, Refused(unknown)))


def _in_sight(calls: Calls, handle: Handle, otherwise: Refused) -> Flow[Accepted]:
    """The order as taken, where the project shows what came of it.

    Raises:
        Refused: ``otherwise``, where it does not.
    """
    try:
        info = yield from infos.look(calls, str(handle["id"]))
    except Refused:
        raise otherwise from None
    if info.working or results.is_new(info, handle):
        return Accepted(handle={**handle, "begun": True} if info.working else handle)
    raise otherwise


def poll(calls: Calls, handle: Handle, now: float) -> Flow[Observation]:
    """Look at a lip-sync."""
    info = yield from infos.look(calls, str(handle["id"]))
    return results.judge(info, {**handle, "at": handle.get("at", now)}, now, calls.settings.stale_grace)


def reconcile(calls: Calls, intent: Intent, now: float) -> Flow[Finding]:
    """Find out what became of an order whose reply was lost.

    What was in sight before it, and still is when the grace is over, says that it was not carried out; where that is
    wrong, another costs nothing: a project pays for its lip-sync once (sheet section 7).
    """
    saved = intent.saved
    if saved is None:
        return Undecided(message="nothing was noted of the project before its lip-sync was ordered")
    info = yield from infos.look(calls, str(saved["id"]))
    handle = {**saved, "at": intent.at}
    if info.working:
        return Found(handle={**handle, "begun": True})
    if info.status is not None and (info.status == "failed" or not results.as_before(info, handle)):
        return Found(handle=handle)
    if not info.telling:
        return Undecided(message="rask says nothing of the project's lip-sync")
    if now - intent.at <= calls.settings.stale_grace:
        return Undecided(message="rask shows no new lip-sync yet, which may come late")
    return Absent()
