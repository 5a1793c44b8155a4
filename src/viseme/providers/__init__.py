"""The vendors' adapters, and how one is found by its name."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from viseme.config import Account
from viseme.errors import ConfigError
from viseme.providers.base import Provider
from viseme.wording import quote

__all__ = ["adapter", "find", "names"]

GROUP = "viseme.providers"
"""The entry-point group through which a plug-in brings its providers."""

_BUILT_IN = {
    "sync": "viseme.providers.sync:Sync",
    "jogg": "viseme.providers.jogg:JoggAI",
    "aimlapi": "viseme.providers.aimlapi:AimlApi",
    "rask": "viseme.providers.rask:Rask",
}


def names() -> tuple[str, ...]:
    """The providers that there are: the built-in ones, then those of installed plug-ins."""
    return tuple(dict.fromkeys([*_BUILT_IN, *sorted(point.name for point in entry_points(group=GROUP))]))


def find(name: str) -> type[Provider]:
    """A provider by its name. The built-in ones cannot be replaced by a plug-in.

    Raises:
        ConfigError: there is no such provider, or its plug-in cannot be loaded.
    """
    target = _BUILT_IN.get(name)
    if target is not None:
        module, _, attribute = target.partition(":")
        return _checked(name, getattr(import_module(module), attribute))
    point = next(iter(entry_points(group=GROUP, name=name)), None)
    if point is None:
        raise ConfigError(f"there is no provider {quote(name)!r}; known are {', '.join(names())}")
    try:
        loaded = point.load()
    except Exception as error:  # whatever a plug-in's import may raise
        raise ConfigError(f"the plug-in for provider {name!r} ({point.value}) cannot be loaded: {error}") from error
    return _checked(name, loaded)


def adapter(account: Account) -> Provider:
    """The adapter for an account.

    Raises:
        ConfigError: there is no such provider, or one of its settings is wrong; the message names the account.
    """
    try:
        kind = find(account.provider)
    except ConfigError as error:
        raise ConfigError(f'accounts.{account.name}.provider: {error}; name one with provider = "..."') from None
    return kind(account)


def _checked(name: str, loaded: Any) -> type[Provider]:
    if isinstance(loaded, type) and issubclass(loaded, Provider):
        return loaded
    raise ConfigError(f"the plug-in for provider {name!r} holds something that is no Provider class")
