"""A crew does what a group of tasks does, with hands that stay."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from attrs import define
from tests.support.virtual import settled, virtually

from viseme.engine import crew as crew_module
from viseme.engine.crew import Crew, insist


@asynccontextmanager
async def crew() -> AsyncIterator[Crew]:
    async with anyio.create_task_group() as group:
        yield Crew(group)
        group.cancel_scope.cancel()


async def little() -> None:
    await asyncio.sleep(0)


async def waits(told: list[str]) -> None:
    told.append("begun")
    try:
        await anyio.sleep(100)
    finally:
        told.append("ended")


@define(eq=False)
class Thing:
    """Something that is kept alive or not."""


@virtually
async def test_pieces_that_come_at_once_are_done_beside_each_other() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await anyio.sleep(10 - number)
        done.append(number)

    async with crew() as one:
        for number in range(3):
            one.start_soon(work, number)
        await anyio.sleep(11)
        assert done == [2, 1, 0]


@virtually
async def test_who_rests_does_the_next_piece() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    async def work() -> None:
        tasks.append(asyncio.current_task())
        await anyio.sleep(1)

    async with crew() as one:
        for _ in range(2):
            one.start_soon(work)
            one.start_soon(work)
            await anyio.sleep(5)
            gc.collect()  # nobody but the group has those who rest
        assert set(tasks[2:]) == set(tasks[:2])
        assert len(set(tasks)) == 2


@virtually
async def test_no_more_rest_than_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "_AT_REST", 2)
    async with crew() as one:
        before = len(asyncio.all_tasks())
        for _ in range(5):
            one.start_soon(little)
        await settled()
        assert len(asyncio.all_tasks()) == before + 2
        for _ in range(5):
            one.start_soon(little)
        await settled()
        assert len(asyncio.all_tasks()) == before + 2


@virtually
async def test_who_rests_keeps_nothing_alive() -> None:
    async def work(thing: Thing) -> None:
        await anyio.sleep(1)

    async with crew() as one:
        for _ in range(2):  # the second goes to one who rested
            thing = Thing()
            watch = weakref.ref(thing)
            one.start_soon(work, thing)
            del thing
            await anyio.sleep(2)
            assert watch() is None


@pytest.mark.parametrize("rested", [False, True])
def test_what_a_piece_raises_ends_the_group_and_is_not_lost(rested: bool) -> None:
    told: list[str] = []

    async def breaks() -> None:
        await anyio.sleep(1)
        raise ValueError("it broke")

    @virtually
    async def main() -> None:
        async def whole() -> None:
            async with anyio.create_task_group() as group:
                one = Crew(group)
                if rested:
                    one.start_soon(little)
                    one.start_soon(little)
                    await anyio.sleep(1)
                one.start_soon(waits, told)
                one.start_soon(breaks)
                await anyio.sleep(100)

        with pytest.raises(ExceptionGroup) as caught:
            await whole()
        assert [str(error) for error in caught.value.exceptions] == ["it broke"]
        assert told == ["begun", "ended"]

    main()


@pytest.mark.parametrize("rested", [False, True])
def test_who_cancels_the_group_cancels_every_piece_and_waits_for_what_is_shielded(rested: bool) -> None:
    ended: list[tuple[str, float]] = []

    async def waits() -> None:
        try:
            await anyio.sleep(100)
        finally:
            ended.append(("waits", asyncio.get_running_loop().time()))

    async def insists() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(10)
        ended.append(("insists", asyncio.get_running_loop().time()))
        await anyio.sleep(100)
        ended.append(("never", 0))

    @virtually
    async def main() -> None:
        async with anyio.create_task_group() as group:
            one = Crew(group)
            if rested:
                one.start_soon(little)
                one.start_soon(little)
                await settled()
            one.start_soon(waits)
            one.start_soon(insists)
            await settled()
            group.cancel_scope.cancel()
        assert ended == [("waits", 1000.0), ("insists", 1010.0)]

    main()


@pytest.mark.parametrize("rested", [False, True])
def test_a_piece_that_insists_is_cancelled_with_the_group_no_more_and_the_next_of_its_hand_is(rested: bool) -> None:
    ended: list[tuple[str, float]] = []

    async def insists(name: str) -> None:
        insist()
        await anyio.sleep(10)
        ended.append((name, asyncio.get_running_loop().time()))

    async def waits() -> None:
        try:
            await anyio.sleep(100)
        finally:
            ended.append(("waits", asyncio.get_running_loop().time()))

    @virtually
    async def main() -> None:
        async with anyio.create_task_group() as group:
            one = Crew(group)
            if rested:
                one.start_soon(insists, "before")
                await anyio.sleep(20)
                one.start_soon(waits)  # with the same hand
            one.start_soon(insists, "insists")
            await settled()
            group.cancel_scope.cancel()
        began = 1020.0 if rested else 1000.0
        assert ended == [*([("before", 1010.0), ("waits", 1020.0)] if rested else []), ("insists", began + 10)]

    main()


@pytest.mark.parametrize("first", ["given", "cancelled"])
@pytest.mark.parametrize("rested", [False, True])
def test_what_is_begun_while_the_group_is_cancelled_is_begun_and_broken_off_at_its_first_wait(
    rested: bool, first: str
) -> None:
    told: list[str] = []

    @virtually
    async def main() -> None:
        async with anyio.create_task_group() as group:
            one = Crew(group)
            if rested:
                one.start_soon(little)
                await settled()
            if first == "cancelled":
                group.cancel_scope.cancel()
            one.start_soon(waits, told)
            group.cancel_scope.cancel()
        assert told == ["begun", "ended"]
        with pytest.raises(RuntimeError):
            one.start_soon(waits, told)

    main()


@virtually
async def test_who_was_broken_off_by_a_scope_of_its_own_does_the_next_piece_undisturbed() -> None:
    done: list[str] = []
    scope = anyio.CancelScope()

    async def breakable() -> None:
        with scope:
            await anyio.sleep(100)

    async def work() -> None:
        await anyio.sleep(1)
        done.append("whole")

    async with crew() as one:
        one.start_soon(breakable)
        await settled()
        scope.cancel()
        await settled()
        one.start_soon(work)
        await anyio.sleep(2)
        assert done == ["whole"]
