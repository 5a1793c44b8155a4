"""The contract between the engine and a vendor's adapter.

A provider is sans-I/O: each operation is a generator that yields steps (a request to send, a handle to save) and is
sent the replies. It owns no clock, randomness, file or connection, so a test drives it with a list of replies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen

from viseme.attempts import Handle, Intent
from viseme.codec import loads
from viseme.config import Account, private_host
from viseme.errors import ConfigError, JobInvalid, Kind, VisemeError, quote
from viseme.jobs import Job, is_url
from viseme.results import Artifact, Cost
from viseme.strict import known_names, snake_names, structure
from viseme.units import Rate

__all__ = [
    "Absent",
    "Accepted",
    "Answer",
    "Blame",
    "Credential",
    "Fault",
    "Finding",
    "Flow",
    "Found",
    "Model",
    "NoOptions",
    "NoSettings",
    "Observation",
    "Outcome",
    "Price",
    "Provider",
    "Refused",
    "Reply",
    "Request",
    "Role",
    "Safety",
    "Save",
    "Seen",
    "Sheet",
    "Step",
    "Undecided",
    "Verdict",
    "http_kind",
    "retry_after",
]

T = TypeVar("T")


class Role(StrEnum):
    """What a request may do, which says how it is treated."""

    PAID = "paid"
    """Starts something that costs money: sent once, and only after its intent is on disk."""
    SAFE = "safe"
    """Changes nothing that matters; repeated beneath the flow when it fails in passing."""
    UPLOAD = "upload"
    """Carries an input to the vendor; may be repeated."""
    FOREIGN = "foreign"
    """Goes to a host that is not the vendor's API: no credentials."""


@frozen(kw_only=True)
class Request:
    """One HTTP request, described.

    Attributes:
        url: absolute and percent-encoded; sent as it stands.
        classes: the rate classes that it counts in.
        json: the body, or None for none.
        hold: how long the vendor may hold the reply back (long-poll), seconds.
    """

    method: str
    url: str
    role: Role = Role.SAFE
    classes: tuple[str, ...] = ("all",)
    headers: Mapping[str, str] = field(factory=dict[str, str])
    json: Any = None
    hold: float = 0.0


@frozen(kw_only=True)
class Reply:
    """What came back. ``headers`` has lower-case names."""

    status: int
    headers: Mapping[str, str] = field(factory=dict[str, str])
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return loads(self.body)
        except ValueError:
            return None

    def object(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none."""
        value = self.json()
        return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


@frozen(kw_only=True)
class Fault:
    """A request without a reply. ``sent`` tells whether any of it may have left this machine."""

    sent: bool
    message: str


Outcome = Reply | Fault


@frozen
class Save:
    """A handle to be committed before the flow goes on."""

    handle: Handle


Step = Request | Save
Flow = Generator[Step, Reply, T]


Blame = Literal["job", "account", "vendor", "network"]


@frozen(kw_only=True)
class Verdict:
    """What a refusal or a fault means.

    Attributes:
        message: one sentence for people, the vendor's words quoted.
        code: the vendor's own code.
        retry_after: seconds that the vendor asks to wait.
        blame: whose fault it is: the ``job``'s, the ``account``'s, the ``vendor``'s or the ``network``'s.
        charged: whether a charge is likely all the same.
        handle: the job that the vendor names in its refusal, if it does.
        limit: the limit that the vendor names (jobs under way), if it does.
    """

    kind: Kind
    message: str
    code: str | None = None
    retry_after: float | None = None
    blame: Blame = "vendor"
    charged: bool = False
    handle: Handle | None = None
    limit: int | None = None


class Refused(VisemeError):
    """Thrown into a flow at a request that was refused for good.

    Attributes:
        verdict: what the refusal means.
    """

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


class Seen(StrEnum):
    """What a look at a stage showed. Statuses that nobody knows count as running: alive until the deadline."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        return self in (Seen.SUCCEEDED, Seen.FAILED)


@frozen(kw_only=True)
class Observation:
    """One look at a stage.

    Attributes:
        status: the vendor's own word.
        progress: 0 to 100, where the vendor tells.
        outputs: what there is to fetch, once it succeeded.
        verdict: why it failed, once it did.
        hint: seconds until another look is worth it, by the vendor's word.
        at: when the look's request was sent, UTC seconds; the engine fills it in.
    """

    seen: Seen
    status: str
    progress: float | None = None
    queue_position: int | None = None
    outputs: tuple[Artifact, ...] = ()
    verdict: Verdict | None = None
    cost: Cost | None = None
    hint: float | None = None
    at: float = 0.0


@frozen(kw_only=True)
class Accepted:
    """The vendor took the job. ``observation`` is what its reply already told of it."""

    handle: Handle
    observation: Observation | None = None


@frozen(kw_only=True)
class Found:
    """The lost create was carried out; ``created`` in UTC seconds where the vendor tells."""

    handle: Handle
    created: float | None = None
    observation: Observation | None = None


@frozen(kw_only=True)
class Absent:
    """The lost create was not carried out. Only a lookup that is declared complete may say so."""


@frozen(kw_only=True)
class Undecided:
    """Nothing was found, and that proves nothing."""

    message: str


Finding = Found | Absent | Undecided


@frozen(kw_only=True)
class Answer:
    """What a vendor said of a cancel: ``cancelled``, ``requested``, ``too_late`` or ``unsupported``."""

    outcome: Literal["cancelled", "requested", "too_late", "unsupported"]
    message: str = ""


@frozen
class Credential:
    """What proves an account to its vendor; ``expires`` in UTC seconds, None for never."""

    value: str = field(repr=False)
    expires: float | None = None


class Safety(StrEnum):
    """How a create whose reply was lost may be settled."""

    NONE = "none"
    """Not at all: a person decides."""
    REPLAY = "replay"
    """The same request with the same key yields the same job."""
    CORRELATE = "correlate"
    """The vendor can be asked for it."""


@frozen(kw_only=True)
class Price:
    """What a model costs: ``amount`` of ``unit`` per ``per``, as published on ``dated``.

    Attributes:
        step: what a job's price is rounded up to a multiple of; 0 where it is not rounded.
    """

    amount: float
    unit: str
    per: Literal["second", "job"]
    usd_per_unit: float | None = None
    dated: str = ""
    step: float = 0.0

    def cost(self, seconds: float) -> Cost:
        """What a result of so many seconds costs by this price."""
        exact = Decimal(repr(self.amount)) * (Decimal(repr(float(seconds))) if self.per == "second" else 1)
        if self.step:
            exact = (exact / Decimal(repr(self.step))).to_integral_value(ROUND_CEILING) * Decimal(repr(self.step))
        amount = float(exact)
        usd = None if self.usd_per_unit is None else amount * self.usd_per_unit
        return Cost(amount=amount, unit=self.unit, usd=usd, estimated=True)


@frozen(kw_only=True)
class Model:
    """What one model takes.

    Attributes:
        pictures: of ``video`` and ``image``.
        speech: of ``audio``, ``text`` and ``language``.
        lag: seconds from create to result that do not depend on the media's length.
        pace: seconds of work per second of media, a starting value that observation replaces.
    """

    name: str
    pictures: frozenset[str] = frozenset({"video"})
    speech: frozenset[str] = frozenset({"audio"})
    price: Price | None = None
    lag: float = 10.0
    pace: float = 1.0


@frozen(kw_only=True)
class Sheet:
    """What a vendor can do, as far as the engine has to know. Sources stand where each provider fills it in.

    Attributes:
        base_url: the vendor's API.
        models: by name; the first is the default.
        rates: requests per window and class, used where the account states none.
        concurrency: seats, used where the account states none.
        seat_ttl: seconds after which a seat that nothing is heard of is given up.
        safety: how a lost create may be settled.
        complete: whether the lookup of ``correlate`` can prove absence.
        replay_lifetime: seconds for which the vendor remembers a key.
        bulk: how many ids one list request can look at; 0 for none.
        hold: the longest long-poll in seconds; 0 for none.
        first: seconds from create to the first look.
        every: seconds between looks.
        cancel: whether a job under way can be called off.
        result_lifetime: seconds that a result's link lives, as far as known.
        local_files: whether the adapter hands local files over to the vendor; without it, only URLs are taken.
    """

    base_url: str
    models: Mapping[str, Model]
    rates: Mapping[str, tuple[Rate, ...]]
    concurrency: int
    seat_ttl: float = 6 * 3600.0
    safety: Safety = Safety.NONE
    complete: bool = False
    replay_lifetime: float = 24 * 3600.0
    bulk: int = 0
    hold: float = 0.0
    first: float = 10.0
    every: float = 10.0
    cancel: bool = False
    result_lifetime: float | None = None
    local_files: bool = False


@frozen(kw_only=True)
class NoOptions:
    """A provider without options."""


@frozen(kw_only=True)
class NoSettings:
    """A provider without settings of its own."""


class Provider(ABC):
    """The adapter for one vendor's API, bound to one account's settings. Translates, and nothing else.

    Args:
        account: whose base URL and settings to use.

    Raises:
        ConfigError: a setting is unknown or wrong, or the key is missing.
    """

    name: ClassVar[str]
    sheet: Sheet
    """The class holds what the vendor publishes; an instance what its account's settings make of it."""
    Options: ClassVar[type[Any]] = NoOptions
    Settings: ClassVar[type[Any]] = NoSettings

    def __init__(self, account: Account) -> None:
        self.account = account
        self.base = account.base_url or self.sheet.base_url
        parts = urlsplit(self.base)
        self.origin = f"{parts.scheme}://{parts.netloc}".lower()
        self.settings: Any = self._settings(account)
        self._need_key(account)

    def _settings(self, account: Account) -> Any:
        known = known_names(self.Settings)
        unknown = [name for name in account.settings if name not in known]
        if unknown:
            common = [a.name for a in attrs.fields(Account) if a.name not in ("name", "settings")]
            raise ConfigError(
                f"accounts.{account.name}: unknown name {quote(unknown[0])!r}; known are {', '.join([*common, *known])}"
            )
        try:
            return structure(account.settings, self.Settings)
        except ValueError as error:
            raise ConfigError(f"accounts.{account.name}: {error}") from None

    def _need_key(self, account: Account) -> None:
        if not account.api_key:
            raise ConfigError(
                f'accounts.{account.name}: api_key is missing; write api_key = "${self.name.upper()}_API_KEY"'
                " and export that variable"
            )
        if not account.api_key.isascii() or not account.api_key.isprintable() or " " in account.api_key:
            raise ConfigError(f"accounts.{account.name}: api_key holds characters that no key has; copy it again")

    # -- what the engine asks before anything is sent ------------------------------------------------------------

    def model(self, job: Job) -> Model:
        """The job's model, or the provider's default: its first that takes the job's picture.

        Raises:
            JobInvalid: the provider has no such model.
        """
        if job.model is None:
            picture = "image" if job.image else "video"
            models = tuple(self.sheet.models.values())
            return next((model for model in models if picture in model.pictures), models[0])
        known = self.sheet.models.get(job.model)
        if known is not None:
            return known
        if job.model in self.account.extra_models:
            first = next(iter(self.sheet.models.values()))
            return attrs.evolve(first, name=job.model, speech=frozenset({"audio", "text", "language"}), price=None)
        raise JobInvalid(
            f"{self.account.name} has no model {quote(job.model)!r}; known are {', '.join(self.sheet.models)}"
            " (a newer one can be allowed with extra_models)",
            field="model",
        )

    def options(self, job: Job) -> Any:
        """The job's options as this provider's typed options, camelCase names understood.

        Raises:
            JobInvalid: an option is unknown or has a wrong value.
        """
        try:
            return structure(snake_names(job.options), self.Options)
        except ValueError as error:
            raise JobInvalid(f"options: {error}", field="options") from None
        except RecursionError:
            raise JobInvalid("options: nested too deeply", field="options") from None

    def check(self, job: Job) -> None:
        """Refuse, locally and for free, what the vendor would refuse.

        Raises:
            JobInvalid: the message names the field and what it may be.
        """
        model = self.model(job)
        picture = "image" if job.image else "video" if job.video else None
        if picture is None:
            raise JobInvalid("the job has no picture; give video (or image, where the model takes one)", field="video")
        if picture not in model.pictures:
            wanted = " or ".join(sorted(model.pictures))
            raise JobInvalid(f"{model.name} takes no {picture}; give {wanted}", field=picture)
        speech = next((name for name in ("audio", "text", "language") if getattr(job, name)), None)
        wanted = " or ".join(sorted(model.speech))
        if speech is None:
            raise JobInvalid(f"the job has no speech; give {wanted}", field="audio")
        if speech not in model.speech:
            raise JobInvalid(f"{model.name} takes no {speech}; give {wanted}", field=speech)
        for name in ("video", "image", "audio"):
            self.check_source(name, getattr(job, name))
        self.options(job)

    def check_source(self, name: str, source: str | None) -> None:
        """Refuse a medium that the vendor cannot reach.

        Raises:
            JobInvalid: it is a local file and the adapter uploads none, or it is on a private network.
        """
        if source is None:
            return
        if not is_url(source):
            if self.sheet.local_files:
                return
            raise JobInvalid(
                f"{name} {quote(source)!r} is a local file, which {self.name} is not handed; give an http(s) URL",
                field=name,
            )
        try:
            host = urlsplit(source).hostname or ""
        except ValueError as error:
            raise JobInvalid(f"{name} {quote(source)!r} is not a URL: {error}", field=name) from None
        if private_host(host) and not self.account.allow_private_hosts:
            raise JobInvalid(
                f"{name} is on {quote(host)}, which {self.name} cannot reach; put it where the public internet can"
                " (or set allow_private_hosts = true if the vendor stands on the same network)",
                field=name,
            )

    def stages(self, job: Job) -> tuple[str, ...]:
        """The create-and-watch steps of this job, in order."""
        return ("lipsync",)

    # -- flows ---------------------------------------------------------------------------------------------------

    def start(self) -> Flow[str | None]:
        """A harmless request before the first job; returns what to tell the user, or None.

        Best effort unless it raises Refused.
        """
        yield from ()
        return None

    def authorize(self, old: Credential | None, now: float) -> Flow[Credential]:
        """Obtain what :meth:`sign` needs; run once for all requests that wait for it, and again near its expiry."""
        yield from ()
        return Credential(self.account.api_key or "")

    @abstractmethod
    def sign(self, request: Request, credential: Credential, now: float) -> Mapping[str, str]:
        """The headers that prove the account. Asked only for requests to the API's own origin."""

    @abstractmethod
    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        """Start the stage that ``intent`` names. Holds at most one paid request.

        Args:
            handles: of the stages before this one, by stage.
        """

    @abstractmethod
    def poll(self, handle: Handle, hold: float = 0.0) -> Flow[Observation]:
        """Look at one stage, holding the request up to ``hold`` seconds where the vendor can."""

    def poll_many(self, handles: Sequence[Handle]) -> Flow[Mapping[str, Observation]]:
        """Look at up to ``sheet.bulk`` stages in one request; by the handles' ``id``.

        Ids that the vendor leaves out are missing.
        """
        raise TypeError(f"{self.name} cannot list")

    def reconcile(self, job: Job, intent: Intent) -> Flow[Finding]:
        """Find out what became of a create whose reply was lost, without repeating it."""
        yield from ()
        return Undecided(message=f"{self.name} has no way to ask for a job without its id")

    def cancel(self, handle: Handle) -> Flow[Answer]:
        """Call a stage off, where the vendor can."""
        yield from ()
        return Answer(outcome="unsupported", message=f"{self.name} has no cancel; the job runs on and is billed")

    def balance(self) -> Flow[Cost | None]:
        """What is left on the account, in the vendor's unit; None where the vendor does not tell."""
        yield from ()
        return None

    def estimate(self, job: Job, seconds: float) -> Flow[Cost | None]:
        """What a result of so many seconds would cost; by the price table where the vendor is not asked."""
        yield from ()
        price = self.model(job).price
        return None if price is None else price.cost(seconds)

    # -- reading replies -----------------------------------------------------------------------------------------

    def verdict(self, request: Request, outcome: Outcome) -> Verdict | None:
        """What an outcome means; None for success. A lost reply to a paid request is ``fate_unknown``."""
        if isinstance(outcome, Fault):
            return self._fault(request, outcome)
        if outcome.status < 400:
            return self.unreadable(request, outcome)
        return self.refusal(request, outcome)

    @abstractmethod
    def refusal(self, request: Request, reply: Reply) -> Verdict:
        """What a reply with an HTTP error status means, status **and** body read."""

    def unreadable(self, request: Request, reply: Reply) -> Verdict | None:
        """The verdict on a reply with a good HTTP status: None where it makes sense.

        A paid request that was answered with something else than JSON may well have been carried out.
        """
        paid = request.role is Role.PAID
        if reply.status >= 300:
            lost = paid and reply.status not in (307, 308)  # these two ask for it elsewhere: not done here
            return Verdict(
                kind=Kind.FATE_UNKNOWN if lost else Kind.PROTOCOL,
                message=f"{self.name} sent the request on to another address (HTTP {reply.status}); check base_url",
                blame="account",
                charged=lost,
            )
        if reply.json() is not None:
            return None
        shown = quote(reply.body[:160].decode(errors="replace"))
        return Verdict(
            kind=Kind.FATE_UNKNOWN if paid else Kind.TRANSIENT,
            message=f"{self.name} answered something that is not JSON: {shown}",
            charged=paid,
        )

    def _fault(self, request: Request, fault: Fault) -> Verdict:
        lost = request.role is Role.PAID and fault.sent
        return Verdict(
            kind=Kind.FATE_UNKNOWN if lost else Kind.TRANSIENT,
            message=f"no reply from {self.name}: {fault.message}",
            blame="network",
            charged=lost,
        )


_KINDS = {
    400: Kind.INVALID,
    401: Kind.AUTH,
    402: Kind.NO_CREDIT,
    403: Kind.AUTH,
    404: Kind.NOT_FOUND,
    405: Kind.NOT_FOUND,
    408: Kind.TRANSIENT,
    413: Kind.INVALID,
    415: Kind.INVALID,
    422: Kind.INVALID,
    425: Kind.TRANSIENT,
    429: Kind.LIMITED,
}


def http_kind(request: Request, status: int) -> Kind:
    """What an HTTP status says by itself; a 5xx (or 408) leaves the fate of a paid request open."""
    kind = _KINDS.get(status, Kind.TRANSIENT if status >= 500 else Kind.INVALID)
    return Kind.FATE_UNKNOWN if kind is Kind.TRANSIENT and request.role is Role.PAID else kind


def retry_after(reply: Reply) -> float | None:
    """Seconds of a ``Retry-After`` header in its number form; the engine reads the date form, which needs a clock."""
    try:
        seconds = float(reply.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e9 else None
