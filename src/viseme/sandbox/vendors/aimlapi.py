"""AI/ML API's video calls for lip-sync, as its sheet has them. What the sheet leaves open is in `AimlSettings`."""

import base64
import binascii
import json
import re
import secrets
import string
import uuid
from collections.abc import Sequence
from typing import Any, Literal, cast

import attrs
from aiohttp import web

from ..accounts import Account
from ..blob import Blob
from ..faults import Fault, Struck
from ..jobs import Failure, Job, Phase
from ..limits import Rate
from ..media import MediaFault
from ..studio import Held, Link, Script, Source, Work
from ..timeline import Fit
from .aimlapi_books import CREDITS_PER_USD, MODEL, AimlBooks
from .base import Vendor
from .house import House
from .settings import VendorSettings, rate
from .wire import Call, Endpoint, Refusal, Throttled, reply

SPEAKERS = (
    "Harper", "Ava", "Isabella", "Sophia", "Emily", "Chloe", "Julia", "Mason", "Jack", "Liam", "James", "Oliver",
    "Adrian", "Ethan", "Auto",
)  # fmt: skip
_REFERENCE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DATA_URI = re.compile(r"data:[\w.+/-]*(?:;[\w=.+-]+)*;base64,(.*)", re.DOTALL)
_NANO = string.ascii_letters + string.digits + "_-"
_DOOMS = ("generation_error", "face_detection_error", "content_policy_violation")


@attrs.frozen(kw_only=True)
class AimlSettings(VendorSettings):
    """AI/ML API's settings.

    No rate is published but that of the logs (200 in 60 s). Assumptions:

    Attributes:
        create, read, concurrency: 60/min, 600/min and 10 jobs.
        price: Credits held per job (the seed's 2,000,000, which is 1 USD).
        done_status: The word for done; `mixed` gives each job one of `completed` and `succeeded`.
        mismatch: What happens when lengths differ: the video is fitted to the audio (`bounce`).
        log_seconds: How late a request appears in the logs.
        log_running: Whether jobs that have not ended appear in the logs.
        id_shape: One of `mixed`, `nano`, `dash` (a leading `-`), `uuid`, `number`, `cgt`.
        final_meta: Whether an ended job repeats `meta.usage`.
        status_code_text: Whether `statusCode` in error bodies is text, as in the printed sample.
        max_text: Longest text to speak (200 characters upstream).
    """

    create: Rate | None = attrs.field(default=Rate(60), converter=rate)
    read: Rate | None = attrs.field(default=Rate(600), converter=rate)
    logs: Rate | None = attrs.field(default=Rate(200), converter=rate)
    concurrency: int | None = 10
    credits: float | None = 1_000.0 * CREDITS_PER_USD
    queue_seconds: float = 4.0
    fixed_seconds: float = 30.0
    pace: float = 0.0
    price: int = CREDITS_PER_USD
    done_status: Literal["mixed", "completed", "succeeded"] = "mixed"
    mismatch: Literal["bounce", "loop", "freeze", "cut_off", "silence", "remap"] = "bounce"
    log_seconds: float = 5.0
    log_running: bool = True
    id_shape: Literal["mixed", "nano", "dash", "uuid", "number", "cgt"] = "mixed"
    final_meta: bool = False
    status_code_text: bool = False
    retry_after: bool = False
    max_text: int | None = 200


class AimlApi(Vendor):
    """The stand-in for AI/ML API under `/aimlapi`."""

    name = "aimlapi"
    currency = "credits"
    result_path = "/cdn/panda/{grant}/{token}/{file}"
    settings: AimlSettings

    def __init__(self, house: House, settings: VendorSettings) -> None:
        super().__init__(house, settings)
        self.books = AimlBooks(self)

    def endpoints(self) -> Sequence[Endpoint]:
        read = ("read",)
        return (
            Endpoint("POST", "/v2/video/generations", "create", self.create, ("create",)),
            Endpoint("GET", "/v2/video/generations", "poll", self.poll, read),
            *self.books.endpoints(),
            *self.storage.endpoints(),
            *self.uploads.endpoints(),
        )

    # Refusals

    def key_of(self, request: web.Request) -> str | None:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        return key.strip() if kind.lower() == "bearer" and key.strip() else None

    def no(self, request: web.Request, status: int, message: str, headers: Any = None) -> web.Response:
        """An error body in the one shape that the vendor has."""
        clock = self.house.clock
        return reply(
            {
                "message": message,
                "path": request.path.removeprefix("/aimlapi"),
                "requestId": str(uuid.uuid4()),
                "statusCode": str(status) if self.settings.status_code_text else status,
                "timestamp": clock.iso(clock.now()),
            },
            status,
            headers,
        )

    def unauthorised(self, request: web.Request, key: str | None) -> web.Response:
        return self.no(request, 401, "The API key is missing or invalid")

    def too_fast(self, call: Call, wait: float) -> web.Response:
        headers = {"Retry-After": str(max(1, round(wait)))} if self.settings.retry_after else None
        return self.no(call.request, 429, "Too many requests", headers)

    def too_many_jobs(self, call: Call) -> web.Response:
        return self.no(call.request, 429, "Too many generations are under way")

    def broken(self, call: Call, status: int) -> web.Response:
        if status == 502:
            return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
        return self.no(call.request, status, "The server could not do this")

    def unknown_path(self, request: web.Request) -> web.Response:
        return self.no(request, 404, f"Cannot {request.method} {request.path.removeprefix('/aimlapi')}")

    # Creating and looking

    async def create(self, call: Call) -> web.StreamResponse:
        """POST /v2/video/generations."""
        body = await self._read(call)
        if not isinstance(body, dict):
            raise Refusal(self.no(call.request, 400, "The body must be a JSON object"))
        inputs = cast("dict[str, Any]", body)
        reference = call.request.headers.get("X-Client-Request-Id", "")
        call.row.reference = reference[:200] or None
        work = await self._work(call, inputs)
        if self.short_of_credit(call.account):
            raise Refusal(self.no(call.request, 403, "You have run out of credits"))
        if call.account.seats.full(call.now, self.settings.concurrency):
            raise Throttled(self.too_many_jobs(call))
        job = self.book(
            call,
            id=self._new_id(len(self.jobs)),
            inputs=_brief(inputs),
            work=work,
            body={"price": self.settings.price},
            reference=reference if _REFERENCE.fullmatch(reference) else None,
        )
        usage = {"credits_used": job.body["price"]}
        return reply({"id": job.id, "status": "queued", "meta": {"usage": usage}}, 200, self._headers(job))

    async def _read(self, call: Call) -> Any:
        """The body as JSON, or None. Its size counts as it is, told beforehand or not."""
        data, most = await call.request.read(), self.settings.max_body
        if most is not None and len(data) > most:
            raise Refusal(self.broken(call, 413))
        try:
            return json.loads(data)
        except ValueError:
            return None

    def _headers(self, job: Job) -> dict[str, str]:
        headers = {
            "x-inference-id": job.id,
            "x-aimlapi-credits-used": str(job.body["price"]),
            "x-aimlapi-usd-spent": f"{job.body['price'] / CREDITS_PER_USD:g}",
        }
        return headers | ({"x-client-request-id": job.reference} if job.reference else {})

    async def _work(self, call: Call, body: dict[str, Any]) -> Work:
        complaints = self._complaints(body)
        if complaints:
            raise Refusal(self.no(call.request, 400, "; ".join(complaints)))
        picture = await self._source(call, body["video_url"], "video_url")
        if "audio_url" in body:
            voice: Source = await self._source(call, body["audio_url"], "audio_url")
        else:
            voice = Script(body["lip_sync_tts_content"], body["lip_sync_tts_speaker"])
        return Work(picture, voice, Fit(self.settings.mismatch))

    def _complaints(self, body: dict[str, Any]) -> list[str]:
        texts = ("video_url", "audio_url", "lip_sync_tts_content", "lip_sync_tts_speaker")
        found = [f"{name}: expected string" for name in texts if not isinstance(body.get(name, ""), str)]
        if body.get("model") != MODEL:
            found.append(f"model: expected {MODEL}, received {str(body.get('model'))[:100]}")
        if "video_url" not in body:
            found.append("video_url: expected string, received undefined")
        spoken = ("lip_sync_tts_content" in body, "lip_sync_tts_speaker" in body)
        if any(spoken) == ("audio_url" in body) or any(spoken) != all(spoken):
            found.append("audio_url: expected either audio_url or both lip_sync_tts fields")
        if spoken[1] and body["lip_sync_tts_speaker"] not in SPEAKERS:
            found.append("lip_sync_tts_speaker: expected one of the listed speakers")
        limit = self.settings.max_text
        if spoken[0] and limit is not None and len(str(body["lip_sync_tts_content"])) > limit:
            found.append(f"lip_sync_tts_content: expected at most {limit} characters")
        return found

    async def _source(self, call: Call, url: str, name: str) -> Link | Held:
        if url.startswith(("http://", "https://")):
            return Link(url)
        found = _DATA_URI.match(url)
        try:
            data = base64.b64decode(found[1] if found else url, validate=True)
        except (binascii.Error, ValueError):
            raise Refusal(self.no(call.request, 400, f"{name}: expected a URL or Base64")) from None
        blob = await self.house.studio.blocking(Blob.of, data)
        call.row.uploaded += blob.size
        call.row.received = {**(call.row.received or {}), name: {"bytes": blob.size, "sha256": blob.sha256}}
        return Held(blob)

    def _new_id(self, number: int) -> str:
        shape = self.settings.id_shape
        if shape == "mixed":
            shape = ("nano", "dash", "uuid", "nano", "number", "cgt", "dash")[(number + self.house.seed) % 7]
        nano = "".join(secrets.choice(_NANO) for _ in range(21))
        match shape:
            case "dash":
                return "-" + nano[1:]
            case "uuid":
                return f"{uuid.uuid4()}:{MODEL}"
            case "number":
                return str(secrets.randbelow(10**15) + 10**15)
            case "cgt":
                return f"cgt-{secrets.randbelow(10**14):014d}-{nano[:5].strip('-_') or 'x'}"
            case _:
                return nano

    async def poll(self, call: Call) -> web.StreamResponse:
        """GET /v2/video/generations?generation_id=..."""
        id = call.request.query.get("generation_id", "")
        call.row.job = id[:200] or None
        if not id:
            raise Refusal(self.no(call.request, 400, "generation_id: expected string, received undefined"))
        job = self.find(call.account, id, call.now)
        if job is None:
            raise Refusal(self.no(call.request, 404, "There is no such generation"))
        return reply(self._shown(job, call), 200, self._headers(job))

    def _shown(self, job: Job, call: Call) -> dict[str, Any]:
        phase = job.phase(call.now)
        told: dict[str, Any] = {"id": job.id, "status": self._status(job, phase)}
        if phase is Phase.DONE:
            told["video"] = {"url": self.storage.result_url(job, call.origin, "pixverse_mp4_media_web_ori.mp4")}
        elif phase is Phase.FAILED and job.failure is not None:
            told |= {"video": None, "error": _error(job.failure)}
        if not phase.ended or self.settings.final_meta:
            told["meta"] = {"usage": {"credits_used": 0 if phase is Phase.FAILED else job.body["price"]}}
        if (struck := call.faulty(Fault.UNKNOWN_STATUS)) and not phase.ended:
            told["status"] = struck.get("value", "dreaming")
        return told

    def _status(self, job: Job, phase: Phase) -> str:
        if phase is Phase.DONE:
            mixed = self.settings.done_status == "mixed"
            return ("completed", "succeeded")[int(job.token[0], 16) % 2] if mixed else self.settings.done_status
        return {Phase.QUEUED: "queued", Phase.RUNNING: "generating"}.get(phase, "error")

    # Money

    def cost_at_booking(self) -> float:
        return float(self.settings.price)

    def cost_when_measured(self, job: Job) -> float:
        return -float(job.body["price"]) if job.failure is not None else 0.0

    def money(self, account: Account) -> dict[str, Any]:
        return {"credits": account.spent, "usd": account.spent / CREDITS_PER_USD, "currency": self.currency}

    # Ends

    def failure_of(self, fault: MediaFault) -> Failure:
        return Failure("invalid_input", f"The {fault.kind} is {fault.reason}: {fault.detail}")

    def doom(self, struck: Struck) -> Failure:
        code = struck.get("code", struck.choose(_DOOMS))
        return Failure(code, "The generation failed")


def _error(failure: Failure) -> dict[str, Any]:
    """The two shapes of an error: a name and a message, or a list of details."""
    if failure.code != "face_detection_error":
        return {"name": failure.code, "message": failure.message}
    detail = {"loc": ["body", "video_url"], "msg": "No face was found", "type": failure.code, "input": "video_url"}
    return {"detail": [detail]}


def _brief(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs without the bulk of data URIs."""
    return {
        name: value if len(str(value)) <= 4096 else f"sha256:{Blob.of(str(value).encode()).sha256}"
        for name, value in inputs.items()
    }
