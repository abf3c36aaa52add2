"""What a cell, a row and a file's labels must look like; everything else is an error with row and column."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bistill.console import counted
from bistill.data.queries import taken_out
from bistill.data.queries.same_text import is_blank, without_invisible
from bistill.data.read.columns import ColumnMap
from bistill.data.read.dialect import LONGEST_TEXT
from bistill.data.read.encoding import SURROGATE, UTF8, TextEncoding, doubtful, unreadable
from bistill.data.read.ids import JOIN
from bistill.data.records import Judgement, Row
from bistill.data.settings import RowReading
from bistill.errors import DataError, RowError

NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
TRUTH: Final = {"true": 1.0, "false": 0.0}  # as pandas and spreadsheets write what JSON writes as true and false
ASIDE: Final = "set bad rows aside with `on_bad_rows` skip"
EDIT: Final = f"correct the row, or {ASIDE}"


def checked_text(value: object, *, file: str | Path, row: int, column: str) -> str:
    """The text of a cell that must hold one.

    Raises:
        RowError: it is no text, nobody can see anything in it, it is too long, or it holds NUL or bytes that are not
            UTF-8.
    """
    if not isinstance(value, str):
        if value is None:
            raise RowError("the cell is empty", file=file, row=row, column=column, found=value, todo=EDIT)
        if isinstance(value, int | float) and not isinstance(value, bool):
            what = "the cell is not text, but a number"
            todo = f"write a number that is meant as text in quotes; if it is the id of a text, {JOIN}; or {ASIDE}"
            raise RowError(what, file=file, row=row, column=column, found=value, todo=todo)
        raise RowError("the cell is not text", file=file, row=row, column=column, found=value, todo=EDIT)
    refuse_bad_characters(value, file=file, row=row, column=column)
    if is_blank(value):
        raise RowError("the cell is empty", file=file, row=row, column=column, found=value, todo=EDIT)
    refuse_too_long(value, file=file, row=row, column=column)
    return value


def titled_text(
    title: object, text: object, *, file: str | Path, row: int, names: tuple[str, str] = ("title", "text")
) -> str:
    """Title and text of a document joined by a space; where one of them is missing or blank, the other alone.

    Args:
        title: the title; None and blank texts are no title.
        text: the text; None and blank texts are none.
        file: the file as the user named it.
        row: the row's number for messages.
        names: of the columns or fields of title and text.

    Raises:
        RowError: both are blank, or one is no text or holds NUL or bytes that are not UTF-8.
    """
    parts = [(value, name) for value, name in zip((title, text), names, strict=True) if not is_nothing(value)]
    if not parts:
        raise RowError("the cell is empty", file=file, row=row, column=names[1], found=text, todo=EDIT)
    joined = " ".join(checked_text(value, file=file, row=row, column=name) for value, name in parts)
    refuse_too_long(joined, file=file, row=row, column=names[1])
    return joined


def is_nothing(value: object) -> bool:
    """Whether a cell, or an item of a list in it, holds nothing: null, or a text in which nobody can see anything."""
    return value is None or (isinstance(value, str) and is_blank(value))


def refuse_too_long(value: str, *, file: str | Path, row: int, column: str) -> None:
    """Raise RowError where a text is longer than a field of the CSV files that `bistill prepare` writes may be."""
    if len(value) > LONGEST_TEXT:
        what = f"a text of {len(value):,} characters; {LONGEST_TEXT:,} is the most"
        raise RowError(what, file=file, row=row, column=column, found=value[:200], todo=EDIT)


def refuse_bad_characters(
    value: str, *, file: str | Path, row: int, column: str, encoding: TextEncoding = UTF8
) -> None:
    """Raise RowError where a text holds NUL, or was not or not surely decoded from the file's encoding."""
    if "\0" in value:
        at = value.index("\0")
        around = value[max(0, at - 20) : at + 20]
        raise RowError(
            f"NUL at character {at + 1} of the cell", file=file, row=row, column=column, found=around, todo=EDIT
        )
    if value.isascii():
        return
    if lone := SURROGATE.search(value):
        what, found, todo = unreadable(value, lone.start(), encoding)
        raise RowError(what, file=file, row=row, column=column, found=found, todo=todo)
    if what := doubtful(value, encoding):
        todo = f"save the file as UTF-8, {EDIT}"
        raise RowError(what, file=file, row=row, column=column, found=value, todo=todo)


def checked_label(value: object, *, file: str | Path, row: int, column: str, maximum: float | None) -> float:
    """The label of a cell as the file gives it, not yet normalised.

    Raises:
        RowError: it is missing, not a number, NaN, infinite, negative or above ``maximum``.
    """
    number, what = _number(value)
    if not what and math.isnan(number):
        what = "the label is not a number (NaN)"
    if not what and (number < 0 or math.isinf(number) or (maximum is not None and number > maximum)):
        allowed = f"labels go from 0 to {maximum:g}" if maximum is not None else "labels are 0 or a finite number above"
        what = f"the label is out of range: {allowed}"
    if what:
        raise RowError(what, file=file, row=row, column=column, found=value, todo=_label_advice(value))
    return number


def _number(value: object) -> tuple[float, str]:
    """The number that a label is, or what is wrong with it. True and False are 1 and 0, as texts, too."""
    if isinstance(value, str):
        text = without_invisible(value).strip()
        if not text:
            return math.nan, "the label is empty"
        if text.casefold() in TRUTH:
            return TRUTH[text.casefold()], ""
        return (float(text), "") if NUMBER.fullmatch(text) else (math.nan, "the label is not a number")
    if value is None:
        return math.nan, "the label is empty"
    if isinstance(value, int | float | Decimal):
        return as_float(value), ""
    return math.nan, "the label is not a number"


def as_float(value: float | Decimal) -> float:
    """A number as a float; an integer beyond all floats is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _label_advice(value: object) -> str:
    if is_nothing(value):
        return f"{EDIT}; `bistill evaluate` takes a file that was judged in part with `partly_judged`"
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+,\d+\s*", value):
        return f"write the number with a point ({value.strip().replace(',', '.')}), or {ASIDE}"
    if isinstance(value, str) and re.search(r"[^\W\d]", value):
        return f"write 1 for relevant and 0 for not, or a grade as a number, or {ASIDE}"
    return EDIT


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
    times, what = (1.0, "") if is_nothing(count) else _number(count)
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


class LabelScale:
    """The scale of a file's labels, found while they stream by.

    Labels are 0 and 1, or graded 0..1, or whole numbers 0..n; with a given maximum n any number in 0..n. Without one,
    a fraction and a label above 1 in the same file contradict each other: nobody can tell 0.5 of 1 from 0.5 of 3.

    A file of 0 and 1 alone has a scale of its own: its 1 is a positive, whatever other files of the source are graded
    up to. Graded files of a source share one.
    """

    def __init__(self, maximum: float | None) -> None:
        self.given = maximum
        self.highest = 0.0
        self.seen = False
        self.above_one: tuple[str, int, float] | None = None
        self.fraction: tuple[str, int, float] | None = None

    def see(self, label: float, file: str | Path, row: int) -> None:
        """Take note of a label.

        Raises:
            DataError: the file mixes fractions with labels above 1.
        """
        self.seen = True
        self.highest = max(self.highest, label)
        if self.above_one is None and label > 1:
            self.above_one = (str(file), row, label)
        if self.fraction is None and not label.is_integer():
            self.fraction = (str(file), row, label)
        self._refuse_mixture()

    def join(self, other: LabelScale) -> None:
        """Take note of the labels of another graded file of the same source.

        Raises:
            DataError: the files together mix fractions with labels above 1.
        """
        self.seen = self.seen or other.seen
        self.highest = max(self.highest, other.highest)
        self.above_one = self.above_one or other.above_one
        self.fraction = self.fraction or other.fraction
        self._refuse_mixture()

    @property
    def maximum(self) -> float:
        """The label that counts as 1.0."""
        return self.given if self.given is not None else max(1.0, self.highest)

    @property
    def graded(self) -> bool:
        """Whether a label other than 0 and 1 was seen."""
        return self.above_one is not None or self.fraction is not None

    @property
    def relevance(self) -> float:
        """Relevance in 0..1 of the highest label that was seen."""
        return self.highest / self.maximum

    def __str__(self) -> str:
        """Which labels were found and what they are taken for, for users."""
        if not self.seen:
            return "no labels: positives and negatives by column"
        if not self.graded and self.maximum == 1:
            return "labels 0 and 1"
        found = f"labels 0 to {self.highest:g}" if self.graded else "labels 0 and 1"
        return f"{found}, divided by {self.maximum:g}"

    def _refuse_mixture(self) -> None:
        if self.given is not None or self.above_one is None or self.fraction is None:
            return
        file, row, label = self.fraction
        high_file, high_row, high = self.above_one
        other = f"row {high_row}" if file == high_file else f"{high_file}, row {high_row},"
        raise DataError(
            f"the labels mix fractions with labels above 1: {label:g} here, {high:g} in {other}",
            where=f"{file}, row {row}",
            todo="give the highest label of the scale with `label_maximum`, or correct the rows",
        )
