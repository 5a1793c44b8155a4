"""Values built from other people's tables: nothing unknown is passed over, nothing is guessed, and errors are sentences."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError, IterableValidationNote, AttributeValidationNote

from viseme.errors import quote

__all__ = ["known_names", "snake_names", "structure"]

T = TypeVar("T")
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


def _exactly(expected: type, name: str) -> Any:
    def hook(value: object, _: object) -> object:
        if type(value) is not expected:
            raise ValueError(f"must be {name}, not {quote(value)}")
        return value

    return hook


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number, not {quote(value)}")
    return float(value)


def _literal(value: object, kind: Any) -> object:
    choices = get_args(kind)
    if value not in choices or isinstance(value, bool) != any(value is choice for choice in choices if isinstance(choice, bool)):
        raise ValueError(f"{quote(value)!r} is not one of {', '.join(map(str, choices))}")
    return value


def _optional(value: object, kind: Any) -> object:
    if value is None:
        return None
    (inner,) = (argument for argument in get_args(kind) if argument is not type(None))
    return _converter.structure(value, inner)


def _is_optional(kind: Any) -> bool:
    arguments = get_args(kind)
    return get_origin(kind) in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments


def _build() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _exactly(str, "text"))
    converter.register_structure_hook(bool, _exactly(bool, "true or false"))
    converter.register_structure_hook(int, _exactly(int, "a whole number"))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(lambda kind: get_origin(kind) is Literal, _literal)
    converter.register_structure_hook_func(_is_optional, _optional)
    return converter


_converter = _build()


def structure(value: object, kind: type[T]) -> T:
    """Build a value of an attrs class from a mapping.

    Raises:
        ValueError: the message names every field that is wrong, and for an unknown name the known ones.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table of settings, not {quote(value)}")
    try:
        return _converter.structure(value, kind)
    except BaseValidationError as group:
        raise ValueError("; ".join(_sentences(group, ""))) from None
    except (ValueError, TypeError) as error:
        raise ValueError(str(error)) from None


def known_names(kind: type) -> tuple[str, ...]:
    """The names that a table for this attrs class may hold."""
    return tuple(attribute.name for attribute in attrs.fields(kind))


def snake_names(value: Any) -> Any:
    """The same JSON value with camelCase names spelled snake_case, so that both spellings are understood."""
    if isinstance(value, Mapping):
        return {_HUMP.sub(r"_\1", str(name)).lower(): snake_names(item) for name, item in value.items()}  # pyright: ignore
    if isinstance(value, list):
        return [snake_names(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _sentences(error: BaseException, path: str) -> list[str]:
    if isinstance(error, ForbiddenExtraKeysError):
        unknown = ", ".join(sorted(quote(name) for name in error.extra_fields))
        return [f"{_at(path)}unknown name {unknown}; known are {', '.join(known_names(error.cl))}"]
    if isinstance(error, BaseValidationError):
        return [line for inner in error.exceptions for line in _sentences(inner, path + _step(inner))]
    if isinstance(error, KeyError):
        return [f"{path.removesuffix(f'.{error.args[0]}')}.{error.args[0]} is missing".lstrip(".")]
    return [f"{_at(path)}{error}"]


def _at(path: str) -> str:
    return f"{path.lstrip('.')}: " if path else ""


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""
