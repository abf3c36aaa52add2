"""Data versions as training sees them: training and validation queries, and the documents beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bistill import artifacts, console
from bistill.data.queries import choice, held_out
from bistill.data.settings import BadRows
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.joining import join
from bistill.data.store.logs import Log
from bistill.data.store.opening import load_documents, load_log, load_split, positive_from
from bistill.data.store.several import apart, one_behind_the_other, refuse_two_scales, said_left_out, said_size
from bistill.data.store.texts import Texts
from bistill.errors import DataError, OptionError, Told


@dataclass(frozen=True)
class Version:
    """A data version: a folder below a root with train.csv, valid.csv, test.csv and what belongs to them; or several
    that are read one after the other as one.

    Attributes:
        root: folder that holds the data versions.
        name: of the folder below it; of several the first, which is the one that ``folder`` and ``path`` are of.
        further: names of the others.

    Raises:
        OptionError: a name stands there twice.
    """

    root: Path
    name: str
    further: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len({*self.names}) < len(self.names):
            raise OptionError(
                "a data version is named twice", where="`Version.name`", found=self.names, todo="name each once"
            )

    @classmethod
    def of_file(cls, path: Path) -> Version | None:
        """The data version that a file lies in: one that was prepared, a split with another beside it, or queries
        without labels beside documents; None of any other file."""
        version = cls(path.parent.parent, path.parent.name)
        splits = [split for split in artifacts.SPLITS if version.path(split).is_file()]
        own = path.name in artifacts.SPLIT_FILES.values() and len(splits) > 1
        asked = path.name in artifacts.LOG_FILES.values() and bool(version.files())
        return version if own or asked or (version.folder / artifacts.PREPARE_RECORD).is_file() else None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all."""
        return (self.name, *self.further)

    @property
    def each(self) -> tuple[Version, ...]:
        """Every one by itself."""
        return tuple(Version(self.root, name) for name in self.names)

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.root / self.name

    @property
    def without_labels(self) -> bool:
        """Whether there are queries to learn from, but none with labels."""
        logs = any((version.folder / artifacts.LOG_FILES["train"]).is_file() for version in self.each)
        return logs and not any(version.path("train").is_file() for version in self.each)

    def path(self, split: str) -> Path:
        """File of a split: train, valid or test."""
        return self.folder / artifacts.SPLIT_FILES[split]

    @property
    def searched(self) -> Path:
        """File with documents to try a student on: the test's, else the training's; without labels ``corpus.csv``."""
        there = [path for split in ("test", "train") if (path := self.path(split)).is_file()]
        return there[0] if there else self.folder / artifacts.CORPUS_FILE

    def files(self) -> list[Path]:
        """The splits and ``corpus.csv`` of each, those that are there."""
        names = (*artifacts.SPLIT_FILES.values(), artifacts.CORPUS_FILE)
        return [path for one in self.each for name in names if (path := one.folder / name).is_file()]

    def training(self, *, on_bad_rows: BadRows = "stop", rejected_to: Path | None) -> tuple[Dataset, Dataset]:
        """Training and validation data: of several versions the rows of all.

        Of several, queries that are the same as or nearly equal to one of the test of any of them are in neither, and
        such as are validation queries of one are no training queries of another.

        Args:
            on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside and says how many.
            rejected_to: folder that the rows set aside go to; None: beside the parsed data.

        Raises:
            DataError: the folder or a file is missing, a row is bad, a file has no query with a positive, or files are
                graded by different scales.
        """
        train, valid = (
            [version._opened(split, on_bad_rows, rejected_to) for version in self.each] for split in ("train", "valid")
        )
        refuse_two_scales(*train, *valid)
        return self._joined(train, valid, on_bad_rows) if self.further else (train[0], valid[0])

    def validation(self, *, on_bad_rows: BadRows = "stop", rejected_to: Path) -> Dataset | None:
        """Labelled validation data as ``training`` gives them, where there are no labelled training data; None where a
        version has none. Arguments and errors as of ``training``.
        """
        if not all(version.path("valid").is_file() for version in self.each):
            return None
        valid = [version._opened("valid", on_bad_rows, rejected_to) for version in self.each]
        refuse_two_scales(*valid)
        return apart("validation", valid, self._tests(on_bad_rows)) if self.further else valid[0]

    def unlabelled(
        self,
        labelled: Dataset | None = None,
        split: Literal["train", "valid"] = "train",
        *,
        on_bad_rows: BadRows = "stop",
        rejected_to: Path,
    ) -> Dataset:
        """A data set with queries without labels behind the labelled ones, whose ids and documents stay.

        "train" are those of queries.csv, without what comes again among labelled validation and test queries or in
        valid_queries.csv; "valid" are those of valid_queries.csv, held out to choose the best weights by, without what
        comes again among labelled training and test queries. See ``Dataset.unlabelled``.

        Args:
            labelled: training data as ``training`` gave them, or validation data; None: there are none.
            split: which queries.
            on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside and says how many.
            rejected_to: folder that the rows set aside go to.

        Returns:
            ``labelled`` itself where no version has such queries.

        Raises:
            DataError: a row is bad, or there are neither labelled queries nor others.
        """
        logs = list(self._logs(split, on_bad_rows, rejected_to))
        if not logs and labelled is not None:
            return labelled
        if not logs:
            path = self.folder / artifacts.LOG_FILES[split]
            raise DataError(
                f"the data version {self.name} has no {path.name}",
                where=str(path),
                todo=f"bistill prepare `documents` FILE `queries` FILE `data_version` {self.name}, with enough queries "
                "and a `valid_share` above 0 to hold some out for validation",
            )
        others = [
            path
            for version in self.each
            for name in artifacts.SPLITS
            if name != split and (path := version.path(name)).is_file()
        ]
        held = [load_split(path, on_bad_rows=on_bad_rows).queries for path in others]
        if split == "train":
            held += [log.queries for log in self._logs("valid", on_bad_rows, rejected_to)]
        asked = held_out.apart([log.queries for log in logs], held)
        parts = [] if labelled is None else [labelled]
        found = join(parts, [np.arange(len(part)) for part in parts], logs, asked)
        paths, end = ", ".join(str(log.path) for log in logs), said_left_out(logs, asked)
        console.say(f"{paths}: {console.counted(len(found.unlabelled), 'query')} without labels{end}")
        return found

    def _logs(self, split: Literal["train", "valid"], on_bad_rows: BadRows, rejected_to: Path) -> Iterator[Log]:
        """The queries without labels of each version that has such."""
        name = artifacts.LOG_FILES[split]
        rejected = rejected_to / f"{Path(name).stem}_{artifacts.REJECTED_FILE}"
        for version in self.each:
            if (path := version.folder / name).is_file():
                yield load_log(path, on_bad_rows=on_bad_rows, rejected_to=rejected)

    def corpus(self, dataset: Dataset) -> Corpus:
        """The documents of a data set, then those of each version's ``corpus.csv`` where it has one.

        Raises:
            DataError: ``corpus.csv`` cannot be used.
        """
        files = [path for version in self.each if (path := version.folder / artifacts.CORPUS_FILE).is_file()]
        return one_behind_the_other([dataset.documents, *map(load_documents, files)])

    def collection(self, dataset: Dataset) -> Collection:
        """A data set with what is searched for its queries, see ``corpus``.

        Raises:
            DataError: ``corpus.csv`` cannot be used.
        """
        return Collection(dataset, self.corpus(dataset))

    def documents(self, *, on_bad_rows: BadRows = "stop") -> Corpus:
        """The documents of all splits, then those of ``corpus.csv``: each text once.

        Raises:
            DataError: there is neither, or a file cannot be used; RowError names the row.
        """
        files = self.files()
        if not files:
            raise DataError(
                "no such data version", where=str(self.folder), todo="check `Version.name` and `Version.root`"
            )
        parts = [
            load_documents(path)
            if path.name == artifacts.CORPUS_FILE
            else load_split(path, on_bad_rows=on_bad_rows).documents
            for path in sorted(files, key=lambda path: path.name == artifacts.CORPUS_FILE)
        ]
        return one_behind_the_other(parts)

    def content(self, *, unlabelled: bool = False) -> str:
        """SHA-256 of what training reads, wherever the version lies; the same in every version of bistill.

        Args:
            unlabelled: whether it reads queries without labels, too.

        Raises:
            DataError: `bistill prepare` was broken off there.
        """
        logs = artifacts.LOG_FILES.values() if unlabelled else ()
        if self.further:
            return artifacts.fingerprint(
                {"versions": [version._files("train", "valid", "test", logs=logs) for version in self.each]}
            )
        # The test decides which queries without labels are left out.
        tested = ("test",) if any((self.folder / name).is_file() for name in logs) else ()
        return artifacts.fingerprint(self._files("train", "valid", *tested, logs=logs))

    def _files(self, *splits: str, logs: Iterable[str]) -> dict[str, Any]:
        """SHA-256 and label threshold of the files of splits and of the corpus, None where there is none; SHA-256 of
        those of ``logs`` that are there."""
        files = {split: self.path(split) for split in splits} | {"corpus": self.folder / artifacts.CORPUS_FILE}
        there = [name for name in logs if (self.folder / name).is_file()]
        return {
            name: [artifacts.sha256_of_file(path), positive_from(path)] if path.is_file() else None
            for name, path in files.items()
        } | {name: artifacts.sha256_of_file(self.folder / name) for name in there}

    def _opened(self, split: str, on_bad_rows: BadRows, rejected_to: Path | None) -> Dataset:
        """The queries of a split, which are said."""
        path = self.path(split)
        if not path.is_file():
            raise self._missing(path)
        rejected = None if rejected_to is None else rejected_to / f"{split}_{artifacts.REJECTED_FILE}"
        found = load_split(path, on_bad_rows=on_bad_rows, rejected_to=rejected)
        choice.answered(found)  # said now, not when the first list is made
        console.say(f"{path}: {said_size(found)}")
        return found

    def _joined(self, train: list[Dataset], valid: list[Dataset], on_bad_rows: BadRows) -> tuple[Dataset, Dataset]:
        """Training and validation data of several versions, without what comes again where it is held out."""
        tests = self._tests(on_bad_rows)
        validation = apart("validation", valid, tests)
        return apart("training", train, [validation.queries, *tests]), validation

    def _tests(self, on_bad_rows: BadRows) -> list[Texts]:
        """The test queries of each version that has such."""
        files = [path for version in self.each if (path := version.path("test")).is_file()]
        return [load_split(path, on_bad_rows=on_bad_rows).queries for path in files]

    def _missing(self, path: Path) -> DataError:
        """What is said where a training or validation file is not there."""
        if there := [split for split in artifacts.SPLITS if self.path(split).is_file()]:
            return DataError(
                f"the data version {self.name} has no {path.name}: training needs train.csv and valid.csv",
                where=str(path),
                found=Told(", ".join(artifacts.SPLIT_FILES[split] for split in there)),
                todo=f"bistill prepare SOURCE `data_version` {self.name}, from a source with rows for training (rows "
                "for validation are taken from these by `valid_share` where it has none); what is there serves "
                "evaluation and search",
            )
        if path.name != artifacts.LOG_FILES["train"] and (self.folder / artifacts.LOG_FILES["train"]).is_file():
            return DataError(
                f"the data version {self.name} has queries without labels alone, and this command learns from labels",
                where=str(path),
                found=artifacts.LOG_FILES["train"],
                todo=f"bistill prepare SOURCE `data_version` {self.name}, with labelled text beside `documents` and "
                "`queries`",
            )
        known = sorted(file.parent.name for file in self.root.glob(f"*/{path.name}"))
        return DataError(
            "the file does not exist",
            where=str(path),
            found=Told(f"data versions below {self.root}: {', '.join(known) or 'none'}"),
            todo=f"bistill prepare SOURCE `data_version` {self.name}",
        )
