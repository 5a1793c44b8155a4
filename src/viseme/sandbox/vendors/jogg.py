"""JoggAI's lip-sync API, as its sheet has it, under both prefixes. What the sheet leaves open is in `JoggSettings`."""

import math
import uuid
from collections.abc import Sequence
from typing import Any, Literal, cast

import attrs
from aiohttp import web

from ..accounts import Account
from ..faults import Fault, Struck
from ..jobs import Failure, Job, Phase
from ..limits import Rate
from ..media import MediaFault
from ..studio import Link, Work
from ..timeline import Fit
from .base import Vendor
from .house import House
from .jogg_hooks import JoggHooks, yes
from .settings import VendorSettings, rate
from .wire import Call, Endpoint, Handler, Refusal, Throttled, reply

_CREDITS_PER_SECOND = 0.008
_PREFIXES = ("/v2", "/open/v2")
_STATUS = {Phase.QUEUED: "pending", Phase.RUNNING: "processing", Phase.DONE: "success", Phase.FAILED: "failed"}
_DOOMS = (
    "consume retry limit reached: audio duration fetch failed",
    "consume retry limit reached: lip sync failed",
    "no face was found in the video",
)


@attrs.frozen(kw_only=True)
class JoggSettings(VendorSettings):
    """JoggAI's settings.

    Known: 20 POST in 60 s per key, 0.008 credit a second. Assumptions, where the sheet says unknown:

    Attributes:
        prefixes: The path prefixes that are routed (both).
        errors_http_200: Refusals come under HTTP 200 with their code in the envelope (yes); else under 4xx or 5xx.
        throttle_http_200: The same for `code` 429.
        retry_after_header: A 429 carries Retry-After (no).
        retry_after_data: A 429 carries `data.retryAfter` (no, as in the sample).
        lookup: The undocumented lookup by inputs is served (yes).
        lookup_missing_code: Its code when nothing matches (17003).
        normal_short_video: What `normal` does when the audio is longer: `freeze`, `loop`, `bounce` or `cut_off`.
        refund_failed: Credits of failed jobs are given back (no).
        link_seconds: How long a result link lives (unsigned, for ever).
        concurrency: Tasks under way (no limit); when set, one more is code 429.
        event_names: What GET /events lists; no lip-sync event exists.
    """

    post: Rate | None = attrs.field(default=Rate(20), converter=rate)
    credits: float | None = 1000.0
    queue_seconds: float = 5.0
    pace: float = 2.0
    prefixes: Sequence[str] = _PREFIXES
    errors_http_200: bool = True
    throttle_http_200: bool = True
    retry_after_header: bool = False
    retry_after_data: bool = False
    lookup: bool = True
    lookup_missing_code: int = 17003
    normal_short_video: Literal["freeze", "loop", "bounce", "cut_off"] = "freeze"
    refund_failed: bool = False
    event_names: Sequence[str] = ("generated_video_success", "generated_video_failed")


_HTTP = {10104: 404, 10105: 401, 17003: 404, 18020: 402, 18025: 403, 40000: 400, 50000: 500, 429: 429}


class Jogg(Vendor):
    """The stand-in for JoggAI under `/jogg`."""

    name = "jogg"
    currency = "credits"
    result_path = "/res/{grant}/{token}/{file}"
    settings: JoggSettings

    def __init__(self, house: House, settings: VendorSettings) -> None:
        super().__init__(house, settings)
        self.hooks = JoggHooks(self)

    def endpoints(self) -> Sequence[Endpoint]:
        found = [endpoint for prefix in _PREFIXES for endpoint in self._under(prefix)]
        return (*found, *self.storage.endpoints(), *self.uploads.endpoints())

    def _under(self, prefix: str) -> Sequence[Endpoint]:
        post = ("post",)

        def routed(handler: Handler) -> Handler:
            async def served(call: Call) -> web.StreamResponse:
                if prefix not in self.settings.prefixes:
                    raise Refusal(self.unknown_path(call.request))
                return await handler(call)

            return served

        return [
            attrs.evolve(endpoint, path=prefix + endpoint.path, handler=routed(endpoint.handler))
            for endpoint in (
                Endpoint("POST", "/create_lip_sync_video", "create", self.create, post),
                Endpoint("GET", "/lip_sync_video", "lookup", self.look_up),
                Endpoint("GET", "/lip_sync_video/{id}", "poll", self.poll),
                Endpoint("POST", "/upload/asset", "upload", self.upload, post),
                Endpoint("GET", "/user/remaining_quota", "quota", self.quota),
                Endpoint("GET", "/user/whoami", "whoami", self.whoami),
                *self.hooks.endpoints(),
            )
        ]

    def forget(self) -> None:
        super().forget()
        self.hooks.forget()

    # Refusals

    def key_of(self, request: web.Request) -> str | None:
        return request.headers.get("x-api-key")

    def unauthorised(self, request: web.Request, key: str | None) -> web.Response:
        return self.no(10105, "API key is missing or wrong")

    def too_fast(self, call: Call, wait: float) -> web.Response:
        seconds = max(1, math.ceil(wait))
        data = {"retryAfter": seconds} if self.settings.retry_after_data else None
        headers = {"Retry-After": str(seconds)} if self.settings.retry_after_header else None
        status = 200 if self.settings.throttle_http_200 else 429
        return reply({"code": 429, "msg": "Too many requests", "data": data}, status, headers)

    def too_many_jobs(self, call: Call) -> web.Response:
        return self.too_fast(call, 60.0)

    def broken(self, call: Call, status: int) -> web.Response:
        if status in (502, 503):
            return web.Response(status=status, text=f"<html><h1>{status}</h1></html>", content_type="text/html")
        code = 50000 if status >= 500 else 40000
        status = 200 if self.settings.errors_http_200 else status
        return reply({"code": code, "msg": "System error", "data": None}, status)

    def unknown_path(self, request: web.Request) -> web.Response:
        return web.Response(status=404, text="404 page not found")

    def no(self, code: int, message: str) -> web.Response:
        """A refusal with its code in the envelope."""
        status = 200 if self.settings.errors_http_200 else _HTTP[code]
        return reply({"code": code, "msg": message, "data": None, "rid": uuid.uuid4().hex[:16]}, status)

    # Creating and looking

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /create_lip_sync_video."""
        body = await self.body(call)
        inputs = self._inputs(body)
        if self.short_of_credit(call.account):
            raise Refusal(self.no(18020, "Not enough credits"))
        if call.account.seats.full(call.now, self.settings.concurrency):
            raise Throttled(self.too_many_jobs(call))
        work = Work(Link(inputs["video_url"]), Link(inputs["audio_url"]), self._fit(inputs["playback_type"]))
        job = self.book(call, id=str(uuid.uuid4()), inputs=inputs, work=work, body=inputs)
        return yes({"task_id": job.id, "status": _STATUS[job.phase(call.now)]})

    async def body(self, call: Call) -> dict[str, Any]:
        """The JSON object that was sent.

        Raises:
            Refusal: It is none.
        """
        try:
            body = await call.request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refusal(self.no(40000, "The body must be a JSON object"))
        return cast("dict[str, Any]", body)

    def _inputs(self, body: dict[str, Any]) -> dict[str, str]:
        inputs = {"playback_type": body.get("playback_type") or "normal"}
        for name in ("video_url", "audio_url"):
            if not isinstance(body.get(name), str) or not body[name].startswith(("http://", "https://")):
                raise Refusal(self.no(40000, f"{name} is missing or not a URL"))
            inputs[name] = body[name]
        if inputs["playback_type"] not in ("normal", "normal_reverse", "normal_reverse_by_audio"):
            raise Refusal(self.no(40000, "playback_type is unknown"))
        return inputs

    def _fit(self, playback: str) -> Fit:
        return Fit(self.settings.normal_short_video) if playback == "normal" else Fit.BOUNCE

    async def poll(self, call: Call) -> web.StreamResponse:
        """GET /lip_sync_video/{task_id}."""
        job = self.find(call.account, call.request.match_info["id"], call.now)
        if job is None:
            raise Refusal(self.no(10104, "Record not found"))
        return self._status(job, call)

    async def look_up(self, call: Call) -> web.StreamResponse:
        """GET /lip_sync_video?video_url=...: the newest task with exactly these inputs. Known from vendor code only."""
        if not self.settings.lookup:
            raise Refusal(self.unknown_path(call.request))
        query = call.request.query
        wanted = {
            "video_url": query.get("video_url", ""),
            "audio_url": query.get("audio_url", ""),
            "playback_type": query.get("playback_type") or "normal",
        }
        for job in reversed(call.account.jobs.values()):
            if job.inputs == wanted and self.visible(job, call.now):
                return self._status(job, call)
        raise Refusal(self.no(self.settings.lookup_missing_code, "No matching task"))

    def _status(self, job: Job, call: Call) -> web.Response:
        call.row.job = job.id
        phase = job.phase(call.now)
        told: dict[str, Any] = {
            "task_id": job.id,
            "status": _STATUS[phase],
            "created_at": int(self.house.clock.unix(job.at)),
            "completed_at": int(self.house.clock.unix(job.ended_at)) if phase.ended and job.ended_at else None,
            "data": None,
            "error": None,
        }
        if phase is Phase.DONE and job.film is not None:
            told["data"] = {
                "result_url": self.storage.result_url(job, call.origin, "lipsync-result.mp4"),
                "cover_url": self.storage.result_url(job, call.origin, "lipsync-cover.jpg"),
                "duration_seconds": round(job.film.seconds, 3),
            }
        elif phase is Phase.FAILED and job.failure is not None:
            told["error"] = {"message": job.failure.message}
        if (struck := call.faulty(Fault.UNKNOWN_STATUS)) and not phase.ended:
            told["status"] = struck.get("value", "reviewing")
        return yes(told)

    # Uploads, account

    async def upload(self, call: Call) -> web.StreamResponse:
        """POST /upload/asset: a presigned PUT."""
        body = await self.body(call)
        name, kind = body.get("filename"), body.get("content_type")
        if not isinstance(name, str) or not name or not isinstance(kind, str) or not kind:
            raise Refusal(self.no(40000, "filename and content_type are needed"))
        size = body.get("file_size", 1)
        if not isinstance(size, int) or size < 1:
            raise Refusal(self.no(40000, "file_size must be a positive integer"))
        sign_url, asset_url = self.uploads.open_slot(name, kind, call.origin)
        return yes({"sign_url": sign_url, "asset_url": asset_url})

    async def quota(self, call: Call) -> web.StreamResponse:
        """GET /user/remaining_quota."""
        left = self.left(call.account)
        return yes({"remaining_quota": round(1e6 if left is None else left, 2)})

    async def whoami(self, call: Call) -> web.StreamResponse:
        """GET /user/whoami."""
        name = call.account.name
        return yes({"user_id": name, "email": f"{name}@example.com", "username": name})

    # Money and ends

    def cost_when_measured(self, job: Job) -> float:
        if job.film is None or (job.failure is not None and self.settings.refund_failed):
            return 0.0
        return math.ceil(round(job.film.seconds * _CREDITS_PER_SECOND * 100, 6)) / 100

    def money(self, account: Account) -> dict[str, Any]:
        return {"credits": round(account.spent, 2), "usd": None, "currency": self.currency}

    def failure_of(self, fault: MediaFault) -> Failure:
        if fault.kind == "audio" and fault.reason == "inaccessible":
            return Failure("", _DOOMS[0])
        return Failure("", f"the {fault.kind} is {fault.reason}: {fault.detail}")

    def doom(self, struck: Struck) -> Failure:
        return Failure("", struck.get("message", struck.choose(_DOOMS)))
