"""How a vendor can be asked what became of a create whose reply was lost, and why it cannot."""

from __future__ import annotations

from typing import Literal

from viseme.attempts import Intent
from viseme.events import timestamp
from viseme.providers.base import Provider, Safety

__all__ = ["Method", "how_to_ask", "remembered_until", "why_not"]

Method = Literal["replay", "lookup"]

_BACK = 120.0
"""A clock that shows so many seconds less than when the create left was set back: nobody knows the key's age then."""


def how_to_ask(provider: Provider, intent: Intent, now: float) -> Method | None:
    """``replay`` sends the create again under its key, ``lookup`` asks for its job; None where neither can be done.

    Args:
        provider: of the account as it is configured now.
        now: UTC seconds.
    """
    if intent.endpoint != provider.base:
        return None
    if _keyed(provider, intent):
        return "replay" if _remembered(provider, intent, now) else None
    return "lookup" if intent.batch or provider.sheet.safety is Safety.CORRELATE else None


def why_not(provider: Provider, intent: Intent, now: float) -> str:
    """Why a create cannot be asked after, or why asking settled nothing."""
    if intent.endpoint != provider.base:
        return f"it went to {intent.endpoint}, which is not where {provider.account.name} is now"
    if _keyed(provider, intent) and now < intent.at - _BACK:
        sent = timestamp(intent.at)
        return f"the clock was set back since its key was sent at {sent}, so it is sent again only once that is past"
    if _keyed(provider, intent) and not _remembered(provider, intent, now):
        return f"its key is older than {provider.sheet.replay_lifetime / 3600:g} h, so it is not sent again"
    return f"{provider.account.name} cannot tell what became of it"


def remembered_until(provider: Provider, intent: Intent) -> float:
    """Until when the vendor is trusted to remember the create's key, UTC seconds."""
    return intent.at + provider.sheet.replay_lifetime


def _keyed(provider: Provider, intent: Intent) -> bool:
    return provider.sheet.safety is Safety.REPLAY and not intent.batch


def _remembered(provider: Provider, intent: Intent, now: float) -> bool:
    return intent.at - _BACK <= now < remembered_until(provider, intent)
