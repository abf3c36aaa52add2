"""The tree of what can go wrong for a user.

Every error says what is wrong, where, what was found there and what to do about it. All of them are
``ValueError``s, so a program that uses bistill as a library needs no import to catch them. Broken invariants of our
own are ``assert``s and never pass through here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Told(str):
    """What was found, told in words of ours: shown without quotes, since nobody wrote it so."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class BistillError(ValueError):
    """Root of the tree.

    Args:
        what: the fact in one sentence, without a final full stop.
        where: file, row, column, option or sample id that the fact is about.
        found: the offending value, shown as Python would (cut at 120 characters), or ``Told`` about it.
        todo: the next action of the user.
    """

    def __init__(self, what: str, *, where: str = "", found: object = None, todo: str = "") -> None:
        self.what, self.where, self.found, self.todo = what, where, found, todo
        super().__init__(self.message())

    def __reduce__(self) -> tuple[Any, ...]:
        """As another process gets it: classes of the tree take other arguments than ``Exception`` keeps."""
        return _again, (type(self), self.args, dict(self.__dict__))

    def message(self) -> str:
        """The whole text: the fact on the first line, what was found and what to do indented below it."""
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.found is not None:
            lines.append(f"  found: {shown(self.found)}")
        if self.todo:
            lines.append(f"  do: {self.todo}")
        return "\n".join(lines)


class OptionError(BistillError):
    """An option has a value outside its range, is unknown, or contradicts another."""


class DataError(BistillError):
    """Input data cannot be used: a file is missing or empty, or its columns are not recognised."""


class EmptyFileError(DataError):
    """A file of rows has none."""


class RowError(DataError):
    """One row of a file is wrong.

    Args:
        file: the file as the user named it.
        row: record number as a spreadsheet shows it: the header of a CSV file is row 1.
        column: name of the column, or "" where the whole row is meant.
    """

    def __init__(
        self, what: str, *, file: str | Path, row: int, column: str = "", found: object = None, todo: str = ""
    ) -> None:
        self.file, self.row, self.column = str(file), row, column
        where = f"{file}, row {row}" + (f", column {column!r}" if column else "")
        super().__init__(what, where=where, found=found, todo=todo)


class ModelError(BistillError):
    """A model directory or hub name cannot be loaded, or does not hold what it should."""


class TrainingError(BistillError):
    """A training run cannot go on: its loss or gradient is NaN or infinite."""


class MemoryShortageError(TrainingError):
    """A training run cannot go on: one text alone does not fit into memory."""


class ProcessError(BistillError):
    """A process of a run of several is gone, does not answer, or cannot do its part."""


class SetAsideError(ProcessError):
    """Workers failed at some blocks of work again and again; all others are done."""


class ArtifactError(BistillError):
    """A file that bistill wrote earlier is missing, torn or of another version."""


def _again(kind: type[BistillError], arguments: tuple[Any, ...], fields: dict[str, Any]) -> BistillError:
    """An error of the tree, from what it holds."""
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(fields)
    return error


def shown(value: object, limit: int = 120) -> str:
    """``repr`` of a value, cut in the middle to ``limit`` characters so that both ends can be recognised."""
    text = repr(value)
    if len(text) <= limit:
        return text
    half = (limit - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"
