"""JSON files, plain or gzipped: one object per line, an array of objects, or one object that is a whole data set."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TextIO

from bistill.data.read.alone import RESOLVERS
from bistill.data.read.column_names import is_title, role_of
from bistill.data.read.columns import ColumnMap
from bistill.data.read.encoding import TextEncoding, detect_encoding, open_text
from bistill.data.read.json_document import described, objects_of, texts_of
from bistill.data.read.json_values import BLANK, DECODER, OBJECTS_WANTED, RepeatedKeyError, layout_of, values
from bistill.data.read.reader import FileReader
from bistill.data.read.row_cells import row_from_cells
from bistill.data.read.structured import label_inside, labels_inside, plain, without_nothing
from bistill.data.read.validation import ASIDE, EDIT, checked_text, refuse_bad_characters
from bistill.data.records import Judgement, Row
from bistill.data.settings import ReadAlone, RowReading
from bistill.errors import DataError, EmptyFileError, RowError

ENDINGS: Final = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json", ".json.gz")


class JsonlReader(FileReader):
    """Rows of a JSON file. The first line, or where it is an array the first object, is row 1."""

    def rows(self) -> Iterator[Row | RowError]:
        """Every object's row, or what is wrong with it.

        Raises:
            DataError: the file is missing, empty, cut, or its keys are not recognised.
        """
        self.notes.clear()
        if self.only is not None and (texts := _texts_by_id(self.file, self.only)) is not None:
            for number, (key, text) in enumerate(texts, start=1):
                row = _row_of_text(text, self.file, number, key)
                yield row if isinstance(row, RowError) else _as_read_alone(row, self.only)
            return
        rows = ObjectRows(self.file, self.reading, self.notes, only=self.only)
        any_object = False
        for outcome in objects(self.file, self.notes):
            any_object = True
            yield outcome if isinstance(outcome, RowError) else rows.row(*outcome)
        rows.note_empty()
        if not any_object:
            raise EmptyFileError("an empty file", where=str(self.file), todo=OBJECTS_WANTED)

    def corpus(self) -> Iterator[str | RowError]:
        """The documents of a file that holds them by id, judged or not; none of any other file."""
        for number, (key, text) in enumerate(_texts_by_id(self.file, "document") or (), start=1):
            row = _row_of_text(text, self.file, number, key)
            yield row if isinstance(row, RowError) else row.judgements[0].document


class ObjectRows:
    """Rows from mappings of names to values; the first mapping's names are the header.

    Args:
        file: the source as messages name it.
        reading: how columns and labels are understood.
        notes: where names that are not read are noted.
        example: the names with values of their types, where they are known before the first row.
        only: the kind of texts that is read alone; None: whole rows.
    """

    def __init__(
        self,
        file: Path,
        reading: RowReading,
        notes: list[str],
        *,
        example: Sequence[tuple[str, object]] | None = None,
        only: ReadAlone | None = None,
    ) -> None:
        self.file, self.reading, self.notes = file, reading, notes
        self.only = only
        self.columns: ColumnMap | None = None
        self.known: set[str] = set()
        self.inside: tuple[str, str] | None = None
        self.empty = 0
        if example is not None:
            self._resolve(example)

    @property
    def read(self) -> list[str]:
        """Names of the cells that are read."""
        assert self.columns is not None
        return [name for name in (*self.columns.used, *self.columns.optional) if name in self.known]

    @property
    def titled(self) -> bool:
        """Whether titles that stand beside the documents are read."""
        alone = {"document": "texts", "identified": "identified"}
        return self.columns is not None and alone.get(self.only or "") == self.columns.form

    def row(self, number: int, cells: Mapping[str, Any]) -> Row | RowError:
        """The checked row of a mapping, or what is wrong with it."""
        if self.columns is None:
            self._resolve(list(cells.items()))
        assert self.columns is not None
        try:
            for name in cells.keys() - self.known:
                if role_of(name) is not None or (self.titled and is_title(name)):
                    raise RowError(
                        "an extra field, which the first row does not have",
                        file=self.file,
                        row=number,
                        column=name,
                        found=cells[name],
                        todo="give every row the same fields, or set bad rows aside with `on_bad_rows` skip",
                    )
            plain = self._plain(cells, self.columns, number)
            return row_from_cells(plain, self.columns, self.reading, file=self.file, number=number)
        except RowError as error:
            return error

    def note_empty(self) -> None:
        """Note how many negatives were empty, once all rows are read."""
        if self.empty:
            self.notes.append(f"{self.empty:,} empty negatives: read as none")

    def _plain(self, cells: Mapping[str, Any], columns: ColumnMap, number: int) -> dict[str, Any]:
        """The cells that are read, objects in them as texts, and without empty negatives."""
        result = {}
        for name in self.read:
            if name in cells:
                value = cells[name]
                own = name in (columns.label, columns.title)
                result[name] = value if own else plain(value, file=self.file, row=number, column=name)
        for name in columns.negatives:
            if name in result:
                value = result[name]
                listed = value if isinstance(value, list) else [] if value is None else [value]
                result[name] = without_nothing(listed)
                self.empty += len(listed) - len(result[name])
        if self.inside is not None and self.inside[0] in cells:
            column, field = self.inside
            result[columns.label] = labels_inside(cells[column], field, file=self.file, row=number, column=column)
        return result

    def _resolve(self, example: Sequence[tuple[str, object]]) -> None:
        asked = self.reading.columns
        self.inside = None if self.only in ("query", "identified", "log") else label_inside(example, asked)
        header = [name for name, _ in example]
        if self.inside is not None:
            name = ".".join(self.inside)
            header, asked = [*header, name], replace(asked, label=name)
        self.columns = RESOLVERS[self.only](header, self.file, asked)
        self.known = {name for name, _ in example}
        if self.columns.ignored:
            self.notes.append("columns not read: " + ", ".join(repr(name) for name in self.columns.ignored))


def objects(file: Path, notes: list[str] | None = None) -> Iterator[tuple[int, dict[str, Any]] | RowError]:
    """Number and object of every row of a JSON file, or what is wrong with it.

    The number is that of the line where each line is an object (blank lines at the end are no rows), else that of the
    object.

    Args:
        file: the file, unpacked where its name ends in .gz.
        notes: where an encoding other than UTF-8 and a layout other than an object on each line are noted.

    Raises:
        DataError: the file is missing, its gzip stream is damaged, or an array or an object of several lines is broken.
    """
    said = [] if notes is None else notes
    try:
        encoding = detect_encoding(file)
        if encoding.note:
            said.append(encoding.note)
        with open_text(file, encoding, newline="\n") as text:
            layout = layout_of(text, file)
            if layout == "lines":
                yield from _objects_of_lines(text, file, encoding)
            elif layout == "values":
                said.append("no object on each line: row N is the N-th object of the file")
                yield from _checked(values(text, file), file, encoding)
            else:
                _, document = next(values(text, file))
                said.append(described(document))
                yield from _checked(objects_of(document, file, said), file, encoding)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"the gzip file is cut or damaged ({error})", where=str(file), todo="copy it again") from None


def _objects_of_lines(
    text: TextIO, file: Path, encoding: TextEncoding
) -> Iterator[tuple[int, dict[str, Any]] | RowError]:
    blank: list[int] = []
    for number, line in enumerate(text, start=1):
        if not line.strip(BLANK):
            blank.append(number)
            continue
        for empty in blank:
            yield RowError("the row is empty", file=file, row=empty, found="", todo=EDIT)
        blank.clear()
        try:
            yield number, _checked_object(_parsed(line, file, number), file, number, encoding)
        except RowError as error:
            yield error


def _parsed(line: str, file: Path, number: int) -> Any:
    try:
        return DECODER.decode(line.strip(BLANK))
    except (json.JSONDecodeError, RepeatedKeyError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        at = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise RowError(f"the line is not JSON: {reason}{at}", file=file, row=number, found=line, todo=EDIT) from None


def _checked(
    found: Iterator[tuple[int, Any] | RowError], file: Path, encoding: TextEncoding
) -> Iterator[tuple[int, dict[str, Any]] | RowError]:
    for outcome in found:
        if isinstance(outcome, RowError):
            yield outcome
            continue
        number, value = outcome
        try:
            yield number, _checked_object(value, file, number, encoding)
        except RowError as error:
            yield error


def _checked_object(value: Any, file: Path, number: int, encoding: TextEncoding) -> dict[str, Any]:
    """A value that is an object with text that can be read.

    Raises:
        RowError: it is something else.
    """
    if isinstance(value, RepeatedKeyError):
        raise RowError(f"the object is not JSON: {value}", file=file, row=number, todo=EDIT)
    if not isinstance(value, dict):
        todo = f'{OBJECTS_WANTED}, each with names: {{"query": ..., "positive": ...}}; or {ASIDE}'
        raise RowError("not a JSON object with names", file=file, row=number, found=value, todo=todo)
    for name, cell in value.items():
        for text in (name, *_texts_in(cell)):
            refuse_bad_characters(text, file=file, row=number, column=name, encoding=encoding)
    return value


def _texts_in(cell: Any) -> Iterator[str]:
    if isinstance(cell, str):
        yield cell
    elif isinstance(cell, list | dict):
        for item in cell if isinstance(cell, list) else (*cell, *cell.values()):
            yield from _texts_in(item)


def _texts_by_id(file: Path, kind: ReadAlone) -> list[tuple[str, Any]] | None:
    """Id and text of all documents or queries of a file that holds them by id; None of any other file."""
    try:
        with open_text(file, detect_encoding(file), newline="\n") as text:
            if layout_of(text, file) != "document":
                return None
            _, document = next(values(text, file))
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return None  # whoever reads the rows says what is wrong
    return texts_of(document, "document" if kind in ("document", "identified") else "query")


def _as_read_alone(row: Row, kind: ReadAlone) -> Row:
    """The row of a text by id, which names its column, as other files give such rows."""
    (judgement,) = row.judgements
    if kind == "identified":
        return row._replace(query=judgement.column)
    if kind == "log":
        return Row(row.number, judgement.document, (Judgement("", 1.0, None, judgement.column),))
    return row


def _row_of_text(text: object, file: Path, number: int, key: str) -> Row | RowError:
    """The row of a document or query by id. Messages name the id as the column."""
    try:
        shown = checked_text(plain(text, file=file, row=number, column=key), file=file, row=number, column=key)
    except RowError as error:
        return error
    return Row(number, "", (Judgement(shown, None, True, key),))
