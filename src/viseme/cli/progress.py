"""What is said on stderr while a batch is under way: sentences, and on a terminal the live view."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from anyio import Event, move_on_after
from attrs import define, field

from viseme import Run
from viseme.cli.figures import counted
from viseme.cli.standing import Standing
from viseme.cli.threads import abandonable, write_all
from viseme.errors import LedgerError
from viseme.results import State
from viseme.wording import legible

if TYPE_CHECKING:
    from viseme.cli.live import LiveView

__all__ = ["Counting", "Progress", "heading", "on_terminal"]

_EVERY = 0.5
_WARNINGS = 10
"""How many warnings about media are said in words."""
_WINDOW = 60.0
"""Jobs per minute are counted over so many seconds."""


@define(eq=False, repr=False)
class Progress:
    """Says things, off the loop, so that a terminal that is held up holds up nothing else.

    Attributes:
        quiet: say only what is wrong.
        live: draw the live view.
        problems: say which rows of the manifest are left out.
    """

    quiet: bool = False
    live: bool = False
    problems: bool = False
    _waiting: list[str] = field(factory=list[str])
    _wake: Event = field(factory=Event)
    _view: LiveView | None = None
    _finished: bool = False
    _told: int = 0
    _warned: int = 0
    _ended: dict[str, deque[tuple[float, int]]] = field(factory=dict[str, "deque[tuple[float, int]]"])

    def say(self, sentence: str) -> None:
        """Say a sentence soon, unless quiet."""
        if not self.quiet:
            self.insist(sentence)

    def insist(self, sentence: str) -> None:
        """Say a sentence soon, quiet or not."""
        self._waiting.append(f"viseme: {legible(sentence)}")
        self._wake.set()

    def finish(self) -> None:
        """Nothing more follows."""
        self._finished = True
        self._wake.set()

    async def follow(self, run: Run) -> None:
        """Tell how a run stands until :meth:`finish`."""
        pause = _EVERY
        if self.live:
            self._view = _view()
        while not self._finished:
            began = time.monotonic()
            await self._tell(run)
            pause = max(_EVERY, 20 * (time.monotonic() - began))
            with move_on_after(pause):
                await self._wake.wait()
            self._wake = Event()
        self._tell_problems(run)
        self._tell_warnings(run, last=True)
        await self.close()

    async def close(self) -> None:
        """Say what is left to say, and take the view away."""
        if self._view is not None:
            view, self._view = self._view, None
            await abandonable(view.stop)
        await self._flush()

    def _tell_problems(self, run: Run) -> None:
        """Say which rows of the manifest are left out, once each."""
        if self.problems:
            for problem in run.problems[self._told :]:
                self.insist(str(problem))
            self._told = len(run.problems)

    def _tell_warnings(self, run: Run, *, last: bool = False) -> None:
        """Say what may be wrong with media: the first of it in words, and in the end how much more there is."""
        for problem in run.warnings[self._warned : _WARNINGS]:
            self.say(f"warning: {problem}")
            self._warned += 1
        rest = run.warned - _WARNINGS
        if last and rest > 0:
            self.say(f"{counted(rest, 'more warning')} about media; `viseme check` shows them all")

    async def _tell(self, run: Run) -> None:
        self._tell_problems(run)
        self._tell_warnings(run)
        await self._flush()
        if self._view is not None:
            view, rows, title = self._view, await self._standing(run), heading(run)
            await abandonable(lambda: view.show(rows, title))

    async def _flush(self) -> None:
        sentences, self._waiting = self._waiting, []
        if not sentences:
            return
        if self._view is not None:
            view = self._view
            await abandonable(lambda: view.print(sentences))
        else:
            await abandonable(lambda: _write("".join(f"{sentence}\n" for sentence in sentences)))

    async def _standing(self, run: Run) -> list[Standing]:
        queued: dict[str, int] = {}
        try:
            for count in await run.counts():
                if count.state is State.QUEUED and count.parked is None:
                    queued[count.account] = queued.get(count.account, 0) + count.tasks
        except LedgerError:
            return []
        now = time.monotonic()
        rows: list[Standing] = []
        for account, tally in run.by_account.items():
            waiting = min(queued.get(account, 0), tally.total - tally.ended)
            rows.append(
                Standing(
                    account=account,
                    queued=waiting,
                    in_flight=tally.total - tally.ended - waiting,
                    done=tally.succeeded,
                    failed=tally.failed + tally.cancelled,
                    parked=tally.parked,
                    per_minute=self._rate(account, now, tally.ended - tally.replayed),
                )
            )
        return rows

    def _rate(self, account: str, now: float, ended: int) -> float | None:
        """Jobs per minute that ended lately."""
        seen = self._ended.setdefault(account, deque())
        seen.append((now, ended))
        while now - seen[0][0] > _WINDOW:
            seen.popleft()
        since, before = seen[0]
        return None if now - since < 2 else (ended - before) * 60 / (now - since)


def _view() -> LiveView:
    from viseme.cli.live import LiveView  # Rich is not needed elsewhere

    return LiveView()


def heading(run: Run) -> str:
    """How far a run is, in a line."""
    tally, (looked, known) = run.tally, run.looked_at
    replayed = f", {tally.replayed} of them before this run" if tally.replayed else ""
    looking = f"; checking media {looked}/{known}" if looked < known else ""
    return f"{tally.ended} of {tally.total} jobs have ended{replayed}{looking}"


@define
class Counting:
    """A count on a terminal's last line, for a command without a batch; says nothing elsewhere."""

    what: str
    _live: bool = field(factory=lambda: on_terminal())
    _said: float = 0.0

    def show(self, number: int) -> None:
        """Show how far it is, twice a second at most."""
        if self._live and time.monotonic() - self._said >= _EVERY:
            self._said = time.monotonic()
            _write(f"\r{self.what} {number}")

    def clear(self) -> None:
        """Take it away."""
        if self._live and self._said:
            _write("\r\x1b[K")


def _write(text: str) -> None:
    """Write to stderr (blocks), if it is there."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody listens
        write_all(sys.stderr.fileno(), text.encode(errors="replace"))


def on_terminal() -> bool:
    """Whether someone watches stderr."""
    try:
        return os.isatty(sys.stderr.fileno()) and os.environ.get("TERM") != "dumb"
    except (OSError, ValueError, AttributeError):
        return False
