"""Records of a CSV file: physical lines put together, and where quotes are broken, read on with the next line."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from bistill.data.read.dialect import LONGEST_TEXT, Dialect
from bistill.errors import DataError, RowError

ENCLOSED: Final = re.compile(r'"(?:[^"]++|"")*+"?')


class TableRow(NamedTuple):
    """Values of one row.

    Attributes:
        number: the row's number as a spreadsheet shows it: the header is row 1.
        fields: its values; of a CSV file all are texts.
        lines: where it stands in the file (" (lines 3 to 4 of the file)"), "" for one line.
    """

    number: int
    fields: list[Any]
    lines: str = ""


def records(text: TextIO, dialect: Dialect, file: Path) -> Iterator[TableRow | RowError]:
    """The header, then every record of a file, or what is wrong with it; a blank line is a record without fields.

    Raises:
        DataError: the header cannot be read.
    """
    lines = _Lines(text, dialect)
    if dialect.separator_line:
        next(lines, None)
        lines.forget()
    reader = dialect.parser(lines)
    header: list[str] | None = None
    number = 0
    while True:
        number += 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if header is None:
                raise _bad_header(error, file) from None
            yield _broken(error, lines, header, dialect, file, number)
            lines.again_from_second()
            reader = dialect.parser(lines)
            continue
        if fields is None:
            return
        header = fields if header is None else header
        span = f" (lines {lines.first} to {lines.last} of the file)" if lines.last > lines.first else ""
        yield TableRow(number, fields, span)
        lines.forget()


class _Lines:
    """Physical lines of a text file for the csv module, keeping those of the current record."""

    def __init__(self, text: TextIO, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self.kept: list[str] = []
        self.waiting: deque[str] = deque()
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.waiting.popleft() if self.waiting else self.dialect.unescaped(next(self.text))
        if not self.kept and line.startswith('\ufeff"'):  # the byte order mark of a file that was joined to another
            line = line[1:]
        self.count += 1
        self.kept.append(line)
        return line

    @property
    def first(self) -> int:
        """Number of the physical line where the current record begins."""
        return self.count - len(self.kept) + 1

    @property
    def last(self) -> int:
        """Number of the physical line where the current record ends."""
        return self.count

    def forget(self) -> None:
        """The current record has ended well."""
        self.kept.clear()

    def again_from_second(self) -> None:
        """Give the lines after the first of the current record once more: they belong to other records."""
        self.waiting.extendleft(reversed(self.kept[1:]))
        self.count -= len(self.kept) - 1
        self.kept.clear()


def _bad_header(error: csv.Error, file: Path) -> DataError:
    return DataError(
        f"the header cannot be read ({error})", where=f"{file}, row 1", todo="correct the names of the columns"
    )


def _broken(error: csv.Error, lines: _Lines, header: list[str], dialect: Dialect, file: Path, number: int) -> RowError:
    index, text = _broken_field("".join(lines.kept), dialect.delimiter)
    column = header[index] if index < len(header) else f"after {header[-1]}"
    if "field limit" in str(error):
        what = f"a field longer than {LONGEST_TEXT:,} characters, or an open quote"
    elif "unexpected end" in str(error) or lines.last > lines.first:
        what = "an open quote: no closing double quote ends the field"
    else:
        what = "text follows the closing double quote of a field"
    return RowError(
        f"{what} (line {lines.first} of the file)",
        file=file,
        row=number,
        column=column,
        found=text,
        todo='close the quote, or write a double quote inside a quoted field twice (""); or set bad rows aside '
        "with `on_bad_rows` skip",
    )


def _broken_field(text: str, delimiter: str) -> tuple[int, str]:
    """Index of the field at which reading broke (quotes, or too long), and its text (at most a line)."""
    index = begin = 0
    while True:
        if enclosed := ENCLOSED.match(text, begin):
            end = enclosed.end()
        else:
            end = text.find(delimiter, begin)
            end = len(text) if end < 0 else end
        if end - begin > LONGEST_TEXT or text[end : end + 1] != delimiter:
            line = text[begin : begin + 1000].splitlines()
            return index, line[0] if line else ""
        index, begin = index + 1, end + 1
