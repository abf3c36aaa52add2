"""Queries without labels: what was asked, how often, and from which document a query was made."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from bistill import artifacts
from bistill.arrays import Ints
from bistill.data.queries.taken_out import Spans
from bistill.data.read.rejections import Rejections
from bistill.data.records import Row
from bistill.data.store.scratch import Ids, scratch, write_keys
from bistill.data.store.texts import TEXT_SCHEMA, ArrowWriter, Texts
from bistill.errors import RowError


class Log:
    """The queries of one file, each text once.

    Args:
        folder: folder with the Arrow files that ``build_log`` wrote.
        path: the file as the user named it.
        fingerprint: key of its content.

    Attributes:
        queries: their texts in order of appearance.
        sources: texts of the documents that queries were made from, each once.
        counts: how often each query was asked, int64 of shape (queries,).
        source: place in ``sources`` of what each query was made from, -1 where that is not known: int64 of shape
            (queries,).
        taken_out: what the source of a query lacks in that query's own lists: place of the query, start and end of
            each piece in the characters of the source, by rising place: int64 of shape (3, pieces).
    """

    def __init__(self, folder: Path, *, path: Path, fingerprint: str = "") -> None:
        self.path, self.fingerprint = path, fingerprint
        self.queries = Texts(folder / artifacts.QUERIES_FILE)
        self.sources = Texts(folder / artifacts.DOCUMENTS_FILE)
        self.counts, self.source = np.load(folder / artifacts.UNLABELLED_FILE, allow_pickle=False)
        self.taken_out: Ints = np.load(folder / artifacts.TAKEN_OUT_FILE, allow_pickle=False)

    def __len__(self) -> int:
        return len(self.queries)

    def spans(self, place: int) -> Spans:
        """The pieces of one query."""
        return spans_of(self.taken_out, place)


def spans_of(taken_out: Ints, place: int) -> Spans:
    """The pieces of a query: ``Log.taken_out`` has them one behind the other."""
    first, last = np.searchsorted(taken_out[0], [place, place + 1])
    return tuple(map(tuple, taken_out[1:, first:last].T.tolist()))


def pieces(spans: Mapping[int, Spans]) -> Ints:
    """``Log.taken_out`` of the pieces of queries by place."""
    found = [(place, *piece) for place in sorted(spans) for piece in spans[place]]
    return np.array(found, dtype=np.int64).reshape(-1, 3).T


def build_log(outcomes: Iterable[Row | RowError], folder: Path, rejections: Rejections) -> int:
    """Write the files of a ``Log`` into an existing, empty folder; the number of its queries.

    Raises:
        RowError: the first bad row, where the policy is "stop".
    """
    counts, source = array("q"), array("q")
    taken_out: dict[int, Spans] = {}
    with (
        scratch(folder) as database,
        ArrowWriter(folder / artifacts.QUERIES_FILE, TEXT_SCHEMA) as queries,
        ArrowWriter(folder / artifacts.DOCUMENTS_FILE, TEXT_SCHEMA) as sources,
    ):
        query_ids, source_ids = Ids(database, "query", queries), Ids(database, "document", sources)
        for outcome in outcomes:
            if isinstance(outcome, RowError):
                rejections.handle(outcome)
            elif outcome.query:
                (asked,) = outcome.judgements
                number = query_ids.of(outcome.query)
                if number == len(counts):
                    counts.append(0)
                    source.append(-1)
                counts[number] += int(asked.label or 1)
                if asked.document and source[number] < 0:
                    source[number] = source_ids.of(asked.document)
                    taken_out[number] = asked.taken_out
    write_keys(folder / artifacts.QUERIES_FILE, query_ids.keys)
    write_keys(folder / artifacts.DOCUMENTS_FILE, source_ids.keys)
    np.save(folder / artifacts.UNLABELLED_FILE, np.array([counts, source], dtype=np.int64), allow_pickle=False)
    np.save(folder / artifacts.TAKEN_OUT_FILE, pieces(taken_out), allow_pickle=False)
    return len(counts)
