"""CSV files, strictly: a row that does not have exactly the header's fields is an error with its row and column."""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from bistill.config import TextKind
from bistill.data.columns import RESOLVERS, ColumnMap
from bistill.data.records import Row
from bistill.data.validation import EDIT, SURROGATE, ReadingOptions, refuse_bad_characters, row_from_cells
from bistill.errors import DataError, EmptyFileError, RowError

LONGEST_FIELD: Final = 1 << 24
CHUNK_BYTES: Final = 1 << 20
HANGUL: Final = re.compile("[가-힣]")
NOT_ASCII: Final = re.compile("[^\x00-\x7f]")


class CsvReader:
    """Rows of a CSV (or, ending in .tsv, tab-separated) file. The header is row 1."""

    def __init__(self, file: Path, reading: ReadingOptions, *, only: TextKind | None = None) -> None:
        self.file = file
        self.reading = reading
        self.notes: list[str] = []
        self.only = only
        self.delimiter = "\t" if file.suffix.lower() == ".tsv" else ","

    def rows(self) -> Iterator[Row | RowError]:
        """Every row, or what is wrong with it.

        Raises:
            DataError: the file is missing, empty, UTF-16, or its columns are not recognised.
        """
        self.notes.clear()
        encoding = detect_encoding(self.file)
        if encoding == "cp949":
            self.notes.append("read as cp949 (Korean Windows), not UTF-8")
        with self.file.open(encoding=encoding, errors="surrogateescape", newline="") as text:
            lines = _Lines(text)
            header, columns = self._header(lines)
            empty_negatives = 0
            for outcome in self._records(lines, header):
                if isinstance(outcome, RowError):
                    yield outcome
                    continue
                number, fields = outcome
                cells = dict(zip(header, fields, strict=True))
                try:
                    for name in columns.ignored:
                        refuse_bad_characters(cells[name], file=self.file, row=number, column=name)
                    yield row_from_cells(cells, columns, self.reading, file=self.file, number=number)
                except RowError as error:
                    yield error
                else:
                    empty_negatives += sum(not cells[name].strip() for name in columns.negatives[1:])
        if empty_negatives:
            self.notes.append(f"{empty_negatives} empty cells of further negative columns: read as no negative")

    def _header(self, lines: _Lines) -> tuple[list[str], ColumnMap]:
        reader = self._parser(lines)
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise DataError(f"the header cannot be read ({error})", where=f"{self.file}, row 1", todo=EDIT) from None
        if not header:
            todo = "write the names of the columns in the first row and the data below it"
            if lines.count == 0:
                raise EmptyFileError("an empty file", where=str(self.file), todo=todo)
            raise DataError("the first row, which must name the columns, is empty", where=str(self.file), todo=todo)
        for name in header:
            refuse_bad_characters(name, file=self.file, row=1, column=name)
        columns = RESOLVERS[self.only](header, self.file, self.reading.columns)
        if columns.ignored:
            self.notes.append("columns not read: " + ", ".join(repr(name) for name in columns.ignored))
        lines.forget()
        return header, columns

    def _records(self, lines: _Lines, header: list[str]) -> Iterator[tuple[int, list[str]] | RowError]:
        """Number and fields of each record; where quotes are broken, reading goes on with the next physical line."""
        number = 1
        blank: list[int] = []
        reader = self._parser(lines)
        while True:
            try:
                fields = next(reader, None)
            except csv.Error as error:
                fields = []
                number += 1
                yield self._broken_quotes(error, lines, header, number)
                lines.again_from_second()
                reader = self._parser(lines)
                continue
            if fields is None:
                return
            number += 1
            if not fields:
                blank.append(number)  # blank lines at the very end are no rows
            else:
                for empty in blank:
                    yield RowError("the row is empty", file=self.file, row=empty, found="", todo=EDIT)
                blank.clear()
                yield (
                    (number, fields) if len(fields) == len(header) else self._wrong_count(fields, lines, header, number)
                )
            lines.forget()

    def _parser(self, lines: _Lines) -> Iterator[list[str]]:
        csv.field_size_limit(LONGEST_FIELD)
        return csv.reader(lines, delimiter=self.delimiter, strict=True)

    def _wrong_count(self, fields: list[str], lines: _Lines, header: list[str], number: int) -> RowError:
        span = f" (lines {lines.first} to {lines.last} of the file)" if lines.last > lines.first else ""
        if len(fields) > len(header):
            return RowError(
                f"an extra field: {len(fields)} fields where the header has {len(header)}{span}",
                file=self.file,
                row=number,
                column=f"after {header[-1]}",
                found=fields[len(header)],
                todo="put text that contains the separator in double quotes, or set bad rows aside with "
                "--on_bad_rows skip",
            )
        return RowError(
            f"a short row: {len(fields)} fields where the header has {len(header)}{span}",
            file=self.file,
            row=number,
            column=header[len(fields)],
            found=fields,
            todo=EDIT,
        )

    def _broken_quotes(self, error: csv.Error, lines: _Lines, header: list[str], number: int) -> RowError:
        index, text = _broken_field("".join(lines.kept), self.delimiter)
        column = header[index] if index < len(header) else f"after {header[-1]}"
        if "field limit" in str(error):
            what = f"a field longer than {LONGEST_FIELD:,} characters, or an open quote"
        elif "unexpected end" in str(error) or lines.last > lines.first:
            what = "an open quote: no closing double quote ends the field"
        else:
            what = "text follows the closing double quote of a field"
        return RowError(
            f"{what} (line {lines.first} of the file)",
            file=self.file,
            row=number,
            column=column,
            found=text,
            todo='close the quote, or write a double quote inside a quoted field twice (""); or set bad rows aside '
            "with --on_bad_rows skip",
        )


class _Lines:
    """Physical lines of a text file for the csv module, keeping those of the current record."""

    def __init__(self, text: TextIO) -> None:
        self.text = text
        self.kept: list[str] = []
        self.waiting: deque[str] = deque()
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.waiting.popleft() if self.waiting else next(self.text)
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


def detect_encoding(file: Path) -> str:
    """Encoding of a text file by its content: "utf-8-sig" (with or without byte order mark) or "cp949".

    cp949 is chosen only where the whole file is valid cp949 with Hangul in it and most of its bytes beyond ASCII are
    not UTF-8; a UTF-8 file with a few broken bytes stays UTF-8, so that these are reported.

    Raises:
        DataError: the file is missing or UTF-16.
    """
    try:
        with file.open("rb") as raw:
            start = raw.read(2)
    except (FileNotFoundError, IsADirectoryError):
        raise DataError("the file does not exist", where=str(file), todo="check the path") from None
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise DataError("the file is UTF-16", where=str(file), found=start, todo="save it as UTF-8")
    try:
        for _ in _decoded(file, "utf-8", "strict"):
            pass
    except UnicodeDecodeError:
        return "cp949" if _is_cp949(file) else "utf-8-sig"
    return "utf-8-sig"


def _is_cp949(file: Path) -> bool:
    valid = broken = hangul = 0
    for text in _decoded(file, "utf-8", "surrogateescape"):
        bad = len(SURROGATE.findall(text))
        broken += bad
        valid += len(NOT_ASCII.findall(text)) - bad
    if broken <= valid:
        return False
    try:
        for text in _decoded(file, "cp949", "strict"):
            hangul += len(HANGUL.findall(text))
    except UnicodeDecodeError:
        return False
    return hangul > 0


def _decoded(file: Path, encoding: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with file.open("rb") as raw:
        while chunk := raw.read(CHUNK_BYTES):
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _broken_field(text: str, delimiter: str) -> tuple[int, str]:
    """Index of the field at which reading broke (quotes, or too long), and its text (at most a line)."""
    index, at, begin = 0, 0, 0
    while at < len(text):
        if at == begin and text[at] == '"':
            at += 1
            while at < len(text) and (text[at] != '"' or text[at + 1 : at + 2] == '"'):
                at += 2 if text[at] == '"' else 1
            at += 1
            if at >= len(text) or text[at] not in (delimiter, "\r", "\n"):
                break
        if text[at] == delimiter:
            index, begin = index + 1, at + 1
        elif at - begin >= LONGEST_FIELD:
            break
        at += 1
    return index, text[begin:].splitlines()[0] if text[begin:] else ""
