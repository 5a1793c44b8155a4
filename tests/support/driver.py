"""A program that drives a batch with the library, to be killed, interrupted and started again by tests.

python driver.py '{"base": ..., "folder": ..., "speed": ..., "beginning": [...], "accounts": [...], "count": ...}'
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, cast

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.sandboxes import QuickClock, Stage

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
    async with stage.scheduler(*accounts, **options) as scheduler:
        print("open", flush=True)
        jobs = stage.jobs(told["count"], *[account.name for account in accounts])
        async with scheduler.run(jobs) as run:
            tally = await run.wait()
    print(
        "done", json.dumps({"succeeded": tally.succeeded, "parked": tally.parked, "failed": tally.failed}), flush=True
    )


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
