"""JSON at the speed that is installed: orjson when present (extra ``speed``), else the standard library."""

from __future__ import annotations

import json
from typing import Any

try:
    import orjson
except ImportError:  # the extra `speed` is optional
    orjson = None

__all__ = ["dumps", "loads"]


def _stdlib_dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _stdlib_loads(data: bytes | str) -> Any:
    try:
        return json.loads(data, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


if orjson is None:
    dumps = _stdlib_dumps
    loads = _stdlib_loads
else:
    dumps = orjson.dumps
    loads = orjson.loads
