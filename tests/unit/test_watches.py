"""What the hub keeps of a waiting task: all of its handle, and little besides."""

from __future__ import annotations

from typing import Any

import pytest

from viseme.engine.polling.watches import Watch


def watch(handle: dict[str, Any], text: str = "lipsync") -> Watch:
    return Watch("t", "k", 1, 1, handle, 0.0, 0.0, "".join(text))


@pytest.mark.parametrize(
    "handle", [{"id": "v-1"}, {"id": "v-1", "batch": "b"}, {"id": 7}, {"id": None}, {}, {"generation": "g"}]
)
def test_a_handle_is_given_back_as_it_was_also_one_that_was_learned_later(handle: dict[str, Any]) -> None:
    assert watch(handle).handle == handle
    later = watch({"id": "first"})
    later.handle = handle
    assert later.handle == handle
    assert later.vendor_id == str(handle.get("id"))


def test_a_handle_that_is_an_id_and_nothing_else_is_kept_as_that() -> None:
    assert watch({"id": "v-1"})._handle == "v-1"


def test_stages_are_one_text_for_all_tasks() -> None:
    first, second = watch({"id": "a"}, "lip" + str(1)), watch({"id": "b"}, "lip" + str(1))
    assert first.stage is second.stage
