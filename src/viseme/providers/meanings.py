"""Options that mean the same at several vendors, so that a job can go from one to the next.

Sources: Sync's sheet section 2.1 (``sync_mode``), JoggAI's page (seed 002, "Playback Type Values").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from viseme.errors import JobInvalid
from viseme.wording import quote

__all__ = ["in_words_of"]

_SAME: Final[tuple[Mapping[str, tuple[str, Any]], ...]] = (
    # The video is shorter than the speech, and is played back and forth until that ends. The vendors' other modes
    # (repeat, cut, pad, stretch; by the length of the audio) have no counterpart.
    {"sync": ("sync_mode", "bounce"), "jogg": ("playback_type", "normal_reverse")},
)


def in_words_of(provider: str, options: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The options as a provider says them.

    Args:
        known: the names of its options.

    Raises:
        JobInvalid: an option of another vendor has no counterpart at this one.
    """
    spoken: dict[str, Any] = {}
    for name, value in options.items():
        own, said = (name, value) if name in known else _counterpart(provider, name, value)
        spoken[own] = said
    return spoken


def _counterpart(provider: str, name: str, value: Any) -> tuple[str, Any]:
    for words in _SAME:
        if provider in words and (name, value) in words.values():
            return words[provider]
    if any(name == option for words in _SAME for option, _ in words.values()):
        raise JobInvalid(
            f"options: {name} = {quote(value)} has no counterpart at {provider}; leave it out", field="options"
        )
    return name, value
