"""What the demo is judged by: every file opened and measured, and the sandbox's bill and log beside the estimate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import anyio.to_thread
from attrs import define, frozen

from viseme import Account, Job, Quote
from viseme.attempts import TaskRow
from viseme.cli.probe import probe
from viseme.cli.reading import reading
from viseme.cli.settings import Places
from viseme.engine.money.quoting import quote_rows
from viseme.jobs import is_url
from viseme.manifest import Row
from viseme.money import exact

__all__ = ["Estimate", "Line", "estimates", "take_stock"]

_TOLERANCE = 0.1
_ALL = 1000


@define
class Estimate:
    """What the jobs of one account cost at most.

    Attributes:
        unit: US dollars where they are known, else the vendor's own.
        amount: of the jobs whose price can be told beforehand.
        known: how many these are.
    """

    unit: str = ""
    amount: Decimal = Decimal(0)
    known: int = 0

    def add(self, found: Quote) -> None:
        """Count one job."""
        if found.cost is None:
            return
        in_usd = found.cost.usd is not None
        self.unit = "usd" if in_usd else found.cost.unit
        self.amount += exact(found.cost.usd if in_usd else found.cost.amount) or 0
        self.known += 1


@frozen(kw_only=True)
class Line:
    """One account's part of the demo: what viseme has, and what the sandbox's bill and log say.

    Attributes:
        previews: how many of the jobs have one.
        bytes: of all files together.
        seconds: of film in them.
        from_files: how many of the jobs name files of this machine.
        local: those files, each counted once.
        sent: digests of the files that the vendor was sent.
        faults: what is wrong, as sentences.
    """

    account: str
    jobs: int
    files: int
    previews: int
    bytes: int
    seconds: float
    from_files: int
    local: int
    sent: Sequence[str]
    faults: Sequence[str]
    estimate: Estimate
    bill: Mapping[str, Any]

    @property
    def paid(self) -> int:
        """The jobs that the vendor carried out, each of which it charged for; previews are free."""
        return self.bill["succeeded"] + self.bill["failed"] - self.bill.get("previews", 0)

    @property
    def delivered(self) -> int:
        """The results that were fetched, without previews."""
        return self.bill["delivered"] - self.previews

    @property
    def cost(self) -> Decimal:
        """What the vendor charged, in US dollars where the bill has them, else in its own unit."""
        return exact(self.bill["credits"] if self.bill["usd"] is None else self.bill["usd"]) or Decimal(0)

    @property
    def within(self) -> bool:
        """Whether it cost no more than was estimated, as far as that was known."""
        return self.estimate.known < self.jobs or self.cost <= self.estimate.amount

    @property
    def once(self) -> bool:
        """Whether each file of this machine was sent once, however many jobs name it."""
        return self.local == len(self.sent) == len(set(self.sent))

    @property
    def even(self) -> bool:
        """Whether each job was created once, paid once and delivered once."""
        counts = {self.jobs, self.files, self.bill["creates"], self.paid, self.delivered}
        dubs = {self.bill.get("projects", self.jobs), self.bill.get("charged_runs", self.jobs)}
        again = self.bill["duplicates"] + self.bill.get("duplicate_projects", 0) + self.bill.get("generates", 0)
        return counts | dubs == {self.jobs} and not again and not self.faults


async def estimates(chosen: Sequence[Job], accounts: Sequence[Account]) -> dict[str, Estimate]:
    """What the jobs cost at most, by account."""
    found: dict[str, Estimate] = {account.name: Estimate() for account in accounts}
    async for row in quote_rows([Row(number, job) for number, job in enumerate(chosen, 1)], accounts):
        if row.quote is not None:
            found[row.quote.account].add(row.quote)
    return found


async def take_stock(
    where: Places, expected: Mapping[str, Estimate], bill: Mapping[str, Any], log: Iterable[Mapping[str, Any]]
) -> list[Line]:
    """Open every file of the demo's ledger, and set it against the sandbox's bill and log."""
    sent: dict[str, list[str]] = {account: [] for account in expected}
    for request in log:
        sent[request["vendor"]] += _files(request)
    async with reading(where.ledger) as ledger:
        tasks = await ledger.all_tasks(0, _ALL)

    def lines() -> list[Line]:
        return [
            _line([row for row in tasks if row.account == account], expected[account], bill[account], sent[account])
            for account in sorted(expected)
        ]

    return await anyio.to_thread.run_sync(lines)


def _files(request: Mapping[str, Any]) -> list[str]:
    """The digests of the files that came with a request: one on its own, or some within a create."""
    if not request["uploaded"]:
        return []
    received: Mapping[str, Any] = request["received"] or {}
    within: list[Any] = list(received.values())
    return [part["sha256"] for part in within] if within else [request["sha256"]]


def _line(rows: Sequence[TaskRow], estimate: Estimate, bill: Mapping[str, Any], sent: Sequence[str]) -> Line:
    lengths = [_length(row, row.file) for row in rows if row.file is not None]
    previews = [_length(row, row.preview) for row in rows if row.preview is not None]
    local = [source for row in rows for source in row.job.sources if not is_url(source)]
    return Line(
        account=rows[0].account,
        jobs=len(rows),
        files=len(lengths),
        previews=len(previews),
        bytes=sum(row.bytes or 0 for row in rows),
        seconds=sum(seconds for seconds, _ in lengths),
        from_files=sum(not all(map(is_url, row.job.sources)) for row in rows),
        local=len(set(local)),
        sent=sent,
        faults=[fault for _, fault in lengths + previews if fault],
        estimate=estimate,
        bill=bill,
    )


def _length(row: TaskRow, file: str) -> tuple[float, str]:
    """How long a file lasts, and what is wrong with it."""
    found, wanted = probe(file), row.job.metadata["seconds"]
    if found.fault:
        return found.seconds, f"{row.key}: {found.fault}"
    if abs(found.seconds - wanted) > _TOLERANCE:
        return found.seconds, f"{row.key} lasts {found.seconds:.2f} s, and {wanted:.2f} s were asked for"
    return found.seconds, ""
