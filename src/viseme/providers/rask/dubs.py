"""Rask's projects: made, watched until they are dubbed, dubbed again. Source: fact sheet sections 3 to 5 and 8."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from viseme.attempts import Handle, Intent
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.base import (
    Absent,
    Accepted,
    Finding,
    Flow,
    Found,
    Observation,
    Refused,
    Save,
    Seen,
    Undecided,
    Verdict,
)
from viseme.providers.rask.calls import Calls
from viseme.providers.rask.options import RaskOptions
from viseme.providers.rask.refusals import about, nonsense
from viseme.providers.rask.statuses import Phase, Project, ended_badly
from viseme.providers.rask.values import whole
from viseme.providers.reading import identifier, listing, said
from viseme.results import Reason
from viseme.wording import quote

__all__ = ["busy", "create", "edited", "find", "generate", "generated", "look", "not_ours", "poll", "watch"]

_PAGES = 100
_UNKNOWN = frozenset({Kind.NOT_FOUND, Kind.INVALID})


def look(calls: Calls, id: str) -> Flow[Project]:
    """Read a project."""
    reply = yield calls.project(id)
    if not reply.object():
        raise nonsense(f"a look at project {quote(id)} with something that is no project")
    return Project.read(id, reply.object())


# -- making ----------------------------------------------------------------------------------------------------------


def create(calls: Calls, job: Job, options: RaskOptions, media: str, key: str) -> Flow[Accepted]:
    """Make a project of a medium, under a name by which it is found again. Absent values are never invented."""
    body: dict[str, Any] = {
        "video_id": media,
        "dst_lang": (job.language or "").lower(),
        "name": key,
        "src_lang": (job.source_language or "").lower() or None,
        "num_speakers": options.num_speakers,
        "transcript_id": options.transcript_id,
        "glossary_id": options.glossary_id,
    }
    try:
        reply = yield calls.create({name: value for name, value in body.items() if value is not None})
    except Refused as refusal:
        if refusal.verdict.kind is Kind.NOT_FOUND:
            what = f"rask does not know media {quote(media)}, or a transcript or glossary that the job names"
            raise Refused(about(refusal.verdict, what, kind=Kind.INVALID, blame="job")) from None
        raise
    found = reply.object()
    name = identifier(found.get("id"))
    if name is None:
        words = quote(said(found) or "nothing that names it")
        message = f"rask answered the create without a project id: {words}; viseme looks for it by its name"
        raise Refused(Verdict(kind=Kind.FATE_UNKNOWN, message=message, charged=True))
    handle: Handle = {"id": name, "stage": "project"}
    return Accepted(handle=handle, observation=watch(Project.read(name, found), handle))


def find(calls: Calls, intent: Intent, now: float) -> Flow[Finding]:
    """Look for a project whose create's reply was lost.

    The list is complete: a name that it lacks was never used, once what may come late has had its time.
    """
    key = intent.key
    offset = 0
    for _ in range(_PAGES):
        reply = yield calls.projects(key, offset)
        rows = listing(reply.object().get("projects"))
        if rows is None:
            return Undecided(message="rask answered the list of projects without a list")
        for row in rows:
            name = identifier(row.get("id"))
            if row.get("name") == key and name is not None:
                return Found(handle={"id": name, "stage": "project"})  # no other create ever had the name
        offset += len(rows)
        total = whole(reply.object().get("total"))
        if not rows or (total is not None and offset >= total):
            late = now - intent.at <= calls.settings.stale_grace
            return Undecided(message="rask's list shows no such project yet, which may come late") if late else Absent()
    return Undecided(message=f"rask's list of projects has more than {_PAGES} pages")


# -- watching --------------------------------------------------------------------------------------------------------


def poll(calls: Calls, handle: Handle) -> Flow[Observation]:
    """Look at a project until it is dubbed."""
    name = str(handle["id"])
    try:
        project = yield from look(calls, name)
    except Refused as refusal:
        if handle.get("given") and refusal.verdict.kind in _UNKNOWN:
            return Observation(seen=Seen.FAILED, status="not found", verdict=not_ours(name, refusal.verdict))
        raise
    return watch(project, handle)


def not_ours(name: str, verdict: Verdict) -> Verdict:
    """The verdict on a project id that the job gave and the vendor does not know."""
    what = f"rask has no project {quote(name)} for this account; check options.project_id"
    return about(verdict, what, kind=Kind.INVALID, blame="job", charged=False)


def watch(project: Project, handle: Handle) -> Observation:
    """What a look at a project says of its dub.

    The handle's ``generated`` is the stamp from before a new dub was ordered: until a later one is seen, whatever the
    project shows is old (sheet section 4, trap 1). ``after`` is the stamp of an edit that a new dub has to follow.
    """
    begun = bool(handle.get("worked")) or project.phase in (Phase.NOT_BEGUN, Phase.WORKING)
    marked = "generated" in handle or "after" in handle
    kept = {**handle, "worked": True} if begun and marked else handle
    seen = Observation(seen=Seen.RUNNING, status=project.status or "none", handle=kept, hint=15.0)
    if project.phase is Phase.NOT_BEGUN:
        return evolve(seen, seen=Seen.QUEUED)
    if project.phase is Phase.WORKING or ("generated" in handle and not _new(project, handle, "generated", begun)):
        return seen
    if project.phase is Phase.FAILED:
        return evolve(seen, seen=Seen.FAILED, verdict=_failed(project, charged=not handle.get("given")))
    if project.phase is Phase.EDITED:
        noted = {**handle, "after": project.stamp, "worked": False}
        return evolve(seen, handle=noted, park=Reason.NEEDS_PERSON, verdict=edited(project), hint=None)
    if not project.dubbed or ("after" in handle and not _new(project, handle, "after", begun)):
        return seen
    return evolve(seen, seen=Seen.SUCCEEDED, hint=None)


def _new(project: Project, handle: Handle, mark: str, begun: bool) -> bool:
    return project.later(handle.get(mark), begun=begun)


def _failed(project: Project, *, charged: bool) -> Verdict:
    status = project.status or ""
    kind, blame, advice = ended_badly(status)
    message = f"rask could not dub the video (project {quote(project.id)} ended as {quote(status)}); {advice}"
    return Verdict(kind=kind, message=message, code=quote(status, 80), blame=blame, charged=charged)


def edited(project: Project) -> Verdict:
    """Somebody is at work on the project, and its dub is no longer what it says."""
    status = quote(project.status or "")
    return Verdict(
        kind=Kind.INVALID,
        message=f"somebody edited project {quote(project.id)} ({status}), so its dub is stale;"
        " have it dubbed again at rask.ai (or with the option generate), then run again",
        code=project.status,
        blame="account",
    )


# -- dubbing again ---------------------------------------------------------------------------------------------------


def generate(calls: Calls, name: str) -> Flow[Accepted]:
    """Dub a project again, whose dub from before has to be told from the new one."""
    try:
        project = yield from look(calls, name)
    except Refused as refusal:
        if refusal.verdict.kind is Kind.NOT_FOUND:
            raise Refused(not_ours(name, refusal.verdict)) from None
        raise
    if project.phase in (Phase.NOT_BEGUN, Phase.WORKING):
        raise Refused(busy(name, f"it is being dubbed ({quote(project.status or 'not begun')})"))
    handle: Handle = {"id": name, "stage": "redub", "generated": project.stamp, "was": project.status}
    yield Save(handle)
    try:
        reply = yield calls.generate(name)
    except Refused as refusal:
        if refusal.verdict.kind is Kind.NOT_FOUND:
            raise Refused(about(refusal.verdict, f"project {quote(name)}", kind=Kind.INVALID, blame="job")) from None
        raise
    if identifier(reply.object().get("id")) is None:
        message = (
            f"rask's reply to the order to dub project {quote(name)} again says nothing of it; viseme looks for it"
        )
        raise Refused(Verdict(kind=Kind.FATE_UNKNOWN, message=message, charged=True))
    return Accepted(handle=handle)


def busy(name: str, why: str) -> Verdict:
    """The project is in other hands for now: its job waits for a later run, alone."""
    message = f"project {quote(name)} is not ready for the next step: {why}; run again when that is over"
    return Verdict(kind=Kind.INVALID, message=message, blame="account", park=Reason.NEEDS_PERSON)


def generated(calls: Calls, intent: Intent, now: float) -> Flow[Finding]:
    """Find out whether a new dub was begun: then the status is another, or newer, than before."""
    saved = intent.saved
    if saved is None:
        return Undecided(message="nothing was noted of the project before its new dub was ordered")
    project = yield from look(calls, str(saved["id"]))
    same = project.status == saved.get("was") and project.stamp == saved.get("generated")
    if not same:
        begun = project.phase in (Phase.NOT_BEGUN, Phase.WORKING)
        return Found(handle={**saved, "worked": True} if begun else saved)
    if project.stamp is None:
        return Undecided(message="rask does not tell when the project's status changed")
    if now - intent.at <= calls.settings.stale_grace:
        return Undecided(message="rask shows no new dub yet, which may come late")
    return Absent()
