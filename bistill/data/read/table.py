"""What stands below a header: cells by name, and rows; the same for CSV files and spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bistill.data.queries.same_text import is_blank
from bistill.data.read.alone import RESOLVERS
from bistill.data.read.column_names import role_of, visible_name
from bistill.data.read.columns import ColumnMap
from bistill.data.read.csv_records import TableRow
from bistill.data.read.encoding import UTF8, TextEncoding
from bistill.data.read.list_cells import ListCells, read_lists
from bistill.data.read.row_cells import row_from_cells
from bistill.data.read.structured import plain, without_nothing
from bistill.data.read.validation import ASIDE, EDIT, refuse_bad_characters
from bistill.data.records import Row
from bistill.data.settings import ReadAlone, RowReading
from bistill.errors import DataError, EmptyFileError, RowError

# A cell that is longer is no name of a column, and is not compared with names.
LONGEST_NAME: Final = 100


class Table:
    """Cells of the records below a header, by the names of their columns.

    A column without a name is not read: at the left it is the index that pandas writes, at the right the empty columns
    that spreadsheets write, where a value is an error.

    Args:
        file: the source as messages name it.
        records: header and rows; row numbers rise by one.
        notes: where it is noted what was passed over.
        encoding: of the file.

    Attributes:
        header: all names, as the file has them.
        names: those that are not blank.

    Raises:
        DataError: there is no header, or it has only blank names.
        RowError: a name cannot be decoded.
    """

    def __init__(
        self, file: Path, records: Iterator[TableRow | RowError], notes: list[str], *, encoding: TextEncoding = UTF8
    ) -> None:
        self.file, self.notes, self.encoding = file, notes, encoding
        self._records = records
        self.header = self._header()
        self.names = [name for name in self.header if not is_blank(name)]
        self._places = [place for place, name in enumerate(self.header) if not is_blank(name)]
        self._width = self._places[-1] + 1
        if unread := len(self.header) - len(self.names):
            notes.append(f"columns without a name, not read: {unread}")

    def cells(self) -> Iterator[tuple[int, dict[str, Any]] | RowError]:
        """Row number and cells by name of every row, or what is wrong with it; complete notes come after the last.

        Raises:
            DataError: a second header has the columns in another order.
        """
        blank = range(0)  # rows without a value: at the very end they are no rows
        repeated: list[int] = []
        for record in self._records:
            if isinstance(record, RowError):
                yield from self._empty(blank)
                blank = range(0)
                yield record
            elif all(map(_is_empty, record.fields)):
                blank = range(blank.start or record.number, record.number + 1)
            else:
                yield from self._empty(blank)
                blank = range(0)
                if self._is_header(record):
                    repeated.append(record.number)
                else:
                    yield self._checked(record)
        if repeated:
            rows = ", ".join(map(str, repeated[:3])) + (", ..." if len(repeated) > 3 else "")
            self.notes.append(f"the header stands again in row {rows}: passed over (files joined to one?)")

    def _header(self) -> list[str]:
        record = next(self._records, None)
        todo = "write the names of the columns in the first row and the data below it"
        if record is None:
            raise EmptyFileError("an empty file", where=str(self.file), todo=todo)
        assert isinstance(record, TableRow)
        if all(map(_is_empty, record.fields)):
            raise DataError("the first row, which must name the columns, is empty", where=str(self.file), todo=todo)
        names = ["" if field is None else str(field) for field in record.fields]
        for name in names:
            refuse_bad_characters(name, file=self.file, row=record.number, column=name, encoding=self.encoding)
        return names

    def _checked(self, record: TableRow) -> tuple[int, dict[str, Any]] | RowError:
        number, fields, lines = record
        if len(fields) < self._width:
            return RowError(
                f"a short row: {len(fields)} fields where the header has {len(self.header)}{lines}",
                file=self.file,
                row=number,
                column=self.header[len(fields)],
                found=fields,
                todo=EDIT,
            )
        for place in range(self._width, len(fields)):
            if not _is_empty(fields[place]):
                return self._beyond(record, place)
        try:
            for place, name in zip(self._places, self.names, strict=True):
                if isinstance(fields[place], str):
                    refuse_bad_characters(
                        fields[place], file=self.file, row=number, column=name, encoding=self.encoding
                    )
        except RowError as error:
            return error
        return number, {name: fields[place] for place, name in zip(self._places, self.names, strict=True)}

    def _beyond(self, record: TableRow, place: int) -> RowError:
        what = "a value in a column without a name"
        if place >= len(self.header):
            what = f"an extra field: {len(record.fields)} fields where the header has {len(self.header)}{record.lines}"
        return RowError(
            what,
            file=self.file,
            row=record.number,
            column=f"after {self.names[-1]}",
            found=record.fields[place],
            todo=f"put text that contains the separator in double quotes, name the column, or {ASIDE}",
        )

    def _empty(self, rows: range) -> Iterator[RowError]:
        for number in rows:
            yield RowError("the row is empty", file=self.file, row=number, found="", todo=EDIT)

    def _is_header(self, record: TableRow) -> bool:
        """Whether a row repeats the header, as where files were joined to one.

        In a file of one column a word such as "passage" may be a text: there only a byte order mark tells.
        """
        fields = record.fields
        longest = max(LONGEST_NAME, *map(len, self.header))
        if not all(isinstance(field, str) and len(field) <= longest for field in fields):
            return False
        if [visible_name(field) for field in fields] == [visible_name(name) for name in self.header]:
            return len(self.header) > 1 or str(fields[0]).startswith("\ufeff")
        roles = {role_of(field) for field in fields if not is_blank(field)}
        if len(roles) < 2 or None in roles or "query" not in roles:
            return False
        raise DataError(
            f"a second header in row {record.number} has other columns than the first: files were joined to one",
            where=str(self.file),
            found=fields,
            todo="bring the files in one by one, or give them the same columns in the same order",
        )


def table_rows(table: Table, reading: RowReading, only: ReadAlone | None = None) -> Iterator[Row | RowError]:
    """Every row of a table, or what is wrong with it; notes go to those of the table.

    Raises:
        DataError: the columns are not recognised.
    """
    columns = RESOLVERS[only](table.names, table.file, reading.columns)
    if columns.ignored:
        table.notes.append("columns not read: " + ", ".join(repr(name) for name in columns.ignored))
    lists = ListCells(table.file)
    empty_negatives = 0
    for outcome in table.cells():
        if isinstance(outcome, RowError):
            yield outcome
            continue
        number, cells = outcome
        try:
            read_lists(cells, columns, lists, number)
            for name in columns.documents:
                cells[name] = plain(cells[name], file=table.file, row=number, column=name)
            for name in columns.negatives:
                if isinstance(cells[name], list):
                    cells[name] = without_nothing(cells[name])
            row = row_from_cells(cells, columns, reading, file=table.file, number=number)
        except RowError as error:
            yield error
        else:
            yield row
            empty_negatives += _empty_negatives(cells, columns)
    if empty_negatives:
        table.notes.append(f"{empty_negatives} empty cells of further negative columns: read as no negative")
    table.notes.extend(lists.notes(columns.documents, columns.others))


def _empty_negatives(cells: dict[str, Any], columns: ColumnMap) -> int:
    return sum(_is_empty(cells[name]) for name in columns.negatives[1:])


def _is_empty(field: Any) -> bool:
    return field is None or (isinstance(field, str) and is_blank(field))
