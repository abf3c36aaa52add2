"""JSONL files, plain or gzipped: one object per line, by the names of its keys."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from bistill.config import TextKind
from bistill.data.columns import RESOLVERS, ColumnMap, role_of
from bistill.data.records import Row
from bistill.data.validation import EDIT, ReadingOptions, refuse_bad_characters, row_from_cells
from bistill.errors import DataError, EmptyFileError, RowError


class JsonlReader:
    """Rows of a JSONL file. The first line is row 1."""

    def __init__(self, file: Path, reading: ReadingOptions, *, only: TextKind | None = None) -> None:
        self.file = file
        self.reading = reading
        self.notes: list[str] = []
        self.only = only

    def rows(self) -> Iterator[Row | RowError]:
        """Every line's row, or what is wrong with it.

        Raises:
            DataError: the file is missing, empty, cut, or its keys are not recognised.
        """
        self.notes.clear()
        rows = ObjectRows(self.file, self.reading, self.notes, only=self.only)
        any_line = False
        for outcome in objects(self.file):
            any_line = True
            yield outcome if isinstance(outcome, RowError) else rows.row(*outcome)
        if not any_line:
            raise EmptyFileError("an empty file", where=str(self.file), todo="write one JSON object per line")


class ObjectRows:
    """Rows from mappings of names to values; the first mapping's names are the header.

    Args:
        file: the source as messages name it.
        reading: how columns and labels are understood.
        notes: where names that are not read are noted.
        header: the names, where they are known before the first row.
        only: the kind of texts that is read alone; None: whole rows.
    """

    def __init__(
        self,
        file: Path,
        reading: ReadingOptions,
        notes: list[str],
        *,
        header: Sequence[str] | None = None,
        only: TextKind | None = None,
    ) -> None:
        self.file, self.reading, self.notes = file, reading, notes
        self.only = only
        self.columns: ColumnMap | None = None
        self.known: set[str] = set()
        if header is not None:
            self._resolve(header)

    def row(self, number: int, cells: Mapping[str, Any]) -> Row | RowError:
        """The checked row of a mapping, or what is wrong with it."""
        if self.columns is None:
            self._resolve(list(cells))
        assert self.columns is not None
        try:
            for name in cells.keys() - self.known:
                if role_of(name) is not None:
                    raise RowError(
                        "an extra field, which the first row does not have",
                        file=self.file,
                        row=number,
                        column=name,
                        found=cells[name],
                        todo="give every row the same fields, or set bad rows aside with --on_bad_rows skip",
                    )
            return row_from_cells(cells, self.columns, self.reading, file=self.file, number=number)
        except RowError as error:
            return error

    def _resolve(self, header: Sequence[str]) -> None:
        self.columns = RESOLVERS[self.only](header, self.file, self.reading.columns)
        self.known = set(header)
        if self.columns.ignored:
            self.notes.append("columns not read: " + ", ".join(repr(name) for name in self.columns.ignored))


def objects(file: Path) -> Iterator[tuple[int, dict[str, Any]] | RowError]:
    """Line number and object of every line, or what is wrong with it; blank lines at the end are no rows.

    Raises:
        DataError: the file is missing, or its gzip stream is damaged.
    """
    blank: list[int] = []
    try:
        with _opened(file) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    blank.append(number)
                    continue
                for empty in blank:
                    yield RowError("the row is empty", file=file, row=empty, found="", todo=EDIT)
                blank.clear()
                try:
                    yield number, _parsed(line, file, number)
                except RowError as error:
                    yield error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"the gzip file is cut or damaged ({error})", where=str(file), todo="copy it again") from None
    except (FileNotFoundError, IsADirectoryError):
        raise DataError("the file does not exist", where=str(file), todo="check the path") from None


def _opened(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file, "rb")) if file.name.lower().endswith(".gz") else file.open("rb")


def _parsed(line: bytes, file: Path, number: int) -> dict[str, Any]:
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")
    text = line.decode("utf-8", "surrogateescape")
    try:
        value = json.loads(text, object_pairs_hook=_without_repetition)
    except (json.JSONDecodeError, _RepeatedKeyError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        at = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise RowError(f"the line is not JSON: {reason}{at}", file=file, row=number, found=text, todo=EDIT) from None
    if not isinstance(value, dict):
        raise RowError("the line is not a JSON object", file=file, row=number, found=value, todo=EDIT)
    for name, cell in value.items():
        if isinstance(cell, str):
            refuse_bad_characters(cell, file=file, row=number, column=name)
    return value


class _RepeatedKeyError(ValueError):
    pass


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _RepeatedKeyError(f"a key occurs twice among {[name for name, _ in pairs]}")
    return value
