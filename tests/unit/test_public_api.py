"""The public names, and what they take: a change here is a change for every user.

To accept one, run ``python -m tests.unit.test_public_api > tests/unit/public_api.txt`` and say it in the changelog.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

import viseme

GIVEN = ("Run", "Task")
"""What the scheduler gives and nobody makes."""
HELP = """
import sys, viseme.cli
sys.argv = ["viseme", "run", "--help"]
try:
    viseme.cli.main()
except SystemExit:
    print({})
"""
"""Shows a command's help, then something else."""
SNAPSHOT = Path(__file__).with_name("public_api.txt")


def members(owner: type) -> Iterator[str]:
    """What a public class offers, a line each."""
    if issubclass(owner, enum.Enum):
        yield from (f"    {member.name} = {member.value!r}" for member in owner)
        return
    if issubclass(owner, BaseException):
        yield f"    bases: {', '.join(base.__name__ for base in owner.__mro__[1:-2])}"
    fields = {attribute.name for attribute in attrs.fields(owner)} if attrs.has(owner) else set[str]()
    for name, member in sorted(inspect.getmembers(owner)):
        if name.startswith("_") and name not in ("__init__", "__aenter__", "__aexit__", "__aiter__", "__anext__"):
            continue
        if owner.__dict__.get(name) is None and name not in fields:
            continue
        if isinstance(inspect.getattr_static(owner, name), property):
            yield f"    {name}: property"
        elif callable(member) and name not in fields and not (name == "__init__" and owner.__name__ in GIVEN):
            yield f"    {'async ' if inspect.iscoroutinefunction(member) else ''}{name}{signature(member)}"
    yield from (f"    {name}: attribute" for name in sorted(fields) if not name.startswith("_"))


def signature(function: Any) -> str:
    """A function's signature as one line, the same in every release of Python."""
    try:
        text = str(inspect.signature(function))
    except ValueError:
        return f" = {function!r}"
    text = re.sub(r"<factory>|NOTHING|<class '([\w.]+)'>", lambda match: match[1] or "...", text)
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def shown() -> str:
    lines: list[str] = []
    for name in sorted(viseme.__all__):
        value = getattr(viseme, name)
        if isinstance(value, type):
            lines += [f"class {name}", *members(value)]
        elif callable(value):
            lines.append(f"{'async ' if inspect.iscoroutinefunction(value) else ''}def {name}{signature(value)}")
        else:
            lines.append(f"{name} = {value!r}")
    return "\n".join(lines) + "\n"


def public() -> set[str]:
    """What the package shows without an underscore: everything but its rooms."""
    return {
        name for name in dir(viseme) if not name.startswith("_") and not isinstance(getattr(viseme, name), ModuleType)
    }


def told_to_type_checkers() -> dict[str, str]:
    """Where type checkers and editors find each name: the imports that only they read."""
    guarded = (part for part in ast.parse(inspect.getsource(viseme)).body if isinstance(part, ast.If))
    imports = [line for part in guarded for line in part.body if isinstance(line, ast.ImportFrom)]
    return {alias.name: part.module or "" for part in imports for alias in part.names}


def output(program: str) -> str:
    """What a program writes, run by itself."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_every_public_name_is_announced_and_nothing_else_is() -> None:
    assert set(viseme.__all__) == public() - {"annotations"}
    assert len(viseme.__all__) == len(set(viseme.__all__))


def test_type_checkers_read_of_each_name_what_is_loaded() -> None:
    told = told_to_type_checkers()
    assert set(told) == set(viseme.__all__)
    for name, home in told.items():
        assert getattr(viseme, name) is getattr(importlib.import_module(home), name)


def test_a_name_that_there_is_not_is_an_error_like_any_other() -> None:
    with pytest.raises(AttributeError, match="module 'viseme' has no attribute 'Schedular'"):
        _ = viseme.Schedular  # pyright: ignore
    with pytest.raises(ImportError, match="Schedular"):
        exec("from viseme import Schedular")


def test_neither_the_package_nor_a_commands_help_loads_the_engine() -> None:
    loaded = "[name for name in sys.modules if name.startswith('viseme')]"
    assert output(f"import sys, viseme; print({loaded})") == "['viseme']\n"
    heavy = "{'aiohttp', 'anyio', 'rich', 'sqlite3', 'viseme.config', 'viseme.engine'} & set(sys.modules)"
    assert output(HELP.format(heavy)).splitlines()[-1] == "set()"


def test_the_announced_names_stand_in_order() -> None:
    assert list(viseme.__all__) == sorted(viseme.__all__)


def test_public_classes_and_functions_say_what_they_are_for() -> None:
    for name in viseme.__all__:
        documented = inspect.getdoc(getattr(viseme, name)) or ""
        assert len(documented) > 10, f"{name} has no docstring"


def test_public_errors_have_one_root() -> None:
    errors = [value for name in viseme.__all__ if isinstance(value := getattr(viseme, name), type)]
    for error in errors:
        if issubclass(error, BaseException):
            assert issubclass(error, viseme.VisemeError)


def test_public_values_are_frozen() -> None:
    for name in viseme.__all__:
        value = getattr(viseme, name)
        if attrs.has(value) and name not in ("Run", "Tally"):
            assert value.__setattr__ is not object.__setattr__, f"{name} can be changed"
        assert not dataclasses.is_dataclass(value)


def test_the_public_names_and_what_they_take_are_those_of_the_snapshot() -> None:
    assert shown().splitlines() == SNAPSHOT.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    print(shown(), end="")
