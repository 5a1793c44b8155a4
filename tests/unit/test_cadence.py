"""When a job is looked at."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from viseme.attempts import TaskRow
from viseme.config import Polling
from viseme.engine.polling.cadence import Cadence
from viseme.engine.polling.watches import Watch, kind_of, told_of
from viseme.jobs import Job
from viseme.providers.aimlapi import AimlApi
from viseme.providers.base import Model, Observation, Seen, Sheet
from viseme.providers.jogg import JoggAI
from viseme.providers.rask import Rask
from viseme.providers.sync import Sync

SHEET = Sheet(
    base_url="https://h.example", models={"m": Model(name="m"), "n": Model(name="n")}, rates={}, concurrency=1,
    first=10.0, every=8.0, hold=20.0,
)  # fmt: skip
BEGAN = 1e9
AROUND_A_MINUTE = tuple(60 * 1.01 ** (number % 41 - 20) for number in range(200))


def cadence(sheet: Sheet = SHEET, **polling: Any) -> Cadence:
    return Cadence(sheet, Polling(**polling))


def knowing(*seconds: float, model: str | None = None, media: float | None = None, **polling: Any) -> Cadence:
    """A cadence that an earlier run has taught; a job of a model whose media were measured, or not."""
    one = cadence(**polling)
    remember(one, *seconds, model=model, media=media)
    return one


def remember(one: Cadence, *seconds: float, model: str | None = None, media: float | None = None) -> None:
    job = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav", model=model)
    for lasted in seconds:
        row = TaskRow(id="t", key="t", job=job, digest="d", account="house", seconds=media, lasted={"work": lasted})
        one.remember(row)


def settled(one: Cadence, about: float = 60.0) -> Cadence:
    """A run that has seen what earlier runs saw."""
    for factor in AROUND_A_MINUTE[15:25]:
        lasted = factor / 60 * about
        one.learn(watch(), BEGAN + lasted - 1, BEGAN + lasted)
    return one


def watch(**given: Any) -> Watch:
    stage, model = given.pop("stage", "work"), given.pop("model", "m")
    one = Watch("t", 1, 1, told_of("t", {"id": "v"}), kind_of(model, stage), BEGAN, BEGAN)
    for name, value in given.items():
        setattr(one, name, value)
    return one


def running(hint: float | None = None) -> Observation:
    return Observation(seen=Seen.RUNNING, status="running", hint=hint)


def half() -> float:
    return 0.5


def looks(one: Cadence, upto: float, job: Watch | None = None) -> list[float]:
    """The ages at which a job is looked at."""
    job = job or watch()
    ages = [one.first(job, half)]
    while ages[-1] < upto:
        ages.append(ages[-1] + one.next(job, ages[-1], running(), 0.5))
    return ages


# -- the user's word, the vendor's, and its usual pace -------------------------------------------------------------


def test_the_first_look_comes_when_the_user_says_else_when_the_vendor_does() -> None:
    assert cadence().first(watch(), half) == 10
    assert cadence(first="3s").first(watch(), half) == 3
    assert cadence(first=0).first(watch(), half) == 0
    assert cadence(every="3s").first(watch(), half) == 10


def test_looks_grow_rarer_with_age_and_never_come_early() -> None:
    one = cadence()
    for age, least in [(0, 8), (119, 8), (120, 16), (599, 16), (600, 24), (1e6, 24)]:
        for chance in (0.0, 0.5, 0.999):
            wait = one.next(watch(), age, running(), chance)
            assert least <= wait <= least * 1.1


@pytest.mark.parametrize("chance", [0.0, 0.999])
@pytest.mark.parametrize("age", [0.0, 55.0, 5000.0])
def test_what_the_user_says_is_honoured_as_it_stands_whatever_was_learnt(age: float, chance: float) -> None:
    one = knowing(*AROUND_A_MINUTE, every="2s")
    assert one.next(watch(), age, running(), chance) == 2
    assert one.next(watch(), age, None, chance) == 2
    assert one.first(watch(), half) == 10
    assert knowing(*AROUND_A_MINUTE, first="3h").first(watch(), half) == 3 * 3600
    assert knowing(*AROUND_A_MINUTE, first=0).first(watch(), half) == 0
    assert (one.beat(), knowing(first=1).beat(), knowing().beat()) == (0, 0, 8)


def test_the_vendors_hint_wins_over_its_usual_pace_and_what_was_learnt_and_the_users_word_over_all() -> None:
    for one in (cadence(), knowing(*AROUND_A_MINUTE)):
        assert one.next(watch(), 5, running(hint=33.0), 0.9) == 33
        assert one.next(watch(), 5, running(hint=0.0), 0.9) == 0.5
    assert cadence(every="2s").next(watch(), 5, running(hint=33.0), 0.9) == 2


def test_a_job_that_nobody_waits_for_is_looked_at_every_five_minutes_at_most() -> None:
    for one in (cadence(), knowing(*AROUND_A_MINUTE)):
        assert one.next(watch(background=True), 50, running(hint=1.0), 0.9) == 300
    assert cadence(every="1s").next(watch(background=True), 5, None, 0.9) == 300
    assert cadence(every="1h").next(watch(background=True), 5, None, 0.9) == 3600


def test_looks_share_a_request_when_they_are_nearly_due() -> None:
    assert cadence().tolerance() == 2
    assert cadence(every="2s").tolerance() == pytest.approx(0.2)
    assert cadence(every="1h").tolerance() == 0.5


def test_only_what_was_learnt_may_come_early_to_share_a_request() -> None:
    one, job = knowing(*AROUND_A_MINUTE), watch(firm=True)
    one.first(job, half)
    assert not job.firm
    for told in (running(hint=9.0), None):
        one.next(job, 50, told, 0.5)
        assert job.firm
        one.next(job, 50, running(), 0.5)
        assert not job.firm
    for other in (cadence(), knowing(*AROUND_A_MINUTE, first=1), knowing(*AROUND_A_MINUTE, every=1)):
        job = watch()
        other.first(job, half)
        assert job.firm


# -- what was learnt -----------------------------------------------------------------------------------------------


def test_the_first_look_comes_when_some_jobs_have_ended_most_around_the_median_and_few_in_the_tail() -> None:
    ages = looks(settled(knowing(*AROUND_A_MINUTE)), 600)
    shortest, longest = min(AROUND_A_MINUTE), max(AROUND_A_MINUTE)
    assert shortest < ages[0] < 59
    assert len([age for age in ages if age <= longest]) >= 3
    assert max(b - a for a, b in pairwise(ages) if b <= longest) < 10
    tail = [b - a for a, b in pairwise(ages) if a > longest]
    assert tail == sorted(tail)
    assert tail[-1] > 10


def test_until_enough_was_seen_the_vendors_usual_pace_holds() -> None:
    one = knowing(*AROUND_A_MINUTE[:11])
    assert looks(one, 40) == looks(cadence(), 40)
    remember(one, 60.0)
    assert looks(one, 40) != looks(cadence(), 40)


def test_a_new_run_knows_what_earlier_runs_saw_but_trusts_it_only_once_it_has_seen_some_ends() -> None:
    one = knowing(*AROUND_A_MINUTE)
    ages = looks(one, 45)
    assert ages[0] == 10
    assert all(b <= 2 * a for a, b in pairwise(ages))
    assert looks(settled(one), 45)[0] > 45


def test_where_media_were_measured_longer_media_take_longer_once_some_ends_agree_with_earlier_runs() -> None:
    one = cadence()
    for number, factor in enumerate(AROUND_A_MINUTE):
        media = 10.0 + number % 50
        remember(one, factor / 60 * (20 + 4 * media), media=media)
    for media in (10.0, 30.0, 60.0, 120.0):
        assert looks(one, 1, watch(media=media))[0] == 10
    for factor in AROUND_A_MINUTE[15:25]:
        lasted = factor * 2
        one.learn(watch(media=25.0), BEGAN + lasted - 1, BEGAN + lasted)
    for media in (10.0, 30.0, 60.0, 120.0):
        assert 0.7 < looks(one, 1, watch(media=media))[0] / (20 + 4 * media) < 1.0


def test_lengths_that_are_all_alike_or_tell_nothing_bend_no_line() -> None:
    alike, idle = cadence(), cadence()
    for number, seconds in enumerate(AROUND_A_MINUTE):
        remember(alike, seconds, media=30.0 + number % 2)
        remember(idle, seconds, media=1.0 + number % 7 * 9)
    for one in (settled(alike), settled(idle)):
        for media in (3.0, 30.0, 50.0):
            assert 45 < looks(one, 1, watch(media=media))[0] < 60


def test_the_history_of_another_model_or_stage_is_not_used() -> None:
    one = knowing(*AROUND_A_MINUTE, model="n")
    for job in (watch(model="m"), watch(model=None), watch(model="n", stage="other"), watch(model="n", batch=True)):
        assert looks(one, 90, job) == looks(cadence(), 90)
    assert looks(one, 90, watch(model="n")) != looks(cadence(), 90)


def test_where_each_step_of_a_job_has_to_be_seen_nothing_is_left_out() -> None:
    one = cadence(evolve(SHEET, sparing=False))
    remember(one, *AROUND_A_MINUTE)
    assert looks(settled(one), 90) == looks(cadence(), 90)
    spared = {vendor.name for vendor in (Sync, JoggAI, AimlApi, Rask) if vendor.sheet.sparing}
    assert spared == {"sync", "jogg", "aimlapi"}


def test_no_job_is_left_alone_for_so_long_that_its_seat_would_be_given_up() -> None:
    one = Cadence(SHEET, Polling(deadline="9h"), silence=100.0)
    remember(one, *range(3000, 3020))
    ages = looks(settled(one, 3010), 2900)
    assert 90 <= max(b - a for a, b in pairwise([0.0, *ages])) <= 100


def test_a_job_that_names_no_model_is_one_of_the_vendors_first() -> None:
    assert looks(knowing(*AROUND_A_MINUTE), 90) == looks(knowing(*AROUND_A_MINUTE, model="m"), 90)


def test_jobs_made_together_drift_apart() -> None:
    one = knowing(*AROUND_A_MINUTE)
    assert one.next(watch(), 55, running(), 0.0) < one.next(watch(), 55, running(), 0.99)


def test_a_look_that_failed_is_repeated_at_the_vendors_usual_pace() -> None:
    one = settled(knowing(*[600 + number for number in range(50)]), 620)
    assert one.next(watch(), 15, running(), 0.5) > 100
    assert one.next(watch(), 15, None, 0.0) == 8


def learn(one: Cadence, lasts: float, jobs: int, after: float = 0.0) -> list[int]:
    """Jobs that last so long are looked at until their end; how many looks each needed."""
    needed: list[int] = []
    for number in range(jobs):
        job, chance = watch(), (number * 0.618) % 1
        age, alive, count = one.first(job, lambda chance=chance: chance), None, 1
        seconds = lasts * AROUND_A_MINUTE[number * 7 % 41] / 60
        while age < seconds:
            alive, count = BEGAN + age, count + 1
            age += one.next(job, age, running(), chance)
        one.learn(job, alive, BEGAN + age)
        needed.append(count)
    return needed


@pytest.mark.parametrize("now", [15.0, 300.0])
def test_a_vendor_that_becomes_faster_or_slower_is_followed(now: float) -> None:
    one = settled(knowing(*AROUND_A_MINUTE))
    needed = learn(one, now, 100)
    ages = looks(one, now / 2)
    assert 0.6 * now < ages[0] < 1.1 * now
    assert sum(needed[-20:]) <= 20 * 10


def test_constant_times_are_followed_too_though_each_end_is_found_at_the_first_look() -> None:
    one = knowing(*[60.0] * 100)
    learn(one, 60.0, 20)
    assert 55 < looks(one, 50)[0] < 70
    learn(one, 20.0, 80)
    assert looks(one, 10)[0] < 26


def test_one_end_that_nobody_had_heard_of_is_enough_to_look_at_some_jobs_early() -> None:
    one = knowing(*[60.0] * 100)
    learn(one, 60.0, 20)
    assert one.first(watch(), lambda: 0.4) > 50
    one.learn(watch(), BEGAN + 10, BEGAN + 20)
    assert one.first(watch(), lambda: 0.4) <= 10
    assert one.first(watch(), lambda: 0.6) > 15


def test_what_earlier_runs_saw_and_what_this_one_sees_are_forgotten_in_turn() -> None:
    one = knowing(*[1000.0] * 500)
    assert len(one._of(("m", "work"))._seen) == 256
    learn(one, 1000.0, 10)
    remember(one, *AROUND_A_MINUTE, *AROUND_A_MINUTE)
    assert looks(one, 50)[0] < 60


def test_nothing_is_learnt_of_batches_of_what_nobody_waits_for_and_of_ends_that_may_be_long_past() -> None:
    one = cadence()
    for job in (watch(batch=True), watch(background=True), watch(late=True)):
        assert one.learn(job, None, BEGAN + 60) is None
    assert one.learn(watch(late=True), BEGAN + 50, BEGAN + 60) == 55
    assert one.learn(watch(), BEGAN + 50, BEGAN + 60) == 55


def test_a_clock_that_was_set_back_behind_a_create_teaches_nothing_and_makes_no_look_late() -> None:
    one = settled(knowing(*AROUND_A_MINUTE))
    assert SHEET.every <= one.next(watch(), -3600.0, running(), 0.5) <= 1.1 * SHEET.every
    one = cadence()
    assert one.learn(watch(), BEGAN + 50, BEGAN - 60) is None
    assert one.learn(watch(), BEGAN - 50, BEGAN + 60) == 30


# -- long polls ----------------------------------------------------------------------------------------------------


def test_looks_are_held_only_once_durations_are_known_and_the_end_is_likely_near() -> None:
    one = knowing(*AROUND_A_MINUTE[:11])
    assert one.hold(watch(), 60) == 0
    remember(one, 60.0)
    assert [one.hold(watch(), age) for age in (0, 40, 60, 500)] == [0, 0, 20, 0]


def test_looks_are_not_held_where_the_vendor_cannot_or_the_user_says_how_often() -> None:
    unable = cadence(evolve(SHEET, hold=0.0))
    remember(unable, *AROUND_A_MINUTE)
    for one in (unable, knowing(*AROUND_A_MINUTE, every="5s")):
        assert one.hold(watch(), 60) == 0


# -- whatever was seen ---------------------------------------------------------------------------------------------

lengths = st.lists(st.floats(0, 1e5), min_size=1)
seconds = st.floats(0, 1e6) | st.just(0.0) | st.floats(50, 60)
durations = st.lists(seconds, max_size=14) | st.lists(seconds, min_size=12, max_size=60)
ages = st.floats(0, 1e7) | st.floats(0, 120)
chances = st.floats(0, 1, exclude_max=True)


@given(
    seen=durations, media=st.none() | st.floats(0, 1e5), lengths=st.lists(st.floats(0, 1e5), min_size=1), data=st.data()
)
def test_looks_are_always_finite_and_never_too_soon(
    seen: list[float], media: float | None, lengths: list[float], data: st.DataObject
) -> None:
    one = cadence(deadline="100000h")
    for number, seconds in enumerate(seen):
        length = lengths[number % len(lengths)]
        remember(one, seconds, media=length if media is not None else None)
        if data.draw(st.booleans()):
            job = watch(media=media)
            first = one.first(job, lambda: data.draw(chances))
            assert isfinite(first)
            assert first >= min(4.0, 0.5 * SHEET.first)
            one.learn(job, data.draw(st.none() | st.just(BEGAN + seconds / 2)), BEGAN + seconds)
    job = watch(media=media, wary=data.draw(st.booleans()))
    age, chance = data.draw(ages), data.draw(chances)
    wait = one.next(job, age, running(), chance)
    assert isfinite(wait)
    assert wait >= 4.0
    assert one.hold(job, age) in (0.0, 20.0)


@given(seen=durations, first=st.floats(0, 1e5), every=st.floats(0.01, 1e5), age=ages, chance=chances)
def test_the_users_word_wins_whatever_was_seen(
    seen: list[float], first: float, every: float, age: float, chance: float
) -> None:
    one = knowing(*seen, first=first, every=every)
    job = watch()
    assert one.first(job, half) == first
    assert one.next(job, age, running(), chance) == every
    assert one.hold(job, age) == 0
    hinted = knowing(*seen).next(watch(), age, running(hint=every), chance)
    assert hinted == min(max(0.5, every), 300.0)


@given(seen=durations, age=ages, chance=chances)
def test_a_deadline_is_never_slept_through(seen: list[float], age: float, chance: float) -> None:
    one = knowing(*seen, deadline="1000s")
    assert one.first(watch(), half) <= 1000
    if seen and age < 996 and one._forecast(watch()) is not None:
        assert age + one.next(watch(), age, running(), chance) <= 1000 + 1e-6
