"""Standard output. What it refuses ends a command with a sentence, wherever in the command it was printed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

from viseme.errors import VisemeError, no_room

__all__ = ["Unheard", "flush", "heeded", "mute"]


class Unheard(VisemeError):
    """Standard output takes nothing more."""


class _Output(io.TextIOWrapper):
    """Standard output as it was, but for the error that it raises."""

    def write(self, text: str, /) -> int:
        with _heard():
            return super().write(text)

    def flush(self) -> None:
        with _heard():
            super().flush()


@contextmanager
def heeded() -> Generator[None]:
    """Have what standard output refuses raised as :class:`Unheard`, the last of it too."""
    now = sys.stdout
    if isinstance(now, io.TextIOWrapper) and now is sys.__stdout__:
        sys.stdout = _Output(
            sys.stdout.buffer,
            encoding=now.encoding,
            errors=now.errors,
            line_buffering=now.line_buffering,
            write_through=now.write_through,
        )
    try:
        yield
    finally:
        flush()


def flush() -> None:
    """Write what was printed, if there is anywhere to write it."""
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdout.flush()


def mute() -> None:
    """Let what is still to be printed go nowhere, so that the end of the process does not fail over it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def _heard() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # its reader has read enough
    except OSError as error:
        step = "free some space there" if no_room(error) else "see to it"
        raise Unheard(
            f"standard output cannot be written ({error.strerror or error}); {step}, or send it elsewhere"
        ) from error
