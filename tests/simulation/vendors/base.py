"""What the vendors have in common: jobs that take their time, limits that are counted, links that run out."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import Any, ClassVar
from urllib.parse import quote

from attrs import define, field, frozen
from tests.simulation.laws import Booking, Laws
from tests.simulation.network import Answer, Call, Host, answer
from tests.simulation.universe import EPOCH, Universe

from viseme import Job
from viseme.attempts import TaskRow

__all__ = ["CDN", "STORE", "Cdn", "Store", "Terms", "Vendor", "film"]

CDN = "cdn.sim"
STORE = "store.sim"
_RANGE = re.compile(r"bytes=([0-9]+)-")


@lru_cache(maxsize=4096)
def film(name: str) -> bytes:
    """A film that nobody else has; whole by the look of its boxes."""
    chance = Random(f"film {name}")
    body = chance.randbytes(chance.choice((300, 3000, 20_000, 60_000)))
    return b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08moov" + (len(body) + 8).to_bytes(4) + b"mdat" + body


@define(eq=False)
class Cdn:
    """Where the results lie.

    Attributes:
        versions: of each film by its path; one that was cut again has other bytes of the same length.
    """

    universe: Universe
    versions: dict[str, int] = field(factory=dict[str, int])

    def link(self, path: str, lifetime: float) -> str:
        """A link that runs out."""
        until = int(self.universe.true_utc + lifetime)
        return f"https://{CDN}/{quote(path)}?Expires={until}&Signature=sim"

    def whole(self, path: str) -> set[bytes]:
        """All that a complete file may hold."""
        return {self.content(path, version) for version in range(self.versions.get(path, 0) + 1)}

    def content(self, path: str, version: int) -> bytes:
        """The film as it was at first, or cut again."""
        first = film(path)
        if not version:
            return first
        return first[:32] + Random(f"{path} {version}").randbytes(len(first) - 32)

    def handle(self, call: Call) -> Answer:
        if float(call.query.get("Expires", "0")) < self.universe.true_utc:
            return Answer(403, b"<Error>Request has expired</Error>", {"content-type": "application/xml"})
        path = call.path.lstrip("/")
        if self.universe.strike("cut again", path):
            self.versions[path] = self.versions.get(path, 0) + 1
        version = self.versions.get(path, 0)
        body, tag = self.content(path, version), f'"{version}"'
        headers = {"content-type": "video/mp4", "etag": tag, "accept-ranges": "bytes"}
        wanted = _RANGE.fullmatch(call.headers.get("range", ""))
        if wanted is None or call.headers.get("if-range", tag) != tag or self.universe.strike("no ranges", path):
            return Answer(200, body, {**headers, "content-length": str(len(body))})
        start = int(wanted[1])
        if start >= len(body):
            return Answer(416, b"", {"content-range": f"bytes */{len(body)}"})
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return Answer(206, body[start:], {**headers, "content-length": str(len(body) - start), "content-range": span})


@define(eq=False)
class Store:
    """Where files are put before they are used.

    Attributes:
        files: what arrived whole, by path.
        used: whether there are jobs with local files in this world; the ledger does not count what uploads sent.
    """

    files: dict[str, bytes] = field(factory=dict[str, bytes])
    used: bool = False

    def handle(self, call: Call) -> Answer:
        if call.method != "PUT":
            return Answer(405)
        self.files[call.path] = call.body
        return Answer(200)


@frozen(kw_only=True)
class Terms:
    """What a vendor allows an account.

    Attributes:
        rates: how many requests of a class it takes in how many seconds: 1, 60 or 3600.
        seats: how many jobs it works on at once.
        link_lifetime: of the links to results, seconds.
    """

    rates: Mapping[str, tuple[int, float]]
    seats: int
    link_lifetime: float = 3600.0


class Vendor(ABC):
    """A vendor.

    Attributes:
        key: what proves our account.
        speech: what its jobs are spoken by: ``audio`` or ``language``.
        takes_files: whether local files can be handed to it.
        tells_all: whether it can always tell what became of a create whose reply was lost.
    """

    name: ClassVar[str]
    key: ClassVar[str]
    speech: ClassVar[str] = "audio"
    takes_files: ClassVar[bool] = True
    tells_all: ClassVar[bool] = False

    def __init__(self, universe: Universe, laws: Laws, cdn: Cdn, store: Store, terms: Terms) -> None:
        self.universe = universe
        self.laws = laws
        self.cdn = cdn
        self.store = store
        self.terms = terms
        self.jobs: dict[str, Booking] = {}
        self._locked = 0.0
        self._count = 0

    @classmethod
    def draw(cls, chance: Random) -> Terms:
        """What the vendor allows in a world."""
        rates = {"create": (chance.choice((3, 10, 30)), 60.0), "read": (chance.choice((2, 10)), 1.0)}
        return Terms(rates=rates, seats=chance.choice((1, 2, 5)), link_lifetime=chance.choice((20.0, 120.0, 3600.0)))

    @classmethod
    def settings(cls, chance: Random) -> dict[str, Any]:
        """The account's settings for this vendor."""
        return {"api_key": cls.key}

    @classmethod
    def options(cls, chance: Random) -> dict[str, Any]:
        """The options of a job."""
        return {}

    @property
    def host(self) -> str:
        """Its API's."""
        return f"{self.name}.sim"

    @classmethod
    def inputs(cls, job: Job, files: Mapping[str, bytes]) -> str:
        """What tells a job from others when it is booked."""
        return job.video or ""

    @classmethod
    def film(cls, row: TaskRow) -> str:
        """Where a task's result lies."""
        return str(row.vendor_id)

    @classmethod
    def secrets(cls) -> dict[str, str]:
        """What only one host may see, and which."""
        return {cls.key: f"{cls.name}.sim"}

    def hosts(self) -> dict[str, Host]:
        """Who answers for the vendor, by host name."""
        return {self.host: self}

    # -- what comes in -----------------------------------------------------------------------------------------------

    def handle(self, call: Call) -> Answer:
        if not self.knows(call) or self._revoked():
            return answer({"message": "unauthorized"}, 401)
        return self.respond(call)

    def _revoked(self) -> bool:
        """Whether our key is refused: it may be taken back any time, and is given again after a while."""
        if self.universe.strike("revoked key", self.name):
            self._locked = self.universe.now + self.universe.chance("revoked key: how").uniform(10.0, 600.0)
        return not self.universe.calm and self.universe.now < self._locked

    @abstractmethod
    def knows(self, call: Call) -> bool:
        """Whether the request proves who sends it."""

    @abstractmethod
    def respond(self, call: Call) -> Answer:
        """Answer a request of somebody who is known."""

    def wants(self, call: Call) -> str | None:
        """The inputs of a paid create; None where the request is something else."""
        return None

    def count(self, call: Call, *classes: str) -> None:
        """Count a request in its classes, as the vendor's limits do."""
        if call.twin:  # it was sent once
            return
        for name in classes:
            if name in self.terms.rates:
                self.laws.within(
                    self.name,
                    name,
                    *self.terms.rates[name],
                    careful=name == "create" or (name == "post" and not self.store.used),
                )

    # -- jobs --------------------------------------------------------------------------------------------------------

    def begin(
        self,
        inputs: str,
        *,
        id: str | None = None,
        stage: str = "lipsync",
        free: bool = True,
        key: str = "",
        cost: float = 1.0,
    ) -> Booking:
        """Take a job, and bill it."""
        chance = self.universe.chance(f"{self.name}: jobs")
        now = self.universe.now
        self._count += 1
        starts = now + chance.choice((0.0, 1.0, chance.uniform(0, 60)))
        booking = Booking(
            vendor=self.name,
            account=self.name,
            id=id or f"{self.name}-{self._count:04d}",
            stage=stage,
            inputs=inputs,
            at=now,
            starts=starts,
            ends=starts + chance.choice((1.0, chance.uniform(5, 40), chance.uniform(30, 400))),
            good=chance.random() >= self.universe.odds.get("failed job", 0.0),
            free=free,
            cost=cost,
            key=key,
        )
        self.laws.book(booking)
        self.jobs[booking.id] = booking
        self.laws.seated(self.name, self.terms.seats)
        self.universe.note("books", booking.id, stage, inputs, "good" if booking.good else "bad")
        return booking

    def seen(self, booking: Booking) -> tuple[str, Booking]:
        """How a job stands: ``queued``, ``running``, ``done`` or ``failed``; now, or as a late copy has it."""
        now = self.universe.now
        if self.universe.strike("stale look", booking.id):
            now -= self.universe.chance("stale look: how").uniform(0, 30)
        if now < booking.starts:
            return "queued", booking
        if now < booking.ends:
            return "running", booking
        return ("done" if booking.good else "failed"), booking

    def link(self, booking: Booking) -> str:
        """A fresh link to a job's result."""
        return self.cdn.link(booking.id, self.terms.link_lifetime)

    @staticmethod
    def utc(at: float) -> float:
        """True seconds as UTC seconds."""
        return EPOCH + at
