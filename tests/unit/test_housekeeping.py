"""Housekeeping: seats are given up unheard, and are not read in vain while none can be old."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
from attrs import define, field
from tests.support.virtual import simulated_world, virtually

from viseme.attempts import Seat
from viseme.engine.housekeeping import Housekeeping

TTL = 600.0


@define(eq=False)
class Seats:
    """A ledger's seats, and how often they were read."""

    open: list[Seat] = field(factory=list[Seat])
    reads: int = 0

    async def seats(self, after: str = "", limit: int = 500) -> list[Seat]:
        self.reads += not after
        return [seat for seat in self.open if seat.id > after][:limit]


def house_of(ledger: Seats, busy: list[str]) -> tuple[Any, Housekeeping]:
    """Housekeeping over one account, which notes whose seat is asked after and finds that somebody has the task."""
    world = simulated_world().world
    office = SimpleNamespace(desk=SimpleNamespace(seat_ttl=TTL))

    def is_busy(task: str) -> bool:
        busy.append(task)
        return True

    core: Any = SimpleNamespace(
        world=world, ledger=ledger, offices={"house": office}, book=SimpleNamespace(busy=is_busy)
    )
    return world, Housekeeping(core)


def seat(name: str, until: float, account: str = "house") -> Seat:
    return Seat(id=f"{name}:1", pool="house", account=account, task=name, opened=0.0, until=until)


@virtually
async def test_a_seat_is_given_up_when_its_time_has_come_and_not_before_or_long_after() -> None:
    ledger, asked = Seats(), list[str]()
    world, house = house_of(ledger, asked)
    began = world.now()
    ledger.open = [seat("a", began + 90), seat("b", began + 5000), seat("c", began - 1, "elsewhere")]
    for _ in range(4):
        await house.give_up_seats()
        await anyio.sleep(30)
    assert asked == ["a"]
    assert ledger.reads == 2
    await house.give_up_seats()
    assert asked == ["a", "a"], "one that could not be given up is asked after again"


@virtually
async def test_a_seat_that_was_opened_meanwhile_is_seen_before_it_is_old() -> None:
    ledger, asked = Seats(), list[str]()
    world, house = house_of(ledger, asked)
    await house.give_up_seats()
    ledger.open = [seat("a", world.now() + TTL)]
    for _ in range(25):
        await anyio.sleep(30)
        await house.give_up_seats()
    assert asked[:1] == ["a"]
    assert ledger.reads < 10
