"""One interface for every form of source, and the choice of the reader for a path."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from bistill.data.read.jsonl import ENDINGS
from bistill.data.read.lines import TEXT_ENDING, LineReader
from bistill.data.read.spreadsheet import SpreadsheetReader, is_spreadsheet
from bistill.data.records import Row
from bistill.data.settings import ReadAlone, RowReading
from bistill.errors import DataError, RowError


class RowReader(Protocol):
    """Rows of one file or split, streamed.

    Attributes:
        file: the source as messages name it.
        notes: what was noticed on the way ("read as cp949", columns not read); complete after ``rows`` has ended.
    """

    file: Path
    notes: list[str]

    def rows(self) -> Iterator[Row | RowError]:
        """Every row in order; a bad row is yielded as its error, so that the policy is decided by the caller.

        Raises:
            DataError: the source as a whole cannot be read.
        """
        ...


CSV: Final = "bistill.data.read.csv_reader:CsvReader"
SPREADSHEET: Final = "bistill.data.read.spreadsheet:SpreadsheetReader"
# How names end, and what reads such files: ``module:class``, a ``RowReader`` that is made of the arguments of
# ``open_file``. The first that fits is taken. A new format is a file and a line here.
FORMATS: Final = {
    ".csv": CSV,
    ".tsv": CSV,
    **dict.fromkeys(ENDINGS, "bistill.data.read.jsonl:JsonlReader"),
    ".parquet": "bistill.data.read.parquet:ParquetReader",
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods"), SPREADSHEET),
}
# How files begin that are no text, whatever their names say.
FOREIGN: Final = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip", b"%PDF": "PDF", b"SQLite format 3": "SQLite"}
# No name of a column begins like an object, or like an array of objects, arrays or texts.
JSON: Final = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*[{\["]|\{\s*")')


def ending_of(file: Path) -> str | None:
    """The end of a file's name that tells its format; None where the format is unknown."""
    return next((ending for ending in FORMATS if file.name.lower().endswith(ending)), None)


def open_file(file: Path, reading: RowReading, *, only: ReadAlone | None = None) -> RowReader:
    """The reader of a single file, by the end of its name.

    Args:
        file: path.
        reading: how rows are understood.
        only: what is read alone, as the documents of the rows; None: whole rows. Documents are also found in labelled
            rows, where the cells around them are checked, too. A .txt file, with a text on each line, can only be read
            so.

    Raises:
        DataError: the file is missing or its format unknown.
    """
    if file.is_dir():
        raise DataError("a folder where a file is expected", where=str(file), todo="bring it in with `bistill prepare`")
    if not file.exists():
        raise DataError("the file does not exist", where=str(file), todo="check the path")
    if only is not None and file.name.lower().endswith(TEXT_ENDING):
        return LineReader(file, reading, only=only)
    if ending := ending_of(file):
        name = FORMATS[ending]
        if name == CSV:
            if is_spreadsheet(file):
                return SpreadsheetReader(file, reading, only=only)
            _refuse_foreign(file)
        reader: RowReader = pkgutil.resolve_name(name)(file, reading, only=only)
        return reader
    raise DataError(
        "the format is not recognised by the end of the file's name",
        where=str(file),
        found=file.suffix,
        todo=f"name the file with one of {', '.join(FORMATS)}",
    )


def _refuse_foreign(file: Path) -> None:
    with file.open("rb") as raw:
        start = raw.read(16)
    for mark, name in FOREIGN.items():
        if start.startswith(mark):
            raise DataError(
                f"the file is not text, but {name}", where=str(file), found=start, todo="give its name the right ending"
            )
    if JSON.match(start):
        raise DataError("the file is not CSV, but JSON", where=str(file), found=start, todo="name it .jsonl or .json")
