"""What is wrong with a command line, in the form of our errors and with the nearest flag, before the parser says it."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args, get_origin

from bistill.app.help import Flag, flags_of
from bistill.app.options import Options
from bistill.errors import OptionError
from bistill.settings import checked

# Names of flags in earlier releases, and today's.
FORMER: Final = {"corpus_data": "documents"}


def refuse(kind: type[Options], arguments: Sequence[str], program: str, *, pairs: bool) -> None:
    """Raise OptionError for a flag that the command does not have, with the nearest that it has, for one that is
    missing, and for a value of another kind. Ranges are the options' own business.

    Args:
        kind: options of the command.
        arguments: its command line.
        program: name of the command.
        pairs: whether a switch can be turned both on and off.
    """
    flags = [flag for flag in flags_of(kind) if not flag.positional]
    given = list(_given(arguments))
    names = _names(flags, pairs=pairs)
    for written, name, _ in given:
        if name not in names and not name.startswith("tyro_"):
            near = " or ".join(f"--{other}" for other in _nearest(name, names))
            todo = f"did you mean {near}? " if near else ""
            raise OptionError("unknown flag", where=written, todo=f"{todo}{program} --help-all lists all flags")
    there = {name for _, name, _ in given}
    if missing := [flag for flag in flags if flag.required and flag.name not in there]:
        raise OptionError(
            f"{'this flag' if len(missing) == 1 else 'these flags'} must be given",
            where=", ".join(f"--{flag.name}" for flag in missing),
            todo=f"add {' '.join(flag.written() for flag in missing)}; {program} --help says more",
        )
    known = {flag.name: flag for flag in flags}
    for written, name, values in given:
        if name in known and known[name].type is not bool:
            _refuse_values(known[name], written, values)


def renamed(arguments: Sequence[str]) -> list[str]:
    """The arguments with the names that flags have today in place of those of earlier releases."""
    found = []
    for word in arguments:
        flag, equals, value = word.partition("=")
        section, dot, name = flag.removeprefix("--").rpartition(".")
        if flag.startswith("--") and (today := FORMER.get(name.replace("-", "_"))):
            flag = f"--{section}{dot}{today}"
        found.append(flag + equals + value)
    return found


def names_given(arguments: Sequence[str]) -> set[str]:
    """Names of the flags of a command line, as their options are called."""
    return {name for _, name, _ in _given(arguments)}


def _given(arguments: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Each flag of a command line as written, the name of its option, and the words behind it up to the next one."""
    before = arguments[: list(arguments).index("--")] if "--" in arguments else arguments
    starts = [place for place, word in enumerate(before) if word.startswith("--")]
    for start, end in zip(starts, [*starts, len(before)][1:], strict=True):
        written, equals, value = before[start].partition("=")
        values = [value] if equals else []
        yield written, written[2:].replace("-", "_"), [*values, *before[start + 1 : end]]


def _names(flags: Sequence[Flag], *, pairs: bool) -> set[str]:
    names = {flag.written().split()[0][2:] for flag in flags}
    if not pairs:
        return names
    parts = (flag.name.rpartition(".") for flag in flags if flag.type is bool)
    return names | {f"{section}{dot}{no}{name}" for section, dot, name in parts for no in ("", "no_")}


def _nearest(name: str, names: set[str]) -> list[str]:
    """Known names that were probably meant: of sections those that end alike, else the most similar one."""
    alike = sorted(other for other in names if other.rpartition(".")[2] == name)
    return alike or difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)


def _refuse_values(flag: Flag, written: str, values: Sequence[str]) -> None:
    """Raise unless the words behind a flag are values of its kind; any further ones are the parser's business."""
    if get_origin(flag.type) is tuple:
        hint, own = get_args(flag.type)[0], values
    else:
        hint, own = flag.type, values[:1]
        if not own:
            raise OptionError("a value is missing", where=written, todo=f"give {flag.written()}")
    for value in own:
        checked(_read(value, hint), hint, written)


def _read(text: str, hint: Any) -> Any:
    """A word as the parser reads it: a number where one is meant, None where that is possible."""
    choices = get_args(hint) or (hint,)
    if text == "None" and type(None) in choices:
        return None
    for kind in (int, float):
        if kind in choices:
            with contextlib.suppress(ValueError):
                return kind(text)
    return text
