"""What a command comes to: an exit status, and where it could not be done a sentence on stderr, never a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Generator
from typing import NoReturn

import typer

from viseme.cli.output import Unheard, flush, mute
from viseme.errors import (
    ConfigError,
    JobInvalid,
    LedgerBusy,
    LedgerError,
    ManifestError,
    MissingExtra,
    ProviderError,
    VisemeError,
    first_of,
    no_room,
)
from viseme.wording import legible, quote

__all__ = [
    "INTERRUPTED",
    "OK",
    "SOME_FAILED",
    "USAGE",
    "Unusable",
    "complain",
    "explained",
    "finish",
    "usable",
]

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Unusable(VisemeError):
    """The command cannot be carried out as it was given: a file, a setting, a key that does not exist."""


_USAGE = (Unusable, ConfigError, ManifestError, JobInvalid, LedgerBusy, MissingExtra, ProviderError)


def finish(command: Callable[[], int]) -> NoReturn:
    """Carry a command out and end with its status."""
    _occupy_standard_streams()
    if not os.environ.get("VISEME_DEBUG"):
        logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    raise typer.Exit(_status(command))


def _occupy_standard_streams() -> None:
    """Open nothing where a standard stream is closed, or the next socket takes its number, which uvloop aborts over."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _status(command: Callable[[], int]) -> int:
    try:
        status = command()
        flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        mute()
        return OK
    except BaseException as error:
        if isinstance(error, SystemExit | typer.Exit):
            raise
        return explained(first_of(error))


def explained(error: BaseException) -> int:
    """Say what went wrong, and tell the status that it makes."""
    if isinstance(error, Unheard):
        mute()
    if os.environ.get("VISEME_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
        return INTERRUPTED
    if isinstance(error, VisemeError):
        complain("\n  ".join([str(error), *_problems(error)]))
        return USAGE if isinstance(error, _USAGE) else SOME_FAILED
    if isinstance(error, OSError) and error.filename is not None:
        step = "free some space" if no_room(error) else "make it usable"
        complain(f"{quote(error.filename)}: {error.strerror}; {step}, or name another place")
        return USAGE
    complain(
        f"unexpected {type(error).__name__}: {quote(str(error))}; the ledger is intact, run the same command again to"
        " go on, and with VISEME_DEBUG=1 to see where it happened"
    )
    return SOME_FAILED


def _problems(error: VisemeError) -> list[str]:
    return [str(problem) for problem in error.problems] if isinstance(error, ManifestError) else []


def complain(sentence: str) -> None:
    """Say what is wrong."""
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
        with contextlib.suppress(OSError, ValueError):  # nobody listens
            print(f"viseme: {legible(sentence)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def usable() -> Generator[None]:
    """What the ledger or the disk refuses here makes the command unusable: nothing has begun."""
    try:
        yield
    except LedgerBusy:
        raise
    except LedgerError as error:
        raise Unusable(str(error)) from error
    except OSError as error:
        place = f"{quote(error.filename)}: " if error.filename else ""
        step = "free some space" if no_room(error) else "make it writable"
        raise Unusable(f"{place}{error.strerror or error}; {step}, or name another place") from error
