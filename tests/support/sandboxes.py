"""A sandbox with the library's engine before it, and what a strict auditor asks of both.

By default one second of the engine is one second of the vendors, and `speed` of them pass in a real one: waits,
windows, deadlines and dates all shrink alike, so a quarter of an hour at the vendors takes a few seconds of test.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
from tests.support.quick import quick_world

import viseme
from viseme.attempts import Seat, TaskRow
from viseme.engine.world import World
from viseme.events import LAST
from viseme.ledger.sqlite import SqliteLedger
from viseme.results import ENDED, State
from viseme.sandbox import Clock, Sandbox

VENDORS = ("sync", "jogg", "aimlapi", "rask")
UNLIMITED: dict[str, dict[str, Any]] = {
    "sync": {"create": None, "read": None, "upload": None, "concurrency": None},
    "jogg": {"post": None, "concurrency": None},
    "aimlapi": {"create": None, "read": None, "logs": None, "concurrency": None},
    "rask": {"all": None},
}
PLENTY = {"create": "100000/s", "post": "100000/s", "read": "100000/s", "upload": "100000/s"}
RASK_RATES = {**PLENTY, "all": "100000/s"}


@attrs.define
class QuickClock(Clock):
    """Vendor seconds that also stand on the dates, for a client whose own clock is as quick."""

    _skipped: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    def unix(self, at: float) -> float:
        return self._epoch + at

    @property
    def beginning(self) -> tuple[float, float]:
        """The monotonic and the UTC second at which it began."""
        return self._zero, self._epoch

    def skip(self, seconds: float) -> None:
        """Have the vendors' time leap: what takes them so long is over, whatever the machine's pace was until now.

        The time of worlds that there are already does not leap.
        """
        self._zero -= seconds / self.speed
        self._skipped.set()
        self._skipped = asyncio.Event()

    async def sleep_until(self, at: float) -> None:
        while (left := at - self.now()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._skipped.wait(), left / self.speed)


@attrs.define
class Stage:
    """A sandbox that is being served, and the accounts, jobs and schedulers that go with it."""

    sandbox: Sandbox
    base: str
    folder: Path
    clock: QuickClock

    @property
    def speed(self) -> float:
        return self.clock.speed

    def world(self) -> World:
        return quick_world(self.speed, *self.clock.beginning)

    def account(self, provider: str, **over: Any) -> viseme.Account:
        given: dict[str, Any] = {
            "api_key": "sandbox",
            "base_url": f"{self.base}/{provider}",
            "allow_private_hosts": True,
            "concurrency": 20,
            "rates": PLENTY,
            "polling": {"first": "5s", "every": "5s"},
        }
        if provider == "rask":
            given |= self._rask()
        return viseme.Account(provider, **{**given, **over})

    def _rask(self) -> dict[str, Any]:
        """What a Rask account has besides: client credentials, and graces that tests need not wait out for long."""
        return {
            "api_key": None,
            "rates": RASK_RATES,
            "client_id": "sandbox",
            "client_secret": "sandbox",
            "token_url": f"{self.base}/rask/oauth2/token",
            "allow_paid": True,
            "face_check_grace": "20s",
            "stale_grace": "30s",
        }

    def job(self, number: int, account: str | None = None, **over: Any) -> viseme.Job:
        given: dict[str, Any] = {
            "video": f"{self.base}/media/short.mp4?n={number}",
            "audio": f"{self.base}/media/short.wav",
            "account": account,
            "key": f"job-{number:05d}",
        }
        if account is not None and account.startswith("rask"):
            given |= {"audio": None, "language": "es"}
        return viseme.Job(**{**given, **over})

    def jobs(self, count: int, *accounts: str, start: int = 0, **over: Any) -> list[viseme.Job]:
        """Jobs with inputs of their own, over the given accounts in turn."""
        names = accounts or (None,)
        return [self.job(n, names[n % len(names)], **over) for n in range(start, start + count)]

    def scheduler(self, *accounts: viseme.Account, out: str = "out", **over: Any) -> viseme.Scheduler:
        return viseme.Scheduler(accounts, output=self.folder / out, **{"world": self.world(), **over})

    def bill(self, vendor: str) -> dict[str, Any]:
        return self.sandbox.bill()[vendor]

    def creates(self, vendor: str) -> int:
        return self.bill(vendor)["creates"]

    def posts(self, vendor: str) -> list[dict[str, Any]]:
        """The create requests that reached a vendor."""
        return self.sandbox.log(vendor, "create")

    def vendor_ids(self, vendor: str) -> set[str]:
        """The ids of all that a vendor booked: its jobs, at Rask its projects."""
        booked = self.sandbox.log(vendor, "project" if vendor == "rask" else "create")
        return {row["job"] for row in booked if row["job"] is not None}

    async def books(self, out: str = "out") -> Books:
        return await read_books(self.folder / out)


@asynccontextmanager
async def staged(
    folder: Path, *, speed: float = 120.0, settings: Mapping[str, Mapping[str, Any]] | None = None, **options: Any
) -> AsyncIterator[Stage]:
    """Serve a sandbox without limits (but those in `settings`) that hands out small films."""
    merged = {vendor: {**UNLIMITED[vendor], **(settings or {}).get(vendor, {})} for vendor in VENDORS}
    clock = QuickClock(speed)
    sandbox = Sandbox(clock=clock, settings=merged, **{"fixed_size": 30_000, **options})
    async with sandbox.serve() as base:
        yield Stage(sandbox, base, folder, clock)


@attrs.frozen
class Books:
    """What a ledger holds, read as any other process may read it."""

    rows: dict[str, TaskRow]
    events: dict[str, list[viseme.Event]]
    seats: list[Seat]

    def states(self) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for row in self.rows.values():
            found[str(row.parked or row.state)] += 1
        return dict(found)

    def handles(self) -> set[str | None]:
        return {row.vendor_id for row in self.rows.values()}


async def read_books(out: Path) -> Books:
    async with SqliteLedger(out / "viseme.db", blocking=asyncio.to_thread, read_only=True) as ledger:
        rows = await ledger.all_tasks(0, 1_000_000)
        events: dict[str, list[viseme.Event]] = defaultdict(list)
        for event in await ledger.events(0, 1_000_000):
            events[event.key].append(event)
        return Books({row.key: row for row in rows}, dict(events), await ledger.seats())


def check_events(books: Books) -> None:
    """Invariant 5: one `queued`, rising `seq`, one last event per run, nothing after the end."""
    assert set(books.events) == set(books.rows)
    for key, events in books.events.items():
        kinds = [event.type for event in events]
        assert kinds[0] == "queued", (key, kinds)
        assert kinds.count(viseme.EventType.QUEUED) == 1, (key, kinds)
        seqs = [event.seq for event in events]
        assert seqs[0] == 1, (key, seqs)
        assert all(a < b for a, b in pairwise(seqs)), (key, seqs)
        by_run: dict[int, list[viseme.Event]] = defaultdict(list)
        for event in events:
            by_run[event.run].append(event)
        for told in by_run.values():
            for event, following in pairwise(told):
                # Within one run only a person's order takes a parked task up again.
                ordered = event.type == "parked" and following.type == "reconciling" and following.data.get("by")
                assert event.type not in LAST or ordered, (key, [e.type for e in told])
        ended = [event for event in events if event.type in ("succeeded", "failed", "cancelled")]
        assert len(ended) <= 1, (key, kinds)


def check_files(stage: Stage, books: Books, out: str = "out") -> None:
    """Invariant 3: a file under its final name is what the vendor served, byte for byte; no part file is left."""
    folder = stage.folder / out
    served = {row["job"]: row for row in stage.sandbox.results()}
    for row in books.rows.values():
        if row.state is not State.SUCCEEDED:
            continue
        assert row.file is not None
        data = Path(row.file).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        assert row.sha256 == digest, row.key
        assert row.bytes == len(data), row.key
        assert served[str(row.vendor_id)]["sha256"] == digest, row.key
    assert not [path.name for path in folder.rglob("*.part*")]


def check_bill(stage: Stage, books: Books, *vendors: str) -> None:
    """Nothing was bought twice, and everything that was bought is known to the ledger (or openly unknown)."""
    for vendor in vendors:
        bill = stage.bill(vendor)
        assert bill["duplicates"] == 0, (vendor, bill)
        unknown = sum(
            row.parked is viseme.Reason.FATE_UNKNOWN or (row.failure is not None and "fate" in str(row.failure.kind))
            for row in books.rows.values()
            if row.account == vendor
        )
        strays = stage.vendor_ids(vendor) - {row.vendor_id for row in books.rows.values() if row.account == vendor}
        assert len(strays) <= unknown, (vendor, strays)


def check_limits(stage: Stage, limits: Mapping[str, Mapping[str, int]]) -> None:
    """Invariant 4, as the vendors counted."""
    for vendor, wanted in limits.items():
        bill = stage.bill(vendor)
        assert bill["throttled_by"] == dict.fromkeys(bill["throttled_by"], 0), (vendor, bill["throttled_by"])
        for name, limit in wanted.items():
            assert bill["peak"].get(name, 0) <= limit, (vendor, name, bill["peak"])


def result_lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


async def until(condition: Any, seconds: float = 60.0) -> None:
    """Wait for something that a test cannot be told of."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens at the other end of a socket
            await asyncio.sleep(0.005)


async def drained(run: Iterable[viseme.Event] | Any) -> list[viseme.Event]:
    return [event async for event in run]


ENDED_OR_PARKED = frozenset({*ENDED, State.PARKED})
