"""Labelled data in a program: from rows or files to what training, evaluation and search take."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bistill import artifacts, cache_folder
from bistill.data.prepare.preparing import prepare
from bistill.data.prepare.record import made_from
from bistill.data.read.sources import open_source
from bistill.data.settings import BadRows, Columns, RowReading, Splitting
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset as Split
from bistill.data.store.opening import load_rows, load_split
from bistill.data.store.version import Version
from bistill.errors import DataError, OptionError

if TYPE_CHECKING:
    import pandas as pd


class Dataset:
    """Labelled queries and documents, as they came; ``prepared`` makes of them what training takes.

    Made by ``from_rows`` or ``from_version``.
    """

    def __init__(
        self, source: Any, reading: RowReading, on_bad_rows: BadRows = "stop", version: Version | None = None
    ) -> None:
        self._source, self._reading, self._on_bad_rows, self._version = source, reading, on_bad_rows, version

    @classmethod
    def from_rows(
        cls,
        rows: Any,
        *,
        query: str | None = None,
        document: str | None = None,
        label: str | None = None,
        positive: str | None = None,
        negatives: Sequence[str] = (),
        label_maximum: float | None = None,
        positive_from: float = 0.5,
        on_bad_rows: BadRows = "stop",
    ) -> Dataset:
        """Labelled rows: pairs of query, document and label, or a query with relevant and irrelevant documents.

        Args:
            rows: a DataFrame of pandas or polars, an Arrow table, a ``datasets.Dataset``, dicts in any iterable, or a
                file, folder or hub data set that ``bistill prepare`` reads.
            query: column of queries; None: recognised by its name.
            document: column of documents of labelled pairs.
            label: column of labels of labelled pairs.
            positive: column of relevant documents, where there are no labels.
            negatives: columns of irrelevant documents.
            label_maximum: highest label of the scale; None: 1, or the highest found.
            positive_from: labels of at least this share of the highest are positives.
            on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside, see ``rejected``.

        Raises:
            OptionError: something else is given than rows, or a value is of another type or out of range.
            DataError: there is no row, or the columns are not recognised.
        """
        columns = Columns(query, positive, tuple(negatives), document, label)
        reading = RowReading(columns, label_maximum, positive_from)
        rows = list(rows) if isinstance(rows, Iterator) else rows  # they are read more than once
        opened = open_source(rows, reading)
        for reader in opened.readers.values():  # what is no data is said now
            next(iter(reader.rows()), None)
        return cls(rows, reading, on_bad_rows)

    @classmethod
    def from_version(
        cls, name: str | Sequence[str], *, root: str | Path = "preprocessed", on_bad_rows: BadRows = "stop"
    ) -> Dataset:
        """A data version that ``bistill prepare`` or ``prepared`` wrote.

        Args:
            name: of its folder; or several, which are read as one for training and validation. Their ``test``,
                ``report`` and ``rejected`` are those of the first.
            root: folder that holds them.
            on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside.

        Raises:
            DataError: there is none of that name.
            OptionError: a name is given twice, or none.
        """
        names = (name,) if isinstance(name, str) else tuple(name)
        if not names:
            raise OptionError("no data version is named", where="`name`", found=name, todo="name one, or several")
        version = Version(Path(root), names[0], names[1:])
        for one in version.each:
            if not (one.without_labels or any(one.path(split).is_file() for split in artifacts.SPLITS)):
                raise DataError("no such data version", where=str(one.folder), todo="check name and root")
        return cls(None, RowReading(), on_bad_rows, version)

    def prepared(
        self,
        *,
        seed: int = 42,
        valid: float = 0.1,
        test: float = 0.1,
        near_duplicates: float = 0.9,
        folder: str | Path | None = None,
        overwrite: bool = False,
    ) -> Dataset:
        """Split, with duplicates merged and leaks between the splits resolved, see ``report``.

        Args:
            seed: another seed gives another split.
            valid: share of the queries for validation, where the source has no such split.
            test: likewise for the test.
            near_duplicates: texts of at least this Jaccard similarity are merged; 1: equal texts only.
            folder: where the data version is written; None: in the cache, under a name that its content decides.
            overwrite: replace a data version that was made otherwise.

        Raises:
            RowError: the first bad row, where the policy is "stop".
            DataError: nothing is left for training, or no query has a positive.
            OptionError: a value is of another type or out of range, or the folder holds something else.
        """
        if self._version is not None:
            raise OptionError("the data are prepared already", where="`prepared`", found=self, todo="use them")
        splitting = Splitting(valid, test, near_duplicates, seed)
        version = self._place(splitting) if folder is None else Version(Path(folder).parent, Path(folder).name)
        prepare(
            self._source,
            version,
            reading=self._reading,
            splitting=splitting,
            on_bad_rows=self._on_bad_rows,
            overwrite=overwrite,
        )
        return Dataset(None, RowReading(), self._on_bad_rows, version)

    def _place(self, splitting: Splitting) -> Version:
        """Folder of the cache for these rows, understood and split like this."""
        known = open_source(self._source, self._reading).fingerprint
        nowhere = Version(Path(), "")
        chosen = made_from("", nowhere, self._reading, splitting, on_bad_rows=self._on_bad_rows)
        name = artifacts.fingerprint({"source": known, "options": chosen})[:32]
        return Version(cache_folder.cache_dir() / artifacts.PREPARED_FOLDER, name)

    @property
    def version(self) -> Version:
        """The folder of the prepared data.

        Raises:
            OptionError: the data are not prepared.
        """
        if self._version is None:
            raise OptionError(
                "the data are not prepared: training takes split data without duplicates and leaks",
                where="`data`",
                found=self,
                todo="give data.prepared(seed=42)",
            )
        return self._version

    @property
    def on_bad_rows(self) -> BadRows:
        """What becomes of bad rows."""
        return self._on_bad_rows

    @cached_property
    def train(self) -> Split:
        """Training queries; see ``test``."""
        return self._split("train")

    @cached_property
    def valid(self) -> Split:
        """Validation queries; see ``test``."""
        return self._split("valid")

    @cached_property
    def test(self) -> Split:
        """Test queries with their labels: a sequence of records, memory-mapped.

        Raises:
            DataError: the data version has no such file.
            OptionError: the data are not prepared.
        """
        return self._split("test")

    @cached_property
    def whole(self) -> Split:
        """All rows as they came, not split: to measure a model that was made elsewhere. Of prepared data ``test``.

        Raises:
            RowError: the first bad row, where the policy is "stop".
            DataError: there is no row, or the source is a folder or hub data set of several files.
        """
        if self._version is not None:
            return self.test
        if isinstance(self._source, str | Path):
            return load_split(self._source, on_bad_rows=self._on_bad_rows, reading=self._reading)
        return load_rows(self._source, on_bad_rows=self._on_bad_rows, reading=self._reading)

    @cached_property
    def documents(self) -> Corpus:
        """The documents of all splits, then those that no query judges: a sequence of texts, each once.

        Raises:
            OptionError: the data are not prepared.
        """
        return self.version.documents(on_bad_rows=self._on_bad_rows)

    @property
    def report(self) -> Mapping[str, int]:
        """What the preparation found and resolved, by name: duplicates, leaks, bad rows."""
        record = artifacts.read_json(self.version.folder / artifacts.PREPARE_RECORD)
        found: dict[str, int] = record["report"]
        return found

    @property
    def rejected(self) -> pd.DataFrame:
        """The rows set aside: where each stands, what is wrong with it, and its cells."""
        import pandas as pd

        path = self.version.folder / artifacts.REJECTED_FILE
        if not path.is_file():
            return pd.DataFrame()
        with path.open(encoding="utf-8", newline="") as file:
            return pd.DataFrame(list(csv.DictReader(file)))

    def __repr__(self) -> str:
        if self._version is None:
            return f"Dataset(not prepared, from {type(self._source).__name__})"
        counts = {name: len(self._split(name)) for name in artifacts.SPLITS if self._version.path(name).is_file()}
        return f"Dataset({', '.join(f'{name}={count}' for name, count in counts.items())}, {self._version.folder})"

    @cached_property
    def _joined(self) -> dict[str, Split]:
        """Training and validation queries of several data versions."""
        train, valid = self.version.training(on_bad_rows=self._on_bad_rows, rejected_to=None)
        return {"train": train, "valid": valid}

    def _split(self, name: str) -> Split:
        if self.version.further and name != "test":
            return self._joined[name]
        path = self.version.path(name)
        if not path.is_file():
            raise DataError(f"the data have no {name} split", where=str(self.version.folder), todo="give rows for it")
        return load_split(path, on_bad_rows=self._on_bad_rows)
