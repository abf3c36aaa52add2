"""A data version as training sees it: its training and validation queries, and the documents beside them."""

from __future__ import annotations

from pathlib import Path

from bistill import artifacts, console
from bistill.config import DataOptions
from bistill.data.queries import choice
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import label_maximum, load_documents, load_split, positive_from
from bistill.errors import DataError


def load_training(options: DataOptions, output_dir: Path) -> tuple[Dataset, Dataset]:
    """Training and validation data of a data version; rejected rows go to ``output_dir``.

    Raises:
        DataError: the folder or a file is missing, a row is bad, or a file has no query with a positive.
    """
    splits = []
    for split in ("train", "valid"):
        path = split_path(options, split)
        if not path.is_file():
            raise _missing(options, path)
        rejected_to = output_dir / f"{split}_{artifacts.REJECTED_FILE}"
        splits.append(load_split(path, on_bad_rows=options.on_bad_rows, rejected_to=rejected_to))
        choice.answered(splits[-1])  # said now, not when the first list is made
        console.say(f"{path}: {_queries(splits[-1])}, {len(splits[-1].documents)} documents")
    _refuse_two_scales(*splits)
    return splits[0], splits[1]


def _missing(options: DataOptions, path: Path) -> DataError:
    """What is said where a training or validation file is not there."""
    name = options.data_version
    if there := [split for split in artifacts.SPLITS if split_path(options, split).is_file()]:
        return DataError(
            f"the data version {name} has no {path.name}: training needs train.csv and valid.csv",
            where=str(path),
            found=", ".join(artifacts.SPLIT_FILES[split] for split in there),
            todo=f"bistill prepare SOURCE --data_version {name}, from a source with rows for training (rows for "
            "validation are taken from these by --valid_share where it has none); what is there serves evaluation "
            "and search",
        )
    known = sorted(file.parent.name for file in Path(options.data_root).glob(f"*/{path.name}"))
    return DataError(
        "the file does not exist",
        where=str(path),
        found=f"data versions below {options.data_root}: {', '.join(known) or 'none'}",
        todo=f"bistill prepare SOURCE --data_version {name}",
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
            todo="bring the files in together with `bistill prepare` and --label_maximum, or divide the labels by it",
        )


def corpus_of(options: DataOptions, dataset: Dataset) -> Corpus:
    """The documents of a data set, then those of the version's ``corpus.csv`` where it has one.

    Raises:
        DataError: ``corpus.csv`` cannot be used.
    """
    path = _folder(options) / artifacts.CORPUS_FILE
    return Corpus(dataset.documents, load_documents(path) if path.is_file() else ())


def content(options: DataOptions) -> str:
    """SHA-256 of what training reads of a data version, wherever that lies; the same in every version of bistill.

    Raises:
        DataError: `bistill prepare` was broken off there.
    """
    files = {split: split_path(options, split) for split in ("train", "valid")}
    files["corpus"] = _folder(options) / artifacts.CORPUS_FILE
    found = {
        name: [artifacts.sha256_of_file(path), positive_from(path)] if path.is_file() else None
        for name, path in files.items()
    }
    return artifacts.fingerprint(found)


def split_path(options: DataOptions, split: str) -> Path:
    """File of a split (train, valid or test) of the data version."""
    return _folder(options) / artifacts.SPLIT_FILES[split]


def _folder(options: DataOptions) -> Path:
    return Path(options.data_root) / options.data_version
