"""Values built from other people's tables: nothing unknown is passed over, nothing is guessed, errors are sentences."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from viseme.units import Seconds, Size, duration, size
from viseme.wording import quote

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
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{quote(value)} is too large") from None


def _seconds(value: Any, _: object) -> float:
    return duration(value)


def _size(value: Any, _: object) -> int:
    return size(value)


def _literal(value: object, kind: Any) -> object:
    choices = get_args(kind)
    if not any(type(value) is type(choice) and value == choice for choice in choices):
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


def _is_series(kind: Any) -> bool:
    return get_origin(kind) in (list, tuple)


def _series(value: Any, kind: Any) -> object:
    """Lists from lists only: a text is not a list of its letters."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"must be a list, not {quote(value)}")
    inner, items, wrong = get_args(kind)[0], list[Any](), list[Exception]()
    for index, item in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        try:
            items.append(_converter.structure(item, inner))
        except (ValueError, TypeError, BaseValidationError) as error:
            error.add_note(IterableValidationNote("in a list", index, inner))
            wrong.append(error)
    if wrong:
        raise IterableValidationError("in a list", wrong, kind)  # pyright: ignore[reportCallIssue]
    return items if get_origin(kind) is list else tuple(items)


def _table(kind: type[Any], converter: Converter) -> Any:
    """Nested tables, refused with a sentence where something else stands."""
    build = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

    def hook(value: object, given: Any) -> object:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a table with {', '.join(known_names(kind))}, not {quote(value)}")
        return build(value, given)  # pyright: ignore[reportUnknownArgumentType]

    return hook


def _build() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _exactly(str, "text"))
    converter.register_structure_hook(bool, _exactly(bool, "true or false"))
    converter.register_structure_hook(int, _exactly(int, "a whole number"))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(lambda kind: get_origin(kind) is Literal, _literal)
    converter.register_structure_hook_func(_is_optional, _optional)
    converter.register_structure_hook_func(lambda kind: kind == Seconds, _seconds)
    converter.register_structure_hook_func(lambda kind: kind == Size, _size)
    converter.register_structure_hook_func(_is_series, _series)
    converter.register_structure_hook_factory(attrs.has, _table)
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


@lru_cache(maxsize=256)
def known_names(kind: type) -> tuple[str, ...]:
    """The names that a table for this attrs class may hold."""
    return tuple(attribute.name for attribute in attrs.fields(kind))


def snake_names(value: Any) -> Any:
    """The same JSON value with camelCase names spelled snake_case, so that both spellings are understood.

    Raises:
        ValueError: a name is given in both spellings.
    """
    if isinstance(value, Mapping):
        spelled: dict[str, Any] = {}
        for name, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            snake = _HUMP.sub(r"_\1", str(name)).lower()  # pyright: ignore[reportUnknownArgumentType]
            if snake in spelled:
                raise ValueError(f"{quote(snake)} is given twice; keep one spelling of it")
            spelled[snake] = snake_names(item)
        return spelled
    if isinstance(value, (list, tuple)):
        return [snake_names(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _sentences(error: BaseException, path: str) -> list[str]:
    if isinstance(error, ForbiddenExtraKeysError):
        unknown = ", ".join(sorted(repr(quote(name)) for name in error.extra_fields))
        known = ", ".join(known_names(error.cl)) or "none"
        return [f"{_at(path)}unknown name {unknown}; known are {known}"]
    if isinstance(error, BaseValidationError):
        return [line for inner in error.exceptions for line in _of_field(inner, path + _step(inner), error.cl)]
    if isinstance(error, KeyError):
        return [f"{path.removesuffix(f'.{error.args[0]}')}.{error.args[0]} is missing".lstrip(".")]
    return [f"{_at(path)}{error}"]


def _of_field(error: BaseException, path: str, kind: type) -> list[str]:
    """What is wrong with a field; one that its class does not show is not quoted either."""
    fields = attrs.fields(kind) if attrs.has(kind) else ()
    hidden = [attribute.name for attribute in fields if not attribute.repr]
    if path.rpartition(".")[2] in hidden and not isinstance(error, KeyError):
        return [f"{_at(path)}must be text, and what stands there is not shown"]
    return _sentences(error, path)


def _at(path: str) -> str:
    return f"{path.lstrip('.')}: " if path else ""


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""
