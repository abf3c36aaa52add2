"""Several data sets read one after the other as one, and queries without labels behind them: the same query text is one
query, the same document text one document."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from bistill import artifacts
from bistill.arrays import Ints
from bistill.console import counted, say
from bistill.data.queries.taken_out import Spans
from bistill.data.store import cache
from bistill.data.store.building import RECORD_SCHEMA
from bistill.data.store.dataset import Dataset
from bistill.data.store.logs import Log, pieces
from bistill.data.store.opening import label_maximum
from bistill.data.store.repeated import LeftOut, judged_once
from bistill.data.store.scratch import Ids, scratch, write_keys
from bistill.data.store.texts import TEXT_SCHEMA, ArrowWriter

# Changes whenever the same data sets become other records than before.
JOINED_VERSION: Final = 1


def join(
    parts: Sequence[Dataset], kept: Sequence[Ints], logs: Sequence[Log] = (), asked: Sequence[Ints] = ()
) -> Dataset:
    """One data set of several, and of queries without labels behind them; in the cache under the content of all.

    Queries and documents have their ids in order of appearance, so those of the first part keep theirs. A query of
    several parts has the judgements of all: of a document judged twice alike the highest label counts, and one that is
    a positive in one part and a negative in another is a positive. Documents of queries that are not taken stay among
    the documents. A query of a log that has labels is no unlabelled one; the others have records without
    documents, and what they were made from is among the documents.

    Args:
        parts: data sets, their labels on one scale.
        kept: of each part the rising ids of the queries taken, int64.
        logs: queries without labels.
        asked: of each log the rising places of the queries taken, int64.

    Raises:
        ArtifactError: the cache cannot be written.
    """
    own = [part.fingerprint for part in parts] + [log.fingerprint for log in logs]
    taken = [hashlib.sha256(np.ascontiguousarray(ids).data).hexdigest() for ids in (*kept, *asked)]
    content = {"parts": own, "kept": taken} | ({"labelled": len(parts)} if logs else {})
    key = artifacts.fingerprint({"version": JOINED_VERSION, "kind": "joined", **content})
    folder, manifest = cache.obtain(key, lambda folder: _fill(folder, parts, kept, logs, asked))
    path = Path(", ".join(str(path) for path in [part.path for part in parts] + [log.path for log in logs]))
    notes = tuple(str(note) for note in manifest["notes"])
    for note in notes:
        say(f"{path}: {note}")
    return Dataset(folder, path=path, fingerprint=key, rejected=sum(part.rejected for part in parts), notes=notes)


class _Judgement(NamedTuple):
    """A judgement of one part, with ids of the whole; positive is 1 or 0."""

    query: int
    document: int
    label: float
    positive: int


def _fill(
    folder: Path, parts: Sequence[Dataset], kept: Sequence[Ints], logs: Sequence[Log], asked: Sequence[Ints]
) -> dict[str, Any]:
    ends: list[int] = []
    rows = array("q")
    with scratch(folder) as database:
        with (
            ArrowWriter(folder / artifacts.DOCUMENTS_FILE, TEXT_SCHEMA) as documents,
            ArrowWriter(folder / artifacts.QUERIES_FILE, TEXT_SCHEMA) as queries,
        ):
            query_ids, document_ids = Ids(database, "query", queries), Ids(database, "document", documents)
            for part, own in zip(parts, kept, strict=True):
                ends += _collect(database, part, own, query_ids, document_ids, rows)
            unlabelled, taken_out = _unlabelled(logs, asked, query_ids, document_ids)
        left_out, conflicts = LeftOut(), 0
        keys = (query_ids.keys, document_ids.keys)
        with ArrowWriter(folder / artifacts.RECORDS_FILE, RECORD_SCHEMA) as records:
            for query, judged in _by_query(database, queries.rows):
                positives, negatives, both = _merged(judged)
                conflicts += both
                negatives = judged_once(int(keys[0][query]), positives, negatives, keys[1], left_out)
                labels = (list(positives), list(positives.values()), list(negatives), list(negatives.values()))
                records.append(*labels, rows[query] if query < len(rows) else 0)
    write_keys(folder / artifacts.QUERIES_FILE, keys[0])
    write_keys(folder / artifacts.DOCUMENTS_FILE, keys[1])
    np.save(folder / artifacts.PARTS_FILE, np.array(ends, dtype=np.int64), allow_pickle=False)
    np.save(folder / artifacts.UNLABELLED_FILE, unlabelled, allow_pickle=False)
    np.save(folder / artifacts.TAKEN_OUT_FILE, taken_out, allow_pickle=False)
    notes = left_out.notes()
    if conflicts:
        notes.append(f"{counted(conflicts, 'negative')} left out: positives of the same query in another of the files")
    scale = max(map(label_maximum, parts), default=1.0)
    return {
        "records": len(rows) + unlabelled.shape[1],
        "label_maximum": scale,
        "notes": notes,
        "left_out": asdict(left_out),
    }


def _collect(
    database: sqlite3.Connection, part: Dataset, kept: Ints, query_ids: Ids, document_ids: Ids, rows: array[int]
) -> list[int]:
    """Give the texts of a part their ids, its judgements to the database, and its rows of each query to ``rows``; how
    many queries there are behind each of the files that it comes from."""
    documents = np.fromiter(map(document_ids.of, part.documents), dtype=np.int64, count=len(part.documents))
    own_rows = part.rows()
    insert = "INSERT INTO judgement (query, document, label, positive) VALUES (?, ?, ?, ?)"
    ends: list[int] = []
    for number in kept:
        ends += [len(rows)] * (int(np.searchsorted(part.ends, number, side="right")) - len(ends))
        record = part[int(number)]
        query = query_ids.of(record.query)
        if query == len(rows):
            rows.append(0)
        rows[query] += int(own_rows[number])
        for kind, ids, labels in (
            (1, record.positives, record.positive_labels),
            (0, record.negatives, record.negative_labels),
        ):
            judged = zip(ids, labels, strict=True)
            database.executemany(insert, [(query, int(documents[one]), label, kind) for one, label in judged])
    return ends + [len(rows)] * (len(part.ends) - len(ends))


def _unlabelled(logs: Sequence[Log], asked: Sequence[Ints], query_ids: Ids, document_ids: Ids) -> tuple[Ints, Ints]:
    """Give the queries of logs their ids; how often each that is new was asked, and the document that it was made from
    (-1: not known), int64 of shape (2, queries); and what that document lacks in its lists, as ``Log.taken_out``."""
    labelled = query_ids.writer.rows
    counts, sources = array("q"), array("q")
    taken_out: dict[int, Spans] = {}
    for log, own in zip(logs, asked, strict=True):
        for number in own:
            place = query_ids.of(log.queries[int(number)]) - labelled
            if place < 0:
                continue
            if place == len(counts):
                counts.append(0)
                sources.append(-1)
            counts[place] += int(log.counts[number])
            if log.source[number] >= 0 and sources[place] < 0:
                sources[place] = document_ids.of(log.sources[int(log.source[number])])
                taken_out[place] = log.spans(int(number))
    return np.array([counts, sources], dtype=np.int64), pieces(taken_out)


def _by_query(database: sqlite3.Connection, count: int) -> Iterator[tuple[int, Iterable[_Judgement]]]:
    """Every query with its judgements in the order of the parts; some have none."""
    ordered = "SELECT query, document, label, positive FROM judgement ORDER BY query, rowid"
    following = 0
    for query, judged in itertools.groupby(map(_Judgement._make, database.execute(ordered)), key=lambda one: one.query):
        yield from ((empty, ()) for empty in range(following, query))
        yield query, judged
        following = query + 1
    yield from ((empty, ()) for empty in range(following, count))


def _merged(judged: Iterable[_Judgement]) -> tuple[dict[int, float], dict[int, float], int]:
    """Labels of a query's positives and negatives by document, and how many negatives were positives elsewhere."""
    labels: tuple[dict[int, float], dict[int, float]] = ({}, {})
    for item in judged:
        own = labels[item.positive]
        own[item.document] = max(item.label, own.get(item.document, 0.0))
    negatives, positives = labels
    both = positives.keys() & negatives.keys()
    return positives, {name: label for name, label in negatives.items() if name not in both}, len(both)
