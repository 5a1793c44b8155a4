"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["described"]

_PACKAGES = ("viseme", "aiohttp", "anyio", "attrs", "aiofiles", "uvloop", "orjson", "syncsdk")


def described() -> dict[str, str]:
    """What a reader of figures has to know of where they come from."""
    packages = {name: _version(name) for name in _PACKAGES}
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **packages,
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
