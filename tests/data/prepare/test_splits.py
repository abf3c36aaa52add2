"""Splits of a source: each with its own labels, some of them empty or missing, and a first reason for refused rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bistill.data.prepare.loading import say_scales
from bistill.data.prepare.preparing import PreparedData, prepare
from bistill.data.read.label_scale import LabelScale
from bistill.data.settings import RowReading, Splitting
from bistill.data.store.opening import load_documents, load_split
from bistill.data.store.version import Version
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]
Qrels = Sequence[tuple[int, int, int | float]]
HEADER = "query-id\tcorpus-id\tscore\n"
WORDS = ("amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "islet", "junco")


def run(source: Path, **settings: Any) -> PreparedData:
    return prepare(source, Version(source.parent / "out", "v"), **settings)


def labels(folder: Path, split: str) -> dict[tuple[str, str], float]:
    with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as text:
        return {(row["query"], row["passage"]): float(row["label"]) for row in csv.DictReader(text)}


def beir(write: Write, splits: Mapping[str, Qrels], *, extra: str = "") -> Path:
    """A BEIR folder of ten queries and ten documents with these judgements (query, document, score)."""
    for name, kind in (("queries", "question"), ("corpus", "passage")):
        rows = [{"_id": str(number), "title": "", "text": f"{kind} {word}"} for number, word in enumerate(WORDS)]
        write(
            f"set/{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows) + (extra if name == "corpus" else "")
        )
    for split, rows in splits.items():
        write(f"set/qrels/{split}.tsv", HEADER + "".join(f"{q}\t{d}\t{score}\n" for q, d, score in rows))
    return write("set/SOURCE.md", "").parent


def named(query: int, document: int) -> tuple[str, str]:
    return f"question {WORDS[query]}", f"passage {WORDS[document]}"


def test_a_binary_split_is_positive_at_1_beside_graded_ones(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    source = beir(
        write,
        {"train": [(0, 0, 1), (1, 1, 1), (1, 2, 0)], "dev": [(2, 2, 2), (2, 4, 1)], "test": [(3, 3, 3), (3, 5, 1)]},
    )
    folder = run(source).folder
    assert labels(folder, "train") == {named(0, 0): 1.0, named(1, 1): 1.0, named(1, 2): 0.0}
    assert labels(folder, "valid") == {named(2, 2): pytest.approx(2 / 3), named(2, 4): pytest.approx(1 / 3)}
    assert labels(folder, "test") == {named(3, 3): 1.0, named(3, 5): pytest.approx(1 / 3)}
    graded = "dev.tsv: labels 0 to 2, divided by 3; test.tsv: labels 0 to 3, divided by 3"
    assert f"labels: {graded}; train.tsv: labels 0 and 1\n" in capsys.readouterr().err


def test_nothing_is_said_of_labels_where_all_splits_are_binary(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    run(beir(write, {"train": [(0, 0, 1), (1, 1, 0), (1, 2, 1)], "dev": [(2, 2, 1)], "test": [(3, 3, 1)]}))
    assert "labels" not in capsys.readouterr().err


def test_a_highest_label_that_is_given_counts_for_every_split(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    source = beir(write, {"train": [(0, 0, 1), (1, 1, 2)], "dev": [(2, 2, 2)], "test": [(3, 3, 1), (4, 4, 1)]})
    folder = run(source, reading=RowReading(label_maximum=4, positive_from=0.25)).folder
    assert labels(folder, "test") == {named(3, 3): 0.25, named(4, 4): 0.25}
    assert labels(folder, "train") == {named(0, 0): 0.25, named(1, 1): 0.5}
    said = capsys.readouterr().err
    assert "; test.tsv: labels 0 and 1, divided by 4; train.tsv: labels 0 to 2, divided by 4\n" in said


def test_a_split_in_which_nothing_can_be_relevant_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    scales = {name: LabelScale(4) for name in ("train.tsv", "test.tsv", "none.csv")}
    scales["train.tsv"].see(1.0, "train.tsv", 2)
    scales["test.tsv"].see(2.0, "test.tsv", 2)
    say_scales(scales, RowReading(label_maximum=4))
    assert capsys.readouterr().err == (
        "labels: train.tsv: labels 0 and 1, divided by 4; test.tsv: labels 0 to 2, divided by 4; "
        "none.csv: no labels: positives and negatives by column; no document is relevant in train.tsv\n"
    )


def test_a_test_split_alone_is_prepared_with_its_corpus(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    source = beir(write, {"test": [(3, 3, 1), (4, 4, 1)]})
    made = run(source)
    assert made.queries == {"test": 2}
    assert sorted(file.name for file in made.folder.iterdir()) == ["corpus.csv", "prepare.json", "test.csv"]
    assert labels(made.folder, "test") == {named(3, 3): 1.0, named(4, 4): 1.0}
    assert len(load_documents(made.folder / "corpus.csv")) == 8
    assert f"{source}: no training split; only test is prepared" in capsys.readouterr().err


@pytest.mark.parametrize("empty", [HEADER, "", "query-id\tcorpus-id\tscore\r\n\r\n"])
def test_a_split_without_rows_is_taken_from_train_like_one_that_is_missing(
    empty: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    source = beir(write, {"train": [(number, number, 1) for number in range(8)], "test": [(9, 9, 1)]}, extra="{\n")
    write("set/qrels/dev.tsv", empty)
    made = run(source, on_bad_rows="skip", splitting=Splitting(valid=0.25))
    assert made.queries == {"train": 6, "valid": 2, "test": 1}
    said = capsys.readouterr().err
    assert f"{source / 'qrels/dev.tsv'}: no rows; taken as if the file were not there\n" in said
    assert made.report["bad rows set aside, in rejected.csv"] == 1  # the corpus's, told by a split that has rows
    assert f"1 bad row was set aside; the first: {source / 'corpus.jsonl'}, row 11: the line is not JSON" in said


def test_splits_that_are_all_empty_are_an_error(write: Write) -> None:
    with pytest.raises(DataError, match=r"dev\.tsv: an empty file"):
        run(beir(write, {"train": [], "dev": []}))


@pytest.mark.parametrize(("name", "empty"), [("valid.csv", "query,positive\n"), ("dev.jsonl", ""), ("val.tsv", "")])
def test_an_empty_file_beside_other_formats(name: str, empty: str, write: Write) -> None:
    rows = "".join(f"question {word},answer {word}\n" for word in WORDS[:8])
    write("set/train.csv", "query,positive\n" + rows)
    write("set/test.csv", "query,positive\na question,an answer\n")
    source = write(f"set/{name}", empty).parent
    assert run(source, splitting=Splitting(valid=0.25)).queries == {"train": 6, "valid": 2, "test": 1}


def test_a_split_whose_queries_all_stand_in_another_is_not_written_empty(write: Write) -> None:
    rows = [(number, number, 1) for number in range(6)]
    made = run(beir(write, {"train": rows, "dev": [(9, 9, 1)], "test": [(9, 9, 1)]}))
    assert made.queries == {"train": 5, "valid": 1, "test": 1}
    assert len(load_split(made.folder / "valid.csv")) == 1


@pytest.mark.parametrize("title", [None, "", " ", "\t\n", "\u3000", "\u200b", "\ufeff \u00ad"])
def test_a_title_that_nobody_can_see_is_none(title: str | None, write: Write) -> None:
    source = beir(write, {"test": [(0, 0, 1)]})
    rows = [{"_id": 0, "title": title, "text": "the text"}, {"_id": "1", "title": "A title", "text": title}]
    write("set/corpus.jsonl", "".join(json.dumps(row) + "\n" for row in [*rows, {"_id": "2", "text": "no title"}]))
    folder = run(source).folder
    assert labels(folder, "test") == {("question amber", "the text"): 1.0}
    corpus = load_documents(folder / "corpus.csv")
    assert list(corpus) == ["A title", "no title"]


def test_a_document_with_neither_title_nor_text_is_refused(write: Write) -> None:
    source = beir(write, {"test": [(1, 1, 1)]}, extra='{"_id": "e", "title": " ", "text": "\\u200b "}\n')
    with pytest.raises(RowError, match=r"corpus.jsonl, row 11, column 'text': the cell is empty"):
        run(source)
