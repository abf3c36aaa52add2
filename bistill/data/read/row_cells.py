"""A row of a file from its cells: a query with the documents judged for it, documents alone, or a query of a log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bistill.console import counted
from bistill.data.queries import taken_out
from bistill.data.queries.same_text import is_blank
from bistill.data.read.columns import ColumnMap
from bistill.data.read.validation import EDIT, checked_label, checked_text, is_nothing, number_of, titled_text
from bistill.data.records import Judgement, Row
from bistill.data.settings import RowReading
from bistill.errors import RowError


def row_from_cells(
    cells: Mapping[str, Any], columns: ColumnMap, reading: RowReading, *, file: str | Path, number: int
) -> Row:
    """A checked row.

    Args:
        cells: value of each column: text, number, None, or a list of them: texts of documents, and their labels.
        columns: which column is what.
        reading: how labels are understood.
        file: the file as the user named it.
        number: the row's number for messages.

    Raises:
        RowError: a column is missing, or a cell is not what its column must hold.
    """
    for column in columns.used:
        if column not in cells:
            raise RowError("missing column", file=file, row=number, column=column, found=list(cells), todo=EDIT)
    if columns.form == "texts":
        return Row(number, "", _documents(cells, columns, file, number))
    if columns.form == "identified":
        return _identified(cells, columns, file, number)
    if columns.form == "log":
        return _logged(cells, columns, file, number)
    query = checked_text(cells[columns.query], file=file, row=number, column=columns.query)
    if columns.form == "pairs":
        return Row(number, query, _labelled(cells, columns, reading, file, number))
    judged = [
        Judgement(text, None, True, columns.positive)
        for text in _texts(cells[columns.positive], file=file, row=number, column=columns.positive)
    ]
    for position, column in enumerate(columns.negatives):
        value = cells[column]
        if position > 0 and (value is None or (isinstance(value, str) and is_blank(value))):
            continue  # negative_2 to negative_n may be empty: rows have different numbers of negatives
        judged += [Judgement(text, None, False, column) for text in _texts(value, file=file, row=number, column=column)]
    if not judged:
        what = "neither a positive nor a negative"
        raise RowError(what, file=file, row=number, column=columns.positive, found=[], todo=EDIT)
    return Row(number, query, tuple(judged))


def _documents(cells: Mapping[str, Any], columns: ColumnMap, file: str | Path, number: int) -> tuple[Judgement, ...]:
    """The text of a cell with the title beside it, or the texts of a list, which has no title."""
    value, column = cells[columns.passage], columns.passage
    title = cells.get(columns.title)
    if isinstance(value, list | tuple) or is_nothing(title):
        texts = _texts(value, file=file, row=number, column=column)
        return tuple(Judgement(text, None, True, column) for text in texts)
    text = titled_text(title, value, file=file, row=number, names=(columns.title, column))
    return (Judgement(text, None, True, column, str(title)),)


def _identified(cells: Mapping[str, Any], columns: ColumnMap, file: str | Path, number: int) -> Row:
    """A document with its id in the place of the query, "" where it has none."""
    key = cells.get(columns.query)
    return Row(number, "" if is_nothing(key) else str(key), _documents(cells, columns, file, number))


def _logged(cells: Mapping[str, Any], columns: ColumnMap, file: str | Path, number: int) -> Row:
    """A query, "" where it is blank, with its source ("" where it has none) as document, what was taken out of that,
    and its count (1 where it has none) as label.

    Raises:
        RowError: a cell is no text, a count is no whole number above 0, or what was taken out is no places.
    """
    text, source, count = (cells.get(name) for name in (columns.query, columns.passage, columns.label))
    query = "" if is_nothing(text) else checked_text(text, file=file, row=number, column=columns.query)
    if not is_nothing(source):  # ids may be numbers
        source = checked_text(str(source), file=file, row=number, column=columns.passage)
    times, what = (1.0, "") if is_nothing(count) else number_of(count)
    if what or not (times >= 1 and times.is_integer()):
        what = "the count is no whole number above 0"
        raise RowError(what, file=file, row=number, column=columns.label, found=count, todo=EDIT)
    cell = cells.get(columns.taken_out)
    spans = () if is_nothing(cell) else taken_out.read(str(cell))
    if spans is None:
        what = "no places of characters, which are written as 12-45 80-91"
        raise RowError(what, file=file, row=number, column=columns.taken_out, found=cell, todo=EDIT)
    made_from = "" if is_nothing(source) else str(source)
    return Row(number, query, (Judgement(made_from, times, None, columns.query, taken_out=spans),))


def _labelled(
    cells: Mapping[str, Any], columns: ColumnMap, reading: RowReading, file: str | Path, number: int
) -> tuple[Judgement, ...]:
    """The judgement of a labelled pair, or those of a list of documents with a list of labels."""
    documents, labels = cells[columns.passage], cells[columns.label]
    if not isinstance(documents, list | tuple):
        documents, labels = [documents], [labels]
    elif not isinstance(labels, list | tuple) or len(labels) != len(documents):
        beside = counted(len(labels), "label") if isinstance(labels, list | tuple) else "a label that is no list"
        what = f"{counted(len(documents), 'document')} with {beside}"
        raise RowError(what, file=file, row=number, column=columns.label, found=labels, todo=EDIT)
    if not documents:
        what = "a query without a document"
        raise RowError(what, file=file, row=number, column=columns.passage, found=documents, todo=EDIT)
    maximum = reading.label_maximum

    def label_of(cell: object) -> float | None:
        if reading.partly_judged and is_nothing(cell):
            return None
        return checked_label(cell, file=file, row=number, column=columns.label, maximum=maximum)

    return tuple(
        Judgement(
            checked_text(document, file=file, row=number, column=columns.passage),
            label_of(label),
            None,
            columns.label,
        )
        for document, label in zip(documents, labels, strict=True)
    )


def _texts(value: object, *, file: str | Path, row: int, column: str) -> list[str]:
    if isinstance(value, list | tuple):
        return [checked_text(item, file=file, row=row, column=column) for item in value]
    return [checked_text(value, file=file, row=row, column=column)]
