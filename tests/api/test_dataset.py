"""``bistill.Dataset``: rows of a program become a data version."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import bistill
from bistill.errors import DataError, OptionError

WORDS = ("list", "sort", "map", "tree", "graph", "key", "value", "red", "blue", "green", "json", "socket", "lock")
ROWS = [
    {"질문": f"how to {word}", "문서": f"{answer} {word}", "라벨": label}
    for word in WORDS
    for answer, label in (("returns the", 1), ("error in", 0))
]
COLUMNS = {"query": "질문", "document": "문서", "label": "라벨"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "cache"))


def test_rows_of_any_form_are_the_same_data() -> None:
    frame = pd.DataFrame(ROWS)
    shuffled = frame.set_index(pd.Index(range(500, 500 + len(ROWS))))
    made = [bistill.Dataset.from_rows(rows, **COLUMNS).prepared() for rows in (ROWS, frame, shuffled, iter(ROWS))]
    texts = [[record.query for split in (data.train, data.valid, data.test) for record in split] for data in made]
    assert texts[0] == texts[1] == texts[2] == texts[3]
    assert sorted(texts[0]) == sorted({str(row["질문"]) for row in ROWS})


def test_what_the_preparation_found_is_there() -> None:
    rows = [*ROWS, ROWS[0], {"질문": "", "문서": "no question", "라벨": 1}]
    data = bistill.Dataset.from_rows(rows, **COLUMNS, on_bad_rows="skip").prepared(seed=1, valid=0.25, test=0.25)
    assert (len(data.train), len(data.valid), len(data.test)) == (7, 3, 3)
    assert data.report["bad rows set aside, in rejected.csv"] == 1
    assert len(data.rejected) == 1
    assert sorted(data.documents) == sorted({str(row["문서"]) for row in ROWS})
    assert repr(data).startswith("Dataset(train=7, valid=3, test=3, ")


def test_the_same_rows_are_prepared_once(capsys: pytest.CaptureFixture[str]) -> None:
    first = bistill.Dataset.from_rows(ROWS, **COLUMNS).prepared(seed=3)
    again = bistill.Dataset.from_rows(ROWS, **COLUMNS).prepared(seed=3)
    other = bistill.Dataset.from_rows(ROWS, **COLUMNS).prepared(seed=4)
    assert first.version == again.version != other.version
    assert "nothing to do" in capsys.readouterr().err


def test_a_folder_is_a_data_version_of_the_commands(tmp_path: Path) -> None:
    data = bistill.Dataset.from_rows(ROWS, **COLUMNS).prepared(folder=tmp_path / "preprocessed" / "mine")
    assert {"train.csv", "valid.csv", "test.csv"} <= {path.name for path in data.version.folder.iterdir()}
    found = bistill.Dataset.from_version("mine", root=tmp_path / "preprocessed")
    assert [record.query for record in found.test] == [record.query for record in data.test]
    with pytest.raises(DataError, match="no such data version"):
        bistill.Dataset.from_version("other", root=tmp_path / "preprocessed")


def test_several_data_versions_are_one(tmp_path: Path) -> None:
    root = tmp_path / "preprocessed"
    one = bistill.Dataset.from_rows(ROWS, **COLUMNS).prepared(seed=1, valid=0.25, test=0.25, folder=root / "one")
    rows = [{"query": f"also {number * 7919}", "positive": f"answer {number * 7919}"} for number in range(12)]
    two = bistill.Dataset.from_rows(rows).prepared(valid=0.25, test=0.25, folder=root / "two")
    found = bistill.Dataset.from_version(["one", "two"], root=root)
    assert list(found.train.queries) == [*one.train.queries, *two.train.queries]
    assert list(found.valid.queries) == [*one.valid.queries, *two.valid.queries]
    assert list(found.test.queries) == list(one.test.queries)
    assert sorted(found.documents) == sorted([*one.documents, *two.documents])
    assert repr(found).startswith(f"Dataset(train={len(one.train) + len(two.train)}, valid=")
    assert found.train.ends.tolist() == [len(one.train), len(one.train) + len(two.train)]
    with pytest.raises(DataError, match="no such data version") as missing:
        bistill.Dataset.from_version(["one", "other"], root=root)
    assert missing.value.where == str(root / "other")
    with pytest.raises(OptionError, match="no data version is named"):
        bistill.Dataset.from_version([], root=root)


def test_a_data_version_without_labels_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "logged"
    folder.mkdir()
    (folder / "corpus.csv").write_text("document\na thread\na lock\n")
    with pytest.raises(DataError, match="no such data version"):
        bistill.Dataset.from_version("logged", root=tmp_path)
    (folder / "queries.csv").write_text("query\nhow to lock\n")
    data = bistill.Dataset.from_version("logged", root=tmp_path)
    assert list(data.documents) == ["a thread", "a lock"]
    with pytest.raises(DataError, match="the data have no train split"):
        len(data.train)


def test_what_is_no_data_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="`data`: the data are not prepared"):
        bistill.train_teacher(bistill.Dataset.from_rows(ROWS, **COLUMNS), "nowhere", output_dir="out")
    with pytest.raises(OptionError, match=r"`data`: a bistill\.Dataset is expected"):
        bistill.train_teacher(ROWS, "nowhere", output_dir="out")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"`Splitting\.seed`: a whole number is expected"):
        bistill.Dataset.from_rows(ROWS, **COLUMNS).prepared(seed="1")  # type: ignore[arg-type]
    with pytest.raises((OptionError, DataError)):
        bistill.Dataset.from_rows({"질문": "one", "문서": "row"}, **COLUMNS)
    with pytest.raises((OptionError, DataError), match="nobody"):
        bistill.Dataset.from_rows(ROWS, query="nobody", document="문서", label="라벨")
