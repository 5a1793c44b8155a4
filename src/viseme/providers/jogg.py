"""JoggAI's lip sync.

Sources: the vendor's page "Lip Sync Video" (seeds 001 and 002) and the fact sheet, whose section is named at each fact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attrs import evolve, field, frozen

from viseme.attempts import Handle, Intent
from viseme.config import Account
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.base import (
    Accepted,
    Blame,
    Credential,
    FilePart,
    Finding,
    Flow,
    Found,
    Limits,
    Model,
    Observation,
    Outcome,
    Price,
    Provider,
    Refused,
    Reply,
    Request,
    Role,
    Safety,
    Save,
    Seen,
    Sheet,
    Undecided,
    Uploaded,
    Verdict,
    http_kind,
    look_at,
    retry_after,
)
from viseme.providers.media import Slot, deliver, slot, stored
from viseme.providers.reading import artifacts, encode, entry, identifier, moment, number, said, word
from viseme.providers.verdicts import of_another, without_link
from viseme.results import Cost
from viseme.units import Rate
from viseme.wording import quote

__all__ = ["JoggAI", "JoggOptions", "JoggSettings"]

_PRICE = Price(amount=0.008, unit="credits", per="second", dated="2026-11-20", step=0.01)
"""One credit per 125 s of output, shown rounded up to two decimals (seeds 001 and 002)."""

_MEGA = 1024**2
_LIMITS: Mapping[str, Limits] = {
    "video": Limits(
        bytes=100 * _MEGA,
        seconds=300.0,
        containers=frozenset({"mp4", "webm", "mov"}),
        codecs=frozenset({"h264", "hevc"}),
        sure=False,
    ),
    "audio": Limits(bytes=20 * _MEGA, seconds=600.0, containers=frozenset({"mp3", "wav", "m4a"}), sure=False),
}
"""Stated for uploads in 2025; whether they bind lip sync's links is not known (sheet sections 7 and 8)."""

_NO_SUCH_TASK = frozenset({10104, 17003})
_CODES = {
    429: Kind.RATE_LIMITED,
    10104: Kind.NOT_FOUND,
    10105: Kind.AUTH,
    17003: Kind.NOT_FOUND,
    18020: Kind.NO_CREDIT,
    18025: Kind.AUTH,
    40000: Kind.INVALID,
    50000: Kind.TRANSIENT,
}
"""What the envelope's code means, whatever the HTTP status (sheet section 3)."""

_ADVICE = {
    10105: "check api_key",
    18020: "top up the account and run again",
    18025: "the account's plan has to include the API",
    40000: "change the job and run it again",
}
_KIND_ADVICE = {
    Kind.FATE_UNKNOWN: "the job may have been started; it is not sent again by itself",
    Kind.AUTH: "check api_key",
    Kind.NO_CREDIT: "top up the account and run again",
    Kind.RATE_LIMITED: "viseme waits and goes on",
    Kind.LIMITED: "viseme waits and goes on",
}
_BLAME: dict[Kind, Blame] = {
    Kind.AUTH: "account",
    Kind.NO_CREDIT: "account",
    Kind.INVALID: "job",
    Kind.NOT_FOUND: "account",
}

_QUEUED = frozenset({"pending", "queued"})
_DONE = frozenset({"success", "completed", "succeeded"})
"""Done only together with a URL; the last two are words of the vendor's other products (sheet section 5)."""

Playback = Literal["normal", "normal_reverse", "normal_reverse_by_audio"]


@frozen(kw_only=True)
class JoggOptions:
    """Options of JoggAI.

    Attributes:
        playback_type: what happens where the video is shorter than the audio; default ``normal``.
    """

    playback_type: Playback | None = None


def _prefix(_: object, __: object, value: str) -> None:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value):
        raise ValueError(f"path_prefix {quote(value)!r} is no path; write /v2 or /open/v2")


@frozen(kw_only=True)
class JoggSettings:
    """What differs between accounts, or is not documented (sheet section 13).

    Attributes:
        path_prefix: ``/v2``, or the older ``/open/v2`` (seed 001).
        lookup: ask the vendor by inputs for a create whose reply was lost. The call is undocumented (sheet section 6),
            so it is off by default, and it proves no absence.
    """

    path_prefix: str = field(default="/v2", converter=lambda value: value.rstrip("/"), validator=_prefix)
    lookup: bool = False


class JoggAI(Provider):
    """JoggAI's lip sync: a video and an audio, both by URL; local files are put into its storage first (section 7)."""

    name = "jogg"
    Options: ClassVar[type[Any]] = JoggOptions
    Settings: ClassVar[type[Any]] = JoggSettings
    settings: JoggSettings
    sheet = Sheet(
        base_url="https://api.jogg.ai",
        models={"lip-sync": Model(name="lip-sync", price=_PRICE, lag=10.0, pace=1.5, limits=_LIMITS)},
        rates={"post": (Rate(20, 60.0),), "read": (Rate(5, 1.0),)},
        concurrency=2,
        seat_ttl=1800.0,  # over 15 minutes is stuck, says the vendor (sheet section 5)
        safety=Safety.NONE,
        complete=False,
        first=8.0,
        every=10.0,
        result_lifetime=24 * 3600.0,
        local_files=True,
    )

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.root = self.base + self.settings.path_prefix
        if self.settings.lookup:
            self.sheet = evolve(self.sheet, safety=Safety.CORRELATE)

    def cuts_speech(self, job: Job) -> str | None:
        if self.options(job).playback_type in (None, "normal"):
            # What "normal" does with longer speech is not stated (sheet section 2.1).
            return (
                "what becomes of the rest with playback_type normal is not documented; normal_reverse plays the video"
                " back and forth"
            )
        return None

    def sign(self, request: Request, credential: Credential, now: float) -> Mapping[str, str]:
        return {"x-api-key": credential.value}

    # -- flows ---------------------------------------------------------------------------------------------------

    def start(self) -> Flow[str | None]:
        """Check key and prefix with a call that costs nothing, so that no paid call has to find out.

        Raises:
            Refused: the path does not exist (the other prefix may be the right one), or the key is refused.
        """
        try:
            yield self._get("/user/whoami")
        except Refused as refusal:
            verdict = refusal.verdict
            if verdict.kind is Kind.AUTH:
                raise
            if verdict.kind is Kind.NOT_FOUND and verdict.code not in {str(code) for code in _NO_SUCH_TASK}:
                raise Refused(evolve(verdict, message=self._wrong_prefix(), blame="account")) from None
        return None

    def _wrong_prefix(self) -> str:
        other = "/v2" if self.settings.path_prefix != "/v2" else "/open/v2"
        return (
            f"{self.name} has nothing at {self.settings.path_prefix}/user/whoami; the prefix may be wrong:"
            f' set path_prefix = "{other}" in accounts.{self.account.name}, or check base_url'
        )

    def upload(self, job: Job, name: str, source: FilePart | str) -> Flow[Uploaded]:
        """Put a local file into the vendor's storage, which is said to keep it for good (sheet section 7)."""
        if isinstance(source, str):
            return Uploaded(handle={"url": source})
        file = source

        def grant() -> Flow[Slot]:
            reply = yield Request(
                method="POST",
                url=f"{self.root}/upload/asset",
                role=Role.UPLOAD,
                classes=("upload", "post", "all"),
                json={"filename": file.name, "content_type": file.content_type, "file_size": file.size},
            )
            data = reply.object().get("data")
            return slot(self.name, entry(data, "sign_url"), entry(data, "asset_url"))

        granted = yield from deliver(grant, file)
        return Uploaded(handle={"url": granted.url})

    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        sent = {name: handles[name]["url"] if name in handles else getattr(job, name) for name in ("video", "audio")}
        if handles:
            yield Save(sent)
        reply = yield Request(
            method="POST",
            url=f"{self.root}/create_lip_sync_video",
            role=Role.PAID,
            classes=("create", "post", "all"),
            json={
                "video_url": sent["video"],
                "audio_url": sent["audio"],
                "playback_type": self._playback(job),
            },
        )
        data = reply.object().get("data")
        name = identifier(entry(data, "task_id"))
        if name is None:
            raise Refused(self._without_id(reply))
        return Accepted(handle={"id": name}, observation=_observe(data))

    def _playback(self, job: Job) -> str:
        return self.options(job).playback_type or "normal"

    def _without_id(self, reply: Reply) -> Verdict:
        words = quote(said(reply.object()) or "nothing that names it")
        return Verdict(
            kind=Kind.FATE_UNKNOWN,
            message=f"{self.name} answered the create without a task_id: {words}; {_KIND_ADVICE[Kind.FATE_UNKNOWN]}",
            charged=True,
        )

    def poll(self, handle: Handle, hold: float = 0.0, now: float = 0.0) -> Flow[Observation]:
        name = str(handle["id"])
        reply = yield self._get(f"/lip_sync_video/{encode(name)}")
        data = reply.object().get("data")
        of_another(name, identifier(entry(data, "task_id")), self.name)
        return _observe(data)

    def reconcile(self, job: Job, intent: Intent, now: float = 0.0) -> Flow[Finding]:
        if not self.settings.lookup:
            return Undecided(message=f"{self.name} documents no way to ask for a job without its id")
        # The lookup compares texts: the URLs have to be the very ones that were sent (sheet section 6).
        sent = intent.saved or {"video": job.video, "audio": job.audio}
        query = f"video_url={encode(sent['video'] or '')}&audio_url={encode(sent['audio'] or '')}"
        try:
            reply = yield self._get(f"/lip_sync_video?{query}&playback_type={self._playback(job)}")
        except Refused as refusal:
            if refusal.verdict.kind in (Kind.AUTH, Kind.TRANSIENT):  # nobody looked
                raise
            return Undecided(message=f"the lookup found nothing, which proves nothing: {refusal.verdict.message}")
        data = reply.object().get("data")
        name, created = identifier(entry(data, "task_id")), moment(entry(data, "created_at"))
        if name is None or created is None:
            return Undecided(message=f"{self.name}'s lookup names no job with its time")
        return Found(handle={"id": name}, created=created, observation=_observe(data), by_inputs=True)

    def balance(self) -> Flow[Cost | None]:
        """The credits that are left."""
        reply = yield self._get("/user/remaining_quota")
        amount = number(entry(reply.object(), "data", "remaining_quota"))
        return None if amount is None else Cost(amount=amount, unit="credits")

    def _get(self, path: str) -> Request:
        return look_at(self.root + path)

    # -- reading replies -----------------------------------------------------------------------------------------

    def verdict(self, request: Request, outcome: Outcome) -> Verdict | None:
        foreign = request.role is Role.FOREIGN
        return stored(self.name, outcome) if foreign else super().verdict(request, outcome)

    def unreadable(self, request: Request, reply: Reply) -> Verdict | None:
        code = _code(reply)
        return self.refusal(request, reply) if code else super().unreadable(request, reply)

    def refusal(self, request: Request, reply: Reply) -> Verdict:
        code = _code(reply)
        kind = self._kind(request, reply.status, code)
        found = reply.object()
        words = said(found) or said(reply.opening()) or "no reason given"
        advice = _ADVICE.get(code or 0) if kind is not Kind.FATE_UNKNOWN else None
        return Verdict(
            kind=kind,
            message=f"{self.name} refused ({_name(code, reply.status)}): {quote(words)}"
            + (f" (request {quote(found['rid'], 60)})" if word(found.get("rid")) else "")
            + (f"; {advice or self._advice(kind)}" if advice or self._advice(kind) else ""),
            code=str(code) if code else None,
            retry_after=_wait(reply),
            blame=_BLAME.get(kind, "vendor"),
            charged=kind is Kind.FATE_UNKNOWN,
        )

    def _advice(self, kind: Kind) -> str | None:
        if kind is Kind.NOT_FOUND:
            return f"check base_url and path_prefix ({self.settings.path_prefix})"
        return _KIND_ADVICE.get(kind)

    def _kind(self, request: Request, status: int, code: int | None) -> Kind:
        paid = request.role is Role.PAID
        if paid and (status >= 500 or code == 50000):
            return Kind.FATE_UNKNOWN
        if paid and code in _NO_SUCH_TASK:
            return Kind.INVALID
        known = _CODES.get(code or 0)
        if known is not None:
            return known
        if status >= 400:
            return http_kind(request, status)
        return Kind.INVALID if paid else Kind.PROTOCOL


def _code(reply: Reply) -> int | None:
    """The envelope's code; None where the body has none."""
    code = number(reply.object().get("code"))
    return int(code) if code is not None and code.is_integer() else None


def _name(code: int | None, status: int) -> str:
    return f"code {code}" if code else f"HTTP {status}"


def _wait(reply: Reply) -> float | None:
    """How long to wait: the header, or the body's ``retryAfter`` (sheet section 4)."""
    found = reply.object()
    told = retry_after(reply)
    for value in (entry(found, "data", "retryAfter"), found.get("retryAfter")):
        told = number(value) if told is None else told
    return told if told is not None and told >= 0 else None


def _observe(data: object) -> Observation:
    raw = word(entry(data, "status"))
    status = (raw or "").strip().lower()
    link = entry(data, "data", "result_url")
    if status in _DONE and (outputs := artifacts(link, entry(data, "data", "cover_url"))):
        seconds = number(entry(data, "data", "duration_seconds"))
        cost = _PRICE.cost(seconds) if seconds is not None and seconds >= 0 else None
        return Observation(seen=Seen.SUCCEEDED, status=status, progress=100.0, outputs=outputs, cost=cost)
    if status == "failed":
        return Observation(seen=Seen.FAILED, status=status, verdict=_failed(entry(data, "error")))
    return Observation(
        seen=Seen.QUEUED if status in _QUEUED else Seen.RUNNING,
        status=raw or "unknown",
        verdict=without_link("jogg", status, link) if status in _DONE else None,
    )


def _failed(error: object) -> Verdict:
    """Credits are taken when a job is processed and no refund is documented (sheet section 11)."""
    words = said(error) or "no reason given"
    unreachable = "fetch" in words.lower()
    return Verdict(
        kind=Kind.MEDIA_UNREACHABLE if unreachable else Kind.JOB_FAILED,
        message=f"jogg could not do the job: {quote(words)}; "
        + ("check that both URLs are public and lead to the media themselves" if unreachable else "a charge is likely"),
        code=identifier(entry(error, "code")),
        blame="job" if unreachable else "vendor",
        charged=True,
    )
