"""Rask's projects: a video and a language go in, the dub makes itself; made anew on demand after edits."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
from aiohttp import web

from ..faults import Fault
from .rask_dub import Cycle
from .rask_dubbing import RaskDubbing
from .rask_holdings import Media, Project, minutes_of
from .rask_segments import heard
from .rask_wire import SOURCE, TARGET, complaint, invalid, no, read
from .wire import Call, Endpoint, Refusal, reply

if TYPE_CHECKING:
    from .rask import Rask

VOICES = {
    str(uuid.uuid5(uuid.NAMESPACE_URL, f"rask voice {label}")): (label, gender)
    for label, gender in (("Alva", "female"), ("Bruno", "male"), ("Cleo", "female"))
}
_HOSTS = (
    ("youtube", ("youtube.com", "youtu.be")),
    ("gdrive", ("drive.google.com",)),
    ("vimeo", ("vimeo.com",)),
    ("s3", ("amazonaws.com",)),
)


class RaskProjects:
    """The endpoints of projects, but for segments and lip-sync."""

    def __init__(self, vendor: "Rask") -> None:
        self._vendor = vendor
        self._house = vendor.house
        self._dubbing = RaskDubbing(vendor)

    def endpoints(self) -> Sequence[Endpoint]:
        """A create is called `project`, a look at one `dub`."""
        read, post = ("all", "read"), ("all", "post")
        return (
            Endpoint("POST", "/v2/projects", "project", self._create, post),
            Endpoint("GET", "/v2/projects", "list", self._list, read),
            Endpoint("GET", "/v2/projects/{id}", "dub", self._get, read),
            Endpoint("PATCH", "/v2/projects/{id}", "edit", self._patch, ("all",)),
            Endpoint("POST", "/v2/projects/{id}/generate", "generate", self._generate, post),
            Endpoint("GET", "/v2/projects/{id}/voices", "voices", self._voices, read),
        )

    # Making and changing

    async def _create(self, call: Call) -> web.StreamResponse:
        """POST /v2/projects: the dub begins by itself."""
        body = await read(call)
        video_id, dst_lang = body.text("video_id", required=True), body.text("dst_lang", required=True, pattern=TARGET)
        name, src_lang, speakers = body.text("name"), body.text("src_lang", pattern=SOURCE), body.number("num_speakers")
        transcript_id, glossary_id = body.text("transcript_id"), body.text("glossary_id")
        body.checked()
        media = self._video(call, video_id or "")
        holdings = self._vendor.holdings(call.account)
        if transcript_id is not None and transcript_id not in holdings.transcripts:
            raise Refusal(no(404, "Transcription not found"))
        minutes = minutes_of(media.seconds)
        self._dubbing.admit(call, minutes)
        known = holdings.transcripts.get(transcript_id or "") or heard(media.seconds, src_lang or "en", dst_lang or "")
        project = Project(
            id=str(uuid.uuid4()), name=name or media.name, at=call.now, media=media, dst_lang=dst_lang or "",
            src_lang=src_lang, num_speakers=speakers, transcript_id=transcript_id, glossary_id=glossary_id,
            segments=[attrs.evolve(each, id=str(uuid.uuid4())) for each in known],
        )  # fmt: skip
        holdings.add(project)
        self._dubbing.begin(call, project, minutes)
        return reply(self._told(project, call))

    def _video(self, call: Call, id: str) -> Media:
        media = self._vendor.holdings(call.account).media.get(id)
        if media is None:
            raise Refusal(no(404, "Media not found"))
        if media.status(call.now) != "ready" or media.kind not in ("video", None):
            raise Refusal(self._vendor.not_now("The media is not a video that is ready"))
        return media

    async def _generate(self, call: Call) -> web.StreamResponse:
        """POST /v2/projects/{id}/generate: the voice-over is made anew; changed segments are charged."""
        project, settings = self._vendor.project(call), self._vendor.settings
        if not project.latest.ended(call.now) or project.dub(call.now) is None:
            raise Refusal(self._vendor.not_now("The project is not dubbed yet"))
        changed = [each for each in project.segments if each.changed_at is not None]
        if any(each.status(call.now, True, settings.segment_seconds) == "processing" for each in changed):
            raise Refusal(self._vendor.not_now("Segments are still being processed"))
        minutes = minutes_of(sum(each.seconds for each in changed)) if changed else 0
        self._dubbing.admit(call, minutes)
        for each in changed:
            each.changed_at = None
        project.edited = None
        self._vendor.holdings(call.account).generates += 1
        self._dubbing.begin(call, project, minutes)
        return reply(self._told(project, call))

    async def _patch(self, call: Call) -> web.StreamResponse:
        """PATCH /v2/projects/{id}: what is missing or null stays."""
        project = self._vendor.project(call)
        body = await read(call)
        name, speakers, voice = body.text("name"), body.number("num_speakers"), body.mapping("voice")
        body.checked()
        if voice:
            if strangers := [id for id in voice.values() if id not in VOICES]:
                raise invalid(complaint("voice", f"Unknown voice {str(strangers[0])[:100]}"))
            self.edit(project, "voice_edited", call.now)
            changed = {speaker for speaker, id in voice.items() if project.voice.get(speaker) != id}
            for segment in project.segments:
                segment.changed_at = call.now if segment.speaker in changed else segment.changed_at
            project.voice |= voice
        project.name, project.num_speakers = name or project.name, speakers or project.num_speakers
        return reply(self._told(project, call))

    def edit(self, project: Project, status: str, now: float) -> None:
        """Notes that the dub is no longer what the project says.

        Raises:
            Refusal: There is no finished dub to edit.
        """
        if not project.latest.done(now):
            raise Refusal(self._vendor.not_now("The project is not dubbed yet"))
        if self._vendor.settings.edited_status:
            project.edited = (status, now)

    # Looking

    async def _get(self, call: Call) -> web.StreamResponse:
        """GET /v2/projects/{id}."""
        project = self._vendor.project(call)
        told = self._told(project, call)
        if (struck := call.faulty(Fault.UNKNOWN_STATUS)) and not project.latest.ended(call.now):
            told["status"] = struck.get("value", "polishing_started")
        return reply(told)

    async def _list(self, call: Call) -> web.StreamResponse:
        """GET /v2/projects: newest first; `name` finds names that contain it (an assumption)."""
        query = call.request.query
        offset, limit = _count(query.get("offset", "0"), "offset", 0), _count(query.get("limit", "10"), "limit", 1)
        wanted = query.get("name", "").lower()
        found = [
            project
            for project in reversed(self._vendor.holdings(call.account).projects.values())
            if wanted in project.name.lower() and self._vendor.in_sight(project, call.now)
        ]
        page = [self._slim(project, call.now) for project in found[offset : offset + limit]]
        return reply({"total": len(found), "offset": offset, "projects": page})

    async def _voices(self, call: Call) -> web.StreamResponse:
        """GET /v2/projects/{id}/voices."""
        self._vendor.project(call)
        return reply(
            [{"id": id, "label": name, "sample_src": None, "gender": kind} for id, (name, kind) in VOICES.items()]
        )

    def _slim(self, project: Project, now: float) -> dict[str, Any]:
        status, since = project.status(now)
        clock = self._house.clock
        return {
            "id": project.id,
            "name": project.name,
            "source_type": _source_type(project.media),
            "status": status,
            "status_updated_at": clock.iso(since),
            "created_at": clock.iso(project.at),
        }

    def _told(self, project: Project, call: Call) -> dict[str, Any]:
        """The whole project. A new version's link replaces the old one when it is done."""
        now = self._house.clock.now()
        heard_out = project.cycles[0].passed("determine_speakers_done", now)
        speakers = sorted({each.speaker for each in project.segments if each.speaker})
        dub = project.dub(now)
        video = self._link(project, dub, call, "dubbed.mp4") if dub is not None else None
        return self._slim(project, now) | {
            "cover": self._link(project, dub, call, "cover.jpg") if dub is not None else None,
            "src_lang": project.src_lang or ("en" if heard_out else None),
            "dst_lang": project.dst_lang,
            "num_speakers": project.num_speakers or (max(1, len(speakers)) if heard_out else None),
            "source_url": None if project.media.local else project.media.url,
            "duration": project.media.seconds,
            "original_duration": project.media.seconds,
            "glossary_id": project.glossary_id,
            "glossary_version": None,
            "original_video": project.media.url,
            "transcript_id": project.transcript_id,
            "voiceover": None,
            "translated_video": video,
            "translated_audio": None,
            "voice": (dict.fromkeys(speakers, next(iter(VOICES))) if heard_out else {}) | project.voice,
            "translation_srt_path": None,
            "translation_vtt_path": None,
        }

    def _link(self, project: Project, dub: Cycle, call: Call, file: str) -> str | None:
        end = dub.job.ended_at or 0.0
        late = dub is project.latest and self._house.clock.now() < end + self._vendor.settings.late_link_seconds
        return None if late else self._vendor.link(dub.job, call, file)


def _source_type(media: Media) -> str:
    if media.local:
        return "local"
    host = urlsplit(media.url).hostname or ""
    return next((kind for kind, hosts in _HOSTS if any(host.endswith(name) for name in hosts)), "any")


def _count(text: str, field: str, least: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= 1_000_000:
        raise invalid(complaint(field, f"Input should be a whole number of at least {least}", "int_parsing", "query"))
    return int(text)
