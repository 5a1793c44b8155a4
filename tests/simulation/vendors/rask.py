"""Rask in memory. Source: fact sheet sections 1 to 8."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar

from tests.simulation.network import Answer, Call, Host, answer
from tests.simulation.universe import EPOCH
from tests.simulation.vendors.base import Terms, Vendor
from tests.simulation.vendors.rask_library import Library
from tests.simulation.vendors.rask_project import Face, Project, Run, draw_end
from tests.simulation.vendors.rask_tokens import BASIC, ID, SECRET, TOKEN, Tokens

from viseme import Job
from viseme.attempts import TaskRow
from viseme.jobs import is_url

__all__ = ["Rask"]

_SIGHT = 20.0
"""What was made comes in sight within so many seconds."""
_STALE = 45.0
"""A new lip-sync takes the place of what was shown before within so many seconds."""


class Rask(Vendor):
    """Dubs a video in a project, looks for a face, and syncs the lips; a lost create is found by the project's name."""

    name: ClassVar[str] = "rask"
    key: ClassVar[str] = SECRET
    speech: ClassVar[str] = "language"
    tells_all: ClassVar[bool] = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tokens = Tokens(self.universe)
        self.library = Library(self.universe)
        self.projects: dict[str, Project] = {}
        self._page = self.universe.chance("rask: page").choice((1, 3, 100))

    @classmethod
    def draw(cls, chance: Random) -> Terms:
        rates = {"create": (chance.choice((3, 10, 30)), 60.0), "all": (chance.choice((2, 4, 10)), 1.0)}
        return Terms(rates=rates, seats=chance.choice((1, 2, 4)), link_lifetime=chance.choice((20.0, 120.0, 3600.0)))

    @classmethod
    def settings(cls, chance: Random) -> dict[str, Any]:
        return {
            "client_id": ID,
            "client_secret": SECRET,
            "client_auth": chance.choice(("basic", "post")),
            "token_url": f"https://{Tokens.host}/token",
            "allow_paid": True,
            "face_check_grace": chance.choice((5.0, 60.0)),
            "stale_grace": 90.0,
        }

    @classmethod
    def options(cls, chance: Random) -> dict[str, Any]:
        preview = chance.choice((None, None, None, True, "first"))
        return {} if preview is None else {"preview": preview}

    @classmethod
    def inputs(cls, job: Job, files: Mapping[str, bytes]) -> str:
        video = job.video or ""
        return video if is_url(video) else f"{len(files[video])}-{video.rpartition('/')[2]}"

    @classmethod
    def film(cls, row: TaskRow) -> str:
        return f"{row.vendor_id}.preview" if row.job.options.get("preview") is True else str(row.vendor_id)

    @classmethod
    def secrets(cls) -> dict[str, str]:
        return {SECRET: Tokens.host, BASIC: Tokens.host, TOKEN: "rask.sim"}

    def hosts(self) -> dict[str, Host]:
        return {self.host: self, Tokens.host: self.tokens}

    def knows(self, call: Call) -> bool:
        return self.tokens.know(call)

    def respond(self, call: Call) -> Answer:
        match call.method, call.path.strip("/").split("/"):
            case "POST", ["api", "library", "v1", "media", *rest]:
                self.count(call, "upload", "post", "all")
                return self.library.link(call) if rest else self.library.upload(call)
            case "GET", ["api", "library", "v1", "media", name]:
                self.count(call, "read", "all")
                return self.library.look(name)
            case "POST", ["v2", "projects"]:
                self.count(call, "create", "post", "all")
                return self._create(call.json())
            case "GET", ["v2", "projects"]:
                self.count(call, "read", "all")
                return self._list(call.query)
            case method, ["v2", "projects", name, *rest]:
                self.count(call, *(("create", "all") if (method, rest) == ("PUT", ["lipsync"]) else ("read", "all")))
                self.laws.looked(self.name, name)
                return self._project(call, method, name, rest)
            case _:
                return _no(404, "Not Found")

    def _project(self, call: Call, method: str, name: str, rest: list[str]) -> Answer:
        project = self.projects.get(name)
        if project is None or self.universe.now < project.listed:
            return _no(404, "Project not found")
        match method, rest:
            case "GET", []:
                return answer(self._whole(project, self._when(project)))
            case "PUT", ["check_face"]:
                return self._check_face(project)
            case "GET", ["lipsync"]:
                return answer(self._info(project, self._when(project)))
            case "PUT", ["lipsync"]:
                return self._run(project, call.json())
            case _:
                return _no(404, "Not Found")

    # -- projects ----------------------------------------------------------------------------------------------------

    def _create(self, body: dict[str, Any]) -> Answer:
        inputs = self.library.ready(body["video_id"])
        if inputs is None:
            return _no(404, "Media not found")
        chance, now = self.universe.chance("rask: projects"), self.universe.now
        booking = self.begin(inputs, stage="project", free=False)
        late = chance.uniform(0, _SIGHT) if self.universe.strike("not seen yet", booking.id) else 0.0
        project = Project(
            booking=booking,
            name=body["name"],
            listed=now + late,
            linked=booking.ends + chance.choice((0.0, 0.0, chance.uniform(0, 20))),
            end=draw_end(chance, good=booking.good),
        )
        if booking.good and chance.random() < 0.8:
            project.face = self._face(booking.id, booking.ends + chance.choice((0.0, chance.uniform(0, 30))))
        self.projects[booking.id] = project
        return answer(self._whole(project, now))

    def _list(self, query: Mapping[str, str]) -> Answer:
        """Newest first; ``name`` finds names that contain it."""
        now, wanted = self.universe.now, query.get("name", "")
        shown = [each for each in reversed(self.projects.values()) if wanted in each.name and now >= each.listed]
        start, size = int(query.get("offset", "0")), min(int(query.get("limit", "10")), self._page)
        page = [self._slim(project, now) for project in shown[start : start + size]]
        return answer({"total": len(shown), "offset": start, "projects": page})

    def _slim(self, project: Project, now: float) -> dict[str, Any]:
        status, since = project.status(now)
        return {
            "id": project.id,
            "name": project.name,
            "source_type": "any",
            "status": status,
            "status_updated_at": _iso(since),
            "created_at": _iso(project.booking.at),
        }

    def _whole(self, project: Project, now: float) -> dict[str, Any]:
        shown = project.dubbed(now) and now >= project.linked
        video = self.cdn.link(f"{project.id}.dub", self.terms.link_lifetime) if shown else None
        return {**self._slim(project, now), "dst_lang": "es", "translated_video": video}

    def _when(self, project: Project) -> float:
        """Now, or the time of which an old copy tells."""
        if self.universe.strike("stale look", project.id):
            return self.universe.now - self.universe.chance("stale look: how").uniform(0, 30)
        return self.universe.now

    # -- the face check ----------------------------------------------------------------------------------------------

    def _face(self, name: str, at: float) -> Face:
        chance = self.universe.chance("rask: faces")
        word, found = "done", True
        if self.universe.strike("no face", name):
            word, found = chance.choice((("done", False), ("done", False), ("failed", None)))
        return Face(at=at, ends=at + chance.choice((1.0, chance.uniform(2, 40))), word=word, found=found)

    def _check_face(self, project: Project) -> Answer:
        now = self.universe.now
        if not project.dubbed(now):
            return _no(400, "The project is not dubbed")
        if project.face is None or now < project.face.at:
            project.face = self._face(project.id, now)
        return answer({"check_face_task_status": project.face.told(now)[0]})

    # -- lip-syncs ---------------------------------------------------------------------------------------------------

    def _run(self, project: Project, body: dict[str, Any]) -> Answer:
        now, mode = self.universe.now, "preview" if body["is_free_lipsync"] else "lipsync"
        if project.face is None or not project.face.told(now)[1]:
            return _no(400, "The face check is not done, or found no face")
        if project.working(now):
            return _no(409, "A lip-sync is under way")
        chance = self.universe.chance("rask: runs")
        film = project.id if mode == "lipsync" else f"{project.id}.preview"
        booking = self.begin(project.booking.inputs, stage=mode, free=False, id=film)
        stale = chance.uniform(0, _STALE) if self.universe.strike("stale done", film) else 0.0
        late = chance.choice((0.0, 0.0, chance.uniform(0, 20)))
        take = 1 + sum(run.film == film for run in project.runs)
        linked = booking.ends + late
        project.runs.append(Run(booking=booking, mode=mode, shown=now + stale, linked=linked, film=film, take=take))
        return answer({"tasks_in_lipsync_queue": chance.choice((None, 0, 3)), "lipsync_task_status": "started"})

    def _info(self, project: Project, now: float) -> dict[str, Any]:
        status, found = project.face.told(now) if project.face else (None, None)
        told: dict[str, Any] = {"check_face_task_status": status, "video_has_face": found}
        run = project.in_sight(now)
        state, progress, ahead, path = None, None, None, None
        if run is not None:
            job = run.booking
            if now < job.starts:
                state, ahead = "started", int(job.starts - now) // 10
            elif now < job.ends:
                state, progress = "started", int(100 * (now - job.starts) / (job.ends - job.starts))
            elif not job.good:
                state = "failed"
            else:
                state, progress = "done", 100
                path = self._path(run) if now >= run.linked else None
        return told | {
            "lipsync_task_status": state,
            "lipsync_task_progress": progress,
            "tasks_in_lipsync_queue": ahead,
            "lipsync_result_path": path,
        }

    def _path(self, run: Run) -> str:
        link = self.cdn.link(run.film, self.terms.link_lifetime)
        return link if run.take == 1 else f"{link}&take={run.take}"


def _no(status: int, detail: str) -> Answer:
    return answer({"detail": detail}, status)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(EPOCH + at, UTC).isoformat()
