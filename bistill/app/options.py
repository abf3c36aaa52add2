"""What an option is: text, range and check of one annotated field; and options read from a mapping such as YAML."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from typing_extensions import Doc

from bistill.errors import OptionError
from bistill.settings import Settings, Within, check_range, checked, range_of

T = TypeVar("T")


class Option(Doc):
    """Help text of a field, the closed range of its values, and whether they decide what a run results in.

    Args:
        text: the help, without the range, which is put behind it.
        of: settings class and field that the option becomes: its range is the option's, and messages about it say the
            flag; None: it becomes none.
        within: the range of an option that becomes none.
        alters_result: an interrupted run goes on only with the same value.
    """

    def __init__(
        self,
        text: str,
        *,
        of: tuple[type[Settings], str] | None = None,
        within: Within | None = None,
        alters_result: bool = True,
    ) -> None:
        assert of is None or within is None, f"two ranges: {text}"
        self.of, self.alters_result = of, alters_result
        self.within = within or (range_of(*of) if of else Within())
        super().__init__(f"{text} ({self.within})" if str(self.within) else text)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all option classes: checks every field's range when it is made."""

    def __post_init__(self) -> None:
        for name, note in notes(type(self)).items():
            check_range(getattr(self, name), note.within, f"--{name}")


def notes(kind: type[Options]) -> dict[str, Option]:
    """The note of each field of an option class."""
    hints = get_type_hints(kind, include_extras=True)
    found = ((name, note) for name, hint in hints.items() for note in getattr(hint, "__metadata__", ()))
    return {name: note for name, note in found if isinstance(note, Option)}


def altering(options: Options) -> dict[str, Any]:
    """Values by name of the options that decide what a run results in; an interrupted run goes on only with the same.

    Left out are those that say where, when and how often something is written, and how memory is used.
    """
    return {name: getattr(options, name) for name, note in notes(type(options)).items() if note.alters_result}


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
            values[name] = checked(_as_written(value, hints[name]), hints[name], place)
    return type(default)(**values)


def _as_written(value: Any, hint: Any) -> Any:
    """A value of YAML, which writes a list of one without brackets and reads 2e-5, without a point, as text."""
    if get_origin(hint) is tuple:
        return [_as_written(item, get_args(hint)[0]) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, str) and float in (hint, *get_args(hint)):
        with contextlib.suppress(ValueError):
            return float(value)
    return value
