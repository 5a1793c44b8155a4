"""What the demo shows at its end: every file opened and measured, and the sandbox's bill beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import anyio.to_thread
from attrs import frozen

from viseme.attempts import TaskRow
from viseme.cli.probe import Probe, probe
from viseme.cli.reading import reading
from viseme.cli.settings import Places
from viseme.cli.tables import show

__all__ = ["Line", "report", "take_stock"]

_TOLERANCE = 0.1


@frozen(kw_only=True)
class Line:
    """One account's part of the demo: what viseme has, and what the sandbox's bill says.

    Attributes:
        bytes: of all files together.
        seconds: of film in them.
        faults: what is wrong with files, as sentences.
    """

    account: str
    jobs: int
    files: int
    bytes: int
    seconds: float
    faults: tuple[str, ...]
    bill: Mapping[str, Any]

    @property
    def paid(self) -> int:
        """The jobs that the vendor carried out, each of which it charged for."""
        return self.bill["succeeded"] + self.bill["failed"]

    @property
    def even(self) -> bool:
        """Whether each job was created once, paid once and delivered once."""
        counts = {self.jobs, self.files, self.bill["creates"], self.paid, self.bill["delivered"]}
        return len(counts) == 1 and not self.faults and not self.bill["duplicates"]


async def take_stock(where: Places, bill: Mapping[str, Any]) -> list[Line]:
    """Open every file of the demo's ledger, and set it against the bill."""
    rows: dict[str, list[TaskRow]] = {}
    async with reading(where.ledger) as ledger:
        for row in await ledger.all_tasks(0, 1000):
            rows.setdefault(row.account, []).append(row)
    return [await anyio.to_thread.run_sync(_line, account, rows[account], bill[account]) for account in sorted(rows)]


def _line(account: str, rows: Sequence[TaskRow], bill: Mapping[str, Any]) -> Line:
    probes = [(row, probe(row.file)) for row in rows if row.file is not None]
    return Line(
        account=account,
        jobs=len(rows),
        files=len(probes),
        bytes=sum(row.bytes or 0 for row, _ in probes),
        seconds=sum(found.seconds for _, found in probes),
        faults=tuple(_faults(probes)),
        bill=bill,
    )


def _faults(probes: Iterable[tuple[TaskRow, Probe]]) -> Iterable[str]:
    for row, found in probes:
        wanted = row.job.metadata["seconds"]
        if found.fault:
            yield f"{row.key}: {found.fault}"
        elif abs(found.seconds - wanted) > _TOLERANCE:
            yield f"{row.key} lasts {found.seconds:.2f} s, and {wanted:.2f} s were asked for"


def report(found: Sequence[Line], where: Places, seconds: float) -> bool:
    """Show it, and say whether the bill adds up."""
    show(("account", "jobs", "files", "MB", "seconds of film", "most seats", "turned away"), map(_work, found))
    print("\nthe bill of the sandbox, which played the vendors:")
    show(("account", "created", "paid", "delivered", "duplicates", "cost"), map(_bill, found))
    jobs, created = sum(line.jobs for line in found), sum(line.bill["creates"] for line in found)
    paid, delivered = sum(line.paid for line in found), sum(line.bill["delivered"] for line in found)
    even = all(line.even for line in found)
    print()
    for fault in (fault for line in found for fault in line.faults):
        print(f"wrong: {fault}")
    if even:
        print(f"created {created} = paid {paid} = delivered {delivered}: each of the {jobs} jobs once")
    else:
        print(f"THE BILL DOES NOT ADD UP: {jobs} jobs, created {created}, paid {paid}, delivered {delivered}")
    print(f"{seconds:.0f} s in all; every file was opened and measured; they are in {where.out}, with results.jsonl")
    return even


def _work(line: Line) -> Sequence[object]:
    megabytes, film = f"{line.bytes / 1e6:.1f}", f"{line.seconds:.1f}"
    return line.account, line.jobs, line.files, megabytes, film, line.bill["peak"]["seats"], line.bill["throttled"]


def _bill(line: Line) -> Sequence[object]:
    bill = line.bill
    cost = f"{bill['usd']:.2f} USD" if bill["usd"] is not None else f"{bill['credits']:.2f} credits"
    return line.account, bill["creates"], line.paid, bill["delivered"], bill["duplicates"], cost
