"""What the hub keeps of a waiting task: all of its handle, and little besides."""

from __future__ import annotations

from typing import Any

import pytest

from viseme.engine.admission.seats import Seats
from viseme.engine.polling.watches import Watch, kind_of, told_of

KEYS = ["k", "", "line\nbreak", "ключ", "\ud800"]


def watch(handle: dict[str, Any], key: str = "k") -> Watch:
    return Watch("t", 1, 1, told_of(key, handle), kind_of(None, "lipsync"), 0.0, 0.0)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "handle",
    [{"id": "v-1"}, {"id": "v-1", "batch": "b"}, {"id": 7}, {"id": None}, {}, {"generation": "g"}, {"id": "v\n"}],
)
def test_a_key_and_a_handle_are_given_back_as_they_were_also_one_that_was_learned_later(
    handle: dict[str, Any], key: str
) -> None:
    assert (watch(handle, key).handle, watch(handle, key).key) == (handle, key)
    later = watch({"id": "first"}, key)
    later.handle = handle
    assert (later.handle, later.key, later.vendor_id) == (handle, key, str(handle.get("id")))


def test_a_handle_that_is_an_id_and_nothing_else_is_kept_with_the_key() -> None:
    assert watch({"id": "v-1"})._told == "v-1\nk"


def test_a_model_and_a_stage_are_one_object_for_all_tasks_and_a_name_is_one_with_its_seat() -> None:
    first, second = kind_of("m" + str(1), "lip" + str(1)), kind_of("m" + str(1), "lip" + str(1))
    assert first is second
    seats = Seats(9, lambda: 0.0)
    name = "".join(["a", "task"])
    seats.take(f"{name}:1")
    (held,) = seats._taken
    one = Watch("".join(["a", "task"]), 1, 1, told_of("k", {}), kind_of(None, ""), 0.0, 0.0)
    assert one.task is held
