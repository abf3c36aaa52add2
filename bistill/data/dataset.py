"""Labelled data as training and evaluation use it: records by number, texts by id, nothing of it held in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from bistill import artifacts
from bistill.data import building
from bistill.data.records import Record
from bistill.data.texts import Column, Mapped, Texts


class Dataset(Sequence[Record]):
    """The records of one file, with its unique queries and documents.

    Args:
        folder: folder with the Arrow files.
        path: the file as the user named it.
        fingerprint: key of content and reading options.
        rejected: rows set aside.
        notes: what reading noticed, such as "read as cp949".
    """

    def __init__(self, folder: Path, *, path: Path, fingerprint: str, rejected: int, notes: tuple[str, ...]) -> None:
        self.folder, self.path, self.fingerprint = folder, path, fingerprint
        self.rejected, self.notes = rejected, notes
        self.queries = Texts(folder / artifacts.QUERIES_FILE)
        self.documents = Texts(folder / artifacts.DOCUMENTS_FILE)
        mapped = Mapped(folder / artifacts.RECORDS_FILE)
        self._columns = [Column(mapped, name) for name in building.RECORD_SCHEMA.names]

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
