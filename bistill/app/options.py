"""What an option is: text, range, check and place in the help of one annotated field; options read from a mapping."""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Final, TypeVar, get_args, get_origin, get_type_hints

from typing_extensions import Doc

from bistill.errors import OptionError
from bistill.settings import Settings, Within, check_range, checked, range_of

T = TypeVar("T")
# Headings of the help, in this order.
GROUPS: Final = (
    "data",
    "models",
    "candidates",
    "losses",
    "training",
    "checkpoints",
    "evaluation",
    "search",
    "scores",
    "runs",
    "recovery",
    "notices and page",
    "machine",
)


class Option(Doc):
    """Help text of a field, the closed range of its values, and whether they decide what a run results in.

    Args:
        text: the help, without the range, which is put behind it.
        of: settings class and field that the option becomes: its range is the option's, and messages about it say the
            flag; None: it becomes none.
        within: the range of an option that becomes none.
        alters_result: an interrupted run goes on only with the same value.
        group: heading of the help, one of ``GROUPS``; None: that of the class.
        common: whether ``--help`` shows it, or ``--help-all`` alone; None: as the class says.
    """

    def __init__(
        self,
        text: str,
        *,
        of: tuple[type[Settings], str] | None = None,
        within: Within | None = None,
        alters_result: bool = True,
        group: str | None = None,
        common: bool | None = None,
    ) -> None:
        assert of is None or within is None, f"two ranges: {text}"
        self.text, self.of, self.alters_result = text, of, alters_result
        self.group, self.common = group, common
        self.within = within or (range_of(*of) if of else Within())
        super().__init__(f"{text} ({self.within})" if str(self.within) else text)

    # Two notes of one text are two notes: typing keeps one `Annotated` for all that are equal.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all option classes: checks every field's range when it is made.

    ``class DataOptions(Options, group="data", common=True)``: under which heading of the help the fields that it adds
    stand, and whether ``--help`` shows them.
    """

    # Of options that hold others: by the name of a section what follows from other options and is not given there.
    decided: ClassVar[Mapping[str, Collection[str]]] = {}
    shown_at: ClassVar[tuple[str, bool]] = ("", False)

    def __init_subclass__(cls, group: str = "", common: bool = False) -> None:
        cls.shown_at = (group, common)

    def __post_init__(self) -> None:
        for name, note in notes(type(self)).items():
            check_range(getattr(self, name), note.within, f"--{name}")


def notes(kind: type[Options]) -> dict[str, Option]:
    """The note of each field of an option class."""
    hints = get_type_hints(kind, include_extras=True)
    found = ((name, note) for name, hint in hints.items() for note in getattr(hint, "__metadata__", ()))
    return {name: note for name, note in found if isinstance(note, Option)}


def place_of(kind: type[Options], name: str, note: Option) -> tuple[str, bool]:
    """Heading of the help under which a field stands, and whether it is common: as its note says, else the class that
    holds it."""
    bases = (base for base in kind.__mro__ if issubclass(base, Options))
    owner = next(base for base in bases if name in inspect.get_annotations(base))
    group, common = owner.shown_at
    return note.group or group, common if note.common is None else note.common


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
