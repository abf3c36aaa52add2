"""CSV files, strictly: a row that does not have exactly the header's fields is an error with its row and column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bistill.data.read.column_names import role_of, visible_name
from bistill.data.read.csv_records import records
from bistill.data.read.dialect import detect_dialect
from bistill.data.read.encoding import detect_encoding, open_text
from bistill.data.read.reader import FileReader
from bistill.data.read.table import Table, table_rows
from bistill.data.records import Row
from bistill.data.settings import Columns
from bistill.errors import RowError

USUAL_SEPARATOR: Final = {".tsv": "\t"}


class CsvReader(FileReader):
    """Rows of a CSV (or, ending in .tsv, tab-separated) file. The header is row 1."""

    def rows(self) -> Iterator[Row | RowError]:
        """Every row, or what is wrong with it.

        Raises:
            DataError: the file is missing or empty, or its columns are not recognised.
        """
        self.notes.clear()
        with open_table(self.file, known_names(self.reading.columns), self.notes) as table:
            yield from table_rows(table, self.reading, self.only)


@contextmanager
def open_table(file: Path, known: Callable[[str], bool], notes: list[str]) -> Iterator[Table]:
    """The header and rows of a CSV or tab-separated file, its encoding and dialect found by its content.

    Args:
        file: the file.
        known: whether a name is one of a column, by which the separator is found.
        notes: where it is noted what was found.

    Raises:
        DataError: the file is missing or empty, or its header cannot be read.
        RowError: the header cannot be decoded.
    """
    encoding = detect_encoding(file)
    if encoding.note:
        notes.append(encoding.note)
    usual = USUAL_SEPARATOR.get(file.suffix.lower(), ",")
    dialect = detect_dialect(file, encoding, known, usual)
    notes.extend(dialect.notes(usual))
    with open_text(file, encoding, newline="") as text:
        yield Table(file, records(text, dialect, file), notes, encoding=encoding)


def known_names(overrides: Columns) -> Callable[[str], bool]:
    """Whether a name is recognised, or given by the user."""
    single = (overrides.query, overrides.positive, overrides.passage, overrides.label)
    given = {visible_name(name) for name in (*single, *overrides.negatives) if name is not None}
    return lambda name: role_of(name) is not None or visible_name(name) in given
