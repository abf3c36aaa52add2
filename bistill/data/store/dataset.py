"""Labelled data as training and evaluation use it: records by number, texts by id, nothing of it held in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, overload

import numpy as np

from bistill import artifacts
from bistill.arrays import Ints
from bistill.data.records import Record
from bistill.data.store.texts import Column, Mapped, Texts

JUDGEMENTS: Final = ("positives", "positive_labels", "negatives", "negative_labels")


class Dataset(Sequence[Record]):
    """The records of one file, or of several joined (``joining.join``), with their unique queries and documents.

    A record may have no positive: its documents teach a teacher what is irrelevant and are documents like others, but
    no list and no ranking can be made of it.

    Args:
        folder: folder with the Arrow files.
        path: the file as the user named it; of several their names with commas between them.
        fingerprint: key of content and reading options.
        rejected: rows set aside.
        notes: what reading noticed, such as "read as cp949".
    """

    def __init__(self, folder: Path, *, path: Path, fingerprint: str, rejected: int, notes: tuple[str, ...]) -> None:
        self.folder, self.path, self.fingerprint = folder, path, fingerprint
        self.rejected, self.notes = rejected, notes
        self.queries = Texts(folder / artifacts.QUERIES_FILE)
        self.documents = Texts(folder / artifacts.DOCUMENTS_FILE)
        self._mapped = Mapped(folder / artifacts.RECORDS_FILE)
        self._columns = [Column(self._mapped, name) for name in JUDGEMENTS]

    def __len__(self) -> int:
        return self._columns[0].rows

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self._record(item) for item in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return self._record(index % len(self))

    def __iter__(self) -> Iterator[Record]:
        return (self._record(item) for item in range(len(self)))

    @cached_property
    def _asked(self) -> Ints:
        stored = self.folder / artifacts.UNLABELLED_FILE
        found: Ints = np.load(stored, allow_pickle=False) if stored.exists() else np.empty((2, 0), dtype=np.int64)
        return found

    @property
    def labelled(self) -> int:
        """How many queries have labels. Those behind them come from logs: their records name no document."""
        return len(self) - len(self.counts)

    @property
    def unlabelled(self) -> Ints:
        """Rising ids of the queries without labels, int64 of shape (n,): the last ones."""
        return np.arange(self.labelled, len(self))

    @property
    def counts(self) -> Ints:
        """How often each of these was asked, int64 of shape (n,)."""
        counts: Ints = self._asked[0]
        return counts

    @property
    def sources(self) -> Ints:
        """The document that each of these was made from, int64 of shape (n,); -1 where that is not known. It is no
        label: who reads it may take it for a candidate."""
        sources: Ints = self._asked[1]
        return sources

    @cached_property
    def taken_out(self) -> Ints:
        """What the documents that queries were made from lack in these queries' own lists: the place of each such query
        among those without labels, start and end of each piece; int64 of shape (3, pieces), see ``logs.Log``."""
        stored = self.folder / artifacts.TAKEN_OUT_FILE
        return np.load(stored, allow_pickle=False) if stored.exists() else np.empty((3, 0), dtype=np.int64)

    @cached_property
    def with_positive(self) -> Ints:
        """Rising ids of the queries with a positive, int64: those that lists and rankings are made of."""
        return np.flatnonzero(self._columns[0].lengths())

    @property
    def without_positive(self) -> Ints:
        """Rising ids of the other queries with labels, int64."""
        return np.setdiff1d(np.arange(self.labelled), self.with_positive, assume_unique=True)

    @cached_property
    def ends(self) -> Ints:
        """Of each file that the labelled queries come from one after the other the id behind its last one: int64 of
        shape (files,). A query of several files belongs to the first of them."""
        stored = self.folder / artifacts.PARTS_FILE
        return np.load(stored, allow_pickle=False) if stored.exists() else np.array([self.labelled], dtype=np.int64)

    def rows(self) -> Ints:
        """How many rows of the file each query has, those set aside not counted: int64 of shape (queries,)."""
        return Column(self._mapped, "rows").numbers()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_reopened, (self.folder, self.path, self.fingerprint, self.rejected, self.notes))

    def _record(self, index: int) -> Record:
        positives, positive_labels, negatives, negative_labels = (column.value(index) for column in self._columns)
        assert isinstance(positives, list) and isinstance(positive_labels, list)
        assert isinstance(negatives, list) and isinstance(negative_labels, list)
        return Record(
            query_id=index,
            query=self.queries[index],
            positives=tuple(positives),
            positive_labels=tuple(positive_labels),
            negatives=tuple(negatives),
            negative_labels=tuple(negative_labels),
        )


def _reopened(folder: Path, path: Path, fingerprint: str, rejected: int, notes: tuple[str, ...]) -> Dataset:
    return Dataset(folder, path=path, fingerprint=fingerprint, rejected=rejected, notes=notes)
