"""A manifest that the real command runs again and again, whatever becomes of each run, and the audit at its end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from tests.support import mortal
from tests.support.commands import QUICK, Command, Done
from tests.support.sandboxes import (
    VENDORS,
    Books,
    Stage,
    check_events,
    check_files,
    check_limits,
    result_lines,
    staged,
)
from tests.support.small_disks import capped

from viseme import Reason, State

LIMITS: dict[str, dict[str, Any]] = {
    "sync": {"create": "100/min", "concurrency": 8},
    "jogg": {"post": "60/min", "concurrency": 8},
    "aimlapi": {"create": "60/min", "concurrency": 8},
    "rask": {"concurrency": 8, "dub_concurrency": 8},
}
"""What the vendors allow."""
MOST = {
    "sync": {"create": 100, "seats": 8},
    "jogg": {"post": 60, "seats": 8},
    "aimlapi": {"create": 60, "seats": 8},
    "rask": {"seats": 8},
}
"""The same, as their bills tell what they saw."""
AT_ONCE: dict[str, dict[str, Any]] = {vendor: {**limits, **QUICK} for vendor, limits in LIMITS.items()}
"""Vendors with these limits that are done as soon as they are asked."""
_PLENTY = "100000/s"


@attrs.define
class Campaign:
    """The runs of one manifest in one folder.

    Attributes:
        vendors: the accounts, in turn.
        kills: how many runs died by SIGKILL.
        stops: how many were interrupted.
        ordered: the jobs whose create was lost, and that a person ordered anew since no vendor could tell of it.
    """

    stage: Stage
    count: int
    vendors: tuple[str, ...]
    kills: int = 0
    stops: int = 0
    ordered: set[str] = attrs.field(factory=set[str])

    # -- what is given ---------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write the configuration and the manifest."""
        lines = [f'default_account = "{self.vendors[0]}"']
        for name in self.vendors:
            lines += [f"[accounts.{name}]", *(f"{key} = {_toml(value)}" for key, value in self.account(name).items())]
        (self.stage.folder / "viseme.toml").write_text("\n".join(lines) + "\n")
        rows = [self.row(number, self.vendors[number % len(self.vendors)]) for number in range(self.count)]
        (self.stage.folder / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def account(self, vendor: str) -> dict[str, Any]:
        """What the configuration says of an account: what the vendor allows."""
        base, plenty = self.stage.base, {"read": _PLENTY, "upload": _PLENTY}
        own: dict[str, dict[str, Any]] = {
            "sync": {"api_key": "sandbox", "rates": {"create": "100/min", **plenty}},
            "jogg": {"api_key": "sandbox", "rates": {"post": "60/min", **plenty}, "lookup": True},
            "aimlapi": {"api_key": "sandbox", "rates": {"create": "60/min", **plenty}},
            "rask": {
                "client_id": "sandbox",
                "client_secret": "sandbox",
                "token_url": f"{base}/rask/oauth2/token",
                "allow_paid": True,
                "face_check_grace": "20s",
                "stale_grace": "30s",
                "rates": {"create": _PLENTY, "post": _PLENTY, "all": _PLENTY, **plenty},
            },
        }
        shared = {"base_url": f"{base}/{vendor}", "allow_private_hosts": True, "concurrency": 8}
        pause = f"{self.stage.speed / 12:.2f}s"
        return {**shared, "polling": {"first": pause, "every": pause}, **own[vendor]}

    def row(self, number: int, vendor: str) -> dict[str, Any]:
        """A row of the manifest with inputs of its own."""
        job = {"video": f"{self.stage.base}/media/short.mp4?n={number}", "account": vendor, "key": f"job-{number:03d}"}
        return {**job, **({"language": "es"} if vendor == "rask" else {"audio": f"{self.stage.base}/media/short.wav"})}

    # -- runs ------------------------------------------------------------------------------------------------------

    async def start(self, *arguments: str, point: str | None = None, number: int = 1, blocks: int = 0) -> Command:
        """Start `viseme ARGUMENTS`; default: a run of the manifest.

        Args:
            blocks: the longest file that it may write, in blocks of 512 bytes; 0 for any.
        """
        given = arguments or ("run", "jobs.jsonl", "--no-preflight")
        if self.stage.speed == 1:
            return await Command.start(*given, folder=self.stage.folder)
        clock = (self.stage.speed, *self.stage.clock.beginning)
        program = mortal.command(clock, *given, point=point, number=number, note=self.note)
        return await Command.run(capped(program, blocks) if blocks else program, folder=self.stage.folder)

    @property
    def note(self) -> Path:
        """Where a run that dies at a point says so."""
        return self.stage.folder / "died-at"

    async def in_the_air(self, creates: int) -> None:
        """Return once so many creates are booked whose replies have not left."""
        async with asyncio.timeout(100):
            while self.unanswered() < creates:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def unanswered(self) -> int:
        """How many creates are booked whose replies have not left."""
        posts = [row for vendor in self.vendors for row in self.stage.posts(vendor)]
        return sum(row["job"] is not None and not row["took"] for row in posts)

    async def done(self, *arguments: str, blocks: int = 0) -> Done:
        """Have a command come to its end."""
        return await ended(await self.start(*arguments, blocks=blocks))

    async def die(self, point: str, number: int = 1) -> None:
        """Run until the process kills itself at a point."""
        assert await self.may_die(point, number), f"{point} was never reached"

    async def may_die(self, point: str, number: int = 1) -> bool:
        """Run, and have the process kill itself at a point; whether it came there."""
        self.note.unlink(missing_ok=True)
        done = await ended(await self.start(point=point, number=number))
        died = done.status == -signal.SIGKILL
        assert died or done.status in (0, 1), (point, done.status, done.err)
        assert not died or self.note.read_text() == point
        self.kills += died
        return died

    async def strike(self, blow: int, milestone: int) -> bool:
        """Run, and send a signal once the vendors have seen so much more; whether it came before the run's end."""
        command, goal = await self.start(), self.seen() + milestone
        async with asyncio.timeout(100):
            while self.seen() < goal and command.process.returncode is None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        if command.process.returncode is None:
            command.process.send_signal(blow)
        done = await ended(command)
        assert done.status in (0, 1, 130, -signal.SIGKILL), (done.status, done.err)
        self.kills += done.status == -signal.SIGKILL
        self.stops += done.status == 130
        return done.status not in (0, 1)

    def seen(self) -> int:
        """How far the batch has come at the vendors: requests for creates, and results that left."""
        delivered = sum(self.stage.bill(vendor)["delivered"] for vendor in self.vendors)
        asked = sum(len(self.stage.posts(vendor)) for vendor in self.vendors)
        return asked + delivered + len(self.stage.sandbox.log("rask", "project"))

    # -- the audit -------------------------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Run to the end, then have a person order again what no vendor could tell of, and audit it all."""
        last = await self.done()
        books = await self.audit()
        lost = [row.key for row in books.rows.values() if row.parked is Reason.FATE_UNKNOWN]
        assert books.states() == count_of(succeeded=self.count - len(lost), fate_unknown=len(lost)), last.err
        assert last.status == (1 if lost else 0), last.err
        # Whatever was booked was found again; what is unknown never reached the vendor.
        for vendor in self.vendors:
            booked = self.stage.vendor_ids(vendor)
            assert booked == {row.vendor_id for row in books.rows.values() if row.account == vendor and row.vendor_id}
        for key in lost:
            ordered = await self.done("reconcile", "--resubmit", key)
            assert ordered.status == 0, ordered.err
            self.ordered.add(key)
        if lost:
            assert (await self.done()).status == 0
        await self.delivered()

    async def audit(self) -> Books:
        """What must hold after any run, however it ended."""
        books = await self.stage.books()
        check_events(books)
        for vendor in self.vendors:
            rows = [row for row in books.rows.values() if row.account == vendor]
            strays = self.stage.vendor_ids(vendor) - {row.vendor_id for row in rows}
            open_fates = [row for row in rows if row.state in (State.CREATING, State.RECONCILING)]
            # Rask's first stages are free, and found again by their names; the last audit counts them.
            assert vendor == "rask" or len(strays) <= len(open_fates), (vendor, strays)
            assert self.stage.bill(vendor)["duplicates"] == 0
        served = {row["sha256"] for row in self.stage.sandbox.results()}
        for film in (self.stage.folder / "out").rglob("*.mp4"):
            assert hashlib.sha256(film.read_bytes()).hexdigest() in served, film.name
        check_limits(self.stage, {vendor: MOST[vendor] for vendor in self.vendors})
        return books

    async def delivered(self) -> None:
        """Everything was bought once, and is there."""
        books = await self.audit()
        check_files(self.stage, books)
        assert books.states() == {"succeeded": self.count}
        bills = [self.stage.bill(vendor) for vendor in self.vendors]
        assert sum(bill["creates"] for bill in bills) == self.count
        assert sum(bill["delivered"] for bill in bills) == self.count
        assert sum(bill["duplicates"] for bill in bills) == 0
        # What became of a lost create that was ordered anew nobody knows: its seat stays taken for its whole life.
        keys = {row.id: row.key for row in books.rows.values()}
        assert {keys[seat.task] for seat in books.seats} <= self.ordered
        last = {line["key"]: line["state"] for line in result_lines(self.stage.folder / "out")}
        assert last == dict.fromkeys(books.rows, "succeeded")
        if "rask" in self.vendors:
            bill, jobs = self.stage.bill("rask"), sum(row.account == "rask" for row in books.rows.values())
            assert (bill["projects"], bill["charged_runs"], bill["duplicate_projects"]) == (jobs, jobs, 0)


@asynccontextmanager
async def campaign(
    folder: Path, count: int, *vendors: str, speed: float = 60, limits: Mapping[str, Any] = LIMITS, **options: Any
) -> AsyncIterator[Campaign]:
    """A campaign over all vendors, or some, whose clocks go `speed` times as fast; 1 is the command as it is."""
    async with staged(folder, settings=limits, speed=speed, **options) as stage:
        made = Campaign(stage, count, vendors or VENDORS)
        made.write()
        yield made


async def ended(command: Command) -> Done:
    """Await the end of a command, whatever it is but a fault of viseme's own."""
    done = await command.finished(seconds=100)
    assert "viseme: unexpected" not in done.err, done.err
    return done


def count_of(**states: int) -> dict[str, int]:
    """As `Books.states` counts."""
    return {name: number for name, number in states.items() if number}


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)
