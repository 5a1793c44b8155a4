"""Keeps an account's secrets out of what its vendor says: some quote the key back in their refusals."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, cast

from attrs import Factory, field, frozen

from viseme.evolving import evolve
from viseme.providers.base import Accepted, Answer, Found, Observation, Undecided, Verdict

__all__ = ["Mask"]

_TELLING = 6
"""Secrets shorter than this many characters are none, and would be found in ordinary words."""
_CUT = "…"
"""Stands where a quoted text was cut."""
_TORN = re.compile(rf"(?:%[0-9a-f]?|\\(?:u[0-9a-f]{{0,3}})?|&[#0-9a-z]{{0,6}})?{_CUT}", re.IGNORECASE)
"""A cut, with what is left of an escape that it went through."""
_ESCAPED = re.compile(r"%([0-9a-f]{2})|\\u([0-9a-f]{4})|\\(.)|(&#?[0-9a-z]{2,6};)", re.IGNORECASE)


def _spelling(*secrets: str) -> re.Pattern[str]:
    """Any of these texts, in either case, each of its signs as it is or as URLs, JSON and HTML escape it."""
    return re.compile("|".join("".join(map(_sign, one)) for one in secrets), re.IGNORECASE)


def _sign(sign: str) -> str:
    if sign.isalnum():
        return sign
    number, named = ord(sign), html.escape(sign)
    escapes = (f"%{number:02x}", rf"\\u{number:04x}", f"&#x0*{number:x};", f"&#0*{number};", re.escape(named))
    return rf"(?:\\?{re.escape(sign)}|{'|'.join(escapes)})"


def _meant(escape: re.Match[str]) -> str:
    """The sign that an escape stands for."""
    if escape[1] or escape[2]:
        return chr(int(escape[1] or escape[2], 16))
    return escape[3] or html.unescape(escape[4])


@frozen
class Mask:
    """Puts ``***`` in the place of each of some secrets."""

    secrets: tuple[str, ...] = field(repr=False)
    _least: float = field(
        init=False, default=Factory(lambda self: min(map(len, self.secrets), default=inf), takes_self=True)
    )
    """The shortest text that may hold one of them."""
    _spelled: re.Pattern[str] = field(
        init=False, repr=False, default=Factory(lambda self: _spelling(*self.secrets), takes_self=True)
    )

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Mask:
        """A mask for these secrets, as they are and as URLs, JSON and HTML spell them."""
        return cls(tuple(dict.fromkeys(one for one in secrets if len(one) >= _TELLING)))

    def text(self, text: str) -> str:
        """The text without the secrets, nor the beginning of one where the text was cut in it."""
        if len(text) < self._least and _CUT not in text:  # a status, most often
            return text
        text = self._spelled.sub("***", text)
        if _CUT not in text:
            return text
        plain = (_ESCAPED.sub(_meant, _TORN.sub(_CUT, text)) + text).lower()
        for secret in map(str.lower, self.secrets):
            known = next((n for n in range(len(secret) - 1, _TELLING - 1, -1) if secret[:n] + _CUT in plain), 0)
            if known:
                torn = re.compile(_spelling(secret[:known]).pattern + _TORN.pattern, re.IGNORECASE)
                text = torn.sub(f"***{_CUT}", text)
        return text

    def verdict(self, verdict: Verdict) -> Verdict:
        """The verdict without the secrets."""
        message, code = self.text(verdict.message), verdict.code
        shown = code if code is None else self.text(code)
        same = message == verdict.message and shown == code
        return verdict if same else evolve(verdict, message=message, code=shown)

    def value(self, value: Any) -> Any:
        """What a flow came to, without the secrets; the vendor's ids and links are left as they are."""
        if isinstance(value, Observation):  # most often
            return self._seen(value)
        match value:
            case str():
                return self.text(value)
            case Accepted(observation=seen) | Found(observation=seen) if seen is not None:
                masked = self._seen(seen)
                return value if masked is seen else evolve(value, observation=masked)
            case Undecided(message=message) | Answer(message=message):
                return evolve(value, message=self.text(message))
            case Mapping():
                given = cast("Mapping[Any, Any]", value)
                return {name: item if isinstance(item, str) else self.value(item) for name, item in given.items()}
            case _:
                return value

    def _seen(self, seen: Observation) -> Observation:
        status, verdict = self.text(seen.status), seen.verdict
        if verdict is not None:
            verdict = self.verdict(verdict)
        same = status == seen.status and verdict is seen.verdict
        return seen if same else evolve(seen, status=status, verdict=verdict)
