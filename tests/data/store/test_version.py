"""Training and validation files belong together, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.store.version import Version
from bistill.errors import DataError

Write = Callable[[Path, list[list[str]]], Path]
HEADER = ["query", "passage", "label"]


def graded(write: Write, folder: Path, train: list[str], valid: list[str]) -> Version:
    """A data version whose files have these labels, a document each."""
    for name, labels in (("train", train), ("valid", valid)):
        rows = [["a question", f"{name} document {number}", label] for number, label in enumerate(labels)]
        write(folder / "v" / f"{name}.csv", [HEADER, *rows])
    return Version(folder, "v")


def test_files_graded_up_to_different_labels_are_refused(tmp_path: Path, write_csv: Write) -> None:
    version = graded(write_csv, tmp_path, ["3", "1", "0"], ["2", "1", "0"])
    with pytest.raises(DataError, match="the highest labels differ") as raised:
        version.training(rejected_to=tmp_path / "out")
    message = str(raised.value)
    assert "train.csv" in message and "valid.csv" in message and "3, 2" in message and "`label_maximum`" in message


@pytest.mark.parametrize(
    ("train", "valid", "relevance"),
    [(["3", "1", "0"], ["3", "2", "0"], 2 / 3), (["3", "1", "0"], ["1", "0.5", "0"], 0.5), (["1", "0"], ["1", "1"], 1)],
)
def test_files_of_one_scale_and_files_graded_from_0_to_1_belong_together(
    tmp_path: Path, write_csv: Write, train: list[str], valid: list[str], relevance: float
) -> None:
    training, validation = graded(write_csv, tmp_path, train, valid).training(rejected_to=tmp_path / "out")
    assert training[0].positive_labels == (1.0,)
    assert validation[0].positive_labels == (1.0, pytest.approx(relevance))


@pytest.mark.parametrize(("there", "lacks"), [(["test"], "train"), (["train", "test"], "valid")])
def test_a_version_that_lacks_a_split_for_training_says_which(
    there: list[str], lacks: str, tmp_path: Path, write_csv: Write
) -> None:
    for name in there:
        write_csv(tmp_path / "v" / f"{name}.csv", [HEADER, ["a question", f"{name} document", "1"]])
    with pytest.raises(DataError) as raised:
        Version(tmp_path, "v").training(rejected_to=tmp_path / "out")
    assert raised.value.what == f"the data version v has no {lacks}.csv: training needs train.csv and valid.csv"
    assert raised.value.found == ", ".join(f"{name}.csv" for name in there)
    assert "bistill prepare SOURCE `data_version` v" in raised.value.todo


def test_queries_without_a_positive_are_said_and_files_of_such_alone_refused(
    tmp_path: Path, write_csv: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [["a", "b", "1"], ["c", "b", "0"], ["c", "d", "0"], ["e", "d", "0"]]
    for split, own in (("train", rows), ("valid", rows[:1])):
        write_csv(tmp_path / "v" / f"{split}.csv", [HEADER, *own])
    version = Version(tmp_path, "v")
    version.training(rejected_to=tmp_path / "out")
    said = capsys.readouterr().err
    assert "train.csv: 3 queries (2 without a positive), 2 documents" in said
    assert "valid.csv: 1 queries, 1 documents" in said
    for split in ("valid", "train"):
        write_csv(tmp_path / "v" / f"{split}.csv", [HEADER, *rows[1:]])
        with pytest.raises(DataError, match="no query has a relevant document") as refused:
            version.training(rejected_to=tmp_path / "out")
        assert refused.value.where == str(tmp_path / "v" / f"{split}.csv")
