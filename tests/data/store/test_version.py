"""Training and validation files belong together, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.store.version import Version
from bistill.errors import DataError, OptionError

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
    assert "valid.csv: 1 query, 1 document" in said
    for split in ("valid", "train"):
        write_csv(tmp_path / "v" / f"{split}.csv", [HEADER, *rows[1:]])
        with pytest.raises(DataError, match="no query has a relevant document") as refused:
            version.training(rejected_to=tmp_path / "out")
        assert refused.value.where == str(tmp_path / "v" / f"{split}.csv")


def joined(write: Write, root: Path, **versions: dict[str, list[list[str]]]) -> Version:
    """Data versions with these rows of (query, passage, label) in each file, as one."""
    for name, files in versions.items():
        for file, rows in files.items():
            header = ["document"] if file == "corpus" else HEADER
            write(root / name / f"{file}.csv", [header, *rows])
    first, *others = versions
    return Version(root, first, tuple(others))


def test_several_versions_are_read_as_one(tmp_path: Path, write_csv: Write, capsys: pytest.CaptureFixture[str]) -> None:
    version = joined(
        write_csv,
        tmp_path,
        a={"train": [["red", "r", "1"], ["blue", "b", "1"]], "valid": [["green", "g", "1"]], "corpus": [["x"], ["y"]]},
        b={"train": [["key", "k", "1"], ["blue", "b2", "1"]], "valid": [["tree", "t", "1"]], "corpus": [["y"], ["k"]]},
        c={"train": [["node", "n", "1"]], "valid": [["leaf", "l", "1"]]},
    )
    train, valid = version.training(rejected_to=tmp_path / "out")
    assert list(train.queries) == ["red", "blue", "key", "node"] and list(valid.queries) == ["green", "tree", "leaf"]
    assert (train.ends.tolist(), valid.ends.tolist()) == ([2, 3, 4], [1, 2, 3])
    assert [train.documents[one] for one in train[1].positives] == ["b", "b2"]
    assert list(version.corpus(train)) == ["r", "b", "k", "b2", "n", "x", "y"]
    assert list(version.collection(valid).corpus) == ["g", "t", "l", "x", "y", "k"]
    said = capsys.readouterr().err
    assert "training: 4 queries, 5 documents of 3 data versions\n" in said
    assert "validation: 3 queries, 3 documents of 3 data versions\n" in said


def test_what_one_version_holds_out_is_not_trained_on_in_another(
    tmp_path: Path, write_csv: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "how do I change the password of an account that I share with other people"
    version = joined(
        write_csv,
        tmp_path,
        a={"train": [["red", "r", "1"], [long, "p", "1"], ["tree", "t", "1"]], "valid": [["green", "g", "1"]]},
        b={
            "train": [["key", "k", "1"], ["GREEN", "g", "1"]],
            "valid": [["TREE ", "t", "1"], ["leaf", "l", "1"]],
            "test": [[long + "s", "q", "1"], ["leaf.", "l", "1"]],
        },
    )
    train, valid = version.training(rejected_to=tmp_path / "out")
    assert list(train.queries) == ["red", "key"] and list(valid.queries) == ["green", "TREE "]
    assert list(train.documents) == ["r", "p", "t", "k", "g"]  # documents stay
    said = capsys.readouterr().err
    assert "training: 2 queries, 5 documents of 2 data versions; 3 left out: the same as, or nearly equal to" in said
    assert "validation: 2 queries, 3 documents of 2 data versions; 1 left out" in said
    alone = version.validation(rejected_to=tmp_path)  # the same where nothing is trained on by labels
    assert alone is not None and list(alone.queries) == list(valid.queries)
    version.path("valid").unlink()
    assert version.validation(rejected_to=tmp_path) is None


def test_the_content_of_several_versions_is_that_of_all_their_files(tmp_path: Path, write_csv: Write) -> None:
    rows = {"train": [["red", "r", "1"]], "valid": [["green", "g", "1"]]}
    version = joined(write_csv, tmp_path, a=rows, b=rows)
    found = [version.content(), Version(tmp_path, "a").content(), Version(tmp_path, "b").content()]
    assert found[1] == found[2] != found[0]
    write_csv(tmp_path / "b" / "test.csv", [HEADER, ["x", "y", "1"]])
    assert version.content() != found[0]  # it decides what is left out of the training data
    assert Version(tmp_path, "b").content() == found[2]


def test_the_content_holds_the_queries_without_labels_where_they_are_read(tmp_path: Path, write_csv: Write) -> None:
    version = joined(write_csv, tmp_path, a={"train": [["red", "r", "1"]], "valid": [["green", "g", "1"]]})
    found = [version.content(unlabelled=True)]
    assert found[0] == version.content()  # there are none
    for name in ("queries.csv", "valid_queries.csv"):
        write_csv(version.folder / name, [["query"], ["a tree"]])
        found.append(version.content(unlabelled=True))
    write_csv(version.folder / "queries.csv", [["query"], ["a map"]])
    found.append(version.content(unlabelled=True))
    assert len(set(found)) == 4 and version.content() == found[0]


def test_a_student_is_tried_on_the_test_first_and_without_labels_on_the_corpus(
    tmp_path: Path, write_csv: Write
) -> None:
    version = Version(tmp_path, "v")
    found = []
    for name in ("corpus", "train", "test"):
        write_csv(version.folder / f"{name}.csv", [HEADER, ["a question", "a document", "1"]])
        found.append(version.searched.name)
    assert found == ["corpus.csv", "train.csv", "test.csv"]


def test_versions_that_cannot_be_read_as_one_are_refused(tmp_path: Path, write_csv: Write) -> None:
    with pytest.raises(OptionError, match=r"`Version\.name`: a data version is named twice") as raised:
        Version(tmp_path, "a", ("b", "a"))
    assert raised.value.found == ("a", "b", "a")
    plain = [["green", "g", "1"]]
    version = joined(
        write_csv,
        tmp_path,
        a={"train": [["red", "r", "2"], ["red", "s", "0"]], "valid": plain},
        b={"train": [["key", "k", "3"], ["key", "l", "1"]], "valid": [["tree", "t", "1"]]},
    )
    with pytest.raises(DataError, match="the highest labels differ") as refused:
        version.training(rejected_to=tmp_path / "out")
    assert refused.value.found == "2, 3"
    with pytest.raises(DataError) as missing:
        Version(tmp_path, "a", ("c",)).training(rejected_to=tmp_path / "out")
    assert missing.value.where == str(tmp_path / "c" / "train.csv")
