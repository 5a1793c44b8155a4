"""AI/ML API: the model ``pixverse/lip-sync``.

Sources: the vendor's page for the model (seed 004) and the fact sheet, whose section is named at each fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import evolve, field, frozen

from viseme.attempts import Handle, Intent
from viseme.config import Account
from viseme.errors import JobInvalid
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.keys import FileStamp
from viseme.providers.base import (
    Accepted,
    Base64Of,
    Blame,
    Credential,
    FilePart,
    Finding,
    Flow,
    Found,
    Limits,
    Model,
    Observation,
    Price,
    Provider,
    Refused,
    Reply,
    Request,
    Role,
    Safety,
    Seen,
    Sheet,
    Undecided,
    Uploaded,
    Verdict,
    http_kind,
    look_at,
    retry_after,
)
from viseme.providers.media import file_handle, file_of
from viseme.providers.reading import artifacts, encode, entry, identifier, listing, moment, number, said, word
from viseme.providers.verdicts import without_link
from viseme.results import Cost
from viseme.units import Rate, Size, size
from viseme.wording import quote

__all__ = ["VOICES", "AimlApi", "AimlOptions", "AimlSettings"]

VOICES = (
    "Harper",
    "Ava",
    "Isabella",
    "Sophia",
    "Emily",
    "Chloe",
    "Julia",
    "Mason",
    "Jack",
    "Liam",
    "James",
    "Oliver",
    "Adrian",
    "Ethan",
    "Auto",
)
"""The voices that speak a text (seed 004)."""

CREDITS_PER_USD = 2_000_000
"""Sheet section 7."""

_MEGA = 1024**2
_LIMITS: Mapping[str, Limits] = {
    "video": Limits(bytes=50 * _MEGA, seconds=30.0, side=1920, containers=frozenset({"mp4", "mov"}), sure=False),
    "audio": Limits(bytes=50 * _MEGA, seconds=30.0, containers=frozenset({"mp3", "wav"}), sure=False),
}
"""PixVerse's; that AI/ML API passes them on is a guess (sheet section 3)."""

_LONGEST_TEXT = 200

_QUEUED = frozenset({"queued", "queueing", "waiting", "preparing"})
_DONE = frozenset({"completed", "complete", "succeeded", "success", "done", "ready", "finished"})
"""Done only together with a URL (sheet section 4)."""
_FAILED = frozenset({"error", "failed", "cancelled", "canceled", "expired", "timeout", "timed_out"})
_PAGE = 100
_PERIODS = (("1h", 1), ("24h", 24), ("7d", 168), ("30d", 720), ("90d", 2160))
"""Periods of the request log and their hours; it reaches back 92 days (sheet section 8)."""
_LATE = 600.0
"""How far the vendor's clock may be behind ours, and how late a request may be logged, seconds."""

_ADVICE = {
    Kind.AUTH: "check api_key",
    Kind.NO_CREDIT: "top up the account, or check what the key is allowed to do, and run again",
    Kind.NOT_FOUND: "check base_url, or the id that was asked for",
    Kind.INVALID: "change the job and run it again",
    Kind.LIMITED: "viseme waits and goes on",
    Kind.FATE_UNKNOWN: "the job may have been started; viseme looks for it before anything is paid again",
}
_BLAME: dict[Kind, Blame] = {Kind.AUTH: "account", Kind.NO_CREDIT: "account", Kind.INVALID: "job"}


@frozen(kw_only=True)
class AimlOptions:
    """Options of AI/ML API: the model takes none; text and voice stand in the job itself."""


def _not_negative(_: object, attribute: Any, value: int) -> None:
    if value < 0:
        raise ValueError(f"{attribute.name} must not be negative")


@frozen(kw_only=True)
class AimlSettings:
    """What the vendor does not publish (sheet part 3).

    Attributes:
        max_text: the longest text in characters; PixVerse itself takes 200, whether the gateway takes more is not
            documented. 0 for no check.
        log_pages: how many pages of the request log, with 100 requests each, are read at most for a create whose reply
            was lost: back to the time at which it was sent; 0 for none.
        max_inline: the largest local file, in bytes or as ``"4MiB"``. The vendor has no place to put files (sheet
            section 3), so one goes into the create itself as a data URI, and how long a create may be is not
            documented. 0 for no local files.
    """

    max_text: int = field(default=_LONGEST_TEXT, validator=_not_negative)
    log_pages: int = field(default=10, validator=_not_negative)
    max_inline: Size = field(default=4 * 2**20, converter=size)


class AimlApi(Provider):
    """AI/ML API's ``pixverse/lip-sync``.

    A lost create is looked for in the vendor's request log by the label that went with it. The log may be late and may
    leave running jobs out, so it never proves absence (sheet section 8).
    """

    name = "aimlapi"
    Options: ClassVar[type[Any]] = AimlOptions
    Settings: ClassVar[type[Any]] = AimlSettings
    settings: AimlSettings
    sheet = Sheet(
        base_url="https://api.aimlapi.com",
        models={
            "pixverse/lip-sync": Model(
                name="pixverse/lip-sync",
                speech=frozenset({"audio", "text"}),
                price=Price(
                    amount=CREDITS_PER_USD,
                    unit="credits",
                    per="job",
                    usd_per_unit=1 / CREDITS_PER_USD,
                    dated="2026-08-21",
                ),
                lag=25.0,
                pace=1.0,
                limits=_LIMITS,
                text=_LONGEST_TEXT,
            )
        },
        rates={"create": (Rate(1, 1.0),), "read": (Rate(2, 1.0),)},
        concurrency=3,
        seat_ttl=1800.0,  # the docs' own loops give up after 1000 s (sheet section 4)
        safety=Safety.CORRELATE,
        complete=False,
        first=10.0,
        every=15.0,
        local_files=True,
    )

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        text = self.settings.max_text or None
        models = {name: evolve(model, text=text) for name, model in self.sheet.models.items()}
        self.sheet = evolve(self.sheet, models=models)
        if not self.settings.log_pages:
            self.sheet = evolve(self.sheet, safety=Safety.NONE)
        if not self.settings.max_inline:
            self.sheet = evolve(self.sheet, local_files=False)

    def check(self, job: Job) -> None:
        super().check(job)
        if not job.text:
            return
        if job.voice not in VOICES:
            given = f"has no voice {quote(job.voice)!r}" if job.voice else "needs a voice for the text"
            raise JobInvalid(f"{self.name} {given}; voices are {', '.join(VOICES)}", field="voice")
        longest = self.model(job).text
        if longest is not None and len(job.text) > longest:
            raise JobInvalid(
                f"text has {len(job.text)} characters, {self.name} takes {longest}; shorten it, or give audio"
                " (max_text in the account moves the limit)",
                field="text",
            )

    def check_file(self, job: Job, name: str, stamp: FileStamp) -> None:
        super().check_file(job, name, stamp)
        if stamp.size > self.settings.max_inline:
            raise JobInvalid(
                f"{name} {quote(getattr(job, name))!r} has {stamp.size} bytes; {self.name} takes local files of up to"
                f" {self.settings.max_inline} inside the request (max_inline); host it and give its URL",
                field=name,
            )

    def sign(self, request: Request, credential: Credential, now: float) -> Mapping[str, str]:
        return {"authorization": f"Bearer {credential.value}"}

    # -- flows ---------------------------------------------------------------------------------------------------

    def upload(self, job: Job, name: str, source: FilePart | str) -> Flow[Uploaded]:
        """Nothing is sent: the file goes with the create (sheet section 3: a URL or a data URI)."""
        yield from ()
        handle = {"url": source} if isinstance(source, str) else file_handle(source)
        return Uploaded(handle=handle, lifetime=0.0)

    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        video = _medium(job.video, handles.get("video"))
        body: dict[str, Any] = {"model": intent.model or self.model(job).name, "video_url": video}
        if job.audio:
            body["audio_url"] = _medium(job.audio, handles.get("audio"))
        else:
            body["lip_sync_tts_content"] = job.text
            body["lip_sync_tts_speaker"] = job.voice
        reply = yield Request(
            method="POST",
            url=f"{self.base}/v2/video/generations",
            role=Role.PAID,
            classes=("create", "post", "all"),
            headers={"x-client-request-id": intent.key},
            json=body,
        )
        found = reply.object()
        name = identifier(found.get("id")) or identifier(reply.headers.get("x-inference-id"))
        if name is None:
            raise Refused(self._without_id(found))
        return Accepted(handle={"id": name}, observation=_observe(found))

    def _without_id(self, found: Mapping[str, Any]) -> Verdict:
        words = quote(said(found) or "nothing that names it")
        return Verdict(
            kind=Kind.FATE_UNKNOWN,
            message=f"{self.name} answered the create without an id: {words}; {_ADVICE[Kind.FATE_UNKNOWN]}",
            charged=True,
        )

    def poll(self, handle: Handle, hold: float = 0.0, now: float = 0.0) -> Flow[Observation]:
        # Ids may begin with "-" or hold "/" and ":" (sheet section 4).
        url = f"{self.base}/v2/video/generations?generation_id={encode(str(handle['id']))}"
        reply = yield look_at(url)
        return _observe(reply.object())

    def reconcile(self, job: Job, intent: Intent, now: float = 0.0) -> Flow[Finding]:
        model, period = encode(intent.model or self.model(job).name), _period(now - intent.at)
        for page in range(self.settings.log_pages):
            url = f"{self.base}/v2/logs?period={period}&model={model}&limit={_PAGE}&offset={page * _PAGE}"
            try:
                reply = yield look_at(url)
            except Refused as refusal:
                if refusal.verdict.kind in (Kind.AUTH, Kind.TRANSIENT):  # nobody looked
                    raise
                return Undecided(message=f"the request log cannot be read: {refusal.verdict.message}")
            rows = listing(reply.json()) or []
            for row in rows:
                if row.get("client_request_id") == intent.key:
                    return _found(row)
            oldest = moment(rows[-1].get("created")) if rows else None  # the newest stand first
            if len(rows) < _PAGE or (oldest is not None and oldest < intent.at - _LATE):
                break
        return Undecided(message=f"{self.name}'s request log does not show the create yet, which proves nothing")

    def balance(self) -> Flow[Cost | None]:
        """The balance in USD."""
        reply = yield look_at(f"{self.base}/v2/billing")
        amount = number(reply.object().get("current_balance"))
        return None if amount is None else Cost(amount=amount, unit="usd", usd=amount)

    # -- reading replies -----------------------------------------------------------------------------------------

    def refusal(self, request: Request, reply: Reply) -> Verdict:
        # 403 is what an account without credit gets (sheet section 5).
        kind = Kind.NO_CREDIT if reply.status == 403 else http_kind(request, reply.status)
        found = reply.object()
        words = said(found) or said(reply.opening()) or f"HTTP {reply.status}"
        label = identifier(found.get("requestId"))
        advice = _ADVICE.get(kind)
        return Verdict(
            kind=kind,
            message=f"{self.name} refused with HTTP {reply.status}: {quote(words)}"
            + (f" (request {label})" if label else "")
            + (f"; {advice}" if advice else ""),
            code=_code(found),
            retry_after=retry_after(reply),
            blame=_BLAME.get(kind, "vendor"),
            charged=kind is Kind.FATE_UNKNOWN,
        )


def _medium(source: str | None, handle: Handle | None) -> str | Base64Of | None:
    file = file_of(handle)
    return source if file is None else Base64Of(file)


def _observe(found: Mapping[str, Any]) -> Observation:
    raw = word(found.get("status"))
    status = (raw or "").strip().lower()
    link = _video(found.get("video"))
    if status in _DONE and (outputs := artifacts(link)):
        return Observation(
            seen=Seen.SUCCEEDED, status=status, progress=100.0, outputs=outputs, cost=_cost(found, estimated=False)
        )
    if status in _FAILED:
        # A failed request gives its credits back (sheet section 7).
        free = Cost(amount=0.0, unit="credits", usd=0.0, estimated=True)
        return Observation(seen=Seen.FAILED, status=status, verdict=_failed(found, status), cost=free)
    seen = Seen.QUEUED if status in _QUEUED else Seen.RUNNING
    odd = without_link("aimlapi", status, link) if status in _DONE else None
    return Observation(seen=seen, status=raw or "unknown", verdict=odd, cost=_cost(found, estimated=True))


def _video(value: object) -> object:
    return value if isinstance(value, str) else entry(value, "url") or entry(value, 0, "url")


def _cost(found: Mapping[str, Any], *, estimated: bool) -> Cost | None:
    usage = entry(found, "meta", "usage")
    credits = number(entry(usage, "credits_used"))
    credits = number(entry(usage, "tokens_used")) if credits is None else credits
    if credits is None or credits < 0:
        return None
    usd = number(entry(usage, "usd_spent"))
    return Cost(
        amount=credits,
        unit="credits",
        usd=credits / CREDITS_PER_USD if usd is None or usd < 0 else usd,
        estimated=estimated,
    )


def _failed(found: Mapping[str, Any], status: str) -> Verdict:
    """Both shapes of an error: a name with a message, and the list of details that the vendor's checks give."""
    error = found.get("error")
    words, code = said(error) or "no reason given", _code(found)
    moderated = "moderat" in f"{code} {words}".lower()
    return Verdict(
        kind=Kind.CONTENT_REJECTED if moderated else Kind.JOB_FAILED,
        message=f"aimlapi could not do the job ({status}): {quote(words)}; it says that failed jobs cost nothing",
        code=code,
        blame="job" if moderated or entry(error, "detail") is not None else "vendor",
        charged=False,
    )


def _code(found: Mapping[str, Any]) -> str | None:
    error = found.get("error")
    return identifier(entry(error, "detail", 0, "type")) or identifier(entry(error, "name"))


def _period(age: float) -> str:
    """The shortest period that holds a create of that age (seconds), and some more."""
    return next((name for name, hours in _PERIODS if age < hours * 3600 - 2 * _LATE), _PERIODS[-1][0])


def _found(row: Mapping[str, Any]) -> Finding:
    name = identifier(row.get("inference_id"))
    if name is None:
        return Undecided(message="the request log shows the create, without an id to look at")
    return Found(handle={"id": name}, created=moment(row.get("created")))
