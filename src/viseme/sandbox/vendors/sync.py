"""Sync's lip-sync API v2, as its sheet has it. What the sheet leaves open is in `SyncSettings`."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from ..accounts import Account
from ..bill import digest_of
from ..faults import Fault, Struck
from ..jobs import Failure, Job
from ..media import MediaFault
from ..studio import Dub, Link, Script, Segment, Segments, Source, Work
from .base import Vendor
from .house import House
from .settings import VendorSettings
from .sync_assets import SyncAssets
from .sync_batch import SyncBatches
from .sync_body import digestible, error, idempotency_key, read_body
from .sync_hooks import announce_job
from .sync_reading import SyncReading
from .sync_rules import CATALOGUE, MODELS, Invalid, Order, check
from .sync_settings import SyncSettings
from .sync_speech import SyncSpeeches
from .wire import Call, Endpoint, Refusal, Throttled, reply

_CODES = {
    413: "file_size_exceeds_plan_limit",
    500: "internal_error",
    503: "controller_unavailable",
    504: "controller_timeout",
}
_DOOMS = (
    ("generation_pipeline_failed", "FAILED"),
    ("generation_unknown_error", "FAILED"),
    ("generation_infra_resource_exhausted", "FAILED"),
    ("generation_timeout", "FAILED"),
    ("generation_input_face_selection_invalid", "FAILED"),
    ("generation_plan_duration_exceeded", "REJECTED"),
)


class Sync(Vendor):
    """The stand-in for Sync under `/sync`."""

    name = "sync"
    currency = "usd"
    result_path = "/results/{token}/{file}"
    settings: SyncSettings

    def __init__(self, house: House, settings: VendorSettings) -> None:
        super().__init__(house, settings)
        self.assets = SyncAssets(self)
        self.reading = SyncReading(self)
        self.batches = SyncBatches(self)
        self.speeches = SyncSpeeches(self)

    def endpoints(self) -> Sequence[Endpoint]:
        read = ("read",)
        return (
            Endpoint("POST", "/v2/generate", "create", self.create, ("create",)),
            Endpoint("POST", "/v2/generations/estimate", "estimate", self.estimate),
            Endpoint("POST", "/v2/generate/estimate-cost", "estimate", self.estimate),
            Endpoint("POST", "/v2/analyze/cost", "estimate", self.analyze),
            Endpoint("GET", "/v2/models", "models", self.models, read),
            Endpoint("GET", "/v2/errors", "errors", self.errors, key=False),
            Endpoint("GET", "/v2/organizations/webhook/secret", "secret", self.secret, read),
            *self.reading.endpoints(),
            *self.assets.endpoints(),
            *self.batches.endpoints(),
            *self.speeches.endpoints(),
            *self.storage.endpoints(),
            *self.uploads.endpoints(),
        )

    def forget(self) -> None:
        super().forget()
        self.assets.forget()
        self.batches.forget()
        self.speeches.forget()

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
        body = {"error": "Too Many Requests"}
        return error(429, "rate_limit_exceeded", "Too many requests for this key", headers=headers, **body)

    def too_many_jobs(self, call: Call) -> web.Response:
        if call.row.route == "batch":
            return self.batches.too_many()
        count = call.account.seats.count(call.now)
        details: dict[str, Any] = {
            "activeGenerations": count,
            "concurrencyLimit": count if self.settings.concurrency is None else self.settings.concurrency,
            "retryAfterSeconds": 10,
            "upgradeUrl": f"{call.origin}/billing",
        }
        return error(429, "concurrency_limit_reached", "Too many generations are under way", **details)

    def broken(self, call: Call, status: int) -> web.Response:
        if status == 502:
            return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
        known = _CODES.get(status, "generation_input_validation_failed")
        code = call.struck.get("code", known) if call.struck else known
        extra: dict[str, Any] = {"requestId": uuid.uuid4().hex} if status == 500 else {}
        return error(status, code, "Something went wrong", **extra)

    def unknown_path(self, request: web.Request) -> web.Response:
        said = f"Cannot {request.method} {request.path.removeprefix('/sync')}"
        return reply({"message": said, "error": "Not Found", "statusCode": 404}, 404)

    # Creating

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /v2/generate, JSON or multipart."""
        body = await read_body(call, self.uploads)
        key = idempotency_key(call)
        inputs = digestible(body)
        digest = digest_of(inputs)
        if key is not None and (known := self._known(call.account, key)) is not None:
            return self._replayed(call, known, digest)
        try:
            work = self.work(call, body)
        except Invalid as invalid:
            raise Refusal(error(invalid.status, invalid.code, invalid.message, field=invalid.field)) from None
        if self.short_of_credit(call.account):
            raise Refusal(error(402, "account_payment_required", "The account needs a payment"))
        if call.account.seats.full(call.now, self.settings.concurrency):
            raise Throttled(self.too_many_jobs(call))
        job = self.book(call, id=str(uuid.uuid4()), inputs=inputs, work=work, body=body, reference=key)
        if key is not None:
            call.account.replays[key] = (digest, job)
        if struck := call.faulty(Fault.OUTCOME_UNKNOWN):
            extra: dict[str, Any] = {} if struck.get("bare", False) else {"generationId": job.id}
            return error(503, "IDEMPOTENCY_OUTCOME_UNKNOWN", "The outcome of this request is unknown", **extra)
        return reply(self.reading.shown(job, call), 201)

    def _known(self, account: Account, key: str) -> tuple[str, Job] | None:
        known = account.replays.get(key)
        if known is None or self.house.clock.now() - known[1].at > self.settings.idempotency_seconds:
            return None
        return known

    def _replayed(self, call: Call, known: tuple[str, Job], digest: str) -> web.Response:
        if known[0] != digest:
            said = "This key was used with another body"
            raise Refusal(error(self.settings.conflict_status, self.settings.conflict_code, said))
        call.account.bill.replays += 1
        call.row.job = known[1].id
        return reply(self.reading.shown(known[1], call), self.settings.replay_status)

    def work(self, call: Call, body: Mapping[str, Any]) -> Work:
        """What a create body asks for.

        Raises:
            Invalid: The body is refused.
        """
        order = check(body)
        return Work(self._file(call, order.visual), self._voice(call, order), order.fit, image=order.image)

    def _voice(self, call: Call, order: Order) -> Source:
        if order.dub is not None:
            return Dub(str(order.dub.get("targetLang", "")))
        if order.stretches:
            parts = [(part, self._spoken(call, part.voice)) for part in order.stretches]
            return Segments(tuple(Segment(part.start, part.end, voice, part.skip) for part, voice in parts))
        assert order.voice is not None
        return self._spoken(call, order.voice)

    def _spoken(self, call: Call, item: Mapping[str, Any]) -> Link | Script:
        if item["type"] == "text":
            return Script(item["provider"]["script"], item["provider"]["voiceId"])
        return self._file(call, item)

    def _file(self, call: Call, item: Mapping[str, Any]) -> Link:
        if item.get("url") is not None:
            return Link(item["url"])
        return Link(self.assets.url_for(call.account, item["assetId"], item["type"]))

    # Money, models, catalogue

    def cost_when_measured(self, job: Job) -> float:
        if job.film is None or job.failure is not None:
            return 0.0
        return round(job.film.seconds * job.film.fps) * MODELS[job.body["model"]][1]

    def money(self, account: Account) -> dict[str, Any]:
        spent, batches = round(account.spent, 6), self.batches.statement(account, self.house.clock.now())
        return {"credits": spent, "usd": spent, "currency": self.currency, "batches": batches}

    async def estimate(self, call: Call) -> web.StreamResponse:
        """POST /v2/generations/estimate: from a duration, no media read."""
        body = await read_body(call, self.uploads)
        duration, fps = body.get("duration"), body.get("fps", 30)
        if body.get("model") not in MODELS:
            raise Refusal(error(400, "generation_unsupported_model", "This model is not supported", field="model"))
        if not isinstance(duration, int | float) or not 0 < duration < 1e9 or not isinstance(fps, int | float):
            raise Refusal(error(400, "generation_input_validation_failed", ["duration must be a positive number"]))
        return reply({**_estimate(body["model"], duration * fps), "estimatedCredits": None})

    async def analyze(self, call: Call) -> web.StreamResponse:
        """POST /v2/analyze/cost: the older estimate from a create body; an array. Assumes 10 s at 25 fps, unread."""
        try:
            order = check(await read_body(call, self.uploads))
        except Invalid as invalid:
            raise Refusal(error(invalid.status, invalid.code, invalid.message, field=invalid.field)) from None
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

    async def secret(self, call: Call) -> web.StreamResponse:
        """GET /v2/organizations/webhook/secret."""
        return reply({"secret": self.settings.webhook_secret})

    # Ends

    def failure_of(self, fault: MediaFault) -> Failure:
        if fault.reason == "input_too_long":
            code = "generation_input_duration_greater_than_max_duration"
            return Failure(code, f"The {fault.kind} input is too long ({fault.detail})")
        if fault.reason == "too_long":
            return Failure("generation_plan_duration_exceeded", f"The media is too long ({fault.detail})", "REJECTED")
        return Failure(f"generation_input_{fault.kind}_{fault.reason}", f"The {fault.kind} input: {fault.detail}")

    def doom(self, struck: Struck) -> Failure:
        code, status = struck.choose(_DOOMS)
        code = struck.get("code", code)
        return Failure(code, CATALOGUE.get(code, "The generation failed"), struck.get("status", status))

    def announcement(self, job: Job) -> Callable[[], Awaitable[None]] | None:
        url = str(job.body.get("webhookUrl") or "")
        if not url.startswith(("https://", "http://") if self.settings.http_webhooks else "https://"):
            return None
        return partial(announce_job, self, job, url)


def _estimate(model: str, frames: float) -> dict[str, Any]:
    return {
        "estimatedFrameCount": round(frames),
        "estimatedGenerationCost": round(round(frames) * MODELS[model][1], 6),
    }
