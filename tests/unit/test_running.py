"""A script's event loop: uvloop where it is installed, and a garbage collector that comes less often meanwhile."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import viseme


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector as it was."""
    enabled, before = gc.isenabled(), gc.get_threshold()
    yield
    gc.set_threshold(*before)
    if enabled:
        gc.enable()


async def thresholds() -> tuple[int, int, int]:
    return gc.get_threshold()


def test_what_the_coroutine_returns_comes_back() -> None:
    async def main() -> str:
        await asyncio.sleep(0)
        return "done"

    assert viseme.run(main()) == "done"


@pytest.mark.parametrize("installed", [True, False])
def test_uvloop_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    ran: list[str] = []

    def run(main: Any) -> Any:
        ran.append("uvloop")
        return asyncio.run(main)

    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(run=run) if installed else None)  # pyright: ignore
    viseme.run(thresholds())
    assert ran == ["uvloop"] * installed


def test_the_collector_comes_less_often_while_it_runs_and_as_before_afterwards() -> None:
    gc.set_threshold(700, 9, 8)
    assert viseme.run(thresholds()) == (20_000, 9, 8)
    assert gc.get_threshold() == (700, 9, 8)


def test_it_comes_as_before_after_an_error_too() -> None:
    async def fails() -> None:
        raise ValueError

    gc.set_threshold(700, 9, 8)
    with pytest.raises(ValueError):
        viseme.run(fails())
    assert gc.get_threshold() == (700, 9, 8)


@pytest.mark.parametrize("given", [0, 50_000])
def test_a_collector_that_its_host_keeps_away_stays_away(given: int) -> None:
    gc.set_threshold(given, 9, 8)
    assert viseme.run(thresholds()) == (given, 9, 8)
    assert gc.get_threshold() == (given, 9, 8)


def test_two_threads_leave_it_as_it_was() -> None:
    gc.set_threshold(700, 9, 8)
    begun, over = threading.Event(), threading.Event()

    async def first() -> None:
        begun.set()
        await asyncio.to_thread(over.wait)

    async def second() -> None:
        over.set()
        thread.join()

    thread = threading.Thread(target=lambda: viseme.run(first()))
    thread.start()
    begun.wait()
    viseme.run(second())
    assert gc.get_threshold() == (700, 9, 8)


def test_what_the_program_sets_meanwhile_stays() -> None:
    async def sets() -> None:
        gc.set_threshold(1000, 9, 8)

    gc.set_threshold(700, 9, 8)
    viseme.run(sets())
    assert gc.get_threshold() == (1000, 9, 8)
