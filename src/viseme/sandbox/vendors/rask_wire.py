"""What Rask reads and writes: bodies checked in the manner of FastAPI, and its errors, which all have a `detail`."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from aiohttp import web

from .wire import Call, Refusal, reply

TARGET = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,4})*")
SOURCE = re.compile(r"[a-z]{2,3}")
_NOTED = 4096


def no(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error body."""
    return reply({"detail": detail}, status, headers)


def complaint(field: str, message: str, kind: str = "value_error", where: str = "body") -> dict[str, Any]:
    """One entry of a 422."""
    return {"loc": [where, field] if field else [where], "msg": message, "type": kind}


def invalid(*complaints: dict[str, Any]) -> Refusal:
    """A 422 with its list."""
    return Refusal(reply({"detail": list(complaints)}, 422))


class Reader:
    """The fields of a body; what is wrong with them is gathered, and refused at once by `checked`."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self._complaints: list[dict[str, Any]] = []

    def _found(self, field: str, kind: type, name: str, *, required: bool) -> Any:
        value = self.body.get(field)
        if value is None:
            if required:
                self._complaints.append(complaint(field, "Field required", "missing"))
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self._complaints.append(complaint(field, f"Input should be a valid {name}", f"{name}_type"))
            return None
        return value

    def text(self, field: str, *, required: bool = False, pattern: re.Pattern[str] | None = None) -> str | None:
        """A string, of a pattern if one is given."""
        value = cast("str | None", self._found(field, str, "string", required=required))
        if value is not None and pattern is not None and not pattern.fullmatch(value):
            self._complaints.append(complaint(field, "Input should match the pattern", "string_pattern_mismatch"))
        return value

    def number(self, field: str) -> int | None:
        """A whole number of at least 1."""
        value = cast("int | None", self._found(field, int, "integer", required=False))
        if value is not None and value < 1:
            self._complaints.append(complaint(field, "Input should be greater than 0", "greater_than"))
        return value

    def mapping(self, field: str) -> dict[str, Any]:
        """An object."""
        return self._found(field, dict, "dictionary", required=False) or {}

    def flag(self, field: str, default: bool) -> bool:
        """True or false, also as the text "True" or "False", which the vendor's own samples send."""
        value = self.body.get(field)
        if value is None:
            return default
        if isinstance(value, bool) or value in ("True", "False"):
            return value in (True, "True")
        self._complaints.append(complaint(field, "Input should be a valid boolean", "bool_parsing"))
        return default

    def checked(self) -> None:
        """Raises:
        Refusal: A field was wrong.
        """
        if self._complaints:
            raise invalid(*self._complaints)


async def read(call: Call) -> Reader:
    """The JSON object that was sent; it is noted in the log if it is small.

    Raises:
        Refusal: It is none.
    """
    try:
        data = await call.request.read()
        body = json.loads(data)
    except ValueError:
        raise invalid(complaint("", "JSON decode error", "json_invalid")) from None
    if not isinstance(body, dict):
        raise invalid(complaint("", "Input should be a valid dictionary", "dict_type"))
    found = cast("dict[str, Any]", body)
    call.row.received = found if len(data) <= _NOTED else None
    return Reader(found)
