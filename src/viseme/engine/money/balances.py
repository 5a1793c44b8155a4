"""What is left on accounts, where their vendors tell: one question each, that buys nothing."""

from __future__ import annotations

from collections.abc import Sequence

from anyio import create_task_group, move_on_after
from attrs import frozen

from viseme.engine.admission.limits import Rates
from viseme.engine.courier import Courier
from viseme.engine.world import World, real_world
from viseme.providers.base import Provider, Refused
from viseme.results import Cost

__all__ = ["Balance", "balances"]

_PATIENCE = 10.0
"""Seconds for all of them together."""


@frozen(kw_only=True)
class Balance:
    """What an account's vendor told: what is left, nothing (it never tells that), or what kept it from telling."""

    left: Cost | None = None
    trouble: str | None = None


async def balances(providers: Sequence[Provider], *, world: World | None = None) -> dict[str, Balance]:
    """Ask for the balances of accounts, all at once, by their names; whatever goes wrong, there is one for each."""
    world = world or real_world()
    found = {each.account.name: Balance(trouble=f"no answer in {_PATIENCE:g} s") for each in providers}
    async with world.connect() as transport:

        async def ask(provider: Provider) -> None:
            unlimited = Rates(world.monotonic, world.call_at)
            courier = Courier(world, transport, provider, unlimited, lambda classes, verdict: None)
            try:
                told = Balance(left=await courier.run(provider.balance(), tries=1))
            except Refused as refusal:
                told = Balance(trouble=refusal.verdict.message)
            found[provider.account.name] = told

        with move_on_after(_PATIENCE):
            async with create_task_group() as group:
                for provider in providers:
                    group.start_soon(ask, provider)
    return found
