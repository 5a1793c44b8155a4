"""Amounts of money, and numbers of things, as people read them."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["counted", "figure", "money"]


def figure(amount: Decimal | None) -> str:
    """An amount without needless zeros, thousands grouped."""
    if amount is None:
        return "unknown"
    text = f"{amount:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(amount: Decimal | None, unit: str | None) -> str:
    """An amount with its unit."""
    return "unknown" if amount is None or unit is None else f"{figure(amount)} {unit}"


def counted(number: int, what: str) -> str:
    """So many of something that is several with an s."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
