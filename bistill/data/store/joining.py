"""Several data sets read one after the other as one: the same query text is one query, the same document text one
document."""

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
from bistill.console import say
from bistill.data.store import cache
from bistill.data.store.building import RECORD_SCHEMA
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import label_maximum
from bistill.data.store.repeated import LeftOut, judged_once
from bistill.data.store.scratch import Ids, scratch, write_keys
from bistill.data.store.texts import TEXT_SCHEMA, ArrowWriter

# Changes whenever the same data sets become other records than before.
JOINED_VERSION: Final = 1


def join(parts: Sequence[Dataset], kept: Sequence[Ints]) -> Dataset:
    """One data set of several, in the cache under the content of all.

    Queries and documents have their ids in order of appearance, so those of the first part keep theirs. A query of
    several parts has the judgements of all: of a document judged twice alike the highest label counts, and one that is
    a positive in one part and a negative in another is a positive. Documents of queries that are not taken stay among
    the documents.

    Args:
        parts: data sets, their labels on one scale.
        kept: of each part the rising ids of the queries taken, int64.

    Raises:
        ArtifactError: the cache cannot be written.
    """
    own = [part.fingerprint for part in parts]
    taken = [hashlib.sha256(np.ascontiguousarray(ids).data).hexdigest() for ids in kept]
    key = artifacts.fingerprint({"version": JOINED_VERSION, "kind": "joined", "parts": own, "kept": taken})
    folder, manifest = cache.obtain(key, lambda folder: _fill(folder, parts, kept))
    path = Path(", ".join(str(part.path) for part in parts))
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


def _fill(folder: Path, parts: Sequence[Dataset], kept: Sequence[Ints]) -> dict[str, Any]:
    ends: list[int] = []
    rows = array("q")
    with scratch(folder) as database:
        with (
            ArrowWriter(folder / artifacts.DOCUMENTS_FILE, TEXT_SCHEMA) as documents,
            ArrowWriter(folder / artifacts.QUERIES_FILE, TEXT_SCHEMA) as queries,
        ):
            query_ids, document_ids = Ids(database, "query", queries), Ids(database, "document", documents)
            for part, own in zip(parts, kept, strict=True):
                _collect(database, part, own, query_ids, document_ids, rows)
                ends.append(queries.rows)
        left_out, conflicts = LeftOut(), 0
        keys = (query_ids.keys, document_ids.keys)
        with ArrowWriter(folder / artifacts.RECORDS_FILE, RECORD_SCHEMA) as records:
            for query, judged in _by_query(database, queries.rows):
                positives, negatives, both = _merged(judged)
                conflicts += both
                negatives = judged_once(int(keys[0][query]), positives, negatives, keys[1], left_out)
                labels = (list(positives), list(positives.values()), list(negatives), list(negatives.values()))
                records.append(*labels, rows[query])
    write_keys(folder / artifacts.QUERIES_FILE, keys[0])
    write_keys(folder / artifacts.DOCUMENTS_FILE, keys[1])
    np.save(folder / artifacts.PARTS_FILE, np.array(ends, dtype=np.int64), allow_pickle=False)
    notes = left_out.notes()
    if conflicts:
        notes.append(f"{conflicts} negatives left out: positives of the same query in another of the files")
    scale = max(map(label_maximum, parts))
    return {"records": len(rows), "label_maximum": scale, "notes": notes, "left_out": asdict(left_out)}


def _collect(
    database: sqlite3.Connection, part: Dataset, kept: Ints, query_ids: Ids, document_ids: Ids, rows: array[int]
) -> None:
    """Give the texts of a part their ids, its judgements to the database, and its rows of each query to ``rows``."""
    documents = np.fromiter(map(document_ids.of, part.documents), dtype=np.int64, count=len(part.documents))
    own_rows = part.rows()
    insert = "INSERT INTO judgement (query, document, label, positive) VALUES (?, ?, ?, ?)"
    for number in kept:
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
