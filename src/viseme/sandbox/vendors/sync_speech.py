"""Sync's speech: made at once, or as a job; a WAV file behind a link. What it costs is not documented: nothing here."""

import uuid
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

from .. import samples
from ..accounts import Account
from ..bill import digest_of
from ..faults import Fault
from ..studio import Script
from .sync_body import error, object_body
from .sync_rules import SCRIPT_LIMIT, text_complaints
from .wire import Call, Endpoint, Refusal, reply

if TYPE_CHECKING:
    from .sync import Sync

VOICES = ("Aria", "Roger", "Sarah", "Laura")


@attrs.define(eq=False)
class Speech:
    """One job: it runs from `begin`, ends at `end`, and is a file by then unless it fails."""

    at: float
    begin: float
    end: float
    seconds: float
    digest: str
    url: str = ""
    failed: bool = False
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))

    def status(self, now: float) -> str:
        """Its status, in the vendor's words."""
        if now < self.end:
            return "PENDING" if now < self.begin else "PROCESSING"
        return "FAILED" if self.failed else "SUCCESS"


class SyncSpeeches:
    """The speech endpoints. A job's key replays it in its current state; with another body it is a 409."""

    def __init__(self, vendor: "Sync") -> None:
        self._vendor = vendor
        self._house = vendor.house
        self._jobs: dict[str, dict[str, Speech]] = {}
        self._keys: dict[tuple[str, str], Speech] = {}

    def endpoints(self) -> Sequence[Endpoint]:
        """Both ways of making speech have a rate of their own."""
        return (
            Endpoint("POST", "/v2/tts", "tts", self._speak, ("tts",)),
            Endpoint("POST", "/v2/tts/jobs", "tts_job", self._begin, ("tts_jobs",)),
            Endpoint("GET", "/v2/tts/jobs/{id}", "tts_poll", self._look, ("read",)),
            Endpoint("GET", "/v2/voices", "voices", self._voices, ("read",)),
        )

    def forget(self) -> None:
        """Forgets every job."""
        self._jobs.clear()
        self._keys.clear()

    async def _speak(self, call: Call) -> web.StreamResponse:
        """POST /v2/tts."""
        script = _script(await object_body(call))
        url = await self._made(call, script)
        return reply({"id": str(uuid.uuid4()), "url": url, "duration": round(script.seconds, 3)})

    async def _begin(self, call: Call) -> web.StreamResponse:
        """POST /v2/tts/jobs."""
        if not self._vendor.settings.speech_jobs:
            raise Refusal(error(503, "controller_unavailable", "Speech jobs are not open to this organisation"))
        body = await object_body(call)
        script, digest, key = _script(body), digest_of(body), _key(call)
        known = self._keys.get((call.account.name, key)) if key is not None else None
        if known is not None and known.digest != digest:
            raise Refusal(error(409, self._vendor.settings.conflict_code, "This key was used with another body"))
        speech = known or self._started(call, script, digest)
        if key is not None:
            self._keys[call.account.name, key] = speech
        call.row.job = speech.id
        if known is None:
            speech.url = await self._made(call, script)
        return reply(self._told(speech), 202, {"Location": f"/v2/tts/jobs/{speech.id}"})

    def _started(self, call: Call, script: Script, digest: str) -> Speech:
        life = self._vendor.settings.speech_seconds
        speech = Speech(
            at=call.now, begin=call.now + life / 2, end=call.now + life, seconds=script.seconds, digest=digest,
            failed=call.faulty(Fault.JOB_FAILED) is not None,
        )  # fmt: skip
        self._of(call.account)[speech.id] = speech
        return speech

    async def _look(self, call: Call) -> web.StreamResponse:
        """GET /v2/tts/jobs/{id}."""
        call.row.job = call.request.match_info["id"]
        speech = self._of(call.account).get(call.row.job)
        if speech is None:
            raise Refusal(error(404, "tts_job_not_found", "There is no such speech job"))
        under_way = call.now < speech.end
        return reply(self._told(speech), 200, {"Retry-After": "3"} if under_way else None)

    async def _voices(self, call: Call) -> web.StreamResponse:
        """GET /v2/voices."""
        return reply([{"id": name.lower(), "name": name, "provider": "elevenlabs"} for name in VOICES])

    def _of(self, account: Account) -> dict[str, Speech]:
        return self._jobs.setdefault(account.name, {})

    def _told(self, speech: Speech) -> dict[str, Any]:
        clock = self._house.clock
        status = speech.status(now := clock.now())
        done = status == "SUCCESS"
        return {
            "id": speech.id,
            "status": status,
            "url": speech.url if done else None,
            "duration": round(speech.seconds, 3) if done else None,
            "error": "The speech could not be made" if status == "FAILED" else None,
            "createdAt": clock.iso(speech.at),
            "startedAt": clock.iso(speech.begin) if now >= speech.begin else None,
            "finishedAt": clock.iso(speech.end) if now >= speech.end else None,
        }

    async def _made(self, call: Call, script: Script) -> str:
        studio = self._house.studio
        path = studio.folder / f"speech-{digest_of([script.text, script.voice])[:24]}.wav"
        make = partial(samples.make_audio, path, script.seconds, sum(script.voice.encode()))
        await studio.once(("speech", path), lambda: studio.making(make))
        url, _ = await self._vendor.uploads.keep("speech.wav", "audio/wav", self._bytes(path), call.origin)
        return url

    async def _bytes(self, path: Path) -> AsyncIterator[bytes]:
        yield await self._house.studio.blocking(path.read_bytes)


def _script(body: dict[str, Any]) -> Script:
    given = {**body, "name": body.get("provider")}
    complaints = text_complaints(given)
    if not complaints and len(body["script"]) > SCRIPT_LIMIT:
        complaints = [f"script must be no longer than {SCRIPT_LIMIT} characters"]
    if complaints:
        raise Refusal(error(400, "generation_input_validation_failed", complaints))
    return Script(body["script"], body["voiceId"])


def _key(call: Call) -> str | None:
    """The key of a job: 1 to 128 characters after trimming."""
    text = call.request.headers.get("Idempotency-Key")
    if text is None:
        return None
    if not 1 <= len(text.strip()) <= 128:
        raise Refusal(error(400, "INVALID_IDEMPOTENCY_KEY", "Send one key of 1 to 128 characters"))
    return text.strip()
