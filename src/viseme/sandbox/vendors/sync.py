"""Sync's lip-sync API v2, as its sheet has it. What the sheet marks as not found is a setting of `SyncSettings`."""

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

import aiohttp
import attrs
from aiohttp import web

from ..accounts import Account
from ..bill import digest_of
from ..blob import Blob
from ..faults import Fault, Struck
from ..jobs import Failure, Job, Phase
from ..limits import Rate
from ..media import MediaFault
from ..studio import Held, Link, Script, Source, Work
from .base import Call, Endpoint, Refusal, Vendor, VendorSettings, rate, reply
from .sync_assets import SyncAssets
from .sync_rules import CATALOGUE, IDEMPOTENCY_KEY, MODELS, Invalid, Order, check


@attrs.frozen(kw_only=True)
class SyncSettings(VendorSettings):
    """Sync's settings.

    Known and adjustable: the last published rates and the Scale plan's 15 seats. Processing is 1x real time after a
    10 s queue. Assumptions (the sheet found no text on them):

    Attributes:
        replay_status: The status of an idempotent replay (201, as the original).
        conflict_status: The status when a key comes back with another body (409).
        conflict_code: Its error code.
        idempotency_seconds: How long a key is remembered (24 h).
        retry_after: Whether a 429 carries a Retry-After header (no source says so: off).
        max_ids: How many ids one list call takes (no limit is documented: None); more is a 400.
        batch_status: The answer to batch calls, which this stand-in does not serve (402, as for smaller plans).
        http_webhooks: Webhooks may go to plain http (the vendor wants https).
    """

    create: Rate | None = attrs.field(default=Rate(100), converter=rate)
    read: Rate | None = attrs.field(default=Rate(600), converter=rate)
    upload: Rate | None = attrs.field(default=Rate(120), converter=rate)
    concurrency: int | None = 15
    link_seconds: float | None = 7 * 86_400.0
    max_seconds: float | None = 1800.0
    replay_status: int = 201
    conflict_status: int = 409
    conflict_code: str = "IDEMPOTENCY_KEY_REUSED"
    idempotency_seconds: float = 86_400.0
    retry_after: bool = False
    max_ids: int | None = None
    batch_status: int = 402
    http_webhooks: bool = True
    webhook_secret: str = "whsec_sandbox"


_STATUS = {
    Phase.QUEUED: "PENDING",
    Phase.RUNNING: "PROCESSING",
    Phase.DONE: "COMPLETED",
    Phase.FAILED: "FAILED",
}
_DOOMS = (
    ("generation_pipeline_failed", "FAILED"),
    ("generation_unknown_error", "FAILED"),
    ("generation_infra_resource_exhausted", "FAILED"),
    ("generation_timeout", "FAILED"),
    ("generation_input_face_selection_invalid", "FAILED"),
    ("generation_plan_duration_exceeded", "REJECTED"),
)
_ECHOED = ("options", "segments", "webhookUrl", "projectId", "outputFileName", "dubParams")


class Sync(Vendor):
    """The stand-in for Sync under `/sync`."""

    name = "sync"
    currency = "usd"
    result_path = "/results/{token}/{file}"
    settings: SyncSettings

    def __init__(self, house: Any, settings: VendorSettings) -> None:
        super().__init__(house, settings)
        self.assets = SyncAssets(self)

    def endpoints(self) -> Sequence[Endpoint]:
        read, paid = ("read",), ("create",)
        return (
            Endpoint("POST", "/v2/generate", "create", self.create, paid),
            Endpoint("GET", "/v2/generate/{id}", "poll", self.poll, read),
            Endpoint("GET", "/v2/generations", "list", self.list, read),
            Endpoint("POST", "/v2/generations/estimate", "estimate", self.estimate, read),
            Endpoint("POST", "/v2/generate/estimate-cost", "estimate", self.estimate, read),
            Endpoint("POST", "/v2/analyze/cost", "estimate", self.analyze, read),
            Endpoint("GET", "/v2/generations/{id}", "poll", self.read, read),
            Endpoint("GET", "/v2/generations/{id}/download", "download", self.download, read),
            Endpoint("DELETE", "/v2/generations/{id}", "delete", self.delete, read),
            Endpoint("GET", "/v2/models", "models", self.models, read),
            Endpoint("GET", "/v2/errors", "errors", self.errors, key=False),
            Endpoint("POST", "/v2/batch", "batch", self.batch, read),
            Endpoint("GET", "/v2/batch", "batch", self.batch, read),
            Endpoint("GET", "/v2/organizations/webhook/secret", "secret", self.secret, read),
            *self.assets.endpoints(),
            *self.upload_endpoints(),
            self.result_endpoint(),
        )

    # Refusals

    def key_of(self, request: web.Request) -> str | None:
        return request.headers.get("x-api-key")

    def unauthorised(self, request: web.Request, key: str | None) -> web.Response:
        if key is None:
            said = "Send a session cookie or an x-api-key header"
            return reply({"message": said, "error": "Unauthorized", "statusCode": 401}, 401)
        return reply({"message": "Unauthorized", "statusCode": 401}, 401)

    def too_fast(self, call: Call, wait: float) -> web.Response:
        headers = {"Retry-After": str(max(1, round(wait)))} if self.settings.retry_after else None
        return _error(429, "rate_limit_exceeded", "Too many requests for this key", headers=headers,
                      error="Too Many Requests")  # fmt: skip

    def too_many_jobs(self, call: Call) -> web.Response:
        count = call.account.seats.count(call.now)
        return _error(
            429, "concurrency_limit_reached", "Too many generations are under way", activeGenerations=count,
            concurrencyLimit=self.settings.concurrency or count, retryAfterSeconds=10,
            upgradeUrl=f"{call.origin}/billing",
        )  # fmt: skip

    def broken(self, call: Call, status: int) -> web.Response:
        extra: dict[str, Any] = {"requestId": uuid.uuid4().hex} if status == 500 else {}
        code = {500: "internal_error", 503: "controller_unavailable", 504: "controller_timeout"}.get(status)
        if status == 502:
            return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
        return _error(status, code or "generation_input_validation_failed", "Something went wrong", **extra)

    def unknown_path(self, request: web.Request) -> web.Response:
        said = f"Cannot {request.method} {request.path.removeprefix('/sync')}"
        return reply({"message": said, "error": "Not Found", "statusCode": 404}, 404)

    # Creating

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /v2/generate, JSON or multipart."""
        body = await self._body(call.request)
        key = self._idempotency_key(call)
        shown = {name: value for name, value in body.items() if not name.startswith("_")}
        digest = digest_of(_digestible(body))
        if key is not None and (known := self._known(call.account, key)) is not None:
            return self._replayed(call, known, digest)
        try:
            order = check(body)
            work = self._work(call, order)
        except Invalid as invalid:
            raise Refusal(_error(invalid.status, invalid.code, invalid.message, field=invalid.field)) from None
        if self.short_of_credit(call.account):
            raise Refusal(_error(402, "account_payment_required", "The account needs a payment"))
        if call.account.seats.full(call.now, self.settings.concurrency):
            raise Refusal(self.too_many_jobs(call))
        job = self.book(call, id=str(uuid.uuid4()), inputs=_digestible(body), work=work, body=shown, reference=key)
        if key is not None:
            call.account.replays[key] = (digest, job)
        if struck := call.faulty(Fault.OUTCOME_UNKNOWN):
            extra: dict[str, Any] = {} if struck.get("bare", False) else {"generationId": job.id}
            return _error(503, "IDEMPOTENCY_OUTCOME_UNKNOWN", "The outcome of this request is unknown", **extra)
        return reply(self.shown(job, call), 201)

    async def _body(self, request: web.Request) -> dict[str, Any]:
        if request.content_type == "multipart/form-data":
            return await self._form(request)
        try:
            body = json.loads(await request.read())
        except ValueError:
            said = {"message": "Unexpected token in JSON", "error": "Bad Request", "statusCode": 400}
            raise Refusal(reply(said, 400)) from None
        if not isinstance(body, dict):
            raise Refusal(_error(400, "generation_input_validation_failed", ["the body must be an object"]))
        return cast("dict[str, Any]", body)

    async def _form(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = {}
        files: list[dict[str, Any]] = []
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                data = await self.house.studio.blocking(value.file.read)
                blob = await self.house.studio.blocking(Blob.of, data)
                files.append({"type": name, "url": None, "_held": blob})
            elif name in ("input", "options", "segments", "dubParams", "dialogueEdit"):
                try:
                    body[name] = json.loads(str(value))
                except ValueError:
                    said = [f"{name} must be JSON"]
                    raise Refusal(_error(400, "generation_input_validation_failed", said)) from None
            else:
                body[name] = str(value)
        body["input"] = [*body.get("input", []), *files]
        return body

    def _idempotency_key(self, call: Call) -> str | None:
        keys = call.request.headers.getall("Idempotency-Key", [])
        if not keys:
            return None
        call.row.reference = keys[0][:200]
        if len(keys) > 1 or not IDEMPOTENCY_KEY.fullmatch(keys[0]):
            raise Refusal(_error(400, "INVALID_IDEMPOTENCY_KEY", "Send one key of 1 to 128 characters"))
        return keys[0]

    def _known(self, account: Account, key: str) -> tuple[str, Job] | None:
        known = account.replays.get(key)
        if known is None or self.house.clock.now() - known[1].at > self.settings.idempotency_seconds:
            return None
        return known

    def _replayed(self, call: Call, known: tuple[str, Job], digest: str) -> web.Response:
        if known[0] != digest:
            raise Refusal(_error(self.settings.conflict_status, self.settings.conflict_code,
                                 "This key was used with another body"))  # fmt: skip
        call.account.bill.replays += 1
        call.row.job = known[1].id
        return reply(self.shown(known[1], call), self.settings.replay_status)

    def _work(self, call: Call, order: Order) -> Work:
        picture = self._source(call, order.visual)
        assert not isinstance(picture, Script)
        voice = self._source(call, order.voice) if order.voice is not None else picture
        return Work(picture, voice, order.fit, image=order.image)

    def _source(self, call: Call, item: Mapping[str, Any]) -> Source:
        if item["type"] == "text":
            return Script(item["provider"]["script"], item["provider"]["voiceId"])
        if item.get("_held") is not None:
            return Held(item["_held"])
        if item.get("url") is not None:
            return Link(item["url"])
        return Link(self.assets.url_for(call.account, item["assetId"], item["type"]))

    # Reading

    async def poll(self, call: Call) -> web.StreamResponse:
        """GET /v2/generate/{id}: one look, or a long poll."""
        query = call.request.query
        wait = query.get("wait", "").lower() in ("true", "1")
        include = [part.strip() for part in query.get("include", "").split(",") if part.strip()]
        if wait and include:
            raise Refusal(_error(400, "generation_input_validation_failed", ["include cannot be combined with wait"]))
        hold = _seconds(query.get("timeout"))
        job = self._job(call)
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
        clock = self.house.clock
        while not job.phase(clock.now()).ended and clock.now() < until:
            known = job.ended_at if job.ended_at is not None else clock.now() + 0.05 * clock.speed
            await clock.sleep_until(min(until, known))

    def _job(self, call: Call) -> Job:
        id = call.request.match_info["id"]
        call.row.job = id
        try:
            uuid.UUID(id)
        except ValueError:
            raise Refusal(_error(400, "unsupported_generation_id_format", "The id is not a UUID")) from None
        job = call.account.jobs.get(id)
        if job is None or job.deleted:
            raise Refusal(_error(404, "generation_not_found", "There is no such generation"))
        return job

    async def read(self, call: Call) -> web.StreamResponse:
        """GET /v2/generations/{id}."""
        return reply(self.shown(self._job(call), call))

    async def list(self, call: Call) -> web.StreamResponse:
        """GET /v2/generations: filters as comma list and as repeated keys, newest first."""
        statuses, ids = _many(call.request, "status"), _many(call.request, "ids")
        if set(statuses) - {"PENDING", "PROCESSING", "COMPLETED", "FAILED", "REJECTED"}:
            raise Refusal(_error(400, "generation_input_validation_failed", ["status has an unknown value"]))
        if self.settings.max_ids is not None and len(ids) > self.settings.max_ids:
            raise Refusal(_error(400, "generation_input_validation_failed", ["too many ids"]))
        jobs = self._chosen(call.account, ids)
        if statuses:
            jobs = [job for job in jobs if self.status(job, call.now) in statuses]
        return reply([self.shown(job, call) for job in _page(jobs, call.request)])

    def _chosen(self, account: Account, ids: Sequence[str]) -> Sequence[Job]:
        if ids:
            found = [account.jobs[id] for id in dict.fromkeys(ids) if id in account.jobs]
            found.sort(key=lambda job: -job.at)
        else:
            found = list(reversed(account.jobs.values()))
        return [job for job in found if not job.deleted]

    async def download(self, call: Call) -> web.StreamResponse:
        """GET /v2/generations/{id}/download: the bare URL as text."""
        job = self._job(call)
        if job.phase(call.now) is not Phase.DONE:
            raise Refusal(_error(404, "generation_not_found", "This generation has no output"))
        return web.Response(text=self._output_url(job, call.origin))

    async def delete(self, call: Call) -> web.StreamResponse:
        """DELETE /v2/generations/{id}, refused while the job is under way."""
        job = self._job(call)
        if not job.phase(call.now).ended:
            raise Refusal(_error(409, "generation_not_deletable_while_processing", "The generation is under way"))
        job.deleted = True
        return reply(self.shown(job, call))

    def status(self, job: Job, now: float) -> str:
        """Sync's word for where a job stands."""
        phase = job.phase(now)
        if phase is Phase.FAILED and job.failure is not None and job.failure.status:
            return job.failure.status
        return _STATUS[phase]

    def shown(self, job: Job, call: Call, *, progress: bool = False) -> dict[str, Any]:
        """The Generation object. A failed one carries both `errorCode` and `error_code` (sheet, section 9)."""
        now = self.house.clock.now()
        phase = job.phase(now)
        told = self._told(job, now, call.origin)
        struck = call.faulty(Fault.UNKNOWN_STATUS)
        if struck is not None and not phase.ended:
            told["status"] = struck.get("value", "ENHANCING")
        if progress:
            told["progress_percent"] = round(100 * job.progress(now))
        return told

    def _told(self, job: Job, now: float, origin: str) -> dict[str, Any]:
        phase = job.phase(now)
        told: dict[str, Any] = {
            "id": job.id,
            "createdAt": self.house.clock.iso(job.at),
            "status": self.status(job, now),
            "model": job.body["model"],
            "input": [_without_held(item) for item in job.body["input"]],
            "outputUrl": None,
            "outputDuration": None,
            "error": None,
        }
        told |= {name: job.body[name] for name in _ECHOED if job.body.get(name) is not None}
        if phase is Phase.DONE and job.film is not None:
            told["outputUrl"] = self._output_url(job, origin)
            told["outputDuration"] = round(job.film.seconds, 3)
        elif phase is Phase.FAILED and job.failure is not None:
            told |= {"error": job.failure.message, "errorCode": job.failure.code, "error_code": job.failure.code}
        return told

    def _output_url(self, job: Job, origin: str) -> str:
        return self.result_url(job, origin, f"{job.body.get('outputFileName') or 'result'}.mp4")

    # Money, models, catalogue

    def cost_when_measured(self, job: Job) -> float:
        if job.film is None or job.failure is not None:
            return 0.0
        return round(job.film.seconds * job.film.fps) * MODELS[job.body["model"]][1]

    def money(self, account: Account) -> dict[str, Any]:
        return {"credits": round(account.spent, 6), "usd": round(account.spent, 6), "currency": self.currency}

    async def estimate(self, call: Call) -> web.StreamResponse:
        """POST /v2/generations/estimate: from a duration, no media read."""
        body = await self._body(call.request)
        duration, fps = body.get("duration"), body.get("fps", 30)
        if body.get("model") not in MODELS:
            raise Refusal(_error(400, "generation_unsupported_model", "This model is not supported", field="model"))
        if not isinstance(duration, int | float) or not 0 < duration < 1e9:
            raise Refusal(_error(400, "generation_input_validation_failed", ["duration must be a positive number"]))
        return reply({**_estimate(body["model"], duration * fps), "estimatedCredits": None})

    async def analyze(self, call: Call) -> web.StreamResponse:
        """POST /v2/analyze/cost: the older estimate from a create body; an array. Assumes 10 s at 25 fps, unread."""
        try:
            order = check(await self._body(call.request))
        except Invalid as invalid:
            raise Refusal(_error(invalid.status, invalid.code, invalid.message, field=invalid.field)) from None
        return reply([_estimate(order.model, 250)])

    async def models(self, call: Call) -> web.StreamResponse:
        """GET /v2/models."""
        return reply(
            [
                {"id": id, "name": id, "type": kind, "version": id.rpartition("-")[2], "description": f"{kind} model"}
                for id, (kind, _) in MODELS.items()
            ]
        )

    async def errors(self, call: Call) -> web.StreamResponse:
        """GET /v2/errors, public."""
        return reply([{"code": code, "message": text, "suggestion": ""} for code, text in CATALOGUE.items()])

    async def batch(self, call: Call) -> web.StreamResponse:
        """Batches are not served; the answer is a plan that lacks them."""
        raise Refusal(_error(self.settings.batch_status, "plan_feature_unavailable", "This plan has no batches"))

    async def secret(self, call: Call) -> web.StreamResponse:
        """GET /v2/organizations/webhook/secret."""
        return reply({"secret": self.settings.webhook_secret})

    # Ends

    def failure_of(self, fault: MediaFault) -> Failure:
        if fault.reason == "too_long":
            return Failure("generation_plan_duration_exceeded", f"The media is too long ({fault.detail})", "REJECTED")
        return Failure(f"generation_input_{fault.kind}_{fault.reason}", f"The {fault.kind} input: {fault.detail}")

    def doom(self, struck: Struck) -> Failure:
        code, status = struck.choose(_DOOMS)
        code = struck.get("code", code)
        return Failure(code, CATALOGUE.get(code, "The generation failed"), struck.get("status", status))

    async def on_end(self, job: Job) -> None:
        url = str(job.body.get("webhookUrl") or "")
        if not url.startswith("https://" if not self.settings.http_webhooks else ("https://", "http://")):
            return
        told = self._told(job, self.house.clock.now(), job.origin)
        for name in ("errorCode", "outputFileName", "projectId", "synthesizedAudioUrl"):
            told.pop(name, None)
        body = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
        stamp = int(time.time())
        mac = hmac.new(self.settings.webhook_secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
        headers = {"Content-Type": "application/json", "Sync-Signature": f"t={stamp},v1={mac.hexdigest()}"}
        try:
            async with asyncio.timeout(10), aiohttp.ClientSession() as session:
                await session.post(url, data=body, headers=headers)
        except (aiohttp.ClientError, TimeoutError):
            return


def _error(
    status: int,
    code: str,
    message: str | list[str],
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> web.Response:
    body: dict[str, Any] = {"message": message, "statusCode": status, "errorCode": code, **extra}
    if field is not None:
        body["field"] = field
    return reply(body, status, headers)


def _estimate(model: str, frames: float) -> dict[str, Any]:
    return {
        "estimatedFrameCount": round(frames),
        "estimatedGenerationCost": round(round(frames) * MODELS[model][1], 6),
    }


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text) if text is not None else 5.0
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 10:
        raise Refusal(_error(400, "generation_input_validation_failed", ["timeout must be between 1 and 10"]))
    return seconds


def _many(request: web.Request, name: str) -> list[str]:
    return [part.strip() for value in request.query.getall(name, []) for part in value.split(",") if part.strip()]


def _page(jobs: Sequence[Job], request: web.Request) -> Sequence[Job]:
    limit, cursor = request.query.get("limit"), request.query.get("cursor")
    if limit is None and cursor is None:
        return jobs
    if limit is None or not limit.isdigit() or not 1 <= int(limit) <= 100:
        raise Refusal(_error(400, "generation_input_validation_failed", ["limit must be between 1 and 100"]))
    ids = [job.id for job in jobs]
    if cursor is not None and cursor not in ids:
        raise Refusal(_error(400, "invalid_generation_id", "The cursor is unknown", field="cursor"))
    start = ids.index(cursor) + 1 if cursor is not None else 0
    return jobs[start : start + int(limit)]


def _digestible(body: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in body.items() if value is not None}
    if isinstance(shown.get("input"), list):
        shown["input"] = [_without_held(item, digest=True) for item in shown["input"]]
    return shown


def _without_held(item: Any, *, digest: bool = False) -> Any:
    if not isinstance(item, dict) or "_held" not in item:
        return cast(Any, item)
    entry = cast("dict[str, Any]", item)
    blob: Blob = entry["_held"]
    shown = {"sha256": blob.sha256} if digest else {"url": f"upload:{blob.sha256[:16]}"}
    return {"type": entry["type"], **shown}
