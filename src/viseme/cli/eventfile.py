"""``--events``: every event of a run as a line of JSON, to a file or to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from anyio import CancelScope, EndOfStream, WouldBlock, create_memory_object_stream, create_task_group
from anyio.streams.memory import MemoryObjectReceiveStream
from attrs import define

from viseme import Run
from viseme.cli.guard import Unusable, usable
from viseme.cli.settings import Places
from viseme.cli.threads import abandonable, write_all
from viseme.codec import dumps
from viseme.errors import VisemeError
from viseme.jobs import is_own, is_run_file
from viseme.wording import quote

__all__ = ["EventFile", "open_events"]

_AHEAD = 256


@define(eq=False, repr=False)
class EventFile:
    """Where events go. A slow reader holds up this and nothing else; one that has gone ends the writing, not the run.

    Attributes:
        name: for messages.
    """

    name: str
    _descriptor: int
    _closed: bool = False

    async def follow(self, run: Run, say: Callable[[str], None]) -> None:
        """Write the run's events until its last one."""
        send, receive = create_memory_object_stream[bytes](_AHEAD)
        async with create_task_group() as group, send:
            group.start_soon(self._write, receive, say, group.cancel_scope)
            try:
                async for event in run:
                    await send.send(dumps(event.to_dict()) + b"\n")
            except VisemeError:
                pass  # the run itself says what happened

    async def _write(
        self, lines: MemoryObjectReceiveStream[bytes], say: Callable[[str], None], reading: CancelScope
    ) -> None:
        with lines:
            while batch := await _batch(lines):
                try:
                    await abandonable(partial(write_all, self._descriptor, batch))
                except OSError as error:
                    say(f"no more events are written to {self.name} ({error.strerror}); the run goes on without them")
                    reading.cancel()
                    return

    def close(self) -> None:
        """Write nothing more."""
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)


async def _batch(lines: MemoryObjectReceiveStream[bytes]) -> bytes:
    """The lines that are there, once there is one; empty at the end."""
    batch: list[bytes] = []
    with suppress(EndOfStream, WouldBlock):
        batch.append(await lines.receive())
        while len(batch) < _AHEAD:
            batch.append(lines.receive_nowait())
    return b"".join(batch)


def open_events(target: str, places: Places, inputs: Sequence[str] = ()) -> EventFile:
    """Open standard output (``-``), or a file, which is written anew.

    Args:
        inputs: the files that the command reads.

    Raises:
        Unusable: it cannot be written, or is a file of the run itself.
    """
    if target == "-":
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise Unusable("standard output is closed; name a file with --events")
        return EventFile("standard output", os.dup(sys.stdout.fileno()))
    place = os.path.realpath(target)
    taken = place in map(os.path.realpath, inputs) or is_own(os.path.realpath(places.ledger), place)
    if taken or is_run_file(os.path.relpath(place, os.path.realpath(places.out))):
        raise Unusable(f"--events {quote(target)} would overwrite a file of the run itself; name another")
    with usable():
        return EventFile(quote(target), os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644))
