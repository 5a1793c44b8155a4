"""A job's default key: the same inputs give the same key, on every machine and in every release."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from attrs import frozen

from viseme.errors import JobInvalid
from viseme.jobs import Job, is_url
from viseme.wording import quote

__all__ = ["FileStamp", "canonical", "default_key", "inputs_digest"]


@frozen
class FileStamp:
    """What identifies a local file: resolved path, size in bytes, modification time in nanoseconds."""

    path: str
    size: int
    mtime: int


def default_key(job: Job, account: str | Sequence[str], files: Mapping[str, FileStamp] | None = None) -> str:
    """The first 32 hexadecimal digits of SHA-256 over the canonical JSON of account, model, media, speech and options.

    Args:
        account: the account's name; several in a list for a job that may be routed.
        files: the stamps of the job's local paths, by the path as the job gives it.

    Fields that the job does not give are left out. A local file stands as ``{path, size, mtime}``.
    """
    return inputs_digest(job, account, files)[:32]


def inputs_digest(job: Job, account: str | Sequence[str], files: Mapping[str, FileStamp] | None = None) -> str:
    """SHA-256 (hexadecimal) of what makes two jobs the same job."""
    body: dict[str, Any] = {"v": 1, "account": account}
    for name in ("model", "video", "image", "audio", "text", "voice", "language", "source_language"):
        value = getattr(job, name)
        if value is not None:
            body[name] = value
    if files:
        for name in ("video", "image", "audio"):
            source = body.get(name)
            stamp = None if source is None or is_url(source) else files.get(source)
            if stamp is not None:
                body[name] = {"path": stamp.path, "size": stamp.size, "mtime": stamp.mtime}
    if job.options:
        body["options"] = job.options
    return hashlib.sha256(canonical(body)).hexdigest()


def canonical(value: object) -> bytes:
    """JSON in the one form of RFC 8785: keys sorted by UTF-16 code units, numbers as ECMAScript writes them.

    Raises:
        JobInvalid: the value holds something that JSON cannot say.
    """
    try:
        return _write(value).encode()
    except UnicodeEncodeError:
        raise JobInvalid("the job holds text that is not Unicode (a lone surrogate)") from None
    except RecursionError:
        raise JobInvalid("the job holds JSON that is nested too deeply") from None


def _write(value: Any) -> str:
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)  # every digit of it
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_write(item) for item in value) + "]"  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, (dict, Mapping)):
        return _object(value)  # pyright: ignore[reportUnknownArgumentType]
    raise JobInvalid(f"{type(value).__name__} values have no JSON form; use text, numbers, lists and objects")


def _object(value: Mapping[Any, Any]) -> str:
    try:
        plain = "".join(value).isascii()  # then the order of characters is that of code units
    except TypeError:
        odd = next(name for name in value if not isinstance(name, str))
        raise JobInvalid(f"{quote(odd)} is no name for a value; the names in an object are text") from None
    names = sorted(value) if plain else sorted(value, key=lambda name: name.encode("utf-16-be"))
    items = [
        f"{encode_basestring(name)}:{encode_basestring(item) if isinstance(item := value[name], str) else _write(item)}"
        for name in names
    ]
    return "{" + ",".join(items) + "}"


def _number(value: float) -> str:
    """A number as ECMAScript's Number::toString writes it, which RFC 8785 asks for."""
    if not math.isfinite(value):
        raise JobInvalid("a number in the job is not finite; JSON has no such number")
    if not value:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    return "-" * sign + _place(text, len(text) + int(exponent))


def _place(digits: str, point: int) -> str:
    """``0.digits * 10**point`` in ECMAScript's spelling."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    power = point - 1
    exponent = f"e{'+' if power > 0 else '-'}{abs(power)}"
    return digits + exponent if count == 1 else f"{digits[0]}.{digits[1:]}{exponent}"
