"""A data version as training sees it: its training and validation queries, and the documents beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bistill import artifacts, console
from bistill.data.queries import choice
from bistill.data.settings import BadRows
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import label_maximum, load_documents, load_split, positive_from
from bistill.errors import DataError


@dataclass(frozen=True)
class Version:
    """A data version: a folder below a root with train.csv, valid.csv, test.csv and what belongs to them.

    Attributes:
        root: folder that holds the data versions.
        name: of the folder below it.
    """

    root: Path
    name: str

    @classmethod
    def of_file(cls, path: Path) -> Version | None:
        """The prepared data version that a file lies in; None of any other file."""
        folder = path.parent
        return cls(folder.parent, folder.name) if (folder / artifacts.PREPARE_RECORD).is_file() else None

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.root / self.name

    def path(self, split: str) -> Path:
        """File of a split: train, valid or test."""
        return self.folder / artifacts.SPLIT_FILES[split]

    def training(self, *, on_bad_rows: BadRows = "stop", rejected_to: Path) -> tuple[Dataset, Dataset]:
        """Training and validation data.

        Args:
            on_bad_rows: "stop" raises the first bad row; "skip" sets bad rows aside and says how many.
            rejected_to: folder that the rows set aside go to.

        Raises:
            DataError: the folder or a file is missing, a row is bad, or a file has no query with a positive.
        """
        splits = []
        for split in ("train", "valid"):
            path = self.path(split)
            if not path.is_file():
                raise self._missing(path)
            rejected = rejected_to / f"{split}_{artifacts.REJECTED_FILE}"
            splits.append(load_split(path, on_bad_rows=on_bad_rows, rejected_to=rejected))
            choice.answered(splits[-1])  # said now, not when the first list is made
            console.say(f"{path}: {_queries(splits[-1])}, {len(splits[-1].documents)} documents")
        _refuse_two_scales(*splits)
        return splits[0], splits[1]

    def corpus(self, dataset: Dataset) -> Corpus:
        """The documents of a data set, then those of the version's ``corpus.csv`` where it has one.

        Raises:
            DataError: ``corpus.csv`` cannot be used.
        """
        path = self.folder / artifacts.CORPUS_FILE
        return Corpus(dataset.documents, load_documents(path) if path.is_file() else ())

    def collection(self, dataset: Dataset) -> Collection:
        """A data set with what is searched for its queries, see ``corpus``.

        Raises:
            DataError: ``corpus.csv`` cannot be used.
        """
        return Collection(dataset, self.corpus(dataset))

    def content(self) -> str:
        """SHA-256 of what training reads, wherever the version lies; the same in every version of bistill.

        Raises:
            DataError: `bistill prepare` was broken off there.
        """
        files = {split: self.path(split) for split in ("train", "valid")}
        files["corpus"] = self.folder / artifacts.CORPUS_FILE
        found = {
            name: [artifacts.sha256_of_file(path), positive_from(path)] if path.is_file() else None
            for name, path in files.items()
        }
        return artifacts.fingerprint(found)

    def _missing(self, path: Path) -> DataError:
        """What is said where a training or validation file is not there."""
        if there := [split for split in artifacts.SPLITS if self.path(split).is_file()]:
            return DataError(
                f"the data version {self.name} has no {path.name}: training needs train.csv and valid.csv",
                where=str(path),
                found=", ".join(artifacts.SPLIT_FILES[split] for split in there),
                todo=f"bistill prepare SOURCE `data_version` {self.name}, from a source with rows for training (rows "
                "for validation are taken from these by `valid_share` where it has none); what is there serves "
                "evaluation and search",
            )
        known = sorted(file.parent.name for file in self.root.glob(f"*/{path.name}"))
        return DataError(
            "the file does not exist",
            where=str(path),
            found=f"data versions below {self.root}: {', '.join(known) or 'none'}",
            todo=f"bistill prepare SOURCE `data_version` {self.name}",
        )


def _queries(split: Dataset) -> str:
    without = len(split) - len(split.with_positive)
    return f"{len(split)} queries" + (f" ({without} without a positive)" if without else "")


def _refuse_two_scales(*splits: Dataset) -> None:
    """Raise where files are graded by whole numbers up to different ones: 2 of 2 and 2 of 3 differ."""
    graded = {str(split.path): highest for split in splits if (highest := label_maximum(split)) > 1}
    if len(set(graded.values())) > 1:
        raise DataError(
            "the highest labels differ, so that the same label would mean different relevance",
            where=", ".join(graded),
            found=", ".join(f"{highest:g}" for highest in graded.values()),
            todo="bring the files in together with `bistill prepare` and `label_maximum`, or divide the labels by it",
        )
