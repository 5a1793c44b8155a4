"""Small results that go to the disk together: each with its own outcome, and none waits for long."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, field
from tests.support.virtual import MemoryFiles, settled, simulated_world, virtually

from viseme.engine.disk import RealDisk, Small
from viseme.engine.downloads.landing import Landings
from viseme.engine.world import World, real_world


@define
class Quay(MemoryFiles):
    """A disk that notes what is kept together."""

    groups: list[list[str]] = field(factory=list[list[str]])
    breaks: BaseException | None = None

    def keep_all(self, files: Sequence[Small]) -> list[Exception | None]:
        self.groups.append([file.final for file in files])
        if self.breaks is not None:
            raise self.breaks
        return super().keep_all(files)


def slow(world: World, seconds: float) -> World:
    """A world whose disk takes so long each time."""
    blocking = world.blocking

    async def slowly(function: Callable[[], Any]) -> Any:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(seconds)
        return await blocking(function)

    object.__setattr__(world, "blocking", slowly)
    return world


def file(name: str) -> Callable[[], Small]:
    return lambda: Small(f"{name}.part", name, name.encode())


async def told(landings: Landings, *names: str) -> dict[str, str]:
    """What each was told, where all become ready at once."""
    said: dict[str, str] = {}

    async def land(name: str) -> None:
        try:
            await landings.land(file(name))
        except Exception as error:
            said[name] = str(error)
        else:
            said[name] = "kept"

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(land, name)
    return said


@virtually
async def test_what_is_ready_at_the_same_time_goes_together_and_no_more_than_sixteen() -> None:
    disk = Quay()
    names = [f"{number:02}" for number in range(40)]
    assert await told(Landings(simulated_world(files=disk).world), *names) == dict.fromkeys(names, "kept")
    assert disk.groups == [names[:16], names[16:32], names[32:]]
    assert disk.durable == {name: name.encode() for name in names}


@virtually
async def test_what_becomes_ready_while_a_group_is_under_way_goes_with_the_next() -> None:
    disk = Quay()
    landings = Landings(slow(simulated_world(files=disk).world, 0.02))
    async with anyio.create_task_group() as group:
        for name in ("a", "b", "c"):
            group.start_soon(told, landings, name)
            await anyio.sleep(0.005)
    assert disk.groups == [["a"], ["b", "c"]]
    assert not landings._groups


@pytest.mark.parametrize("verb", ["append", "sync", "rename", "sync folder"])
@virtually
async def test_what_the_disk_refuses_is_told_to_its_own_only(verb: str) -> None:
    def trouble(done: str, path: str) -> None:
        if done == verb and path.startswith("b"):
            raise OSError(errno.ENOSPC, "No space left on device")

    disk = Quay(trouble=trouble)
    said = await told(Landings(simulated_world(files=disk).world), "a", "b", "c")
    assert said == {"a": "kept", "b": "[Errno 28] No space left on device", "c": "kept"}
    assert [name for name in "abc" if name in disk.durable] == ["a", "c"]


@virtually
async def test_a_file_that_is_none_is_not_kept_and_the_others_are() -> None:
    disk = Quay()
    landings = Landings(simulated_world(files=disk).world)

    def torn() -> Small:
        raise ValueError("torn")

    async with anyio.create_task_group() as group:
        group.start_soon(told, landings, "a")
        await settled()
        group.start_soon(told, landings, "b")
        with pytest.raises(ValueError, match="torn"):
            await landings.land(torn)
    assert disk.durable == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize("error", [RuntimeError("let go"), SystemExit(3)])
@virtually
async def test_what_was_not_carried_out_at_all_is_told_to_all(error: BaseException) -> None:
    landings = Landings(simulated_world(files=Quay(breaks=error)).world)
    told: list[BaseException] = []

    async def land(name: str) -> None:
        try:
            await landings.land(file(name))
        except BaseException as caught:
            told.append(caught)

    async with anyio.create_task_group() as group:
        group.start_soon(land, "a")
        group.start_soon(land, "b")
    assert told == [error, error]


@virtually
async def test_where_the_disk_is_slow_others_begin_beside_and_no_more_than_four() -> None:
    disk = Quay()
    world = simulated_world(files=disk).world
    landings = Landings(slow(world, 10.0))
    ended: dict[str, float] = {}

    async def land(name: str) -> None:
        await landings.land(file(name))
        ended[name] = world.monotonic()

    async with anyio.create_task_group() as group:
        began = world.monotonic()
        for number in range(8):
            group.start_soon(land, str(number))
            await anyio.sleep(0.1)
    assert disk.groups == [["0"], ["1"], ["2"], ["3"], ["4", "5", "6", "7"]]
    waited = {name: at - began - int(name) / 10 for name, at in ended.items()}
    assert all(waited[str(number)] < 10.06 for number in range(4))
    assert all(waited[str(number)] < 20.06 for number in range(4, 8))


@pytest.mark.parametrize("how", ["scope", "task"])
@virtually
async def test_who_is_cancelled_waits_for_the_end_of_its_group_first(how: str) -> None:
    disk = Quay()
    landings = Landings(slow(simulated_world(files=disk).world, 5.0))
    scope = anyio.CancelScope()

    async def lands() -> None:
        with scope:
            await landings.land(file("a"))

    landing = asyncio.ensure_future(lands())
    other = asyncio.ensure_future(landings.land(file("b")))
    await anyio.sleep(1)
    scope.cancel() if how == "scope" else landing.cancel()
    await anyio.sleep(1)
    assert not landing.done()
    await asyncio.wait([landing])
    assert landing.cancelled() is (how == "task")
    await other
    assert disk.durable == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize("begun", [False, True])
@virtually
async def test_where_a_group_is_called_off_those_that_wait_go_all_the_same(begun: bool) -> None:
    """As at the end of ``asyncio.run``, which cancels every task there is."""
    disk = Quay()
    landings = Landings(slow(simulated_world(files=disk).world, 5.0))
    landing = {"a": asyncio.ensure_future(landings.land(file("a")))}
    await asyncio.sleep(1 if begun else 0)
    landing["b"] = asyncio.ensure_future(landings.land(file("b")))
    await asyncio.sleep(0)
    (group,) = landings._groups
    group.cancel()
    await asyncio.wait(landing.values())
    assert "b" in disk.durable
    for name, one in landing.items():
        assert (name in disk.durable) is not one.cancelled(), "who is told that it is kept has it kept"


async def test_all_that_is_said_to_be_kept_is_on_a_real_disk(tmp_path: Path) -> None:
    world = real_world()
    landings, folders = Landings(world), [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    names = [str(folder / f"{number}.mp4") for number in range(50) for folder in folders]

    async def land(name: str) -> None:
        await asyncio.sleep(int(Path(name).stem) % 5 / 1000)
        await landings.land(file(name))
        assert b"".join(RealDisk().read(name)) == name.encode()

    await asyncio.gather(*(land(name) for name in names))
    assert sorted(str(path) for folder in folders for path in folder.iterdir()) == sorted(names)
    world.close()


@virtually
async def test_what_is_put_while_the_last_group_ends_waits_for_nothing() -> None:
    disk = Quay()
    world = simulated_world(files=disk).world
    landings = Landings(world)
    began = world.monotonic()
    for name in ("a", "b", "c"):
        await landings.land(file(name))
    assert disk.groups == [["a"], ["b"], ["c"]]
    assert world.monotonic() == began
