"""What an option is: text, range and check of one annotated field; and options read from a mapping such as YAML."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from typing_extensions import Doc

from bistill.errors import OptionError

T = TypeVar("T")


class Option(Doc):
    """Help text of a field, the closed range of its values, and whether they decide what a run results in."""

    def __init__(
        self, text: str, *, minimum: float = -math.inf, maximum: float = math.inf, alters_result: bool = True
    ) -> None:
        self.minimum, self.maximum, self.alters_result = minimum, maximum, alters_result
        limits = {
            (True, True): f" ({minimum:g} to {maximum:g})",
            (True, False): f" (at least {minimum:g})",
            (False, True): f" (at most {maximum:g})",
            (False, False): "",
        }
        super().__init__(text + limits[math.isfinite(minimum), math.isfinite(maximum)])

    def check(self, name: str, value: object) -> None:
        """Raise OptionError unless a number lies in the range; other values have no range."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if not self.minimum <= value <= self.maximum:
            low = f"at least {self.minimum:g}" if math.isfinite(self.minimum) else "any"
            high = f"at most {self.maximum:g}" if math.isfinite(self.maximum) else "no upper limit"
            raise OptionError("the value is out of range", where=f"--{name}", found=value, todo=f"give {low}, {high}")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all option classes: checks every field's range when it is made."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            for note in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
                if isinstance(note, Option):
                    note.check(name, getattr(self, name))


def altering(options: Options) -> dict[str, Any]:
    """Values by name of the options that decide what a run results in; an interrupted run goes on only with the same.

    Left out are those that say where, when and how often something is written, and how memory is used.
    """
    hints = get_type_hints(type(options), include_extras=True)
    decisive = (
        name
        for name, hint in hints.items()
        if all(note.alters_result for note in getattr(hint, "__metadata__", ()) if isinstance(note, Option))
    )
    return {name: getattr(options, name) for name in decisive}


def from_mapping(default: T, mapping: Mapping[str, Any], *, where: str) -> T:
    """A copy of ``default`` with the values of a (nested) mapping, as read from YAML.

    Args:
        default: an options object.
        mapping: names and values; nested option classes take nested mappings.
        where: the file, for messages.

    Raises:
        OptionError: an unknown name (with the nearest known one), a value of another type, or one out of range.
    """
    known = {item.name: item for item in fields(default)}  # type: ignore[arg-type]
    values = {name: getattr(default, name) for name in known}
    hints = get_type_hints(type(default))
    for name, value in mapping.items():
        place = f"{where}, {name}"
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise OptionError("unknown option", where=place, todo=f"did you mean {near[0]!r}?" if near else "remove it")
        if is_dataclass(values[name]):
            if not isinstance(value, Mapping):
                raise OptionError("a section of options is expected here", where=place, found=value)
            values[name] = from_mapping(values[name], value, where=place)
        else:
            values[name] = _converted(value, hints[name], place)
    return type(default)(**values)


def _converted(value: Any, hint: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if get_origin(hint) is tuple:
        items = value if isinstance(value, list) else [value]  # a list of one may be written without brackets
        return tuple(_converted(item, get_args(hint)[0], where) for item in items)
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise OptionError("not one of the choices", where=where, found=value, todo=f"give one of {get_args(hint)}")
    choices = get_args(hint) or (hint,)
    if isinstance(value, float | int) and not isinstance(value, bool) and float in choices:
        return float(value)
    if any(isinstance(choice, type) and type(value) is choice for choice in choices):
        return value
    if isinstance(value, str) and float in choices:  # YAML reads 2e-5, without a point, as text
        try:
            return float(value)
        except ValueError:
            pass
    names = " or ".join(getattr(choice, "__name__", str(choice)) for choice in choices)
    raise OptionError("a value of another type is expected", where=where, found=value, todo=f"give {names}")
