"""`viseme sandbox` as a process of its own, and commands that lack an extra."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from tests.support.commands import Command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_sandbox_says_where_it_is_and_serves_until_a_signal(tmp_path: Path, number: int) -> None:
    options = ("--port", "0", "--speed", "50", "--seed", "3", "--faults", "mild")
    command = await Command.start("sandbox", *options, folder=tmp_path)
    ready = re.fullmatch(r"sandbox ready at (http://127\.0\.0\.1:(\d+))\n", await command.line())
    assert ready is not None
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{ready[1]}/_sandbox/health") as reply:
            assert (await reply.json())["speed"] == 50
        async with http.get(f"{ready[1]}/_sandbox/bill") as reply:
            assert (await reply.json())["sync"]["creates"] == 0
    second = await (await Command.start("sandbox", "--port", ready[2], folder=tmp_path)).finished()
    assert second.status == 2
    assert f"cannot listen on 127.0.0.1:{ready[2]}" in second.err
    command.interrupt(number)
    done = await command.finished()
    assert (done.status, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize(
    ("missing", "arguments", "sentence"),
    [
        ("rich", ["--help"], "the command line needs an extra: pip install 'viseme[cli]'"),
        ("typer", ["status"], "the command line needs an extra: pip install 'viseme[cli]'"),
        ("av", ["demo"], "pip install 'viseme[media]'"),
        ("av", ["sandbox", "--port", "0"], "pip install 'viseme[media]'"),
    ],
)
async def test_a_missing_extra_is_one_line(tmp_path: Path, missing: str, arguments: list[str], sentence: str) -> None:
    (tmp_path / "without.py").write_text(
        "import importlib.util, runpy, sys\n"
        "found = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *rest: None if name == {missing!r} else found(name, *rest)\n"
        f"sys.modules[{missing!r}] = None\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "runpy.run_module('viseme', run_name='__main__')\n"
    )
    done = await (await Command.run([sys.executable, "without.py"], folder=tmp_path)).finished()
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert sentence in done.err
