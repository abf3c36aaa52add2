"""Teacher scores from files of other tools: strict, with row and column of what is wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bistill.console import counted, say
from bistill.data.read.csv_reader import open_table
from bistill.data.read.files import ending_of
from bistill.data.read.jsonl import ENDINGS, objects
from bistill.data.read.validation import NUMBER, as_float, checked_text, is_nothing
from bistill.errors import DataError, RowError

Scale = Literal["logit", "probability"]
SCALE_NOTE: Final = b"bistill.scale"
SMALLEST_PROBABILITY: Final = 1e-6
LARGEST: Final = float(np.finfo(np.float32).max)
CORRECT: Final = "correct the row"
PAIR_COLUMNS: Final = ("query", "document", "score")
LIST_COLUMNS: Final = ("query", "pos", "neg", "pos_scores", "neg_scores")
SCORES: Final = ("score", "pos_scores", "neg_scores")
KNOWN: Final = {*PAIR_COLUMNS, *LIST_COLUMNS, "positive", "label"}
ROWS_AT_ONCE: Final = 1024

# A document with its score as the cell has it, and the columns of both.
Cell = tuple[object, object, str, str]


def read_scores(path: Path, scale: Scale) -> Iterator[tuple[str, str, float]]:
    """Scores of a Parquet, JSONL or CSV file, a row group at a time.

    Columns are query, document, score; or those of one of the two list forms of ``exchange.export``. Further columns
    are not read. A pair whose score is empty or null is left out; they are counted on standard error.

    Args:
        path: the file, recognised by the end of its name.
        scale: of its scores. A probability p becomes ln(p / (1 - p)), cut to 1e-6..1 - 1e-6: logits of -13.8..13.8.

    Yields:
        Query, document, logit.

    Raises:
        RowError: a text is missing; a score is not a finite number, or as a probability not in 0..1.
        DataError: the file cannot be read, has other columns, or says itself that its scores are of the other scale.
    """
    empty = number = 0
    for number, row in _rows(path, scale):
        query = checked_text(row["query"], file=path, row=number, column="query")
        for document, score, column, score_column in _cells(row, path, number):
            text = checked_text(document, file=path, row=number, column=column)
            if score is None or (isinstance(score, str) and not score.strip()):
                empty += 1
                continue
            yield query, text, _logit(score, scale, path, number, score_column)
    if number == 0:
        raise DataError("an empty file", where=str(path), todo="write one pair per row")
    if empty:
        say(f"{path}: left out {counted(empty, 'pair')} without a score")


def read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Pairs that are to be scored, of a Parquet, JSONL or CSV file, a row group at a time.

    Columns are query and document; or query with lists ``pos`` and ``neg``; or query, positive and as many columns as
    there are whose names begin with negative. Further columns, scores among them, are not read.

    Args:
        path: the file, recognised by the end of its name.

    Yields:
        Query, document.

    Raises:
        RowError: a text is missing.
        DataError: the file is empty, cannot be read or has other columns.
    """
    number = 0
    for number, row in _rows(path, None):
        query = checked_text(row["query"], file=path, row=number, column="query")
        for document, _, column, _ in _cells(row, path, number):
            if column.startswith("negative") and is_nothing(document):  # as ``prepare`` reads them
                continue
            yield query, checked_text(document, file=path, row=number, column=column)
    if number == 0:
        raise DataError("an empty file", where=str(path), todo="write one pair per row")


def _logit(score: object, scale: Scale, file: Path, row: int, column: str) -> float:
    value = math.nan
    if isinstance(score, int | float) and not isinstance(score, bool):
        value = as_float(score)
    elif isinstance(score, str) and NUMBER.fullmatch(score.strip()):
        value = float(score)
    what = ""
    if not math.isfinite(value) or abs(value) > LARGEST:
        what = "the score is not a finite number"
    elif scale == "probability" and not 0 <= value <= 1:
        what = "the score is not a probability: it lies outside 0..1"
    if what:
        todo = CORRECT + (", or read the scores as logits" if "probability" in what else "")
        raise RowError(what, file=file, row=row, column=column, found=score, todo=todo)
    if scale == "logit":
        return value
    value = min(max(value, SMALLEST_PROBABILITY), 1 - SMALLEST_PROBABILITY)
    return math.log(value) - math.log1p(-value)


def _cells(row: Mapping[str, Any], file: Path, number: int) -> Iterator[Cell]:
    """The documents of a row of any form, each with its score."""
    if "document" in row:
        yield row["document"], row.get("score"), "document", "score"
    elif "positive" in row:
        columns = ["positive", *(name for name in row if name.startswith("negative"))]
        scores = _scores(row, "label", len(columns), file, number)
        for column, score in zip(columns, scores, strict=True):
            yield row[column], score, column, "label"
    else:
        for name in ("pos", "neg"):
            if name == "neg" and row["neg"] is None and not row.get("neg_scores"):
                continue
            documents = _list(row[name], None, file, number, name)
            scores = _scores(row, f"{name}_scores", len(documents), file, number)
            for document, score in zip(documents, scores, strict=True):
                if name == "pos" or not is_nothing(document):  # as ``prepare`` reads them
                    yield document, score, name, f"{name}_scores"


def _scores(row: Mapping[str, Any], column: str, length: int, file: Path, number: int) -> list[Any]:
    """The scores of some documents; None of each where the column is not read."""
    return _list(row[column], length, file, number, column) if column in row else [None] * length


def _list(value: object, length: int | None, file: Path, row: int, column: str) -> list[Any]:
    if not isinstance(value, list):
        raise RowError("the cell is not a list", file=file, row=row, column=column, found=value, todo=CORRECT)
    if length is not None and len(value) != length:
        raise RowError(
            f"{counted(len(value), 'score')} for {counted(length, 'document')}",
            file=file,
            row=row,
            column=column,
            found=value,
            todo=CORRECT,
        )
    return value


def _rows(path: Path, scale: Scale | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number and cells of each row, all with the columns of one form; with ``scale`` None those without scores."""
    if not path.is_file():
        raise DataError("the file does not exist", where=str(path), todo="check the path")
    ending = ending_of(path)
    if ending == ".parquet":
        yield from _parquet(path, scale)
    elif ending in ENDINGS:
        columns: tuple[str, ...] = ()
        for outcome in objects(path):
            if isinstance(outcome, RowError):
                raise outcome
            number, cells = outcome
            columns = columns or _columns_of(list(cells), path, scored=scale is not None)
            if missing := [name for name in columns if name not in cells]:
                raise RowError(
                    "missing column", file=path, row=number, column=missing[0], found=list(cells), todo=CORRECT
                )
            yield number, {name: cells[name] for name in columns}
    elif ending in (".csv", ".tsv"):
        yield from _csv(path, scored=scale is not None)
    else:
        raise DataError(
            "the format is not recognised by the end of the file's name",
            where=str(path),
            found=path.suffix,
            todo="name the file with .parquet, .jsonl, .csv or .tsv",
        )


def _columns_of(header: Sequence[str], file: Path, *, scored: bool) -> tuple[str, ...]:
    """The columns of the form that a header has, in the order of the header where it is the order of negatives."""
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise DataError(f"the header names column {repeated[0]!r} more than once", where=str(file), found=list(header))
    pair, lists = (
        tuple(name for name in form if scored or name not in SCORES) for form in (PAIR_COLUMNS, LIST_COLUMNS)
    )
    for columns in (pair, lists):
        if set(columns) <= set(header):
            return columns
    label = ("label",) if scored else ()
    if {"query", "positive", *label} <= set(header):
        return ("query", "positive", *(name for name in header if name.startswith("negative")), *label)
    texts = ", ".join(("query", "positive", "negative_1 to negative_N", *label))
    raise DataError(
        f"missing columns: there are neither {', '.join(pair)} nor the columns of a list form",
        where=str(file),
        found=list(header),
        todo=f"name the columns {', '.join(pair)}; or {', '.join(lists)}; or {texts}",
    )


def _parquet(path: Path, scale: Scale | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    number = 0
    try:
        with pq.ParquetFile(path) as source:
            written = (source.schema_arrow.metadata or {}).get(SCALE_NOTE, (scale or "").encode()).decode()
            if scale is not None and written != scale:
                raise DataError(f"the scores of this file are of scale {written}", where=str(path), found=scale)
            columns = _columns_of(source.schema_arrow.names, path, scored=scale is not None)
            for batch in source.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"the file cannot be read as Parquet ({error})", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"bytes that are not UTF-8 after row {number}", where=str(path), found=error.object[:40]
        ) from None


def _csv(path: Path, *, scored: bool) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows of a CSV file, as strictly as labelled ones; the header is row 1."""
    notes: list[str] = []
    with open_table(path, lambda name: name in KNOWN or name.startswith("negative"), notes) as table:
        columns = _columns_of(table.names, path, scored=scored)
        for note in notes:
            say(f"{path}: {note}")
        for outcome in table.cells():
            if isinstance(outcome, RowError):
                raise outcome
            number, cells = outcome
            yield number, {name: cells[name] for name in columns}
