"""Rows that a program holds: DataFrames, Arrow tables, data sets, lists and generators of dicts.

They become the rows that the readers of files give, so that all behind them is the same. A column is taken by its
place, whatever index a DataFrame has. pandas, polars and datasets are never imported here: an object of theirs cannot
be given where they were not imported before.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from bistill.data.read.files import RowReader
from bistill.data.read.hugging_face import HuggingFaceReader
from bistill.data.read.jsonl import ObjectRows
from bistill.data.read.list_cells import ListCells, read_lists
from bistill.data.read.structured import example_of
from bistill.data.read.validation import EDIT
from bistill.data.records import Row
from bistill.data.settings import RowReading
from bistill.errors import DataError, EmptyFileError, OptionError, RowError

BATCH_ROWS: Final = 1024
ROWS_WANTED: Final = (
    'give a DataFrame, a data set, or a list of dicts such as {"query": "...", "document": "...", "label": 1}'
)
# What pandas puts where a value is missing, by the names of the types.
MISSING: Final = frozenset({"NAType", "NaTType"})
PLAIN: Final = frozenset({str, int, bool, type(None)})


def is_of(value: object, module: str, *names: str) -> bool:
    """Whether a value is of a class of a module, which is not imported for it."""
    loaded = sys.modules.get(module)
    kinds = (getattr(loaded, name, None) for name in names)
    return any(isinstance(kind, type) and isinstance(value, kind) for kind in kinds)


def is_table(value: object) -> bool:
    """Whether a value has several columns: a DataFrame of pandas or polars, an Arrow table, or a data set."""
    frames = is_of(value, "pandas", "DataFrame") or is_of(value, "polars", "DataFrame", "LazyFrame")
    return frames or isinstance(value, pa.Table) or is_of(value, "datasets", "Dataset", "IterableDataset")


def plain_value(value: Any) -> Any:
    """A cell as JSON would give it: numpy's and Arrow's values as Python's, None where a value is missing."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.ndarray):
        return [plain_value(item) for item in value.tolist()] if value.ndim else plain_value(value.item())
    if isinstance(value, pa.Scalar):
        return plain_value(value.as_py())
    if isinstance(value, np.generic):
        return plain_value(value.item())
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Decimal):
        return None if value.is_nan() else value
    if type(value).__name__ in MISSING:
        return None
    if isinstance(value, Mapping):
        return {str(name): plain_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple) or is_of(value, "polars", "Series"):
        return [plain_value(item) for item in value]
    return value


class NamedColumns(NamedTuple):
    """A table by its columns.

    Attributes:
        names: of the columns, in order; one may stand there twice.
        rows: starts reading: the cells of each row, in the order of the names.
        types: a value of each column's type, where Arrow knows it.
    """

    names: list[str]
    rows: Callable[[], Iterator[tuple[Any, ...]]]
    types: list[Any] | None = None


class TableReader:
    """Rows of a table in memory. The first row is row 1.

    Args:
        name: of the table, for messages.
        table: its columns.
        reading: how columns and labels are understood.
        lists: whether a cell of positives or negatives may be a list written as text, as in what was a CSV file.
    """

    def __init__(self, name: str, table: NamedColumns, reading: RowReading, *, lists: bool) -> None:
        self.file = Path(name)
        self.notes: list[str] = []
        self.table, self.reading, self.lists = table, reading, lists

    def rows(self) -> Iterator[Row | RowError]:
        """Every row, or what is wrong with it.

        Raises:
            DataError: there is no row, or the columns are not recognised.
        """
        self.notes.clear()
        rows = ObjectRows(self.file, self.reading, self.notes, example=self._example())
        assert rows.columns is not None
        read = set(rows.read)
        places = [(place, name) for place, name in enumerate(self.table.names) if name in read]
        lists = ListCells(self.file)
        number = 0
        for number, values in enumerate(self.table.rows(), start=1):
            cells = {name: plain_value(values[place]) for place, name in places}
            try:
                if self.lists:
                    read_lists(cells, rows.columns, lists, number)
            except RowError as error:
                yield error
            else:
                yield rows.row(number, cells)
        if not number:
            raise _no_rows(self.file)
        rows.note_empty()
        self.notes.extend(lists.notes(rows.columns.documents, rows.columns.others))

    def _example(self) -> list[tuple[str, object]]:
        """Names with a value of each column: fields of objects are told from it."""
        if self.table.types is not None:
            return list(zip(self.table.names, self.table.types, strict=True))
        found: list[object] = [None] * len(self.table.names)
        for values, _ in zip(self.table.rows(), range(BATCH_ROWS), strict=False):
            found = [plain_value(new) if old is None else old for old, new in zip(found, values, strict=True)]
        return list(zip(self.table.names, found, strict=True))


class DictReader:
    """Rows that are dicts; the first one's names are those of the columns. The first row is row 1.

    Args:
        name: of the rows, for messages.
        given: the rows; iterated anew each time.
        reading: how columns and labels are understood.
    """

    def __init__(self, name: str, given: Iterable[Any], reading: RowReading) -> None:
        self.file = Path(name)
        self.notes: list[str] = []
        self.given, self.reading = given, reading

    def rows(self) -> Iterator[Row | RowError]:
        """Every row, or what is wrong with it.

        Raises:
            DataError: there is no row, the first is no dict, or its names are not recognised.
        """
        self.notes.clear()
        rows = ObjectRows(self.file, self.reading, self.notes)
        number = 0
        for number, given in enumerate(self.given, start=1):
            cells = _named(given)
            if cells is not None:
                yield rows.row(number, {str(name): plain_value(value) for name, value in cells.items()})
            elif number == 1:
                raise DataError(
                    "the rows have no names for their values", where=str(self.file), found=given, todo=ROWS_WANTED
                )
            else:
                yield RowError("not a dict with names", file=self.file, row=number, found=given, todo=EDIT)
        if not number:
            raise _no_rows(self.file)
        rows.note_empty()


def open_rows(rows: Any, reading: RowReading) -> RowReader:
    """The reader of rows that a program holds.

    Args:
        rows: a DataFrame of pandas or polars, an Arrow table, a ``datasets.Dataset``, or dicts: a list or any other
            iterable. A generator is read to its end and held.
        reading: how columns and labels are understood.

    Raises:
        OptionError: it is nothing of these; what to give instead is said.
    """
    _refuse_others(rows)
    kind = type(rows).__name__
    if is_of(rows, "pandas", "DataFrame"):
        return TableReader(kind, _of_pandas(rows), reading, lists=True)
    if is_of(rows, "polars", "DataFrame"):
        return TableReader(kind, NamedColumns([*rows.columns], rows.iter_rows), reading, lists=True)
    if isinstance(rows, pa.Table):
        return TableReader(kind, _of_arrow(rows), reading, lists=False)
    if is_of(rows, "datasets", "Dataset"):
        return HuggingFaceReader(kind, rows.with_format(None), reading)
    return DictReader(f"{kind} of rows", list(rows) if isinstance(rows, Iterator) else rows, reading)


def fingerprint_of_rows(reader: RowReader) -> str:
    """SHA-256 of all that is read of some rows: texts, labels, names of their columns, and bad rows.

    Raises:
        DataError: there is no row, or the columns are not recognised.
    """
    total = hashlib.sha256()
    for outcome in reader.rows():
        total.update(
            repr(str(outcome) if isinstance(outcome, RowError) else tuple(outcome)).encode("utf-8", "backslashreplace")
        )
    return total.hexdigest()


def _refuse_others(rows: Any) -> None:
    """Raise OptionError where something else is given than rows, and say what to give."""
    what, todo = "", ROWS_WANTED
    if isinstance(rows, str | bytes):
        what = "a single text, where rows are expected"
    elif isinstance(rows, Mapping):
        tables = [name for name, value in rows.items() if is_table(value)]
        what = "a dict of tables, where one is expected" if tables else "a dict, where rows are expected"
        todo = (
            f"give one of them: the one under {tables[0]!r}"
            if tables
            else "give a list of dicts: of one row [row]; of columns make a DataFrame: pandas.DataFrame(columns)"
        )
    elif is_of(rows, "pandas", "Series", "Index") or is_of(rows, "polars", "Series"):
        what = "a single column, where rows are expected"
        todo = "give the whole DataFrame, and the names of its columns"
    elif is_of(rows, "polars", "LazyFrame"):
        what, todo = "a LazyFrame, which holds no rows yet", "give rows.collect()"
    elif isinstance(rows, np.ndarray):
        what = "an array, whose columns have no names"
        todo = 'give pandas.DataFrame(array, columns=["query", "document", "label"])'
    elif not isinstance(rows, Iterable) and not hasattr(type(rows), "__getitem__"):
        what = "no rows"
    if what:
        raise OptionError(what, where="`rows`", found=rows, todo=todo)


def _of_pandas(frame: Any) -> NamedColumns:
    names = [str(name) for name in frame.columns]
    # By place: a name may stand there twice, and the index says nothing about the order.
    columns = [frame.iloc[:, place] for place in range(len(names))]
    return NamedColumns(names, lambda: zip(*columns, strict=True))


def _of_arrow(table: pa.Table) -> NamedColumns:
    def rows() -> Iterator[tuple[Any, ...]]:
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    return NamedColumns(list(table.column_names), rows, [example_of(field.type) for field in table.schema])


def _named(row: Any) -> Mapping[Any, Any] | None:
    """A row by names: a dict, or a named tuple such as those of ``DataFrame.itertuples``; None of anything else."""
    if isinstance(row, Mapping):
        return row
    named: Mapping[Any, Any] | None = row._asdict() if isinstance(row, tuple) and hasattr(row, "_asdict") else None
    return named


def _no_rows(file: Path) -> EmptyFileError:
    return EmptyFileError("there is no row", where=str(file), todo=ROWS_WANTED)
