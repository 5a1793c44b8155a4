"""The command line as scripts use it: real processes in a folder of their own, over a sandbox with its bill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from viseme.sandbox import Clock, ManualClock, Sandbox

VENDORS = ("sync", "jogg", "aimlapi", "rask")
QUICK = {"queue_seconds": 0.0, "fixed_seconds": 0.0, "pace": 0.0}
"""Vendors that are done as soon as they are asked."""
_OPEN: dict[str, dict[str, Any]] = {
    "sync": {"create": None, "read": None, "concurrency": None},
    "jogg": {"post": None, "concurrency": None},
    "aimlapi": {"create": None, "read": None, "logs": None, "concurrency": None},
    "rask": {
        "all": None,
        **dict.fromkeys(("media_seconds", "dub_seconds", "dub_pace", "face_seconds"), 0.0),
        **dict.fromkeys(("stale_dub_seconds", "stale_lipsync_seconds"), 0.5),
    },
}


@attrs.frozen
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@attrs.define
class Command:
    """A command under way."""

    process: asyncio.subprocess.Process

    @classmethod
    async def start(
        cls,
        *arguments: str,
        folder: Path,
        stdout: int = asyncio.subprocess.PIPE,
        environ: Mapping[str, str] | None = None,
    ) -> Command:
        """Start `viseme`."""
        return await cls.run(
            [sys.executable, "-m", "viseme", *arguments], folder=folder, stdout=stdout, environ=environ
        )

    @classmethod
    async def run(
        cls,
        program: Sequence[str],
        *,
        folder: Path,
        stdout: int = asyncio.subprocess.PIPE,
        environ: Mapping[str, str] | None = None,
    ) -> Command:
        """Start any program."""
        pipe = asyncio.subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                *program, cwd=folder, env={**os.environ, **(environ or {})}, stdin=pipe, stdout=stdout, stderr=pipe
            )
        )

    async def finished(self, given: bytes | None = None, seconds: float = 100) -> Done:
        out, err = await asyncio.wait_for(self.process.communicate(given or b""), seconds)
        assert "Traceback" not in err.decode(), err.decode()
        assert self.process.returncode is not None
        return Done(self.process.returncode, (out or b"").decode(), err.decode())

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    async def give(self, *rows: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(json.dumps(row) + "\n" for row in rows).encode())
        await self.process.stdin.drain()

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 100)).decode()


@attrs.define
class Desk:
    """A folder with a configuration, and the sandbox that its accounts are at."""

    folder: Path
    sandbox: Sandbox
    address: str

    def configure(self, *accounts: str, **more: Any) -> None:
        """Write `viseme.toml`; the first account is the default."""
        lines = [f'default_account = "{accounts[0]}"']
        for name in accounts:
            table = {
                **(self._credentials() if name == "rask" else {"api_key": "sandbox"}),
                "base_url": f"{self.address}/{name}",
                "allow_private_hosts": True,
                "concurrency": 8,
                "rates": dict.fromkeys(("create", "post", "read", "upload", "all"), "1000/s"),
                "polling": {"first": "0.1s", "every": "0.1s"},
                **more,
            }
            lines += [f"[accounts.{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
        (self.folder / "viseme.toml").write_text("\n".join(lines) + "\n")

    def _credentials(self) -> dict[str, Any]:
        """What a Rask account has instead of a key, its consent, and graces that a test can wait for."""
        return {
            "client_id": "sandbox",
            "client_secret": "sandbox",
            "token_url": f"{self.address}/rask/oauth2/token",
            "allow_paid": True,
            "face_check_grace": "2s",
            "stale_grace": "2s",
        }

    def row(self, number: int, **fields: Any) -> dict[str, Any]:
        media = f"{self.address}/media"
        return {"video": f"{media}/short.mp4", "audio": f"{media}/audio-1-{number}.wav", "key": f"k{number}", **fields}

    def dub(self, number: int, language: str = "es", **fields: Any) -> dict[str, Any]:
        """A row of Rask's."""
        video = f"{self.address}/media/short.mp4?n={number}"
        return {"video": video, "language": language, "key": f"k{number}", "account": "rask", **fields}

    def write(self, *rows: Mapping[str, Any] | str, name: str = "jobs.jsonl") -> str:
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (self.folder / name).write_text("".join(f"{line}\n" for line in lines))
        return name

    async def start(self, *arguments: str, stdout: int = asyncio.subprocess.PIPE, **environ: str) -> Command:
        return await Command.start(*arguments, folder=self.folder, stdout=stdout, environ=environ)

    async def viseme(self, *arguments: str, given: bytes | None = None, **environ: str) -> Done:
        return await (await self.start(*arguments, **environ)).finished(given)

    def creates(self) -> int:
        return sum(bill["creates"] for bill in self.sandbox.bill().values())

    def results(self, out: str = "out") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / out / "results.jsonl").read_text().splitlines()]

    async def until(self, condition: Callable[[], bool], seconds: float = 100) -> None:
        """Return once it holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it never came true"
            await asyncio.sleep(0.02)

    def let_go(self) -> None:
        """Have slow vendors be done with what they have, and quick from now on."""
        assert isinstance(self.sandbox.clock, ManualClock)
        for vendor in VENDORS:
            self.sandbox.configure(vendor, **QUICK)
        self.sandbox.clock.advance(3600.0)


@asynccontextmanager
async def desk(
    folder: Path,
    *accounts: str,
    slow: bool = False,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    **more: Any,
) -> AsyncIterator[Desk]:
    """A desk over a sandbox without limits, whose results are one short film each.

    Args:
        slow: the vendors are done with nothing until `Desk.let_go`.
        more: what the configuration says of every account.
    """
    pace = {"queue_seconds": 60.0} if slow else QUICK
    chosen = {name: {**limits, **pace, **(settings or {}).get(name, {})} for name, limits in _OPEN.items()}
    clock = ManualClock() if slow else Clock()
    sandbox = Sandbox(settings=chosen, fixed_size=20_000, fixed_seconds=1.0, clock=clock)
    async with sandbox.serve() as address:
        made = Desk(folder, sandbox, address)
        made.configure(*(accounts or VENDORS), **more)
        yield made


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def in_order(events: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The types of each task's events by key, after checking that `seq` rises and that one last event ends them."""
    told: dict[str, list[str]] = {}
    seen: dict[str, int] = {}
    for event in events:
        assert event["seq"] > seen.get(event["task"], 0), event
        seen[event["task"]] = event["seq"]
        told.setdefault(event["key"], []).append(event["type"])
    for key, types in told.items():
        assert [kind for kind in types if kind in ("succeeded", "failed", "cancelled", "parked")] == types[-1:], key
    return told
