"""How the fields of a delimited text file are separated and quoted, found by its content.

The csv module's own sniffer guesses from the frequency of characters. Here every answer has a reason that can be said:
a line ``sep=``, names of columns that are recognised with one separator only, rows that are whole in one way only.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistill.data.read.encoding import TextEncoding, open_text

# The longest text in characters: of a field of a CSV file, and so of a text in any other format, since `bistill
# prepare` writes CSV files and reads them again.
LONGEST_TEXT: Final = 1 << 24
SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SEPARATOR_LINE: Final = re.compile('\ufeff?"?sep=(?P<separator>[^\r\n])"?[\r\n]*', re.IGNORECASE)
ESCAPED: Final = re.compile(r'\\(["\\])')


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        delimiter: what separates fields.
        quoted: whether double quotes enclose fields; else they are part of the text.
        backslash: whether a backslash stands before a double quote inside a field, and before a backslash.
        separator_line: whether a line ``sep=;`` stands above the header.
    """

    delimiter: str
    quoted: bool = True
    backslash: bool = False
    separator_line: bool = False

    def notes(self, usual: str) -> list[str]:
        """What is to be said of it, where the usual separator is another."""
        found = []
        if self.separator_line or self.delimiter != usual:
            name = SEPARATORS.get(self.delimiter, repr(self.delimiter))
            line = ", as its first line says" if self.separator_line else ""
            found.append(f"columns are separated by {name}{line}")
        if not self.quoted:
            found.append("read without quoting: double quotes are part of the texts")
        if self.backslash:
            found.append("backslashes before double quotes are read as the quotes alone")
        return found

    def unescaped(self, line: str) -> str:
        """A line as it would be written with doubled quotes."""
        if not self.backslash or "\\" not in line:
            return line
        return ESCAPED.sub(lambda match: '""' if match[1] == '"' else "\\", line)

    def parser(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """Fields of each record of lines; strict."""
        csv.field_size_limit(LONGEST_TEXT)
        quoting = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        return csv.reader(lines, delimiter=self.delimiter, strict=True, quoting=quoting)  # type: ignore[arg-type]


def detect_dialect(file: Path, encoding: TextEncoding, known: Callable[[str], bool], usual: str) -> Dialect:
    """The dialect of a file, in flat memory.

    Args:
        file: the file.
        encoding: of its text.
        known: whether a name of the header is the name of a column.
        usual: the separator that the end of the file's name stands for.
    """
    with open_text(file, encoding, newline="") as lines:
        first = lines.readline()
        if named := SEPARATOR_LINE.fullmatch(first):
            delimiter, header = named["separator"], lines.readline()
        else:
            delimiter, header = _delimiter(first, known, usual), first
        found = Dialect(delimiter, separator_line=named is not None)
        columns = len(_fields(header, found) or ())
        quoted, backslash = _quoting(lines, found, columns)
    return Dialect(delimiter, quoted=quoted, backslash=backslash, separator_line=found.separator_line)


def _delimiter(header: str, known: Callable[[str], bool], usual: str) -> str:
    """The separator with which most names are known, the usual one where none is better."""

    def recognised(delimiter: str) -> int:
        return sum(map(known, _fields(header, Dialect(delimiter)) or ()))

    return max((usual, *SEPARATORS), key=recognised)


def _quoting(lines: Iterator[str], dialect: Dialect, columns: int) -> tuple[bool, bool]:
    """Whether double quotes enclose fields, and whether backslashes stand before those inside of them.

    Counted are lines that are one whole row in one way of reading and none in the other: a line of a text of several
    lines is whole in neither.
    """
    escaped = Dialect(dialect.delimiter, backslash=True)
    bare = enclosed = by_backslash = by_doubling = 0
    for line in lines:
        if '"' not in line:
            continue
        whole = len(_fields(line, dialect) or ()) == columns
        if dialect.delimiter == "\t" and columns > 1:
            separate = line.count("\t") + 1 == columns
            bare += separate and not whole
            enclosed += not separate
        if '\\"' in line:
            other = len(_fields(line, escaped) or ()) == columns
            by_backslash += other and not whole
            by_doubling += whole and not other
    if bare > max(enclosed, by_backslash):
        return False, False
    return True, by_backslash > by_doubling


def _fields(line: str, dialect: Dialect) -> list[str] | None:
    """Fields of one line; None where it is no whole record."""
    try:
        return next(dialect.parser(iter([dialect.unescaped(line)])), None)
    except csv.Error:
        return None
