"""What docs/guarantees.md names as its proof is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/guarantees.md").read_text()
NODES = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))


def test_every_table_of_promises_names_its_proof() -> None:
    rows = [line for line in TEXT.partition("## What is not promised")[0].splitlines() if line.startswith("| ")]
    bare = [
        row for row in rows if "tests" not in row and not row.startswith(("| ---", "| under", "| promise", "| vendor"))
    ]
    assert bare == ["| command | what it does |"]


@pytest.mark.parametrize(("path", "name"), NODES, ids=[f"{path}::{name}" for path, name in NODES])
def test_a_named_test_exists(path: str, name: str) -> None:
    file = ROOT / path
    assert file.is_file()
    assert not name or re.search(rf"^(async )?def {name}\(", file.read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_page_is_found_from_the_others(page: str) -> None:
    assert "guarantees.md)" in (ROOT / page).read_text()
