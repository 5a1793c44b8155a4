"""Keeps an account's secrets out of what its vendor says: some quote the key back in their refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import quote, quote_plus

from attrs import field, frozen

from viseme.evolving import evolve
from viseme.providers.base import Accepted, Answer, Found, Observation, Undecided, Verdict

__all__ = ["Mask"]

T = TypeVar("T")
_TELLING = 6
"""Secrets shorter than this many characters are none, and would be found in ordinary words."""
_CUT = "…"
"""Stands where a quoted text was cut."""


@frozen
class Mask:
    """Puts ``***`` in the place of each of some secrets."""

    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Mask:
        """A mask for these secrets, as they are and as URLs and forms spell them."""
        spelled = [form for one in secrets for form in (one, quote(one, safe=""), quote_plus(one))]
        return cls(tuple(dict.fromkeys(form for form in spelled if len(form) >= _TELLING)))

    def text(self, text: str) -> str:
        """The text without the secrets, nor the beginning of one where the text was cut in it."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        if _CUT in text:
            for secret in self.secrets:
                known = next((n for n in range(len(secret) - 1, _TELLING - 1, -1) if secret[:n] + _CUT in text), 0)
                text = text.replace(secret[:known] + _CUT, f"***{_CUT}") if known else text
        return text

    def verdict(self, verdict: Verdict) -> Verdict:
        """The verdict without the secrets."""
        message, code = self.text(verdict.message), verdict.code
        shown = code if code is None else self.text(code)
        same = message == verdict.message and shown == code
        return verdict if same else evolve(verdict, message=message, code=shown)

    def value(self, value: T) -> T:
        """What a flow came to, without the secrets; the vendor's ids and links are left as they are."""
        return self._value(value)

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case Observation(status=status, verdict=verdict):
                shown, judged = self.text(status), None if verdict is None else self.verdict(verdict)
                same = shown == status and judged is verdict
                return value if same else evolve(value, status=shown, verdict=judged)
            case Accepted(observation=seen) | Found(observation=seen) if seen is not None:
                masked = self._value(seen)
                return value if masked is seen else evolve(value, observation=masked)
            case Undecided(message=message) | Answer(message=message):
                return evolve(value, message=self.text(message))
            case Mapping():
                given = cast("Mapping[Any, Any]", value)
                return {name: item if isinstance(item, str) else self._value(item) for name, item in given.items()}
            case _:
                return value
