"""JSON at the speed that is installed: orjson when present (extra ``speed``), else the standard library."""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable
from typing import Any

try:
    import orjson
except ImportError:  # the extra `speed` is optional
    orjson: Any = None

__all__ = ["dumps", "loads", "text"]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _writer() -> Callable[[Any], str]:
    """The standard library's encoder, its part in C made once: ``encode`` makes one for each text (3.5 against 2.2 µs).

    It looks for no circles, which are then nested too deeply.
    """
    encoder = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"), allow_nan=False)
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    try:
        pieces = make(None, encoder.default, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    except TypeError:  # a Python that has none, or makes it otherwise
        return encoder.encode
    return lambda value: "".join(pieces(value, 0))


_encode = _writer()
_read = json.JSONDecoder(parse_constant=_no_constant).raw_decode
_BLANK = " \t\n\r"


def _stdlib_dumps(value: Any) -> bytes:
    return _encode(value).encode()


def _stdlib_text(value: Any) -> str:
    """What ``dumps`` gives, as text."""
    text = _encode(value)
    return text if text.isascii() else text.encode().decode()  # which refuses a lone surrogate, as orjson does


def _stdlib_loads(data: bytes | str) -> Any:
    if not isinstance(data, str):
        data = data.decode("utf-8" if data[:2] == b'{"' else json.detect_encoding(data), "surrogatepass")
    text = data.strip(_BLANK)
    try:
        value, end = _read(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if end < len(text):
        raise json.JSONDecodeError("something stands behind it", text, end)
    return value


def _orjson_text(value: Any) -> str:
    return dumps(value).decode()


def _orjson_loads(data: bytes | str) -> Any:
    """What orjson refuses the standard library may read: text cut within a character, a mark at the front, 1e999."""
    try:
        return orjson.loads(data)
    except ValueError:
        return _stdlib_loads(data)


if orjson is None:
    dumps, text = _stdlib_dumps, _stdlib_text
    loads = _stdlib_loads
else:
    dumps, text = orjson.dumps, _orjson_text
    loads = _orjson_loads
