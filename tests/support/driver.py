"""A program that drives a batch with the library, to be killed, interrupted and started again by tests.

python driver.py '{"base": ..., "folder": ..., "speed": ..., "beginning": [...], "accounts": [...], "count": ...}'
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any, cast

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.sandboxes import QuickClock, Stage

from viseme import Job, Run
from viseme.sandbox import Sandbox


def order(stage: Stage, count: int, accounts: list[dict[str, Any]], **over: Any) -> str:
    """What the program is told."""
    given = {
        "base": stage.base, "folder": str(stage.folder), "speed": stage.speed, "beginning": stage.clock.beginning,
        "accounts": accounts, "count": count, **over,
    }  # fmt: skip
    return json.dumps(given)


async def start(order: str) -> asyncio.subprocess.Process:
    """Start the program; it says `open` once its scheduler is, and `done` with the tally in the end."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", __file__, order, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def main(told: dict[str, Any]) -> None:
    clock = QuickClock(told["speed"])
    clock._zero, clock._epoch = told["beginning"]
    stage = Stage(cast(Sandbox, None), told["base"], Path(told["folder"]), clock)
    accounts = [stage.account(**account) for account in told["accounts"]]
    options = {"grace": told["grace"]} if "grace" in told else {}
    names = [account.name for account in accounts]
    given = [Job(**job) for job in told.get("jobs", ())]
    jobs = given or (stage.job(number, names[number % len(names)]) for number in range(told["count"]))
    async with stage.scheduler(*accounts, **options) as scheduler:
        print("open", flush=True)
        async with scheduler.run(jobs) as run:
            if "measure" in told:
                await measured(run, told["measure"])
            tally = await run.wait()
    ended = {"succeeded": tally.succeeded, "parked": tally.parked, "failed": tally.failed}
    print("done", json.dumps(ended), flush=True)


async def measured(run: Run, every: int) -> None:
    """Say the process's peak of memory, in bytes, at every so many jobs that have ended."""
    due = every
    async for _ in run:
        if run.tally.ended >= due:
            due += every
            say_peak()
    say_peak()


def say_peak() -> None:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of a background shell inherits it ignored
    asyncio.run(main(json.loads(sys.argv[1])))
