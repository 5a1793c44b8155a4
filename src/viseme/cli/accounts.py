"""``viseme accounts``: the configured accounts, their limits and what is left on them, without their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import viseme
from viseme import Account, ConfigError, Rate
from viseme.cli.figures import money
from viseme.cli.guard import OK, complain
from viseme.cli.settings import load_config
from viseme.cli.tables import show
from viseme.engine.money.balances import Balance, balances
from viseme.providers import adapter, find
from viseme.providers.base import Provider
from viseme.wording import quote

__all__ = ["accounts"]


def accounts(config: str | None) -> int:
    """Show them; what is not configured is the provider's default, and a balance that is not told is a dash."""
    found = load_config(config)
    known = {account.name: provider for account in found.accounts if (provider := _usable(account)) is not None}
    told = viseme.run(balances(list(known.values())))
    rows = [_cells(account, known.get(account.name), told.get(account.name)) for account in found.accounts]
    starred = [[f"{row[0]}*", *row[1:]] if row[0] == found.default_account else row for row in rows]
    show(("account", "provider", "base URL", "seats", "rates", "pool", "budget", "left", "key set", "models"), starred)
    if found.default_account:
        print("\n* jobs that name no account go here")
    for name, balance in told.items():
        if balance.trouble is not None:
            complain(f"what is left on {quote(name)} was not told: {balance.trouble}")
    return OK


def _usable(account: Account) -> Provider | None:
    """Its adapter; None where its key is missing, and it is shown all the same."""
    try:
        return adapter(account)
    except ConfigError:
        return None


def _cells(account: Account, provider: Provider | None, told: Balance | None) -> Sequence[str]:
    sheet = find(account.provider).sheet if provider is None else provider.sheet
    return (
        account.name,
        account.provider,
        account.base_url or sheet.base_url,
        str(account.concurrency or sheet.concurrency),
        _rates({**sheet.rates, **account.rates}),
        account.pool,
        ", ".join(map(str, account.budget)) or "-",
        _left(told),
        "yes" if provider is not None and provider.secrets() else "no",
        ", ".join((*sheet.models, *account.extra_models)),
    )


def _left(told: Balance | None) -> str:
    cost = None if told is None else told.left
    return "-" if cost is None else money(Decimal(repr(round(cost.amount, 6))), cost.unit)


def _rates(rates: Mapping[str, Sequence[Rate]]) -> str:
    return ", ".join(f"{name} {rate}" for name, several in rates.items() for rate in several) or "-"
