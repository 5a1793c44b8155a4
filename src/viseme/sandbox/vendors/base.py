"""What all stand-in vendors share: accounts, booking, rendering, result links; and what each has to say for itself."""

import asyncio
import json
import logging
import math
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import attrs
from aiohttp import web

from ..accounts import Account, account_name
from ..blob import Blob, send
from ..clock import Clock
from ..faults import Fault, Struck
from ..jobs import Failure, Job, Pace, Phase
from ..limits import Rate
from ..links import EXPIRED_XML, FORGED_XML, Signer
from ..log import Log, Row
from ..media import MediaFault
from ..studio import Studio, Work

_logger = logging.getLogger(__name__)


def rate(value: Rate | str | Sequence[float] | None) -> Rate | None:
    """Reads a rate setting; None stays no limit."""
    return Rate.of(value) if value is not None else None


@attrs.frozen(kw_only=True)
class VendorSettings:
    """What can be set for every vendor. Times are vendor seconds; None means no limit.

    Attributes:
        create, read, upload, post, logs: Exact sliding windows per request class, as `"100/min"`.
        concurrency: Jobs under way per account.
        credits: What the account has been granted, in the vendor's unit.
        queue_seconds: How long a job waits before it runs.
        fixed_seconds: The part of the processing that does not depend on the length.
        pace: Processing seconds per second of output.
        link_seconds: How long a result link lives.
        max_seconds: The longest input or output; longer jobs fail.
    """

    create: Rate | None = attrs.field(default=None, converter=rate)
    read: Rate | None = attrs.field(default=None, converter=rate)
    upload: Rate | None = attrs.field(default=None, converter=rate)
    post: Rate | None = attrs.field(default=None, converter=rate)
    logs: Rate | None = attrs.field(default=None, converter=rate)
    concurrency: int | None = None
    credits: float | None = None
    queue_seconds: float = 10.0
    fixed_seconds: float = 0.0
    pace: float = 1.0
    link_seconds: float | None = None
    max_seconds: float | None = None


@attrs.define(eq=False)
class House:
    """What the vendors of one sandbox share."""

    clock: Clock
    log: Log
    studio: Studio
    signer: Signer
    seed: int
    tasks: set[asyncio.Task[None]] = attrs.field(factory=set[asyncio.Task[None]])
    uploads: dict[str, "Slot"] = attrs.field(factory=dict[str, "Slot"])

    def spawn(self, work: Awaitable[None]) -> None:
        """Runs something beside the requests, until done or until the sandbox closes."""

        async def run() -> None:
            await work

        task = asyncio.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@attrs.define(eq=False)
class Slot:
    """A presigned upload: what was announced, and what arrived."""

    name: str
    content_type: str
    blob: Blob | None = None


@attrs.define(eq=False)
class Call:
    """One request on its way through a vendor."""

    request: web.Request
    now: float
    row: Row
    struck: Struck | None
    _account: Account | None = None

    @property
    def account(self) -> Account:
        """The account of the key; only for endpoints that ask for one."""
        if self._account is None:
            raise LookupError("this endpoint asks for no key")
        return self._account

    def enter(self, account: Account) -> None:
        """Notes whose request this is."""
        self._account = account

    def faulty(self, fault: Fault) -> Struck | None:
        """The fault that struck this request, if it is this one."""
        return self.struck if self.struck is not None and self.struck.fault is fault else None

    @property
    def origin(self) -> str:
        """The address by which the client reached the sandbox."""
        return f"{self.request.scheme}://{self.request.host}"


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@attrs.frozen
class Endpoint:
    """One method and path of a vendor. `route` is its name in log and faults, `windows` the limits it counts in."""

    method: str
    path: str
    route: str
    handler: Handler
    windows: tuple[str, ...] = ()
    key: bool = True


class Refusal(Exception):
    """A request is turned away with this reply."""

    def __init__(self, reply: web.Response) -> None:
        super().__init__(reply.status)
        self.reply = reply


def reply(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON reply, compact as JavaScript back ends write it."""
    body = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json", charset="utf-8")


class Vendor(ABC):
    """A stand-in vendor. Subclasses translate; what is done is done here."""

    name: ClassVar[str]
    result_path: ClassVar[str]
    """Where results lie, with `{grant}` if the link carries its grant in the path instead of the query."""
    currency: ClassVar[str]

    def __init__(self, house: House, settings: VendorSettings) -> None:
        self.house = house
        self.settings = settings
        self.accounts: dict[str, Account] = {}
        self.jobs: dict[str, Job] = {}
        self.tokens: dict[str, Job] = {}

    @abstractmethod
    def endpoints(self) -> Sequence[Endpoint]:
        """Every method and path that this vendor serves."""

    @abstractmethod
    def key_of(self, request: web.Request) -> str | None:
        """The key that a request carries."""

    @abstractmethod
    def unauthorised(self, request: web.Request, key: str | None) -> web.Response:
        """The reply to a missing or wrong key."""

    @abstractmethod
    def too_fast(self, call: Call, wait: float) -> web.Response:
        """The reply to a request over a rate; `wait` is when one would pass."""

    @abstractmethod
    def too_many_jobs(self, call: Call) -> web.Response:
        """The reply to a create over the concurrency."""

    @abstractmethod
    def broken(self, call: Call, status: int) -> web.Response:
        """A 5xx, or any other status ordered by a fault."""

    @abstractmethod
    def unknown_path(self, request: web.Request) -> web.Response:
        """The reply to a path that this vendor does not serve."""

    @abstractmethod
    def failure_of(self, fault: MediaFault) -> Failure:
        """How this vendor reports an unusable input."""

    @abstractmethod
    def doom(self, struck: Struck) -> Failure:
        """A documented way for a job to fail."""

    def cost_at_booking(self) -> float:
        """What is taken when a job is booked."""
        return 0.0

    def cost_when_measured(self, job: Job) -> float:
        """What is taken (or given back, if negative) once the output's length and fate are known."""
        del job
        return 0.0

    def money(self, account: Account) -> dict[str, Any]:
        """The bill's lines about money."""
        return {"credits": round(account.spent, 6), "usd": None, "currency": self.currency}

    async def on_end(self, job: Job) -> None:
        """Called when a job has ended."""
        del job

    def account(self, key: str | None) -> Account | None:
        """The account that a key opens."""
        name = account_name(self.name, key) if key else None
        if name is None:
            return None
        return self.accounts.setdefault(name, Account(name))

    def admit(self, call: Call, endpoint: Endpoint) -> None:
        """Checks key and rates.

        Raises:
            Refusal: The request is turned away.
        """
        key = self.key_of(call.request)
        account = self.account(key)
        call.row.authorised = account is not None
        if endpoint.key and account is None:
            raise Refusal(self.unauthorised(call.request, key))
        if account is None:
            return
        call.row.account = account.name
        call.enter(account)
        waits = [account.window(name).take(call.now, getattr(self.settings, name)) for name in endpoint.windows]
        if any(waits):
            raise Refusal(self.too_fast(call, max(waits)))

    def short_of_credit(self, account: Account) -> bool:
        """Whether the account cannot pay for another job."""
        left = self.left(account)
        return left is not None and (left <= 0 or left < self.cost_at_booking())

    def left(self, account: Account) -> float | None:
        """What the account has left; None when nobody counts."""
        return None if self.settings.credits is None else self.settings.credits - account.spent

    def book(
        self,
        call: Call,
        *,
        id: str,
        inputs: Mapping[str, Any],
        work: Work,
        body: Mapping[str, Any],
        reference: str | None = None,
    ) -> Job:
        """Books a job: seat, bill, log; and starts its making."""
        account, settings = call.account, self.settings
        pace = Pace(queue=settings.queue_seconds, fixed=settings.fixed_seconds, per_second=settings.pace)
        job = Job(
            id=id, vendor=self.name, account=account.name, at=call.now, inputs=inputs, pace=pace, body=body,
            reference=reference, origin=call.origin,
        )  # fmt: skip
        struck = call.faulty(Fault.JOB_FAILED)
        job.doom = None if struck is None else self.doom(struck)
        account.seats.take(call.now, job.id)
        account.bill.book(inputs)
        account.spent += self.cost_at_booking()
        account.jobs[job.id] = self.jobs[job.id] = self.tokens[job.token] = job
        call.row.job = job.id
        if self.house.studio.fixed is not None:
            self._measured(job, account)
        else:
            self.house.spawn(self._make(job, account, work))
        return job

    async def _make(self, job: Job, account: Account, work: Work) -> None:
        try:
            job.film = await self.house.studio.render(
                attrs.evolve(work, max_seconds=self.settings.max_seconds, origin=job.origin)
            )
        except MediaFault as fault:
            job.failure = self.failure_of(fault)
        except Exception:
            _logger.exception("the sandbox could not render job %s", job.id)
            job.failure = self.doom(Struck(Fault.JOB_FAILED))
        self._measured(job, account)
        assert job.ended_at is not None
        await self.house.clock.sleep_until(job.ended_at)
        await self.on_end(job)

    def _measured(self, job: Job, account: Account) -> None:
        if self.house.studio.fixed is not None:
            job.film = self.house.studio.fixed
        job.failure = job.doom or job.failure
        end = job.pace.end(job.at, job.film.seconds) if job.film else job.at + job.pace.queue
        job.ended_at = max(end, self.house.clock.now() if job.film is not self.house.studio.fixed else end)
        job.cost = self.cost_when_measured(job)
        account.spent += job.cost
        account.seats.until(job.ended_at, job.id)

    # Results

    def result_url(self, job: Job, origin: str, file: str = "result.mp4") -> str:
        """A link to the job's file; the same one until it ends, then a fresh one."""
        now = self.house.clock.now()
        if job.link_until is None or job.link_until <= now:
            job.link_until = now + self.settings.link_seconds if self.settings.link_seconds else math.inf
        path = f"{job.token}/{job.link_serial}"
        grant = f"{job.link_until:.3f}-{job.link_serial}-{self.house.signer.sign(path, job.link_until)}"
        where = self.result_path.format(grant=grant, token=job.token, file=quote(file))
        query = "" if "{grant}" in self.result_path else f"?X-Amz-Signature={grant}"
        return f"{origin}/{self.name}{where}{query}"

    def result_endpoint(self) -> Endpoint:
        """Where this vendor's results are fetched, without a key."""
        path = self.result_path.format(grant="{grant}", token="{token}", file="{file}")
        return Endpoint("GET", path, "result", self.result, key=False)

    async def result(self, call: Call) -> web.StreamResponse:
        """Serves a result, as the vendor's object store does."""
        info, signed = call.request.match_info, "{grant}" not in self.result_path
        job = self.tokens.get(info["token"])
        if job is None or job.deleted or job.film is None or not job.phase(call.now).ended:
            return web.Response(status=404, text="Not Found")
        call.row.job, call.row.account = job.id, job.account
        grant = call.request.query.get("X-Amz-Signature", "") if signed else info["grant"]
        fate = self._judge(job, grant, call)
        if fate is not None:
            return web.Response(status=403 if signed else 404, text=fate, content_type="application/xml")
        if info["file"].endswith(".jpg"):
            return (await send(call.request, Blob.of(job.film.cover), "image/jpeg"))[0]
        return await self._send(job, call)

    def _judge(self, job: Job, grant: str, call: Call) -> str | None:
        until, _, rest = grant.partition("-")
        serial, _, signature = rest.partition("-")
        try:
            valid = self.house.signer.valid(f"{job.token}/{serial}", float(until), signature)
        except ValueError:
            valid = False
        if not valid:
            return FORGED_XML
        if call.faulty(Fault.EXPIRED_LINK):
            job.link_serial, job.link_until = job.link_serial + 1, None
        return EXPIRED_XML if float(until) <= call.now or serial != str(job.link_serial) else None

    async def _send(self, job: Job, call: Call) -> web.StreamResponse:
        if call.faulty(Fault.ETAG_CHANGED):
            job.edition += 1
            job.received = 0
        blob, fault = job.blob, call.struck.fault.value if call.struck else ""
        spoil = fault if fault in ("reset_body", "truncated", "short") else None
        response, sent = await send(
            call.request, blob, "video/mp4", ignore_range=fault == "range_ignored", spoil=spoil
        )
        if sent is not None:
            call.row.bytes = sent.end - sent.start
            if sent.complete and call.row.bytes == blob.size:
                call.row.sha256 = blob.sha256
            if job.deliver(sent.start, sent.end) and job.deliveries == 1:
                self.accounts[job.account].bill.delivered += 1
        return response

    # Uploads

    def open_slot(self, name: str, content_type: str, origin: str) -> tuple[str, str]:
        """Makes a presigned upload; returns the link to PUT to and the link the file will have."""
        id = uuid.uuid4().hex
        self.house.uploads[id] = Slot(name, content_type)
        signature = self.house.signer.sign(id, math.inf)
        asset = f"{origin}/{self.name}/files/{id}/{quote(name)}"
        return f"{asset}?X-Amz-Signature={signature}", asset

    def upload_endpoints(self) -> Sequence[Endpoint]:
        """The storage that presigned links point to, without a key."""
        path = "/files/{id}/{file}"
        return (
            Endpoint("PUT", path, "store", self._store, key=False),
            Endpoint("GET", path, "asset", self._asset, key=False),
        )

    async def _store(self, call: Call) -> web.StreamResponse:
        info = call.request.match_info
        slot = self.house.uploads.get(info["id"])
        signature = call.request.query.get("X-Amz-Signature", "")
        if slot is None or not self.house.signer.valid(info["id"], math.inf, signature):
            return web.Response(status=403, text=FORGED_XML, content_type="application/xml")
        if call.request.content_type != slot.content_type:
            return web.Response(status=403, text=FORGED_XML, content_type="application/xml")
        path = self.house.studio.folder / f"upload-{info['id']}"
        with await self.house.studio.blocking(path.open, "wb") as file:
            async for chunk in call.request.content.iter_chunked(1 << 20):
                await self.house.studio.blocking(file.write, chunk)
            await self.house.studio.blocking(file.flush)
        slot.blob = await self.house.studio.blocking(Blob.read, path)
        return web.Response(status=200, headers={"ETag": slot.blob.etag})

    async def _asset(self, call: Call) -> web.StreamResponse:
        slot = self.house.uploads.get(call.request.match_info["id"])
        if slot is None or slot.blob is None:
            return web.Response(status=404, text="Not Found")
        return (await send(call.request, slot.blob, slot.content_type))[0]

    def phase_counts(self, account: Account, now: float) -> int:
        """How many of an account's jobs have not ended."""
        return sum(not job.phase(now).ended for job in account.jobs.values())

    def statements(self) -> dict[str, Any]:
        """The bills of this vendor's accounts; the main account's is always there."""
        now = self.house.clock.now()
        self.accounts.setdefault(self.name, Account(self.name))
        return {name: account.statement(now, self.money(account)) for name, account in self.accounts.items()}

    def results(self, now: float) -> list[dict[str, Any]]:
        """Every finished film: what it was made of, and what its bytes are."""
        rows: list[dict[str, Any]] = []
        for job in self.jobs.values():
            if job.phase(now) is not Phase.DONE or job.film is None:
                continue
            rows.append(
                {
                    "vendor": self.name, "account": job.account, "job": job.id,
                    "path": f"/{self.name}{self.result_path.format(grant='*', token=job.token, file='*')}",
                    "bytes": job.blob.size, "sha256": job.blob.sha256, "seconds": job.film.seconds,
                    "inputs": dict(job.inputs), "deliveries": job.deliveries,
                }
            )  # fmt: skip
        return rows
