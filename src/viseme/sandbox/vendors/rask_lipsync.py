"""Rask's lip-sync of a dubbed project: the face check before it, the run that is paid for, and what can be seen."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

from ..faults import Fault
from ..jobs import Phase
from .rask_dubbing import work_of
from .rask_holdings import FaceCheck, Project, Run, minutes_of
from .rask_wire import read
from .wire import Call, Endpoint, Refusal, Throttled, reply

if TYPE_CHECKING:
    from .rask import Rask


class RaskLipsync:
    """The endpoints of face check and lip-sync."""

    def __init__(self, vendor: "Rask") -> None:
        self._vendor = vendor
        self._clock = vendor.house.clock

    def endpoints(self) -> Sequence[Endpoint]:
        """The run is the vendor's paid create, and is called so."""
        own = "/v2/projects/{id}/lipsync"
        return (
            Endpoint("PUT", "/v2/projects/{id}/check_face", "face", self._check_face, ("all",)),
            Endpoint("PUT", own, "create", self._run, ("all", "create")),
            Endpoint("GET", own, "poll", self._get, ("all", "read")),
        )

    # The face check

    async def _check_face(self, call: Call) -> web.StreamResponse:
        """PUT /v2/projects/{id}/check_face. One that is under way or done is not begun again (an assumption)."""
        project, settings = self._vendor.project(call), self._vendor.settings
        if project.dub(call.now) is None:
            raise Refusal(self._vendor.not_now("The project is not dubbed yet"))
        status = project.face.told(call.now)[0] if project.face else None
        if status in (None, "failed"):
            result = "failed" if call.faulty(Fault.JOB_FAILED) else settings.face
            project.face = FaceCheck(call.now, call.now + settings.face_seconds, result)
        assert project.face is not None
        return reply({"check_face_task_status": project.face.told(call.now)[0]})

    # The paid call

    async def _run(self, call: Call) -> web.StreamResponse:
        """PUT /v2/projects/{id}/lipsync."""
        body, settings = await read(call), self._vendor.settings
        body.flag("is_multiple_speakers", settings.default_multiple)
        mode = "preview" if body.flag("is_free_lipsync", settings.default_free) else "full"
        body.checked()
        project = self._vendor.project(call)
        again = self._allowed(project, mode, call.now)
        charge = self._charge(call, project, mode, again=again)
        if call.account.seats.full(call.now, settings.concurrency):
            raise Throttled(self._vendor.too_many_jobs(call))
        self._book(call, project, mode, charge)
        return reply({"tasks_in_lipsync_queue": settings.queue_length, "lipsync_task_status": "started"})

    def _allowed(self, project: Project, mode: str, now: float) -> bool:
        """Whether the project's state allows a run; True if there was one like it.

        Raises:
            Refusal: It does not.
        """
        vendor = self._vendor
        status, face = project.face.told(now) if project.face else (None, None)
        if not project.dubbed(now):
            raise Refusal(vendor.not_now("The project is not dubbed"))
        if status != "done":
            raise Refusal(vendor.not_now("The face check is not done"))
        if not face:
            raise Refusal(vendor.not_now("The video has no face"))
        if project.busy(now):
            raise Refusal(vendor.not_now("A lip-sync is under way"))
        again = project.had(project.latest.number, mode, now)
        if again and vendor.settings.on_repeat == "refuse":
            raise Refusal(vendor.not_now("This version of the dub has its lip-sync"))
        return again

    def _charge(self, call: Call, project: Project, mode: str, *, again: bool) -> int:
        """The minutes of a run: free ones for a preview, none when the project was paid for.

        Raises:
            Refusal: There are not enough.
        """
        vendor, seconds = self._vendor, project.media.seconds
        if mode == "preview":
            minutes = minutes_of(min(seconds, vendor.settings.preview_seconds))
            if vendor.holdings(call.account).free_used + minutes > vendor.settings.free_minutes:
                raise vendor.no_minutes("No free lip-sync minutes are left")
            return minutes
        if project.paid and not (again and vendor.settings.on_repeat == "charge"):
            return 0
        minutes = minutes_of(seconds)
        vendor.afford(call.account, minutes)
        return minutes

    def _book(self, call: Call, project: Project, mode: str, minutes: int) -> None:
        settings, edition = self._vendor.settings, project.latest.number
        number = len(project.runs) + 1
        cut = settings.preview_seconds if mode == "preview" else None
        earlier = project.runs[-1] if project.runs else None
        stale = settings.stale_lipsync_seconds if earlier and earlier.job.phase(call.now) is Phase.DONE else 0.0
        inputs = {
            "video": project.media.identity, "dst_lang": project.dst_lang, "mode": mode, "edition": edition,
            "attempt": project.failures(edition, mode, call.now) + 1,
        }  # fmt: skip
        job = self._vendor.book(
            call,
            id=project.id if number == 1 else f"{project.id}.{number}",
            inputs=inputs,
            work=attrs.evolve(work_of(project), cut_seconds=cut),
            body={"project": project.id, "mode": mode, "minutes": minutes},
        )
        project.paid = project.paid or mode == "full"
        project.runs.append(Run(job=job, edition=edition, mode=mode, stale_until=call.now + stale))

    # Looking

    async def _get(self, call: Call) -> web.StreamResponse:
        """GET /v2/projects/{id}/lipsync: the six fields."""
        project = self._vendor.project(call)
        status, face = project.face.told(call.now) if project.face else (None, None)
        told = {"check_face_task_status": status, "video_has_face": face, **self._told(project, call)}
        if (struck := call.faulty(Fault.UNKNOWN_STATUS)) and told["lipsync_task_status"] == "started":
            told["lipsync_task_status"] = struck.get("value", "enhancing")
        return reply(told)

    def _told(self, project: Project, call: Call) -> dict[str, Any]:
        run = self._in_sight(project, call.now)
        if run is None:
            return _fields(None)
        match run.job.phase(call.now):
            case Phase.QUEUED:
                return _fields("started", queue=self._ahead(run, call.now))
            case Phase.RUNNING:
                return _fields("started", progress=round(100 * run.job.progress(call.now)))
            case Phase.FAILED:
                return _fields("failed")
            case Phase.DONE:
                end, late = run.job.ended_at or 0.0, self._vendor.settings.late_link_seconds
                path = self._vendor.link(run.job, call, "lipsync.mp4") if call.now >= end + late else None
                old = run.edition < project.latest.number and self._vendor.settings.outdated
                hidden = run is not project.runs[-1]
                return _fields("outdated" if old and not hidden else "done", progress=100, path=path)

    def _in_sight(self, project: Project, now: float) -> Run | None:
        """The newest run; for a short while after it was booked, the one before."""
        if not project.runs:
            return None
        return project.runs[-2] if now < project.runs[-1].stale_until else project.runs[-1]

    def _ahead(self, run: Run, now: float) -> int:
        """How many tasks stand before a queued one."""
        left = 1 - (now - run.job.at) / run.job.pace.queue
        return max(0, math.ceil(self._vendor.settings.queue_length * left))


def _fields(
    status: str | None, *, progress: int | None = None, queue: int | None = None, path: str | None = None
) -> dict[str, Any]:
    return {
        "lipsync_task_status": status,
        "lipsync_task_progress": progress,
        "tasks_in_lipsync_queue": queue,
        "lipsync_result_path": path,
    }
