"""``viseme sandbox``: the vendors' stand-in as a process of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from anyio import Event

import viseme
from viseme.cli.guard import OK, Unusable
from viseme.cli.interrupts import interrupts
from viseme.errors import MissingExtra

if TYPE_CHECKING:
    from viseme.sandbox import Sandbox

__all__ = ["sandbox", "sandbox_class"]


def sandbox_class() -> type[Sandbox]:
    """The sandbox, where PyAV is installed.

    Raises:
        MissingExtra: it is not.
    """
    try:
        from viseme.sandbox import Sandbox
    except ImportError as error:
        raise MissingExtra(str(error)) from None
    return Sandbox


def sandbox(*, host: str, port: int, speed: float, seed: int, faults: str) -> int:
    """Serve until a signal comes."""
    if not 0 < speed < math.inf:
        raise Unusable(f"--speed {speed:g} must be greater than 0; 60 makes a vendor's minute a second")
    served = sandbox_class()(speed=speed, seed=seed, faults=faults)

    async def main() -> int:
        ended = Event()
        with interrupts(ended.set, ended.set):
            try:
                async with served.serve(host, port) as address:
                    print(f"sandbox ready at {address}", flush=True)
                    await ended.wait()
            except OSError as error:
                raise Unusable(
                    f"the sandbox cannot listen on {host}:{port} ({error.strerror}); choose another --port or --host"
                ) from None
        return OK

    return viseme.run(main())
