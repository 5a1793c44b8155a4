"""``viseme demo``: the sandbox, sample clips, and forty jobs over all of its vendors, from start to bill."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import count

import aiohttp

from viseme import Job, Scheduler
from viseme.cli.demo_jobs import accounts, jobs
from viseme.cli.demo_report import report, take_stock
from viseme.cli.driving import Batch, drive
from viseme.cli.guard import OK, SOME_FAILED, Unusable, in_loop
from viseme.cli.progress import Progress, on_terminal
from viseme.cli.sandbox import sandbox_class
from viseme.cli.settings import Places, places
from viseme.cli.summary import lines
from viseme.errors import quote

__all__ = ["demo"]

SPEED = 40.0
"""Vendor seconds per real second: a vendor's minute takes a second and a half."""


def demo(out: str, *, quiet: bool) -> int:
    """Run the demo into a folder; one that holds a ledger already is left alone, and the next number in it taken."""
    sandbox = sandbox_class()(speed=SPEED)
    where = _free(out)
    where.make()
    progress = Progress(quiet=quiet, live=on_terminal() and not quiet)

    async def main() -> int:
        began = time.monotonic()
        async with sandbox.serve() as address:
            chosen = list(jobs(f"{address}/media"))
            progress.say(f"the vendors are played by the bundled sandbox at {address}, {SPEED:g} times as fast")
            made = await _make_clips(chosen)
            progress.say(f"made {made} sample clips; running {len(chosen)} jobs")
            engine = Scheduler(accounts(address, SPEED), output=where.out, ledger=where.ledger, notice=progress.say)
            batch = Batch(scheduler=engine, begin=lambda s: s.run(chosen, whole=True), progress=progress)
            outcome = await drive(batch)
            if outcome.status != OK:
                progress.insist("\n".join(lines(outcome, where)))
                await progress.close()
                return outcome.status
            stock = await take_stock(where, sandbox.bill())
        return OK if report(stock, where, time.monotonic() - began) else SOME_FAILED

    return in_loop(main)


def _free(out: str) -> Places:
    """The folder itself if no ledger lies there, else the first numbered folder in it without one."""
    tried = (places(out if number == 1 else os.path.join(out, str(number)), None) for number in count(1))
    return next(where for where in tried if not os.path.exists(where.ledger))


async def _make_clips(chosen: Sequence[Job]) -> int:
    """Have the sandbox make the clips that the jobs name, which it does when each is first asked for."""
    sources = sorted({source for job in chosen for source in job.sources})
    async with aiohttp.ClientSession(trust_env=False) as session:
        for source in sources:
            async with session.get(source) as reply:
                if reply.status != 200:
                    raise Unusable(f"the sandbox did not make {quote(source)}: HTTP {reply.status}")
                await reply.read()
    return len(sources)
