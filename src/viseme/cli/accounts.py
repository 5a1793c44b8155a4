"""``viseme accounts``: the configured accounts and their limits, without their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from viseme import Account, ConfigError, Rate
from viseme.cli.guard import OK
from viseme.cli.settings import load_config
from viseme.cli.tables import show
from viseme.providers import adapter, find

__all__ = ["accounts"]


def accounts(config: str | None) -> int:
    """Show them; what is not configured is the provider's default."""
    found = load_config(config)
    show(
        ("account", "provider", "base URL", "seats", "rates", "pool", "budget", "key set", "models"),
        [_cells(account, default=account.name == found.default_account) for account in found.accounts],
    )
    if found.default_account:
        print("\n* jobs that name no account go here")
    return OK


def _cells(account: Account, *, default: bool) -> Sequence[str]:
    try:
        provider = adapter(account)
        sheet, keyed = provider.sheet, bool(provider.secrets())
    except ConfigError:  # its key is missing, and it is shown all the same
        sheet, keyed = find(account.provider).sheet, False
    return (
        f"{account.name}{'*' if default else ''}",
        account.provider,
        account.base_url or sheet.base_url,
        str(account.concurrency or sheet.concurrency),
        _rates({**sheet.rates, **account.rates}),
        account.pool,
        ", ".join(map(str, account.budget)) or "-",
        "yes" if keyed else "no",
        ", ".join((*sheet.models, *account.extra_models)),
    )


def _rates(rates: Mapping[str, Sequence[Rate]]) -> str:
    return ", ".join(f"{name} {rate}" for name, several in rates.items() for rate in several) or "-"
