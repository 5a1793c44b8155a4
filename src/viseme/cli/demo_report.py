"""What the demo shows at its end: the work, the bill of the sandbox, and whether they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from viseme.cli.demo_stock import Line
from viseme.cli.figures import counted
from viseme.cli.settings import Places
from viseme.cli.tables import show

__all__ = ["report"]

_WORK = ("account", "jobs", "files", "MB", "seconds of film", "files sent", "most seats", "turned away")
_BILL = ("account", "created", "paid", "delivered", "duplicates", "cost", "estimated before")


def report(found: Sequence[Line], where: Places, seconds: float) -> bool:
    """Show it, and say whether the bill adds up."""
    show(_WORK, map(_work, found))
    print("\nthe bill of the sandbox, which played the vendors:")
    show(_BILL, map(_bill, found))
    print()
    for sentence in (*_wrong(found), *_besides(found)):
        print(sentence)
    jobs, created = sum(line.jobs for line in found), sum(line.bill["creates"] for line in found)
    paid, delivered = sum(line.paid for line in found), sum(line.delivered for line in found)
    even = all(line.even and line.once and line.within for line in found)
    if even:
        print(f"created {created} = paid {paid} = delivered {delivered}: each of the {jobs} jobs once")
    else:
        print(f"THE BILL DOES NOT ADD UP: {jobs} jobs, created {created}, paid {paid}, delivered {delivered}")
    print(f"{seconds:.0f} s in all; every file was opened and measured; they are in {where.out}, with results.jsonl")
    return even


def _wrong(found: Sequence[Line]) -> list[str]:
    told: list[str] = []
    for line in found:
        told += [f"wrong: {fault}" for fault in line.faults]
        if len(line.sent) != line.local:
            told.append(f"wrong: {line.account} was sent {len(line.sent)} files, and its jobs name {line.local}")
        elif not line.once:
            told.append(f"wrong: {line.account} was sent one file twice, and not another")
        if not line.within:
            told.append(f"wrong: {line.account} cost {_cost(line)}, {_estimate(line)} was estimated")
    return told


def _besides(found: Sequence[Line]) -> list[str]:
    """What the tables do not show: dubs, previews, and files that several jobs share."""
    told = [f"{line.account}: {_dubs(line.bill)}" for line in found if "projects" in line.bill]
    if all(line.once for line in found):
        told.append(f"{sum(line.from_files for line in found)} jobs name local files; each vendor got each file once")
    return told


def _dubs(bill: Mapping[str, Any]) -> str:
    previews = counted(bill["previews"], "free preview")
    dubs = f"{bill['projects']} dubs ({bill['dub_minutes']} minutes)"
    return f"{dubs}, {bill['charged_runs']} lip-syncs ({bill['lipsync_minutes']} minutes), {previews}"


def _work(line: Line) -> Sequence[object]:
    megabytes, film, bill = f"{line.bytes / 1e6:.1f}", f"{line.seconds:.1f}", line.bill
    seats, refused = bill["peak"]["seats"], bill["throttled"]
    return line.account, line.jobs, line.files, megabytes, film, len(line.sent), seats, refused


def _bill(line: Line) -> Sequence[object]:
    bill = line.bill
    return (
        line.account,
        bill["creates"],
        line.paid,
        line.delivered,
        bill["duplicates"],
        _cost(line),
        _estimate(line),
    )


def _cost(line: Line) -> str:
    return f"{line.cost:.2f} {'usd' if line.bill['usd'] is not None else line.bill['currency']}"


def _estimate(line: Line) -> str:
    expected = line.estimate
    some = f" for {expected.known} of {line.jobs} jobs" if expected.known < line.jobs else ""
    return f"at most {expected.amount:.2f} {expected.unit}{some}"
