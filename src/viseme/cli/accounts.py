"""``viseme accounts``: the configured accounts and their limits, without their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from viseme import Account, Rate
from viseme.cli.guard import OK
from viseme.cli.settings import load_config
from viseme.cli.tables import show
from viseme.providers import find

__all__ = ["accounts"]


def accounts(config: str | None) -> int:
    """Show them; what is not configured is the provider's default."""
    found = load_config(config)
    show(
        ("account", "provider", "base URL", "seats", "rates", "pool", "key set", "models"),
        [_cells(account, default=account.name == found.default_account) for account in found.accounts],
    )
    if found.default_account:
        print("\n* jobs that name no account go here")
    return OK


def _cells(account: Account, *, default: bool) -> Sequence[str]:
    provider = find(account.provider)
    sheet = provider(account).sheet if account.api_key else provider.sheet
    return (
        f"{account.name}{'*' if default else ''}",
        account.provider,
        account.base_url or sheet.base_url,
        str(account.concurrency or sheet.concurrency),
        _rates({**sheet.rates, **account.rates}),
        account.pool,
        "yes" if account.api_key else "no",
        ", ".join((*sheet.models, *account.extra_models)),
    )


def _rates(rates: Mapping[str, Sequence[Rate]]) -> str:
    return ", ".join(f"{name} {rate}" for name, several in rates.items() for rate in several) or "-"
