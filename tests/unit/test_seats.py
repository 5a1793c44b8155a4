"""Seats: counted until a job's end is seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.attempts import Seat
from viseme.engine.admission.seats import Seats


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def seats(clock: list[float]) -> Seats:
    return Seats(3, lambda: clock[0])


def old(name: str) -> Seat:
    return Seat(id=name, pool="p", account="a", task=name, opened=0.0, until=1.0)


def test_a_seat_is_taken_until_it_is_given_back(seats: Seats) -> None:
    seats.take("a:1")
    assert (seats.taken, seats.free, seats.holds("a:1"), seats.holds("b:1")) == (1, 2, True, False)
    seats.give_back("a:1")
    assert (seats.taken, seats.free, seats.holds("a:1")) == (0, 3, False)


def test_a_seat_taken_twice_is_one_seat_and_one_given_back_twice_is_given_back_once(seats: Seats) -> None:
    told: list[int] = []
    seats.on_change(lambda: told.append(seats.free))
    seats.take("a:1")
    seats.take("a:1")
    assert seats.taken == 1
    seats.give_back("a:1")
    seats.give_back("a:1")
    assert (seats.taken, told) == (0, [3])


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a:1", "a:2", "a:70", "b:0", "b:c:1", "c:1"]))))
def test_every_attempt_has_a_seat_of_its_own(steps: list[tuple[bool, str]]) -> None:
    seats, taken = Seats(9, lambda: 0.0), set[str]()
    for takes, name in steps:
        if takes:
            assert seats.take(name) is (name not in taken)
            taken.add(name)
        else:
            seats.give_back(name)
            taken.discard(name)
        assert seats.taken == len(taken)
        assert all(seats.holds(one) is (one in taken) for _, one in steps)


def test_seats_of_an_earlier_run_count_beyond_the_limit_too_and_none_is_free_until_they_are_fewer(
    seats: Seats,
) -> None:
    for name in "abcde":
        seats.restore(old(f"{name}:1"))
    assert (seats.taken, seats.free) == (5, 0)
    seats.give_back("a:1")
    seats.give_back("b:1")
    assert seats.free == 0
    seats.give_back("c:1")
    assert seats.free == 1


def test_a_seat_that_is_restored_is_not_taken_again(seats: Seats) -> None:
    seats.restore(old("a:1"))
    seats.take("a:1")
    assert seats.taken == 1


def test_a_changed_limit_holds_at_once_and_is_told(seats: Seats) -> None:
    told: list[int] = []
    seats.on_change(lambda: told.append(seats.free))
    for name in "abc":
        seats.take(f"{name}:1")
    seats.set_limit(1)
    assert seats.free == 0
    seats.set_limit(5)
    assert seats.free == 2
    assert told == [0, 2]


def test_halved_seats_are_half_for_a_while_and_at_least_one(seats: Seats, clock: list[float]) -> None:
    seats.halved_until = clock[0] + 60
    assert seats.free == 1
    seats.set_limit(1)
    assert seats.free == 1
    seats.set_limit(8)
    assert seats.free == 4
    clock[0] += 60
    assert seats.free == 8
