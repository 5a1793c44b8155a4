"""Copies of values with some fields changed: as attrs makes them, and sooner."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from attrs import define, field, frozen
from tests.unit.ledgers import intent, row

from viseme.evolving import amended, evolve
from viseme.results import State


@frozen
class Checked:
    """With a field that takes not everything."""

    size: int = field(converter=int, validator=attrs.validators.ge(0))
    name: str = "a"


@define(eq=False)
class Counting:
    """With a field that none gives."""

    name: str
    made: list[str] = field(factory=list[str], init=False)


@frozen
class Base:
    name: str = "a"


@frozen(slots=False)
class Derived(Base):
    size: int = 1


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (row("t", handle={"id": "v"}), {"state": State.FAILED, "seq": 7}),
        (row("t"), {}),
        (intent(row("t")), {"ended": 3.0}),
        (Checked(1), {"name": "b"}),
        (Checked(1), {"size": "2"}),
        (Derived(), {"size": 2}),
        (Derived(), {"name": "b"}),
    ],
)
def test_a_copy_is_the_one_that_attrs_makes_and_the_value_stays_as_it_was(value: Any, changes: dict[str, Any]) -> None:
    before = attrs.evolve(value)
    copy = evolve(value, **changes)
    assert copy == attrs.evolve(value, **changes)
    assert type(copy) is type(value)
    assert value == before
    assert copy is not value


def test_a_value_that_was_copied_can_be_changed_no_more_than_any_other() -> None:
    copy = evolve(row("t"), seq=2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        copy.seq = 3  # type: ignore[misc]
    assert not hasattr(copy, "__slots__")


def test_a_copy_that_is_still_being_made_is_changed_in_place_and_what_it_was_made_from_is_not() -> None:
    first = row("t")
    copy = evolve(first, state=State.FAILED)
    assert amended(copy, seq=2) is copy
    assert copy == attrs.evolve(first, state=State.FAILED, seq=2)
    assert (first.state, first.seq) == (State.QUEUED, 0)


@pytest.mark.parametrize("value", [row("t"), intent(row("t")), Checked(1), Derived()])
def test_a_field_that_there_is_not_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="colour"):
        evolve(value, colour="red")


def test_what_a_field_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        evolve(Checked(1), size=-1)


def test_what_none_may_give_is_copied_as_it_is() -> None:
    value = Counting("a")
    value.made.append("x")
    copy = evolve(value, name="b")
    assert (copy.name, copy.made) == ("b", ["x"])
