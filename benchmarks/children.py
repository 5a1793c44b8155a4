"""Work measured in a process of its own: CPU, time and memory of the work, without imports.

``python -m benchmarks.children MODULE:FUNCTION ARGUMENTS WARM HOW`` runs one piece of work and prints what it took.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

__all__ = ["SPEED", "How", "Taken", "measured"]

_ROOT = Path(__file__).parents[1]
SPEED = ("uvloop", "orjson")
"""What the extra ``speed`` installs."""
How = Literal["plain", "script", "speed"]
"""On ``asyncio.run``, as a service does, or on ``viseme.run``, both without the extra; or on ``viseme.run`` with it."""


@frozen
class Taken:
    """What a piece of work took.

    Attributes:
        cpu: seconds of CPU, of all threads.
        wall: seconds.
        base: resident memory before it began, bytes; ``peak`` the most while it ran.
        result: what the function returned.
    """

    cpu: float
    wall: float
    base: int
    peak: int
    result: Any


def measured(
    work: str,
    arguments: dict[str, Any],
    *,
    warm: dict[str, Any] | None = None,
    how: How = "plain",
    timeout: float = 600.0,
) -> Taken:
    """Run ``module:function`` with keyword arguments in a fresh process.

    Args:
        work: a function, or a coroutine function that is run on an event loop.
        warm: arguments of a first run that is not measured, so that all is imported that is imported late.
        how: on which event loop; unless it is ``speed``, uvloop and orjson cannot be imported.

    Raises:
        RuntimeError: it failed; the message is what it wrote to its standard error.
    """
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "benchmarks.children", work),
            *(json.dumps(arguments), json.dumps(warm), how),
        ],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    if done.returncode:
        raise RuntimeError(f"{work} failed:\n{done.stderr[-4000:]}")
    return Taken(**json.loads(done.stdout.splitlines()[-1]))


def _main() -> None:
    work, arguments, warm, how = sys.argv[1:]
    if how != "speed":
        for name in SPEED:
            sys.modules[name] = None  # type: ignore[assignment]
    module, _, name = work.partition(":")
    function = getattr(importlib.import_module(module), name)
    prepare = _loop if inspect.iscoroutinefunction(function) else _plainly
    first = json.loads(warm)
    if first is not None:
        prepare(function, first, how)()
    print(json.dumps(_take(prepare(function, json.loads(arguments), how))))


def _take(run: Callable[[], Any]) -> dict[str, Any]:
    gc.collect()
    base = _resident()
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu, "wall": wall, "base": base, "peak": _peak(), "result": result}


def _loop(function: Callable[..., Any], arguments: dict[str, Any], how: str) -> Callable[[], Any]:
    if how != "plain":
        import viseme

        run = viseme.run  # loaded before it is measured
        return lambda: run(function(**arguments))
    return lambda: asyncio.run(function(**arguments))


def _plainly(function: Callable[..., Any], arguments: dict[str, Any], how: str) -> Callable[[], Any]:
    return lambda: function(**arguments)


def _resident() -> int:
    if not os.path.exists("/proc/self/statm"):
        return _peak()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak() -> int:
    status = Path("/proc/self/status")  # getrusage may tell of the process that started this one
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    _main()
