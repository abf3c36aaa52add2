"""Small settings of one subject each, checked when they are made.

A part of the library takes what it needs to know as objects such as ``Lora(rank=16)``: frozen dataclasses whose fields
have a type, a range and a default. A wrong value fails at once with the name of the parameter, also ``rank="16"``.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from bistill.errors import OptionError

NAMES: Final = {int: "a whole number", float: "a number", str: "text", bool: "True or False"}


class Within(NamedTuple):
    """The closed range of a number."""

    minimum: float = -math.inf
    maximum: float = math.inf

    def __str__(self) -> str:
        """``at least 1``, ``0 to 1`` and the like; "" where there is no limit."""
        low, high = math.isfinite(self.minimum), math.isfinite(self.maximum)
        if low and high:
            return f"{self.minimum:g} to {self.maximum:g}"
        return f"at least {self.minimum:g}" if low else f"at most {self.maximum:g}" if high else ""


@dataclass(frozen=True)
class Settings:
    """Base of all settings objects: every field is checked when one is made."""

    def __post_init__(self) -> None:
        for name, hint in hints(type(self)).items():
            object.__setattr__(self, name, checked(getattr(self, name), hint, f"`{type(self).__name__}.{name}`"))


def hints(kind: type[Any]) -> Mapping[str, Any]:
    """Types of the fields of a settings class, with their ranges."""
    found = typing.get_type_hints(kind, include_extras=True)
    return {field.name: found[field.name] for field in fields(kind)}


def range_of(kind: type, name: str) -> Within:
    """The range of a field; without limits where it has none."""
    limits = (_parts(choice)[1] for choice in _choices(hints(kind)[name]))
    return next((found for found in limits if found != Within()), Within())


def checked(value: Any, hint: Any, where: str) -> Any:
    """A value as its type wants it: whole numbers become floats where floats are meant, sequences become tuples.

    Args:
        value: as the caller gave it.
        hint: a type, ``Annotated`` with a ``Within``, a ``Literal``, a union, or ``tuple[T, ...]``.
        where: it stands, for the message: a parameter in backticks, or a place in a file.

    Raises:
        OptionError: another type, or out of range.
    """
    for choice in _choices(hint):
        plain, limits = _parts(choice)
        if (found := _converted(value, plain, where)) is not _OTHER:
            check_range(found, limits, where)
            return found
    expected = " or ".join(dict.fromkeys(_spoken(_parts(choice)[0]) for choice in _choices(hint)))
    raise OptionError(f"{expected} is expected", where=where, found=value, todo=f"give {expected}")


def check_range(value: Any, limits: Within, where: str) -> None:
    """Raise OptionError unless a number, or each of several, lies in a range; other values have none.

    Args:
        value: of any type.
        limits: the range.
        where: the value stands, for the message.
    """
    numbers = value if isinstance(value, tuple) else (value,)
    if any(isinstance(one, int | float) and not limits.minimum <= one <= limits.maximum for one in numbers):
        raise OptionError(
            "the value is out of range", where=where, found=value, todo=f"give {str(limits) or 'a number'}"
        )


def differences(then: Mapping[str, Any], now: Mapping[str, Any], *, parameters: bool = False) -> str:
    """Names whose values differ, in the order of the alphabet: ``lr was 2e-05, is 1e-05``; "" where none does.

    Args:
        then: values by name.
        now: values by name, of the same kinds (as JSON gives them: no tuples).
        parameters: whether the names are parameters, which stand in backticks.
    """
    mark = "`" if parameters else ""
    names = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    return ", ".join(f"{mark}{name}{mark} was {then.get(name)!r}, is {now.get(name)!r}" for name in names)


_OTHER: Final = object()


def _parts(hint: Any) -> tuple[Any, Within]:
    """A type without its notes, and its range."""
    if get_origin(hint) is not Annotated:
        return hint, Within()
    plain, *notes = get_args(hint)
    return plain, next((note for note in notes if isinstance(note, Within)), Within())


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _converted(value: Any, hint: Any, where: str) -> Any:
    """The value as one type wants it, ``_OTHER`` where it is of another."""
    if hint is Any or getattr(hint, "_is_protocol", False):
        return value
    if hint is None or hint is type(None):
        return None if value is None else _OTHER
    origin = get_origin(hint)
    if origin is Literal:
        return value if value in get_args(hint) else _OTHER
    if origin is tuple:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            return _OTHER
        return tuple(checked(item, get_args(hint)[0], where) for item in value)
    if isinstance(value, bool) and hint is not bool:
        return _OTHER
    if hint is int:
        return int(value) if isinstance(value, Integral) else _OTHER
    if hint is float:
        return float(value) if isinstance(value, Real) else _OTHER
    kind = origin or hint
    return value if not isinstance(kind, type) or isinstance(value, kind) else _OTHER


def _spoken(hint: Any) -> str:
    if hint is None or hint is type(None):
        return "None"
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) is tuple:
        return "a list"
    return NAMES.get(hint, getattr(hint, "__name__", str(hint)))
