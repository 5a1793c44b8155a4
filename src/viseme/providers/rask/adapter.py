"""Rask's API v2, in stages. Sources: the vendor's page (seed 000) and the fact sheet, whose sections are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from attrs import evolve

from viseme.attempts import Handle, Intent
from viseme.config import Account
from viseme.errors import ConfigError, JobInvalid
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.base import (
    Accepted,
    Credential,
    FilePart,
    Finding,
    Flow,
    Model,
    Observation,
    Price,
    Provider,
    Refused,
    Reply,
    Request,
    Role,
    Safety,
    Sheet,
    Undecided,
    Uploaded,
    Verdict,
)
from viseme.providers.rask import dubs, faces, media, runs, segments, tokens
from viseme.providers.rask.calls import Calls
from viseme.providers.rask.checks import check
from viseme.providers.rask.options import RaskOptions
from viseme.providers.rask.refusals import refusal
from viseme.providers.rask.settings import RaskSettings, check_credentials, check_token_url
from viseme.providers.rask.stages import FREE, stages_of
from viseme.providers.reading import entry, number
from viseme.results import Cost, Reason
from viseme.units import Rate
from viseme.wording import quote

__all__ = ["Rask"]

_DATED = "2026-11-20"
_SEEN_LATE = 45.0
"""Seconds beyond ``stale_grace`` that a lost create is asked after: two looks that prove its absence fit in."""


class Rask(Provider):
    """Rask: a video is dubbed into a language (a project), then lip-synced to its new speech.

    A lost create is settled by reading: a project by its unique name, a lip-sync by what the project shows.
    """

    name = "rask"
    Options: ClassVar[type[Any]] = RaskOptions
    Settings: ClassVar[type[Any]] = RaskSettings
    settings: RaskSettings
    sheet = Sheet(
        base_url="https://api.rask.ai",
        models={
            "lip-sync": Model(
                name="lip-sync",
                speech=frozenset({"language"}),
                # Minutes of dub and lip-sync, each begun one (section 7; the rounding is not documented: at most).
                price=Price(amount=2.0, unit="minutes", per="minute", dated=_DATED),
                lag=60.0,
                pace=4.0,
            )
        },
        rates={"all": (Rate(2, 1.0),)},  # none is published; section 9 advises 2 a second and 4 under way
        concurrency=4,
        seat_ttl=24 * 3600.0,
        safety=Safety.CORRELATE,
        complete=True,
        first=10.0,
        every=10.0,
        sparing=False,  # that an order was begun is the proof that what is in sight later is new (section 4, trap 3)
        local_files=True,
        # Link sources (section 2), whose pages Rask itself reads; S3 and direct links lead to the file.
        page_hosts=frozenset({"youtube.com", "youtu.be", "drive.google.com", "docs.google.com", "vimeo.com"}),
        free_stages=FREE,
        deadline=43 * 3600.0,  # the sum of section 11's deadlines for media, dub, face, queue and processing
    )

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.calls = Calls(self.base, self.settings)
        self.sheet = evolve(self.sheet, settle=self.settings.stale_grace + _SEEN_LATE)

    def _need_key(self, account: Account) -> None:
        try:
            check_credentials(self.settings)
            check_token_url(self.settings.token_url, private=account.allow_private_hosts)
        except ConfigError as error:
            raise ConfigError(f"accounts.{account.name}: {error}") from None

    def secrets(self) -> tuple[str, ...]:
        return (*super().secrets(), self.settings.client_secret, tokens.basic(self.settings))

    # -- what the engine asks before anything is sent ------------------------------------------------------------

    def model(self, job: Job) -> Model:
        if job.model is not None:
            raise JobInvalid(f"rask has no models to choose from; leave model {quote(job.model)!r} out", field="model")
        return next(iter(self.sheet.models.values()))

    def check(self, job: Job) -> None:
        self.model(job)
        check(job, self.options(job), allow_paid=self.settings.allow_paid, account=self.account.name)
        self.check_source("video", job.video)

    def handed_over(self, job: Job) -> tuple[str, ...]:
        """Files and links alike: the library takes both."""
        return ("video",) if job.video else ()

    def stages(self, job: Job) -> tuple[str, ...]:
        return stages_of(self.options(job))

    def exclusive(self, job: Job) -> str | None:
        return cast("str | None", self.options(job).project_id)

    def price(self, job: Job) -> Price | None:
        """Minutes of dub and lip-sync together, at most: a project pays for its lip-sync once."""
        stated = self.account.price.get(self.model(job).name) or self.account.price.get("")
        if stated is not None:
            return stated
        stages = self.stages(job)
        dubbed = sum(name in stages for name in ("project", "redub"))
        synced = self.settings.lipsync_minute_multiplier if "lipsync" in stages else 0.0
        return Price(amount=dubbed + synced, unit="minutes", per="minute", dated=_DATED)

    # -- flows ---------------------------------------------------------------------------------------------------

    def authorize(self, old: Credential | None, now: float) -> Flow[Credential]:
        return tokens.obtain(self.settings, now)

    def sign(self, request: Request, credential: Credential, now: float) -> Mapping[str, str]:
        return {"authorization": f"Bearer {credential.value}"}

    def upload(self, job: Job, name: str, source: FilePart | str) -> Flow[Uploaded]:
        return media.upload(self.calls, source)

    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        options: RaskOptions = self.options(job)
        if intent.stage in ("project", "redub", "lipsync") and not self.settings.allow_paid:
            return _without_consent(self.account.name)
        match intent.stage:
            case "media":
                return media.begin(self.calls, _medium(options, intent, handles), intent.at)
            case "project":
                return dubs.create(self.calls, job, options, str(handles["media"]["id"]), intent.key)
            case "dub" | "segments":
                known = {"id": options.project_id, "stage": intent.stage, "given": True}
                return _without_request(known)
            case "redub":
                return dubs.generate(self.calls, options.project_id or "")
            case "face" | "ready":
                dubbed = not handles.keys().isdisjoint(("project", "redub"))
                waits = {"stage": intent.stage, "since": intent.at, "paid": dubbed}
                return _without_request(_project(handles) | waits)
            case _:
                return runs.create(
                    self.calls, self._run(job, intent.stage, handles), several=options.is_multiple_speakers
                )

    def inherit(self, own: Handle, theirs: Handle) -> Handle:
        """The other's lip-sync under this job's own name: whether it is kept as a preview is each job's matter."""
        mine = {name: own[name] for name in ("stage", "keep") if name in own}
        return {name: value for name, value in theirs.items() if name != "keep"} | mine

    def _run(self, job: Job, stage: str, handles: Mapping[str, Handle]) -> Handle:
        """The handle of a lip-sync that is about to be ordered."""
        mode = "preview" if stage == "preview" else "full"
        handle: Handle = {**_project(handles), "stage": stage, "mode": mode}
        if self.options(job).preview == "first" and mode == "preview":
            handle["keep"] = True
        if (had := entry(handles, "preview", "result")) is not None:
            handle["had"] = had
        seconds = number(entry(handles, "media", "seconds"))
        price = self.price(job)
        if seconds is not None and price is not None:
            cost = price.cost(seconds)
            handle["cost"] = {"amount": cost.amount, "unit": cost.unit, "usd": cost.usd}
        return handle

    def poll(self, handle: Handle, hold: float = 0.0, now: float = 0.0) -> Flow[Observation]:
        match handle.get("stage"):
            case "media":
                return media.poll(self.calls, handle, now)
            case "project" | "dub" | "redub":
                return dubs.poll(self.calls, handle)
            case "segments":
                return segments.poll(self.calls, handle)
            case "face" | "ready":
                return faces.poll(self.calls, handle, now)
            case _:
                return runs.poll(self.calls, handle, now)

    def reconcile(self, job: Job, intent: Intent, now: float = 0.0) -> Flow[Finding]:
        match intent.stage:
            case "project":
                return dubs.find(self.calls, intent, now)
            case "redub":
                return dubs.generated(self.calls, intent, now)
            case "preview" | "lipsync":
                return runs.reconcile(self.calls, intent, now)
            case _:
                return _undecided(intent.stage)

    def balance(self) -> Flow[Cost | None]:
        """The minutes that are left."""
        reply = yield self.calls.credits()
        total = number(entry(reply.object(), "minutes", "total"))
        used = number(entry(reply.object(), "minutes", "used"))
        return None if total is None or used is None else Cost(amount=total - used, unit="minutes")

    # -- reading replies -----------------------------------------------------------------------------------------

    def unreadable(self, request: Request, reply: Reply) -> Verdict | None:
        if request.role is Role.FOREIGN and reply.status >= 300:
            return tokens.refused(reply)
        if 200 <= reply.status < 300 and not reply.body.strip() and _needs_no_body(request):
            return None
        return super().unreadable(request, reply)

    def refusal(self, request: Request, reply: Reply) -> Verdict:
        return refusal(request, reply)


def _needs_no_body(request: Request) -> bool:
    """Any 2xx is a yes to a request whose reply names nothing that is needed (section 2)."""
    return request.method == "PUT" or request.url.endswith("/generate")


def _medium(options: RaskOptions, intent: Intent, handles: Mapping[str, Handle]) -> Handle:
    if options.media_id is not None:
        return {"id": options.media_id, "stage": "media", "given": True}
    return {"id": handles["video"]["id"], "stage": "media", "since": intent.at}


def _project(handles: Mapping[str, Handle]) -> Handle:
    """The project, with the stamps that its dub has to be newer than, as the latest stage knows them."""
    stages = ("ready", "preview", "face", "redub", "dub", "project")
    latest = next(handles[name] for name in stages if name in handles)
    return {name: latest[name] for name in ("id", "generated", "after", "worked") if name in latest}


def _without_request(handle: Handle) -> Flow[Accepted]:
    yield from ()
    return Accepted(handle=handle)


def _without_consent(account: str) -> Flow[Accepted]:
    yield from ()
    message = f"what comes next may cost minutes; set allow_paid = true in accounts.{quote(account)} and run again"
    raise Refused(Verdict(kind=Kind.INVALID, message=message, blame="account", park=Reason.NEEDS_PERSON))


def _undecided(stage: str) -> Flow[Finding]:
    yield from ()
    return Undecided(message=f"the stage {quote(stage)} of a rask job costs nothing, so none is lost")
