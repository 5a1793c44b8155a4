"""Calls in threads: each ends once, whoever waits for it, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress

import anyio
import pytest
from attrs import define

from viseme.engine import threads as threads_module
from viseme.engine.threads import Threads

_LONG = 20.0


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    """Each test lets go of its threads, and they go."""
    yield
    gc.collect()
    until_then(lambda: not theirs())


def theirs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("viseme ")]


@define(eq=False)
class Thing:
    """Something that is kept alive or not."""


def after(gate: threading.Event, then: Callable[[], None] = lambda: None) -> Callable[[], None]:
    def waits() -> None:
        assert gate.wait(_LONG)
        then()

    return waits


async def until(true: Callable[[], bool]) -> None:
    for _ in range(int(_LONG * 1000)):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came")


def until_then(true: Callable[[], bool]) -> None:
    """The same while the loop does not look."""
    for _ in range(int(_LONG * 1000)):
        if true():
            return
        time.sleep(0.001)
    raise AssertionError("it never came")


async def test_a_call_gives_its_result_or_its_error_and_is_carried_out_elsewhere() -> None:
    threads = Threads(2)

    def breaks() -> None:
        raise LookupError("it broke")

    assert await threads.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(LookupError, match="it broke"):
        await threads.run(breaks)
    assert await threads.run(lambda: 7) == 7  # whoever broke is there for the next one
    threads.close()


async def test_an_exit_in_a_thread_reaches_who_waits() -> None:
    threads = Threads(1)

    def leaves() -> None:
        raise SystemExit(3)

    async def asks() -> str:
        try:
            await threads.run(leaves)
        except SystemExit as exit:
            return f"left with {exit.code}"
        return "stayed"

    assert await asks() == "left with 3"
    assert await threads.run(lambda: 7) == 7
    threads.close()


async def test_as_many_are_carried_out_at_once_as_there_are_threads_and_none_is_begun_in_vain() -> None:
    threads, gate, lock = Threads(3), threading.Event(), threading.Lock()
    at_once = [0, 0]

    def count() -> None:
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        assert gate.wait(_LONG)
        with lock:
            at_once[0] -= 1

    for _ in range(5):  # one after the other needs one
        await threads.run(lambda: None)
    assert len(theirs()) == 1
    calls = [asyncio.ensure_future(threads.run(count)) for _ in range(9)]
    await until(lambda: at_once[0] == 3)
    await asyncio.sleep(0.02)
    assert (at_once[0], len(theirs())) == (3, 3)
    gate.set()
    await asyncio.gather(*calls)
    assert at_once == [0, 3]
    threads.close()


async def test_quick_calls_need_few_threads_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads_module, "_LONG", _LONG)  # a call is quick whatever the machine makes of it
    threads = Threads(16)
    await asyncio.gather(*(threads.run(lambda: time.sleep(0.001)) for _ in range(50)))
    assert len(theirs()) == 3
    threads._relieve(50)  # as the timer would, once they have all been begun
    assert len(theirs()) == 3
    threads.close()


async def test_where_the_few_are_held_up_others_do_what_waits_and_no_more_begin_than_may() -> None:
    threads, gate, done = Threads(6), threading.Event(), list[int]()
    held = [asyncio.ensure_future(threads.run(after(gate, lambda: None))) for _ in range(5)]
    await asyncio.wait_for(threads.run(lambda: done.append(1)), _LONG)
    assert (done, len(theirs())) == ([1], 6)
    held += [asyncio.ensure_future(threads.run(after(gate, lambda: done.append(2)))) for _ in range(3)]
    await asyncio.sleep(0.25)
    assert (done, len(theirs())) == ([1], 6)
    gate.set()
    await asyncio.gather(*held)
    assert done == [1, 2, 2, 2]
    threads.close()


async def test_many_at_once_each_get_their_own() -> None:
    threads = Threads(16)
    given = await asyncio.gather(*(threads.run(lambda number=number: number) for number in range(2000)))
    assert given == list(range(2000))
    threads.close()


async def test_the_loop_is_woken_once_for_all_that_ended_before_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, loop = Threads(4), asyncio.get_running_loop()
    woken: list[object] = []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *given: woken.append(given) or wake(*given))
    done: list[int] = []
    calls = [asyncio.ensure_future(threads.run(lambda number=number: done.append(number))) for number in range(50)]
    await asyncio.sleep(0)
    until_then(lambda: len(done) == 50)
    await asyncio.gather(*calls)
    assert len(woken) <= 2  # the last may end while the loop begins to look
    threads.close()


@pytest.mark.parametrize("how", ["task", "scope", "both", "often"])
@pytest.mark.parametrize("breaks", [False, True])
async def test_who_is_cancelled_waits_for_the_end_first(how: str, breaks: bool) -> None:
    threads, gate, ended = Threads(1), threading.Event(), list[bool]()
    scope = anyio.CancelScope()

    def end() -> None:
        ended.append(True)
        if breaks:
            raise LookupError("the cancellation goes before this")

    async def asks() -> str:
        with scope:
            try:
                await threads.run(after(gate, end))
            except asyncio.CancelledError:
                assert ended
                raise
        return "broken off"

    asking = asyncio.ensure_future(asks())
    await asyncio.sleep(0.01)
    for _ in range(3 if how == "often" else 1):
        if how != "task":
            scope.cancel()
        if how != "scope":
            asking.cancel()
        await asyncio.sleep(0.01)
    assert not asking.done()
    gate.set()
    if how == "scope":
        assert await asking == "broken off"
    else:
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert ended == [True]
    threads.close()


async def test_a_cancellation_that_comes_after_the_end_and_before_it_is_heard_of_is_heard_of() -> None:
    threads = Threads(1)
    asking = asyncio.ensure_future(threads.run(lambda: 7))
    await asyncio.sleep(0)
    until_then(lambda: bool(threads._ended))
    threads._tell()  # the waiter has its turn, and has not had it yet
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    threads.close()


async def test_whoever_is_let_go_of_does_first_what_was_handed_over() -> None:
    threads, gate, done = Threads(1), threading.Event(), list[int]()
    calls = [asyncio.ensure_future(threads.run(after(gate, lambda n=n: done.append(n)))) for n in range(3)]
    await asyncio.sleep(0.01)
    threads.close()
    gate.set()
    await asyncio.gather(*calls)
    assert done == [0, 1, 2]


async def test_after_they_were_let_go_of_nothing_is_begun() -> None:
    threads = Threads(2)
    await threads.run(lambda: None)
    threads.close()
    threads.close()
    with pytest.raises(RuntimeError, match="let go"):
        await threads.run(lambda: None)


async def test_they_go_when_nobody_has_them_any_more() -> None:
    threads = Threads(3)
    await asyncio.gather(*(threads.run(lambda: time.sleep(0.01)) for _ in range(4)))
    assert len(theirs()) == 3
    del threads  # the fixture sees them go


async def test_who_waits_for_work_keeps_nothing_alive() -> None:
    threads, thing = Threads(1), Thing()
    watch = weakref.ref(thing)
    await threads.run(lambda thing=thing: None)
    del thing
    await until(lambda: watch() is None)
    threads.close()


def test_what_ends_after_its_loop_was_closed_does_no_harm() -> None:
    gate = threading.Event()
    kept: list[Threads] = []

    async def leaves() -> None:
        kept.append(Threads(1))
        call = kept[0].run(after(gate))
        call.send(None)  # it is handed over, and nobody waits
        with suppress(BaseException):
            call.throw(GeneratorExit)

    asyncio.run(leaves())
    gate.set()
    kept[0].close()
