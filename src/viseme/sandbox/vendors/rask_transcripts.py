"""Rask's transcripts: those that a customer sends, and the segments of a project, which can be edited."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .rask_holdings import Project
from .rask_segments import Segment, changes, cues, sent
from .rask_wire import complaint, invalid, no, read
from .wire import Call, Endpoint, Refusal, reply

if TYPE_CHECKING:
    from .rask import Rask


class RaskTranscripts:
    """The endpoints of transcripts and segments."""

    def __init__(self, vendor: "Rask") -> None:
        self._vendor = vendor

    def endpoints(self) -> Sequence[Endpoint]:
        """All under one name in the log."""
        own, post = "/v2/projects/{id}/transcription", ("all", "post")
        return (
            Endpoint("POST", "/v2/transcriptions", "transcription", self._create, post),
            Endpoint("POST", "/v2/transcriptions/srt", "transcription", self._create_srt, post),
            Endpoint("GET", own, "transcription", self._get, ("all", "read")),
            Endpoint("POST", f"{own}/segments", "transcription", self._add, post),
            Endpoint("PATCH", f"{own}/segments", "transcription", self._change, ("all",)),
            Endpoint("DELETE", f"{own}/segments/{{segment}}", "transcription", self._drop, ("all",)),
        )

    async def _create(self, call: Call) -> web.StreamResponse:
        """POST /v2/transcriptions."""
        return self._kept(call, sent((await read(call)).body))

    async def _create_srt(self, call: Call) -> web.StreamResponse:
        """POST /v2/transcriptions/srt: the files `src` and `dst`, paired cue by cue."""
        form, query = await call.request.post(), call.request.query
        texts: dict[str, list[tuple[str, str, str]]] = {}
        for side in ("src", "dst"):
            part = form.get(side)
            if isinstance(part, web.FileField):
                texts[side] = cues(part.file.read().decode(errors="replace"))
        longest = max(texts.values(), key=len) if texts else []
        if not longest:
            raise invalid(complaint("src", "An SRT file is needed", "missing"))
        langs = {"src": query.get("src_lang", "en"), "dst": query.get("dst_lang", "en-us")}
        segments: list[Segment] = []
        for number, (start, end, _) in enumerate(longest):
            words = {side: found[number][2] for side, found in texts.items() if number < len(found)}
            sides: dict[str, Any] = {side: {"text": text, "lang": langs[side]} for side, text in words.items()}
            segments.append(Segment(start=start, end=end, **sides))
        return self._kept(call, segments)

    def _kept(self, call: Call, segments: list[Segment]) -> web.Response:
        id = str(uuid.uuid4())
        self._vendor.holdings(call.account).transcripts[id] = segments
        return reply({"id": id, "segments": [each.told("done") for each in segments]})

    async def _get(self, call: Call) -> web.StreamResponse:
        """GET /v2/projects/{id}/transcription: empty until it is made."""
        project = self._vendor.project(call)
        wanted = call.request.query.getall("segment_ids", [])
        made = project.cycles[0].passed("transcribe_segments_done", call.now)
        return reply(
            {
                "segments": [
                    self._told(project, each, call.now)
                    for each in project.segments
                    if made and (not wanted or each.id in wanted)
                ]
            }
        )

    async def _add(self, call: Call) -> web.StreamResponse:
        """POST /v2/projects/{id}/transcription/segments."""
        project = self._vendor.project(call)
        segments = sent((await read(call)).body)
        self._vendor.projects.edit(project, "transcript_edited", call.now)
        for each in segments:
            each.changed_at = call.now
        project.segments += segments
        return reply({"segments": [self._told(project, each, call.now) for each in segments]})

    async def _change(self, call: Call) -> web.StreamResponse:
        """PATCH /v2/projects/{id}/transcription/segments."""
        project = self._vendor.project(call)
        wanted = changes((await read(call)).body)
        segments = [self._segment(project, str(change["id"])) for change in wanted]
        self._vendor.projects.edit(project, "transcript_edited", call.now)
        for segment, change in zip(segments, wanted, strict=True):
            segment.changed_at = call.now
            for name, value in change.items():
                setattr(segment, name, value)
        return reply({"segments": [self._told(project, each, call.now) for each in segments]})

    async def _drop(self, call: Call) -> web.StreamResponse:
        """DELETE /v2/projects/{id}/transcription/segments/{segment}."""
        project = self._vendor.project(call)
        segment = self._segment(project, call.request.match_info["segment"])
        self._vendor.projects.edit(project, "transcript_edited", call.now)
        project.segments.remove(segment)
        return reply({"id": segment.id})

    def _segment(self, project: Project, id: str) -> Segment:
        found = next((each for each in project.segments if each.id == id), None)
        if found is None:
            raise Refusal(no(404, "Segment not found"))
        return found

    def _told(self, project: Project, segment: Segment, now: float) -> dict[str, Any]:
        made = project.dub(now) is not None
        return segment.told(segment.status(now, made, self._vendor.settings.segment_seconds))
