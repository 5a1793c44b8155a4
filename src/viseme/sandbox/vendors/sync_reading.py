"""Looking at Sync's generations: poll, long poll, list, download link, delete."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..accounts import Account
from ..faults import Fault
from ..jobs import Job, Phase
from .sync_body import echoed, error
from .wire import Call, Endpoint, Refusal, reply

if TYPE_CHECKING:
    from .sync import Sync

_WORDS = {Phase.QUEUED: "PENDING", Phase.RUNNING: "PROCESSING", Phase.DONE: "COMPLETED", Phase.FAILED: "FAILED"}
_STATUSES = {*_WORDS.values(), "REJECTED"}
_ECHOED = ("options", "segments", "webhookUrl", "projectId", "outputFileName", "dubParams")


class SyncReading:
    """The reading endpoints, and the Generation object."""

    def __init__(self, vendor: "Sync") -> None:
        self._vendor = vendor
        self._clock = vendor.house.clock

    def endpoints(self) -> Sequence[Endpoint]:
        """All of them count in the read rate."""
        read = ("read",)
        return (
            Endpoint("GET", "/v2/generate/{id}", "poll", self._poll, read),
            Endpoint("GET", "/v2/generations", "list", self._list, read),
            Endpoint("GET", "/v2/generations/{id}", "poll", self._read, read),
            Endpoint("GET", "/v2/generations/{id}/download", "download", self._download, read),
            Endpoint("DELETE", "/v2/generations/{id}", "delete", self._delete, read),
        )

    async def _poll(self, call: Call) -> web.StreamResponse:
        """GET /v2/generate/{id}: one look, or a long poll."""
        query = call.request.query
        wait = query.get("wait", "").lower() in ("true", "1")
        include = _many(call.request, "include")
        if wait and include:
            raise _invalid("include cannot be combined with wait")
        hold = _hold_seconds(query.get("timeout"))
        job = self._found(call)
        headers: dict[str, str] = {}
        if wait:
            await self._hold(job, call.now + hold)
            headers = {
                "Retry-After": "2",
                "X-Sync-Wait-Mode": "long_poll",
                "X-Sync-Wait-Timeout-Seconds": f"{hold:g}",
            }
        return reply(self.shown(job, call, progress="progress" in include), 200, headers)

    async def _hold(self, job: Job, until: float) -> None:
        clock = self._clock
        while not job.phase(clock.now()).ended and clock.now() < until:
            known = job.ended_at if job.ended_at is not None else clock.now() + 0.05 * clock.speed
            await clock.sleep_until(min(until, known))

    def _found(self, call: Call) -> Job:
        id = call.request.match_info["id"]
        call.row.job = id
        try:
            uuid.UUID(id)
        except ValueError:
            raise Refusal(error(400, "unsupported_generation_id_format", "The id is not a UUID")) from None
        job = self._vendor.find(call.account, id, call.now)
        if job is None:
            raise Refusal(error(404, "generation_not_found", "There is no such generation"))
        return job

    async def _read(self, call: Call) -> web.StreamResponse:
        return reply(self.shown(self._found(call), call))

    async def _list(self, call: Call) -> web.StreamResponse:
        """GET /v2/generations: filters as comma list and as repeated keys, newest first, a bare array."""
        statuses, ids = _many(call.request, "status"), _many(call.request, "ids")
        most = self._vendor.settings.max_ids
        if set(statuses) - _STATUSES:
            raise _invalid("status has an unknown value")
        if most is not None and len(ids) > most:
            raise _invalid(f"ids must hold no more than {most} elements")
        jobs = [job for job in self._chosen(call.account, ids) if self._vendor.visible(job, call.now)]
        if project := call.request.query.get("projectId"):
            jobs = [job for job in jobs if job.body.get("projectId") == project]
        if statuses:
            jobs = [job for job in jobs if self._word(job, call.now) in statuses]
        return reply([self.shown(job, call) for job in _page(jobs, call.request)])

    def _chosen(self, account: Account, ids: Sequence[str]) -> Sequence[Job]:
        if ids:
            found = [account.jobs[id] for id in dict.fromkeys(ids) if id in account.jobs]
            return sorted(found, key=lambda job: -job.at)
        return list(reversed(account.jobs.values()))

    async def _download(self, call: Call) -> web.StreamResponse:
        """GET /v2/generations/{id}/download: the bare URL as text."""
        job = self._found(call)
        if job.phase(call.now) is not Phase.DONE:
            raise Refusal(error(404, "generation_not_found", "This generation has no output"))
        return web.Response(text=self._output_url(job, call.origin))

    async def _delete(self, call: Call) -> web.StreamResponse:
        """DELETE /v2/generations/{id}, refused while the job is under way."""
        job = self._found(call)
        if not job.phase(call.now).ended:
            raise Refusal(error(409, "generation_not_deletable_while_processing", "The generation is under way"))
        job.deleted = True
        return reply(self.shown(job, call))

    def shown(self, job: Job, call: Call, *, progress: bool = False) -> dict[str, Any]:
        """The Generation object, with a strange status if that fault struck."""
        now = self._clock.now()
        told = self.told(job, now, call.origin)
        struck = call.faulty(Fault.UNKNOWN_STATUS)
        if struck is not None and not job.phase(now).ended:
            told["status"] = struck.get("value", "ENHANCING")
        if progress:
            told["progress_percent"] = round(100 * job.progress(now))
        return told

    def told(self, job: Job, now: float, origin: str) -> dict[str, Any]:
        """The Generation object. A failed one carries both `errorCode` and `error_code` (sheet, section 9)."""
        told: dict[str, Any] = {
            "id": job.id,
            "createdAt": self._clock.iso(job.at),
            "status": self._word(job, now),
            "model": job.body["model"],
            "input": [echoed(item) for item in job.body["input"]],
            "outputUrl": None,
            "outputDuration": None,
            "error": None,
        }
        told |= {name: job.body[name] for name in _ECHOED if job.body.get(name) is not None}
        phase = job.phase(now)
        if phase is Phase.DONE and job.film is not None:
            told["outputUrl"] = self._output_url(job, origin)
            told["outputDuration"] = round(job.film.seconds, 3)
        elif phase is Phase.FAILED and job.failure is not None:
            told |= {"error": job.failure.message, "errorCode": job.failure.code, "error_code": job.failure.code}
        return told

    def _word(self, job: Job, now: float) -> str:
        phase = job.phase(now)
        if phase is Phase.FAILED and job.failure is not None and job.failure.status:
            return job.failure.status
        return _WORDS[phase]

    def _output_url(self, job: Job, origin: str) -> str:
        return self._vendor.storage.result_url(job, origin, f"{job.body.get('outputFileName') or 'result'}.mp4")


def _invalid(message: str) -> Refusal:
    return Refusal(error(400, "generation_input_validation_failed", [message]))


def _hold_seconds(text: str | None) -> float:
    try:
        seconds = float(text) if text is not None else 5.0
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 10:
        raise _invalid("timeout must be between 1 and 10")
    return seconds


def _many(request: web.Request, name: str) -> list[str]:
    return [part.strip() for value in request.query.getall(name, []) for part in value.split(",") if part.strip()]


def _page(jobs: Sequence[Job], request: web.Request) -> Sequence[Job]:
    limit, cursor = request.query.get("limit"), request.query.get("cursor")
    if limit is None and cursor is None:
        return jobs
    if limit is None or not limit.isdigit() or not 1 <= int(limit) <= 100:
        raise _invalid("limit must be between 1 and 100")
    ids = [job.id for job in jobs]
    if cursor is not None and cursor not in ids:
        raise Refusal(error(400, "invalid_generation_id", "The cursor is unknown", field="cursor"))
    start = ids.index(cursor) + 1 if cursor is not None else 0
    return jobs[start : start + int(limit)]
