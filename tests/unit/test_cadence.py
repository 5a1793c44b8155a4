"""When a job is looked at."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from viseme.config import Polling
from viseme.engine.polling.cadence import Cadence
from viseme.providers.base import Observation, Seen, Sheet

SHEET = Sheet(base_url="https://h.example", models={}, rates={}, concurrency=1, first=10.0, every=8.0, hold=20.0)


def cadence(sheet: Sheet = SHEET, **polling: Any) -> Cadence:
    return Cadence(sheet, Polling(**polling))


def running(hint: float | None = None) -> Observation:
    return Observation(seen=Seen.RUNNING, status="running", hint=hint)


def test_the_first_look_comes_when_the_user_says_else_when_the_vendor_does() -> None:
    assert cadence().first() == 10
    assert cadence(first="3s").first() == 3
    assert cadence(first=0).first() == 0


def test_looks_grow_rarer_with_age_and_never_come_early() -> None:
    one = cadence()
    for age, least in [(0, 8), (119, 8), (120, 16), (599, 16), (600, 24), (1e6, 24)]:
        for chance in (0.0, 0.5, 0.999):
            wait = one.next(age, running(), background=False, chance=chance)
            assert least <= wait <= least * 1.1


@pytest.mark.parametrize("chance", [0.0, 0.999])
@pytest.mark.parametrize("age", [0.0, 5000.0])
def test_what_the_user_says_is_honoured_as_it_stands(age: float, chance: float) -> None:
    assert cadence(every="2s").next(age, running(), background=False, chance=chance) == 2
    assert cadence(every="2s").next(age, None, background=False, chance=chance) == 2


def test_the_vendors_hint_wins_over_its_advice_and_the_users_word_over_both() -> None:
    assert cadence().next(5, running(hint=33.0), background=False, chance=0.9) == 33
    assert cadence().next(5, running(hint=0.0), background=False, chance=0.9) == 0.5
    assert cadence(every="2s").next(5, running(hint=33.0), background=False, chance=0.9) == 2


def test_a_job_that_nobody_waits_for_is_looked_at_every_five_minutes_at_most() -> None:
    assert cadence().next(5, running(hint=1.0), background=True, chance=0.9) == 300
    assert cadence(every="1s").next(5, None, background=True, chance=0.9) == 300
    assert cadence(every="1h").next(5, None, background=True, chance=0.9) == 3600


def test_looks_share_a_request_when_they_are_nearly_due() -> None:
    assert cadence().tolerance() == 2
    assert cadence(every="2s").tolerance() == pytest.approx(0.2)
    assert cadence(every="1h").tolerance() == 0.5


def test_looks_are_held_only_once_durations_are_known_and_the_end_is_likely_near() -> None:
    one = cadence()
    for _ in range(7):
        one.learn(100)
    assert one.hold(100) == 0
    one.learn(100)
    assert [one.hold(age) for age in (0, 89, 90, 100, 150, 151)] == [0, 0, 20, 20, 20, 0]


def test_looks_are_not_held_where_the_vendor_cannot_or_the_user_says_how_often() -> None:
    for one in (cadence(evolve(SHEET, hold=0.0)), cadence(every="5s")):
        for _ in range(20):
            one.learn(100)
        assert one.hold(100) == 0


def test_old_durations_are_forgotten() -> None:
    one = cadence()
    for _ in range(64):
        one.learn(1000)
    for _ in range(64):
        one.learn(10)
    assert one.hold(10) == 20
    assert one.hold(1000) == 0
    assert len(one._durations) == len(one._order) == 64
