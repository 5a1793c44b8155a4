"""The sandbox shares no code with the engine that it is there to test."""

import ast
from pathlib import Path

import viseme.sandbox
from viseme.sandbox import Sandbox

ROOT = Path(viseme.sandbox.__file__).parent
ALLOWED = {"aiohttp", "attrs", "av"}


def imported(path: Path) -> set[str]:
    """The absolute modules that a file imports; relative imports that leave the sandbox come out as `..`."""
    depth = len(path.relative_to(ROOT).parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(".." if node.level > depth else (node.module or "").partition(".")[0] if not node.level else ".")
    return found


def test_the_sandbox_imports_the_standard_library_and_three_packages_only() -> None:
    import sys

    for path in ROOT.rglob("*.py"):
        foreign = imported(path) - ALLOWED - set(sys.stdlib_module_names) - {"."}
        assert not foreign, f"{path.name} imports {foreign}"


def test_the_public_names_are_there_and_no_more() -> None:
    assert sorted(viseme.sandbox.__all__) == viseme.sandbox.__all__
    assert all(hasattr(viseme.sandbox, name) for name in viseme.sandbox.__all__)


def test_wrong_arguments_are_told_at_once() -> None:
    import pytest

    with pytest.raises(ValueError, match="unknown vendors: nobody"):
        Sandbox(settings={"nobody": {}})
    with pytest.raises(ValueError, match="unknown faults"):
        Sandbox(faults="dreadful")
    with pytest.raises(TypeError):
        Sandbox(settings={"sync": {"no_such_setting": 1}})
