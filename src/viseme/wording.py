"""Other people's words, made fit to be shown: legible on any terminal, in one line, not too long."""

from __future__ import annotations

__all__ = ["legible", "one_line", "quote"]


def legible(text: str) -> str:
    """Text that may hold someone else's words, without what would steer a terminal or turn the writing around.

    Line breaks stay; other control characters, and those that change the direction of writing, are shown by number.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def one_line(text: str) -> str:
    """Legible text without line breaks, which could begin a line that looks like one of ours."""
    return legible(text).replace("\n", "\\x0a")


def quote(value: object, limit: int = 200) -> str:
    """Someone else's text, fit for one line of a message: control characters shown, at most ``limit`` characters."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= limit and text.isprintable():
        return text
    shown = one_line(text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
