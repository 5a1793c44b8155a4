"""Which run hears of what becomes of a task."""

from __future__ import annotations

import pytest
from attrs import define, evolve, field
from tests.unit.ledgers import row

from viseme.attempts import TaskRow
from viseme.engine.runs import Runs
from viseme.results import Reason, State

ROW = row("a", run=1)


@define(eq=False)
class Ear:
    """A run that remembers what it was told."""

    number: int
    told: list[str] = field(factory=list[str])

    def ended(self, row: TaskRow) -> None:
        self.told.append(f"ended {row.id}")

    def shared(self, row: TaskRow) -> None:
        self.told.append(f"shared {row.id}")

    def reopened(self, row: TaskRow) -> None:
        self.told.append(f"reopened {row.id}")

    def moved(self, row: TaskRow, left: str) -> None:
        self.told.append(f"moved {row.id} from {left}")


def opened(*ears: Ear) -> Runs:
    runs = Runs()
    for ear in ears:
        runs.open(ear)
    return runs


def test_a_run_hears_of_its_own_tasks_while_it_is_open() -> None:
    own, other = Ear(1), Ear(2)
    runs = opened(own, other)
    runs.ended(ROW)
    runs.reopened(ROW)
    runs.moved(ROW, "sync")
    runs.close(own)
    runs.ended(ROW)
    assert (own.told, other.told) == (["ended a", "reopened a", "moved a from sync"], [])
    assert runs.live() == [2]


def test_a_run_that_shares_a_task_hears_its_end_once_for_each_time() -> None:
    own, other = Ear(1), Ear(2)
    runs = opened(own, other)
    runs.share("a", 2)
    runs.share("a", 2)
    runs.ended(ROW)
    runs.ended(ROW)
    assert (own.told, other.told) == (["ended a"] * 2, ["shared a"] * 2)


def test_a_run_that_was_closed_meanwhile_hears_nothing() -> None:
    other = Ear(2)
    runs = opened(other)
    runs.share("a", 2)
    runs.close(other)
    runs.ended(ROW)
    assert other.told == []


def test_who_does_not_wait_any_more_hears_nothing_unless_it_has_heard_already() -> None:
    second, third = Ear(2), Ear(3)
    runs = opened(second, third)
    runs.share("a", 2)
    runs.share("a", 3)
    assert runs.unshare("a", 2)
    runs.ended(ROW)
    assert (second.told, third.told) == ([], ["shared a"])
    assert not runs.unshare("a", 3)


@pytest.mark.parametrize(
    ("given", "driven"),
    [
        (ROW, True),
        (evolve(ROW, run=2), False),
        (evolve(ROW, parked=Reason.STOPPED), False),
        (evolve(ROW, state=State.SUCCEEDED), False),
        (evolve(ROW, state=State.FETCHING), True),
    ],
)
def test_a_task_is_driven_by_its_own_run_while_it_is_under_way(given: TaskRow, driven: bool) -> None:
    assert opened(Ear(1)).driven(given) is driven
