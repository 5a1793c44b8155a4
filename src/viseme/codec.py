"""JSON at the speed that is installed: orjson when present (extra ``speed``), else the standard library."""

from __future__ import annotations

import json
from typing import Any

try:
    import orjson
except ImportError:  # the extra `speed` is optional
    orjson = None

__all__ = ["dumps", "loads"]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def _stdlib_dumps(value: Any) -> bytes:
    return _encode(value).encode()


def _stdlib_loads(data: bytes | str) -> Any:
    try:
        return _decode(data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass"))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


if orjson is None:
    dumps = _stdlib_dumps
    loads = _stdlib_loads
else:
    dumps = orjson.dumps
    loads = orjson.loads
