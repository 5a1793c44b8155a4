"""Rask's API v2, dubbing and lip-sync, as its sheet has it. What the sheet leaves open is in `RaskSettings`."""

import math
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from ..accounts import Account
from ..faults import Fault, Struck
from ..jobs import Failure, Job
from ..media import MediaFault
from .base import Vendor
from .house import House
from .rask_auth import RaskAuth
from .rask_holdings import Holdings, Project
from .rask_lipsync import RaskLipsync
from .rask_media import RaskMedia
from .rask_projects import RaskProjects
from .rask_settings import RaskSettings
from .rask_transcripts import RaskTranscripts
from .rask_wire import no
from .settings import VendorSettings
from .wire import Call, Endpoint, Refusal, reply

_ENDLESS = 1_000_000


class Rask(Vendor):
    """The stand-in for Rask under `/rask`.

    Its jobs are the lip-syncs. A project's first bears the project's id, later ones end in `.2`, `.3`. A dub is part of
    its project: it is charged, counted in lines of its own, and is no job on the bill.
    """

    name = "rask"
    currency = "minutes"
    result_path = "/results/{token}/{file}"
    settings: RaskSettings

    def __init__(self, house: House, settings: VendorSettings) -> None:
        super().__init__(house, settings)
        self._holdings: dict[str, Holdings] = {}
        self.auth = RaskAuth(self)
        self.media = RaskMedia(self)
        self.projects = RaskProjects(self)
        self.transcripts = RaskTranscripts(self)
        self.lipsync = RaskLipsync(self)

    def endpoints(self) -> Sequence[Endpoint]:
        rooms = (self.auth, self.media, self.projects, self.transcripts, self.lipsync, self.storage, self.uploads)
        credits = Endpoint("GET", "/v2/credits", "credits", self._credits, ("all", "read"))
        return (credits, *(endpoint for room in rooms for endpoint in room.endpoints()))

    def forget(self) -> None:
        super().forget()
        self._holdings.clear()

    # Who is there

    def key_of(self, request: web.Request) -> str | None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" and token.strip() else None

    def account(self, key: str | None) -> Account | None:
        name = self.auth.account_of(key) if key else None
        return self.accounts.setdefault(name, Account(name)) if name is not None else None

    def admit(self, call: Call, endpoint: Endpoint) -> None:
        if call.faulty(Fault.REVOKED):
            self.auth.revoke(self.key_of(call.request))
        super().admit(call, endpoint)

    def holdings(self, account: Account) -> Holdings:
        """What the account has."""
        return self._holdings.setdefault(account.name, Holdings())

    def project(self, call: Call) -> Project:
        """The account's project that the path names.

        Raises:
            Refusal: There is none.
        """
        call.row.job = call.request.match_info["id"]
        project = self.holdings(call.account).projects.get(call.row.job)
        if project is None or not self.in_sight(project, call.now):
            raise Refusal(no(404, "Project not found"))
        return project

    def in_sight(self, project: Project, now: float) -> bool:
        """Whether a project can be read and listed yet."""
        return now >= project.at + self.settings.visible_seconds

    def link(self, job: Job, call: Call, file: str) -> str:
        """A signed link to a film."""
        return self.storage.result_url(job, call.origin, file, fresh=self.settings.fresh_links)

    # Refusals

    def unauthorised(self, request: web.Request, key: str | None) -> web.Response:
        detail = "Not authenticated" if key is None else "The access token is invalid or has expired"
        return no(401, detail, {"WWW-Authenticate": "Bearer"})

    def too_fast(self, call: Call, wait: float) -> web.Response:
        return no(429, "Too many requests", self._retry_after(wait))

    def too_many_jobs(self, call: Call) -> web.Response:
        return no(429, "Too many tasks are under way", self._retry_after(10.0))

    def _retry_after(self, wait: float) -> dict[str, str] | None:
        """The wait in whole seconds of the client's clock."""
        clock = self.house.clock
        now = clock.now()
        real = clock.unix(now + wait) - clock.unix(now)
        return {"Retry-After": str(max(1, math.ceil(round(real, 6))))} if self.settings.retry_after else None

    def broken(self, call: Call, status: int) -> web.Response:
        if status == 502:
            return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
        if call.row.route == "token":
            error = call.struck.get("error", "invalid_grant") if call.struck else "invalid_grant"
            return reply({"error": error} if status < 500 else {"message": "Internal Server Error"}, status)
        return no(status, "Internal Server Error" if status >= 500 else "The request was refused")

    def unknown_path(self, request: web.Request) -> web.Response:
        return no(404, "Not Found")

    def not_now(self, detail: str) -> web.Response:
        """The reply to what the state of things does not allow."""
        return no(self.settings.refused_status, detail)

    def no_minutes(self, detail: str) -> Refusal:
        """The refusal of what the account cannot pay for."""
        return Refusal(no(self.settings.no_minutes_status, detail))

    # Money

    def afford(self, account: Account, minutes: int) -> None:
        """Checks that the account has so many minutes.

        Raises:
            Refusal: It has not.
        """
        left = self.left(account)
        if minutes and left is not None and minutes > left:
            raise self.no_minutes("Not enough minutes")

    def enter(self, account: Account, job: Job) -> None:
        holdings, minutes = self.holdings(account), job.body["minutes"]
        if job.body["mode"] == "preview":
            holdings.previews += 1
            holdings.free_used += minutes
            return
        account.bill.book(job.inputs)
        account.spent += minutes
        holdings.charged_runs += minutes > 0
        holdings.lipsync_minutes += minutes

    def cost_when_measured(self, job: Job) -> float:
        if job.failure is None or not self.settings.refund_failed:
            return 0.0
        holdings, minutes = self.holdings(self.accounts[job.account]), job.body["minutes"]
        if job.body["mode"] == "preview":
            holdings.free_used -= minutes
            return 0.0
        holdings.lipsync_minutes -= minutes
        if minutes:
            holdings.projects[job.body["project"]].paid = False
        return -float(minutes)

    def money(self, account: Account) -> dict[str, Any]:
        lines = self.holdings(account).lines(self.house.clock.now())
        return {"credits": account.spent, "usd": None, "currency": self.currency, **lines}

    def delivered(self, job: Job) -> None:
        if job.id in self.jobs:
            super().delivered(job)
        else:
            self.holdings(self.accounts[job.account]).dubs_delivered += 1

    async def _credits(self, call: Call) -> web.StreamResponse:
        """GET /v2/credits."""
        holdings, total = self.holdings(call.account), self.settings.credits
        counts = {
            "minutes": (_ENDLESS if total is None else int(total), round(call.account.spent)),
            "video": (self.settings.videos, len(holdings.projects)),
            "lipsync_free_minutes": (self.settings.free_minutes, holdings.free_used),
        }
        return reply({name: {"total": all, "used": used} for name, (all, used) in counts.items()})

    # Ends

    def failure_of(self, fault: MediaFault) -> Failure:
        return Failure("lipsync_failed", f"the {fault.kind} is {fault.reason}: {fault.detail}")

    def doom(self, struck: Struck) -> Failure:
        return Failure("lipsync_failed", "")
