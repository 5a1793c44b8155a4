"""The command line: ``viseme run``, ``demo``, ``status`` and the rest."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """The console script. Exits with the status that README.md lists."""
    missing = [name for name in ("typer", "rich") if find_spec(name) is None]
    if missing:
        print("viseme: the command line needs an extra: pip install 'viseme[cli]'", file=sys.stderr)
        raise SystemExit(2)
    try:
        from viseme.cli.app import app
        from viseme.cli.guard import explained
        from viseme.cli.output import Unheard, heeded, mute

        try:
            with heeded():
                app(prog_name="viseme")
        except Unheard as error:  # the help's; commands explain their own
            raise SystemExit(explained(error)) from None
        except BrokenPipeError:
            mute()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
