"""Help of the commands: required flags first, then groups; ``--help`` shows the common ones, ``--help-all`` every one.

The parser's own help is one flat list of every flag, so this one is written here, from the same notes.
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from bistill.app.options import GROUPS, Option, Options, notes, place_of

SHORT: Final = frozenset({"-h", "--help"})
LONG: Final = frozenset({"--help-all", "--help_all"})
WIDEST: Final = 120
# Flags longer than this have their text below them.
LONGEST_FLAG: Final = 22
KINDS: Final = {int: "INT", float: "FLOAT", str: "TEXT"}


@dataclass(frozen=True)
class Flag:
    """One flag of a command.

    Attributes:
        name: without the dashes; of a section with its name in front: ``teacher.epochs``.
        type: of its value, without notes.
        default: its value where it is not given; ``dataclasses.MISSING``: it must be.
        note: its text and range.
        group: heading under which it stands.
        common: whether ``--help`` shows it.
        positional: it stands without a name.
    """

    name: str
    type: Any
    default: Any
    note: Option
    group: str
    common: bool
    positional: bool

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is dataclasses.MISSING

    def written(self) -> str:
        """As a user writes it: ``--epochs INT``, a switch in the direction that changes something."""
        section, _, name = self.name.rpartition(".")
        if self.type is bool:
            return f"--{section}{'.' if section else ''}{'no_' if self.default is True else ''}{name}"
        value = _value(self.type)
        if self.positional:
            return value if value.startswith("{") else name.upper()
        return f"--{self.name} {value}"


def flags_of(kind: type[Options], section: str = "", made: Options | None = None) -> list[Flag]:
    """All flags of a command, its own before those that it shares, nested ones with the section's name.

    Args:
        kind: options of the command.
        section: where these options stand in those of another, with a dot behind.
        made: those options as they are by default, where nothing of them must be given.
    """
    hints, found = get_type_hints(kind, include_extras=True), notes(kind)
    flags: list[Flag] = []
    own = inspect.get_annotations(kind)
    for field in sorted(dataclasses.fields(kind), key=lambda field: field.name not in own):
        hint, *others = get_args(hints[field.name]) if get_origin(hints[field.name]) else (hints[field.name],)
        if isinstance(hint, type) and issubclass(hint, Options):
            assert callable(field.default_factory), field.name
            inner = flags_of(hint, f"{field.name}.", field.default_factory())
            decided = {f"{field.name}.{name}" for name in kind.decided.get(field.name, ())}
            flags.extend(flag for flag in inner if flag.name not in decided)
            continue
        note = found[field.name]
        group, common = place_of(kind, field.name, note)
        positional = any("Positional" in repr(other) for other in others)
        default = field.default if made is None else getattr(made, field.name)
        flags.append(Flag(section + field.name, hint, default, note, group, common, positional))
    return flags


def wanted(arguments: Sequence[str]) -> Literal["", "common", "all"]:
    """Which help a command line asks for."""
    given = set(arguments)
    return "all" if given & LONG else "common" if given & SHORT else ""


def text(kind: type[Options], program: str, *, width: int, everything: bool) -> str:
    """The help of a command.

    Args:
        kind: its options; the docstring says what it does.
        program: name of the command.
        width: columns of the terminal.
        everything: also the flags that are seldom given.
    """
    width = min(width, WIDEST)
    flags = flags_of(kind)
    shown = [flag for flag in flags if flag.required or everything or (flag.common and "." not in flag.name)]
    required = [flag for flag in shown if flag.required]
    head = " ".join(["usage:", program, *(flag.written() for flag in required), "[OPTIONS]"])
    lines = [*textwrap.wrap(head, width, subsequent_indent="  "), "", *_paragraphs(kind.__doc__ or "", width)]
    column = 4 + max(len(flag.written()) for flag in shown if len(flag.written()) <= LONGEST_FLAG)
    for heading, members in _grouped(shown, required):
        lines += ["", heading, *(line for flag in members for line in _entry(flag, column, width, everything))]
    return "\n".join([*lines, "", *_foot(flags, shown, program, width)])


def _value(hint: Any) -> str:
    """The kind of a value in capitals, its choices in braces, "..." where several may be given."""
    origin = get_origin(hint)
    if origin is Literal:
        return "{" + ",".join(map(str, get_args(hint))) + "}"
    if origin is tuple:
        return f"{_value(get_args(hint)[0])} ..."
    known = [choice for choice in get_args(hint) if choice is not type(None)]
    return _value(known[-1]) if known else KINDS[hint]


def _grouped(shown: list[Flag], required: list[Flag]) -> Iterator[tuple[str, list[Flag]]]:
    if required:
        yield "required", required
    others = [flag for flag in shown if flag not in required]
    for section in dict.fromkeys(flag.name.rpartition(".")[0] for flag in others):
        own = [flag for flag in others if flag.name.rpartition(".")[0] == section]
        for group in GROUPS:
            if members := [flag for flag in own if flag.group == group]:
                yield f"{section}: {group}" if section else group, members


def _entry(flag: Flag, column: int, width: int, everything: bool) -> list[str]:
    """The lines of one flag: how it is written, and beside it its text, range and default."""
    said = flag.note.text
    if everything and str(flag.note.within):
        said = f"{said} ({flag.note.within})"
    if flag.type is not bool and flag.default not in (dataclasses.MISSING, None, (), ""):
        values = flag.default if isinstance(flag.default, tuple) else (flag.default,)
        said = f"{said} [{' '.join(f'{value:g}' if isinstance(value, float) else str(value) for value in values)}]"
    written, indent = f"  {flag.written()}", " " * column
    beside = textwrap.wrap(said, width - column, break_on_hyphens=False, break_long_words=False)
    if len(written) > column - 2:
        return [written, *(indent + line for line in beside)]
    return [written.ljust(column) + beside[0], *(indent + line for line in beside[1:])]


def _paragraphs(docstring: str, width: int) -> list[str]:
    """A docstring in the terminal's width."""
    parts = (" ".join(part.split()) for part in docstring.replace("``", "").split("\n\n"))
    wrapped = [textwrap.wrap(part, width, break_on_hyphens=False) for part in parts]
    return [line for number, part in enumerate(wrapped) for line in ([""] if number else []) + part]


def _foot(flags: list[Flag], shown: list[Flag], program: str, width: int) -> list[str]:
    """What is not shown, and where it is."""
    lines = ["In brackets: what holds where the flag is not given."]
    hidden = [flag for flag in flags if flag not in shown]
    for section in dict.fromkeys(flag.name.partition(".")[0] for flag in hidden if "." in flag.name):
        names = (flag.name.partition(".")[2] for flag in hidden if flag.common and flag.name.startswith(f"{section}."))
        lines += [f"--{section}.FLAG, with FLAG most often one of: {', '.join(names)}."]
    if hidden:
        lines.append(f"{len(hidden)} more: {program} --help-all")
    return [line for part in lines for line in textwrap.wrap(part, width, break_on_hyphens=False)]
