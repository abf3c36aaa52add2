"""From rows to Arrow files in bounded memory: texts stream to disk, ids and judgements wait in a SQLite file.

Memory while building does not depend on the number of rows: a text is in memory only while its row is, the map from
text digests to ids and the judgements are tables of a temporary database with a fixed page cache, and grouping by
query is the database's external sort. Only what a text is the same as is held, eight bytes for each different text.
"""

from __future__ import annotations

import itertools
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from bistill import artifacts
from bistill.arrays import Keys
from bistill.console import counted
from bistill.data.read.label_scale import LabelScale
from bistill.data.read.rejections import Rejections, set_aside
from bistill.data.records import Row
from bistill.data.settings import RowReading
from bistill.data.store.repeated import LeftOut, judged_once
from bistill.data.store.scratch import Ids, scratch, write_keys
from bistill.data.store.texts import TEXT_SCHEMA, ArrowWriter, Texts, rows_file
from bistill.errors import DataError, EmptyFileError, RowError, Told

WAITING_JUDGEMENTS: Final = 4096
RECORD_SCHEMA: Final = pa.schema(
    [
        ("positives", pa.list_(pa.int64())),
        ("positive_labels", pa.list_(pa.float64())),
        ("negatives", pa.list_(pa.int64())),
        ("negative_labels", pa.list_(pa.float64())),
        ("rows", pa.int64()),
    ]
)


class StoredJudgement(NamedTuple):
    """A judgement on its way through the database: ids, label as found, positive 1 or 0 (-1: the label decides)."""

    query: int
    document: int
    label: float
    positive: int
    row: int
    column: str


@dataclass(frozen=True)
class Built:
    """What a building run found.

    Attributes:
        records: queries.
        documents: unique documents.
        rejected: rows set aside.
        scale: the labels seen.
        left_out: judgements that are none.
        unjudged: pairs that nobody judged; their documents count, and their queries where another pair has a label.
    """

    records: int
    documents: int
    rejected: int
    scale: LabelScale
    left_out: LeftOut = field(default_factory=LeftOut)
    unjudged: int = 0


class _Keys(NamedTuple):
    """The ``text_key`` of each query and of each document, uint64."""

    queries: Keys
    documents: Keys


class _Collected(NamedTuple):
    """What the rows hold beside their texts.

    Attributes:
        scale: of the labels.
        columns: names of columns by number.
        keys: what texts are the same as.
        unjudged: pairs that nobody judged.
    """

    scale: LabelScale
    columns: list[str]
    keys: _Keys
    unjudged: int


def build(
    outcomes: Iterable[Row | RowError],
    folder: Path,
    *,
    file: str | Path,
    reading: RowReading,
    rejections: Rejections,
) -> Built:
    """Write the Arrow files of a source's rows into ``folder``.

    Args:
        outcomes: rows and bad rows, as a reader yields them.
        folder: an existing, empty folder.
        file: the source as the user named it.
        reading: how labels are understood.
        rejections: what happens to bad rows.

    Raises:
        RowError: the first bad row, where the policy is "stop".
        DataError: there is no row, or labels of two scales.
    """
    with scratch(folder) as database:
        with (
            ArrowWriter(folder / artifacts.DOCUMENTS_FILE, TEXT_SCHEMA) as documents,
            ArrowWriter(folder / artifacts.QUERIES_FILE, TEXT_SCHEMA) as queries,
        ):
            scale, columns, keys, unjudged = _collect(outcomes, database, documents, queries, file, reading, rejections)
        if queries.rows == 0:
            raise _nothing_left(file, rejections, unjudged)
        left_out = LeftOut()
        _write_records(_judged(database, columns), folder, keys, file, reading, scale, rejections, left_out)
        return Built(queries.rows, documents.rows, rejections.count, scale, left_out, unjudged)


def build_documents(
    outcomes: Iterable[Row | RowError], folder: Path, *, file: str | Path, rejections: Rejections
) -> int:
    """Write only the unique documents of a source's rows into ``folder``; returns their number.

    Raises:
        RowError: the first bad row, where the policy is "stop".
        DataError: there is no row.
    """
    with scratch(folder) as database:
        with ArrowWriter(folder / artifacts.DOCUMENTS_FILE, TEXT_SCHEMA) as writer:
            ids, rows = Ids(database, "document", writer), array("q")
            for outcome in outcomes:
                if isinstance(outcome, RowError):
                    rejections.handle(outcome)
                    continue
                for judgement in outcome.judgements:
                    number = ids.of(judgement.document)
                    if number == len(rows):
                        rows.append(1)
                    elif not outcome.query:  # labelled rows name a document as often as it is judged
                        rows[number] += 1
        write_keys(folder / artifacts.DOCUMENTS_FILE, ids.keys)
        np.save(rows_file(folder / artifacts.DOCUMENTS_FILE), np.asarray(rows, dtype=np.int64), allow_pickle=False)
        if writer.rows == 0:
            raise _nothing_left(file, rejections)
        return writer.rows


def _collect(
    outcomes: Iterable[Row | RowError],
    database: sqlite3.Connection,
    documents: ArrowWriter,
    queries: ArrowWriter,
    file: str | Path,
    reading: RowReading,
    rejections: Rejections,
) -> _Collected:
    """Fill the database."""
    scale = LabelScale(reading.label_maximum)
    query_ids, document_ids = Ids(database, "query", queries), Ids(database, "document", documents)
    columns: dict[str, int] = {}
    waiting: list[tuple[int, int, float, int, int, int]] = []
    unjudged = 0
    insert = "INSERT INTO judgement VALUES (?, ?, ?, ?, ?, ?)"
    for outcome in outcomes:
        if isinstance(outcome, RowError):
            rejections.handle(outcome)
            continue
        # A query counts once a document of it is judged.
        query = query_ids.of(outcome.query) if any(one.judged for one in outcome.judgements) else -1
        for judgement in outcome.judgements:
            document, label, positive, column = judgement[:4]
            if not judgement.judged:
                document_ids.of(document)
                unjudged += 1
                continue
            if label is not None:
                scale.see(label, file, outcome.number)
            decided = -1 if positive is None else int(positive)
            number = columns.setdefault(column, len(columns))
            waiting.append((query, document_ids.of(document), label or 0.0, decided, outcome.number, number))
        if len(waiting) >= WAITING_JUDGEMENTS:
            database.executemany(insert, waiting)
            waiting.clear()
    database.executemany(insert, waiting)
    return _Collected(scale, list(columns), _Keys(query_ids.keys, document_ids.keys), unjudged)


def _judged(database: sqlite3.Connection, columns: list[str]) -> Iterator[StoredJudgement]:
    ordered = "SELECT query, document, label, positive, row, name FROM judgement ORDER BY query, rowid"
    for query, document, label, positive, row, name in database.execute(ordered):
        yield StoredJudgement(query, document, label, positive, row, columns[name])


def _write_records(
    judged: Iterator[StoredJudgement],
    folder: Path,
    keys: _Keys,
    file: str | Path,
    reading: RowReading,
    scale: LabelScale,
    rejections: Rejections,
    left_out: LeftOut,
) -> None:
    """Write a record for every query, in order of the queries' first appearance, and the keys of all texts."""
    queries = Texts(folder / artifacts.QUERIES_FILE)
    with ArrowWriter(folder / artifacts.RECORDS_FILE, RECORD_SCHEMA) as records:
        for query, judgements in itertools.groupby(judged, key=lambda item: item.query):
            assert query == records.rows, "a query without a judgement"
            positives, negatives, rows, problems = _merged(judgements, queries[query], file, reading, scale.maximum)
            for problem in problems:
                rejections.handle(problem)
            negatives = judged_once(int(keys.queries[query]), positives, negatives, keys.documents, left_out)
            labels = (list(positives), list(positives.values()), list(negatives), list(negatives.values()))
            records.append(*labels, rows)
    write_keys(folder / artifacts.QUERIES_FILE, keys.queries)
    write_keys(folder / artifacts.DOCUMENTS_FILE, keys.documents)


def _merged(
    group: Iterable[StoredJudgement], query: str, file: str | Path, reading: RowReading, maximum: float
) -> tuple[dict[int, float], dict[int, float], int, list[RowError]]:
    """Labels in 0..1 of a query's positives and negatives by document id, how many of its rows are kept, and what is
    wrong with the others.

    A document judged twice the same way keeps its highest label; one judged both ways stays positive and the
    negative judgement is a problem.
    """
    positives: dict[int, float] = {}
    positive_rows: dict[int, int] = {}
    negative: list[tuple[StoredJudgement, float]] = []
    rows: set[int] = set()
    for item in group:
        label = item.label / maximum if item.positive < 0 else float(item.positive)
        if item.positive == 1 or (item.positive < 0 and label >= reading.positive_from and label > 0):
            positives[item.document] = max(label, positives.get(item.document, 0.0))
            positive_rows.setdefault(item.document, item.row)
            rows.add(item.row)
        else:
            negative.append((item, label))
    negatives: dict[int, float] = {}
    problems: list[RowError] = []
    for item, label in negative:
        if item.document in positives:
            problems.append(_both(item, positive_rows[item.document], query, file))
        else:
            negatives[item.document] = max(label, negatives.get(item.document, 0.0))
            rows.add(item.row)
    return positives, negatives, len(rows), problems


def _both(item: StoredJudgement, positive_row: int, query: str, file: str | Path) -> RowError:
    return RowError(
        f"a document is positive (row {positive_row}) and negative (row {item.row}) of one query",
        file=file,
        row=item.row,
        column=item.column,
        found=query,
        todo="remove one of the two, or drop the negative with `on_bad_rows` skip",
    )


def _nothing_left(file: str | Path, rejections: Rejections, unjudged: int = 0) -> DataError:
    if unjudged:
        todo = "write 1 for relevant and 0 for not, or a grade as a number, beside the documents that you judged"
        return DataError("no pair has a label yet", where=str(file), found=Told(counted(unjudged, "pair")), todo=todo)
    if rejections.first is not None:
        what = f"no row is left: {set_aside(rejections.count, *rejections.first)}"
        return DataError(what, where=str(file), todo="correct the rows")
    what = "an empty file: there is no row below the names of the columns"
    return EmptyFileError(what, where=str(file), todo="add rows")
