"""The command ``viseme`` with clocks as quick as the sandbox's, and, if it is told so, death at a named point.

python mortal.py '{"clock": [speed, zero, epoch], "point": "intent:before", "number": 1, "note": "path"}' run ...

A point is where the world may find a killed process: right before or right after something becomes durable (or leaves,
or arrives), or in its middle. Nothing of the product knows of points; they are put around what it calls.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.quick import quick_world

from viseme.engine.courier import Courier
from viseme.engine.disk import RealDisk, Small
from viseme.engine.world import Appender, World
from viseme.events import EventType
from viseme.ledger.works import Add, Commit, Release, Step, Work
from viseme.ledger.writer import Writer

__all__ = ["LANDMARKS", "POINTS", "command"]

_MOMENTS = {
    **dict.fromkeys(("rows", "release", "observation", "lost", "resent", "request", "rename"), ("before", "after")),
    **dict.fromkeys(("intent", "handle", "end", "part", "line"), ("before", "within", "after")),
}
POINTS = tuple(f"{name}:{moment}" for name, moments in _MOMENTS.items() for moment in moments)
"""``rows`` and ``release`` take a manifest in; ``intent``, ``handle``, ``observation`` (a result was seen), ``end``,
``lost`` (a create's fate is unknown) and ``resent`` (it is about to be replayed) are a task's; all these are commits,
whose ``within`` is the moment before their COMMIT. ``request`` is the paid one. ``part`` and ``rename`` are a film's,
``line`` is one of ``results.jsonl``."""
LANDMARKS = (
    *("release:before", "release:after"),
    *("intent:before", "intent:after", "lost:after", "resent:after", "request:after", "handle:within", "handle:after"),
    *("observation:after", "part:within", "rename:before", "rename:after", "end:within", "end:after"),
    *("line:within", "line:after"),
)
"""Those points of which no two leave the same behind."""
_EVENTS = {
    EventType.CREATING: "intent",
    EventType.CREATED: "handle",
    EventType.FETCHING: "observation",
    EventType.SUCCEEDED: "end",
    EventType.FATE_UNKNOWN: "lost",
}


def command(
    clock: tuple[float, float, float],
    *arguments: str,
    point: str | None = None,
    number: int = 1,
    note: Path | None = None,
) -> list[str]:
    """The program that is ``viseme ARGUMENTS``, and dies the ``number``-th time that it comes to a point.

    Args:
        clock: the speed, and the monotonic and the UTC second at which the sandbox's clock began.
        note: the file in which it leaves the point's name when it dies there.
    """
    told = {"clock": clock, "point": point, "number": number, "note": None if note is None else str(note)}
    return [sys.executable, "-W", "error", __file__, json.dumps(told), *arguments]


@attrs.define
class Fate:
    """Where this process dies."""

    point: str
    number: int
    note: str

    def __call__(self, point: str) -> None:
        """Come to a point."""
        if point == self.point:
            self.number -= 1
            if self.number == 0:
                Path(self.note).write_text(point)
                os.kill(os.getpid(), signal.SIGKILL)


def around_the_ledger(fate: Fate) -> None:
    """Put the points of commits around its writer."""
    write, carry_out = Writer.write, Writer._all

    def write_or_die(writer: Writer, group: Sequence[Work]) -> Any:
        names = named(group)
        for name in names:
            fate(f"{name}:before")
        outcomes = write(writer, group)
        for name in names:
            fate(f"{name}:after")
        return outcomes

    def carry_out_or_die(writer: Writer, group: Sequence[Work]) -> Any:
        outcomes = carry_out(writer, group)
        for name in named(group):
            fate(f"{name}:within")
        return outcomes

    Writer.write, Writer._all = write_or_die, carry_out_or_die


def named(group: Sequence[Work]) -> list[str]:
    """What a group of works writes, by name."""
    found: list[str] = []
    for work in group:
        match work:
            case Add():
                found.append("rows")
            case Release():
                found.append("release")
            case Commit(steps=steps):
                found += [name for step in steps for name in step_names(step)]
            case _:
                pass
    return found


def step_names(step: Step) -> list[str]:
    """What a step of a task writes, by name."""
    events = step.change.events
    names = [_EVENTS[event.type] for event in events if event.type in _EVENTS]
    again = step.intent is not None and step.intent[2] is None and not events
    return [*names, "resent"] if again else names


def around_the_paid_request(fate: Fate) -> None:
    """Put points between its intent and its leaving, and between its reply and the reply's commit."""
    exchange = Courier._once

    async def exchange_or_die(courier: Courier, request: Any, before: Any, *given: Any, **more: Any) -> Any:
        if before is None:
            return await exchange(courier, request, before, *given, **more)

        async def before_or_die(request: Any) -> None:
            await before(request)
            fate("request:before")

        outcome = await exchange(courier, request, before_or_die, *given, **more)
        fate("request:after")
        return outcome

    Courier._once = exchange_or_die


def around_the_rename(fate: Fate) -> None:
    """Put points around what gives a film its name: the part file is synced before, the folder is not after."""
    replace = os.replace

    def replace_or_die(source: str, target: str) -> None:
        fate("rename:before")
        replace(source, target)
        fate("rename:after")

    os.replace = replace_or_die


class MortalDisk(RealDisk):
    """Writes a film's bytes in two halves."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate

    def append(self, path: str, data: list[bytes], *, at: int) -> None:
        if not path.endswith(".part"):
            super().append(path, data, at=at)
            return
        whole = b"".join(data)
        half = len(whole) // 2
        self.fate("part:before")
        super().append(path, [whole[:half]], at=at)
        self.fate("part:within")
        super().append(path, [whole[half:]], at=at + half)
        self.fate("part:after")

    def keep_all(self, files: Sequence[Small]) -> list[Exception | None]:
        for file in files:
            if file.note and self.size(file.part) is not None:
                self.remove(file.note)
            self.append(file.part, [file.data], at=0)
            self.settle(file.part, file.final)
        return [None] * len(files)


@attrs.define
class MortalLines:
    """Writes the lines of ``results.jsonl`` in two halves."""

    file: Appender
    fate: Fate

    async def write(self, data: bytes, /) -> int:
        half = len(data) // 2
        self.fate("line:before")
        assert await self.file.write(data[:half]) == half
        self.fate("line:within")
        assert await self.file.write(data[half:]) == len(data) - half
        self.fate("line:after")
        return len(data)

    async def close(self) -> None:
        await self.file.close()


def mortal_world(world: World, fate: Fate) -> World:
    """A world with the points of films and result lines."""

    async def appender(path: str) -> MortalLines:
        return MortalLines(await world.appender(path), fate)

    return attrs.evolve(world, disk=MortalDisk(fate), appender=appender)


def main(told: dict[str, Any], arguments: list[str]) -> None:
    import viseme.engine.opening
    from viseme.cli import main

    fate = None if told["point"] is None else Fate(told["point"], told["number"], told["note"])
    if fate is not None:
        assert fate.point in POINTS, fate.point
        around_the_ledger(fate)
        around_the_paid_request(fate)
        around_the_rename(fate)

    def world() -> World:
        quick = quick_world(*told["clock"])
        return quick if fate is None else mortal_world(quick, fate)

    opening: Any = viseme.engine.opening
    make: Callable[[], World] = world
    assert opening.real_world, "what it takes the place of is somewhere else"
    opening.real_world = make
    sys.argv = ["viseme", *arguments]
    main()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
