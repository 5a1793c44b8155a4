"""What all stand-in vendors share: accounts, booking, rendering, result links; and what each has to say for itself."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

import attrs
from aiohttp import web

from ..accounts import Account, account_name
from ..faults import Fault, Struck
from ..jobs import Failure, Job, Pace, Phase
from ..media import MediaFault
from ..studio import Work
from .house import House
from .settings import VendorSettings
from .storage import Storage
from .uploads import Uploads
from .wire import Call, Endpoint, Refusal, Throttled

_logger = logging.getLogger(__name__)


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
        self.storage = Storage(self)
        self.uploads = Uploads(self)

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

    def enter(self, account: Account, job: Job) -> None:
        """Puts a job that is being booked on its account's bill."""
        account.bill.book(job.inputs)
        account.spent += self.cost_at_booking()

    def delivered(self, job: Job) -> None:
        """Notes that a file has left in full for the first time."""
        self.accounts[job.account].bill.delivered += 1

    def money(self, account: Account) -> dict[str, Any]:
        """The bill's lines about money."""
        return {"credits": round(account.spent, 6), "usd": None, "currency": self.currency}

    def announcement(self, job: Job) -> Callable[[], Awaitable[None]] | None:
        """What is to be done when the job has ended, if anything."""
        del job
        return None

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
        most = self.settings.max_body
        if most is not None and (call.request.content_length or 0) > most:
            raise Refusal(self.broken(call, 413))
        waits = [account.window(name).take(call.now, getattr(self.settings, name)) for name in endpoint.windows]
        if any(waits):
            raise Throttled(self.too_fast(call, max(waits)))

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
        call.row.job = job.id
        self.begin(account, job, work)
        return job

    def begin(self, account: Account, job: Job, work: Work) -> None:
        """Puts a job on the bill and starts its making."""
        self.enter(account, job)
        account.jobs[job.id] = self.jobs[job.id] = self.tokens[job.token] = job
        if self.house.studio.fixed is not None:
            job.film = self.house.studio.fixed
            self._measured(job, account)
        else:
            self.house.spawn(self._make(job, account, work), making=True)

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

    def _measured(self, job: Job, account: Account) -> None:
        """The inputs are known, and with them the job's end, fate and price."""
        job.failure = job.doom or job.failure
        end = job.pace.end(job.at, job.film.seconds) if job.film else job.at + job.pace.queue
        job.ended_at = max(end, self.house.clock.now())
        job.cost = self.cost_when_measured(job)
        account.spent += job.cost
        account.seats.until(job.ended_at, job.id)
        announcement = self.announcement(job)
        if announcement is not None:
            self.house.spawn(self._later(job.ended_at, announcement))

    async def _later(self, at: float, work: Callable[[], Awaitable[None]]) -> None:
        await self.house.clock.sleep_until(at)
        await work()

    def find(self, account: Account, id: str, now: float) -> Job | None:
        """The account's job of that id, if it can be seen already and was not deleted."""
        job = account.jobs.get(id)
        return job if job is not None and self.visible(job, now) else None

    def visible(self, job: Job, now: float) -> bool:
        """Whether a job can be read and listed."""
        return not job.deleted and now >= job.at + self.settings.visible_seconds

    def forget(self) -> None:
        """Forgets accounts and jobs; settings stay."""
        self.accounts.clear()
        self.jobs.clear()
        self.tokens.clear()

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
