"""Whole jobs through the preflight: routes, turns, and what was created already."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from tests.support.virtual import EPOCH, MemoryNetwork, Served, simulated_world, virtually

import viseme
from viseme.attempts import TaskRow
from viseme.engine.preflight.inspector import Inspector
from viseme.engine.preflight.screening import Screening, never_created
from viseme.engine.preflight.sieve import Sieve
from viseme.ledger.memory import MemoryLedger
from viseme.providers import adapter
from viseme.providers.base import Limits, Provider
from viseme.results import State

BYTES = b"\0" * 2000


def account(name: str, provider: str = "jogg", *, strict: bool = False) -> Provider:
    """An account that takes nothing larger than 1000 bytes, or anything."""
    made = adapter(viseme.Account(provider, name=name, api_key="k", concurrency=2))
    limits = {"video": Limits(bytes=1000)} if strict else {}
    models = {name: evolve(model, limits=limits) for name, model in made.sheet.models.items()}
    made.sheet = evolve(made.sheet, models=models)
    return made


def task(number: int, *route: str, **over: Any) -> TaskRow:
    job = viseme.Job(
        video=f"https://cdn.example/{number}.mp4", audio="https://cdn.example/a.wav", account=list(route), **over
    )
    return TaskRow(id=f"t{number}", key=f"k{number}", job=job, digest=f"d{number}", account=route[0])


def opened(**accounts: Provider) -> tuple[Screening, MemoryNetwork]:
    def serve(url: str, headers: Any) -> Served:
        return Served(200, {"content-length": str(len(BYTES)), "content-type": "video/mp4"}, [BYTES])

    network = MemoryNetwork(serve=serve)
    world = simulated_world(network=network).world
    return Screening(Inspector(world, network, measuring=False), accounts), network


@virtually
async def test_a_job_is_bad_only_where_every_account_of_its_route_would_fail_it() -> None:
    screening, _ = opened(a=account("a", strict=True), b=account("b", strict=True), lax=account("lax"))
    (alone,) = await screening.problems(task(1, "a"), 4)
    assert (alone.certain, alone.line, alone.key, alone.field) == (True, 4, "k1", "video")
    (both,) = await screening.problems(task(2, "a", "b"))
    assert both.certain
    (other,) = await screening.problems(task(3, "a", "lax"))
    assert not other.certain
    assert await screening.problems(task(4, "lax", "a")) == []


@virtually
async def test_a_link_must_live_until_the_turn_of_its_job_has_come() -> None:
    screening, _ = opened(lax=account("lax"))
    until = int(EPOCH + 1000 + 600)
    rows = [evolve(task(n, "lax"), job=evolve(task(n, "lax").job, video=f"https://cdn.example/{n}.mp4?exp={until}"))
            for n in range(30)]  # fmt: skip
    warned = [bool(found) for found in await screening.all_problems([(row, None) for row in rows])]
    assert not any(warned[:8])
    assert all(warned[20:])


@pytest.mark.parametrize(
    ("changes", "fresh"),
    [
        ({}, True),
        ({"parked": viseme.Reason.STOPPED}, True),
        ({"attempt": 1, "state": State.CREATING}, False),
        ({"attempt": 1}, False),
        ({"state": State.WAITING}, False),
        ({"state": State.SUCCEEDED}, False),
        ({"state": State.FAILED}, False),
    ],
)
def test_only_what_was_never_created_is_looked_at(changes: dict[str, Any], fresh: bool) -> None:
    assert never_created(evolve(task(1, "a"), **changes)) is fresh


@virtually
async def test_a_manifest_that_is_run_again_has_nobody_asked() -> None:
    screening, network = opened(lax=account("lax"))
    ledger = MemoryLedger()
    async with ledger:
        rows = [(task(n, "lax"), n) for n in range(200)]
        done = [evolve(row, state=State.SUCCEEDED, attempt=1) for row, _ in rows]
        await ledger.add(done)
        sieve = Sieve(ledger, screening)
        assert await sieve.certain(rows) == {}
        sieve.put_off(rows)
        assert await sieve.rest() == []
        assert network.fetched == []
        assert sieve.checked == 200
        fresh = [(task(n, "lax"), n) for n in range(200, 300)]
        assert await sieve.certain(fresh) == {}
        assert len(network.fetched) == 2 * 101  # a head and a piece of each video, and of the one audio
