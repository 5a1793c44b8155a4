"""``viseme demo``: the sandbox, sample clips, and forty jobs over all of its vendors, from start to bill."""

from __future__ import annotations

import os
import time
from itertools import count

import viseme
from viseme import Scheduler
from viseme.cli.demo_jobs import accounts, jobs
from viseme.cli.demo_media import gather, have_made
from viseme.cli.demo_report import report
from viseme.cli.demo_stock import estimates, take_stock
from viseme.cli.driving import Batch, drive
from viseme.cli.guard import OK, SOME_FAILED
from viseme.cli.progress import Progress, on_terminal
from viseme.cli.sandbox import sandbox_class
from viseme.cli.settings import Places, places
from viseme.cli.summary import lines

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
            progress.say(f"the vendors are played by the bundled sandbox at {address}, {SPEED:g} times as fast")
            chosen, customers = list(jobs(await gather(address, where.out))), accounts(address, SPEED)
            made = await have_made(chosen)
            progress.say(f"made {made} sample clips; estimating, then running {len(chosen)} jobs")
            expected = await estimates(chosen, customers)
            engine = Scheduler(customers, output=where.out, ledger=where.ledger, notice=progress.say)
            batch = Batch(scheduler=engine, begin=lambda s: s.run(chosen, whole=True), progress=progress)
            outcome = await drive(batch)
            if outcome.status != OK:
                progress.insist("\n".join(lines(outcome, where)))
                await progress.close()
                return outcome.status
            stock = await take_stock(where, expected, sandbox.bill(), sandbox.log())
        return OK if report(stock, where, time.monotonic() - began) else SOME_FAILED

    return viseme.run(main())


def _free(out: str) -> Places:
    """The folder itself if no ledger lies there, else the first numbered folder in it without one."""
    tried = (places(out if number == 1 else os.path.join(out, str(number)), None) for number in count(1))
    return next(where for where in tried if not os.path.exists(where.ledger))
