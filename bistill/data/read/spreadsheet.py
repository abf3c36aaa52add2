"""Spreadsheets (.xlsx, .xls, .ods), read by python-calamine, an optional extra."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bistill.data.read.csv_records import TableRow
from bistill.data.read.reader import FileReader
from bistill.data.read.table import Table, table_rows
from bistill.data.records import Row
from bistill.errors import DataError, RowError

ZIP: Final = b"PK\x03\x04"
OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class SpreadsheetReader(FileReader):
    """Rows of the first sheet that is not empty. The header is its first row with a value; rows are numbered as shown.

    The library holds the sheet in memory: a sheet has at most 1,048,576 rows.
    """

    def rows(self) -> Iterator[Row | RowError]:
        """Every row, or what is wrong with it.

        Raises:
            DataError: python-calamine is not installed; the file is missing or empty, is no spreadsheet, or its
                columns are not recognised.
        """
        self.notes.clear()
        yield from table_rows(Table(self.file, self._records(), self.notes), self.reading, self.only)

    def _records(self) -> Iterator[TableRow]:
        calamine = _library(self.file)
        try:
            with calamine.CalamineWorkbook.from_path(str(self.file)) as book:
                names = book.sheet_names
                shown = (book.get_sheet_by_name(name) for name in _with_cells(book, calamine))
                sheet = next((sheet for sheet in shown if sheet.start is not None), None)
                if sheet is None:
                    return
                of = f" of {len(names)}: {', '.join(map(repr, names))}" if len(names) > 1 else ""
                self.notes.append(f"read as a spreadsheet, sheet {sheet.name!r}{of}")
                for number, values in enumerate(sheet.iter_rows(), start=1):
                    if number > sheet.start[0]:
                        yield TableRow(number, [_text(value) for value in values])
        except (calamine.CalamineError, OSError) as error:
            what = (
                "the file is protected by a password"
                if isinstance(error, calamine.PasswordError)
                else (
                    f"the file begins as a spreadsheet (Excel) or zip archive does, but cannot be read as one ({error})"
                    if is_spreadsheet(self.file)
                    else f"the file is no spreadsheet ({error})"
                )
            )
            raise DataError(what, where=str(self.file), todo="save it as CSV UTF-8, and name it .csv") from None


def is_spreadsheet(file: Path) -> bool:
    """Whether a file begins as spreadsheets do, whatever its name is."""
    with file.open("rb") as raw:
        return raw.read(8).startswith((ZIP, OLE))


def _library(file: Path) -> Any:
    try:
        import python_calamine
    except ImportError:
        raise DataError(
            "a spreadsheet (Excel), for which the library python-calamine is needed",
            where=str(file),
            todo="pip install 'bistill[excel]', or pip install python-calamine; or save the file as CSV UTF-8",
        ) from None
    return python_calamine


def _with_cells(book: Any, calamine: Any) -> list[str]:
    """Names of the sheets that are shown and have cells, unlike a chart."""
    kind = (calamine.SheetTypeEnum.WorkSheet, calamine.SheetVisibleEnum.Visible)
    return [str(sheet.name) for sheet in book.sheets_metadata if (sheet.typ, sheet.visible) == kind]


def _text(value: Any) -> Any:
    """A cell as it would stand in a CSV file; a date stays what it is, since its text depends on the cell's format."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value) if isinstance(value, int) else value
