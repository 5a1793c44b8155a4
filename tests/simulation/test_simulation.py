"""A fixed set of seeds and a few fresh ones; the same seed runs alike; each rule that is taken out is missed."""

from __future__ import annotations

import asyncio
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.simulation.__main__ import main
from tests.simulation.bugs import BUGS, NEAR, SEEDS
from tests.simulation.files import Disk
from tests.simulation.mutations import MUTATIONS, mutated
from tests.simulation.story import replay, shortest, tell

from viseme.engine.disk import Small
from viseme.engine.downloads.landing import Landings
from viseme.ledger.base import Change, Done
from viseme.ledger.memory import MemoryLedger

FIXED = 40
FRESH = 8
_ROOT = Path(__file__).parents[2]
_STARTS = {"order": 170, "files": 60}
"""Where the two hundred seeds begin in which a mutation must show; the first failing one is near."""


def _passes(seed: int) -> None:
    broken = replay(seed).broken
    assert broken is None, "\n".join(tell(seed, broken))


@pytest.mark.parametrize("seed", range(FIXED))
def test_no_law_breaks(seed: int) -> None:
    _passes(seed)


def test_no_law_breaks_in_fresh_worlds() -> None:
    for _ in range(FRESH):
        _passes(random.SystemRandom().randrange(10**6, 10**9))


def test_no_law_breaks_where_results_wait_for_each_other_and_go_to_the_disk_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together: list[int] = []
    work, keep_all = Landings._work, Disk.keep_all

    async def gather(self: Landings) -> None:
        await asyncio.sleep(20.0)
        await work(self)

    def counted(self: Disk, files: Sequence[Small]) -> list[Exception | None]:
        together.append(len(files))
        return keep_all(self, files)

    monkeypatch.setattr(Landings, "_work", gather)
    monkeypatch.setattr("viseme.engine.downloads.landing._LONG", 60.0)
    monkeypatch.setattr(Disk, "keep_all", counted)
    for seed in range(20):
        _passes(seed)
    assert sum(size > 1 for size in together) > 10


def test_what_a_change_says_its_task_was_is_what_the_ledger_has(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = 0
    hand_over = MemoryLedger.hand_over

    def compared(self: MemoryLedger, given: Sequence[Change], done: Done) -> None:
        nonlocal changes
        for change in given:
            assert change.was == self.disk.tasks[change.row.order].row()
            changes += 1
        hand_over(self, given, done)

    monkeypatch.setattr(MemoryLedger, "hand_over", compared)
    for seed in range(10):
        _passes(seed)
    assert changes > 100


def test_the_same_seed_runs_alike_to_the_byte_in_every_process() -> None:
    program = "from tests.simulation.story import replay\nfor s in (3, 11, 20): print(replay(s).universe.digest())"
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=_ROOT,
            env={**os.environ, "PYTHONHASHSEED": number},
            capture_output=True,
            check=True,
        ).stdout
        for number in ("1", "2")
    }
    assert len(told) == 1
    assert len(set(told.pop().split())) == 3


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_rule_that_is_taken_out_is_missed_within_two_hundred_seeds(name: str) -> None:
    with mutated(name) as law:
        start = _STARTS.get(law, 0)
        for seed in range(start, start + 200):
            broken = replay(seed).broken
            if broken is not None:
                assert broken.startswith(f"Broken: {law}:"), broken
                return
    pytest.fail(f"nothing broke though {name}")


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_that_was_found_would_be_found_again(name: str) -> None:
    seed, put_back = BUGS[name]
    _passes(seed)
    with pytest.MonkeyPatch.context() as patch:
        put_back(patch)
        assert any(replay(near).broken for near in range(seed, seed + NEAR))


@pytest.mark.parametrize("seed", SEEDS, ids=SEEDS.get)
def test_a_seed_that_broke_a_law_once_passes(seed: int) -> None:
    _passes(seed)


def test_a_failing_seed_is_told_short_and_can_be_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    with mutated("a seat is given back before the job's end"):
        seed = next(seed for seed in range(200) if replay(seed).broken)
        whole, left = replay(seed), shortest(seed, replay(seed).broken or "")
        short = replay(seed, left)
        assert (short.broken or "").startswith("Broken: seats:")
        assert len(short.universe.trace) <= len(whole.universe.trace)
        assert short.universe.strikes <= whole.universe.strikes
        assert main(["--seeds", "1", "--start", str(seed), "--processes", "1"]) == 1
        printed = capsys.readouterr().out
        command = next(line for line in printed.splitlines() if line.startswith("python -m tests.simulation"))
        words = shlex.split(command)[3:]
        assert main([*words, "--no-story", "--processes", "1"]) == 1


def test_the_command_counts_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3", "--processes", "1"]) == 0
    printed = capsys.readouterr().out
    assert "3 seeds" in printed
    assert "0 seeds broke a law" in printed
    assert "troubles: " in printed


def test_the_command_shares_the_seeds_out_among_processes() -> None:
    words = [sys.executable, "-m", "tests.simulation", "--seeds", "41", "--processes", "2"]
    ran = subprocess.run(words, cwd=_ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "\n41 seeds, " in ran.stdout
