"""Copies of documents and queries that stand among the documents: figures are those of the data without them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.candidates.scores.teachers import CachedTeacher
from bistill.candidates.settings import TeacherReading
from bistill.data.store.opening import left_out
from bistill.evaluation import questions, scores, separation
from bistill.evaluation.report import plots
from tests.evaluation.conftest import Evaluated, rows, write


@pytest.fixture(autouse=True)
def figures_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture and no thresholds, which take most of the time."""
    monkeypatch.setattr(plots, "draw", lambda path, *_: path.touch())
    monkeypatch.setattr(separation, "cuts", lambda *_: {"labelled_negatives": None, "random_negatives": None})


def write_rows(path: Path, lines: list[list[str]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return str(path)


def options(everything: Evaluated, test_data: str, documents: str | None, folder: Path) -> EvaluationOptions:
    given = everything.options
    return EvaluationOptions(
        model_path=given.model_path,
        base_model=given.base_model,
        teacher_path=given.teacher_path,
        test_data=test_data,
        documents=documents,
        output_dir=str(folder / "results"),
        rerank_depth=5,
    )


def copies_of(lines: list[list[str]]) -> list[list[str]]:
    """Other spellings of every document, of positives and of negatives, which the tiny encoders read otherwise: their
    vocabulary has no capitals of full width."""
    texts = dict.fromkeys(line[1] for line in lines)
    wide = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
    return [["passage"], *[[f" {text.upper()}"] for text in texts], *[[text.translate(wide)] for text in texts]]


@pytest.mark.slow
def test_copies_change_no_figure_of_any_model(everything: Evaluated, tmp_path: Path, capfd: Any) -> None:
    test_data = str(write(tmp_path / "test.csv"))
    lines = rows(negatives=True)
    with_copies = evaluate(
        options(everything, test_data, write_rows(tmp_path / "copies.csv", copies_of(lines)), tmp_path)
    )
    said = capfd.readouterr().err
    without = everything.result
    documents = without["counts"]["documents"]
    assert with_copies["counts"]["copies_left_out"] == 2 * documents
    assert f"{2 * documents} documents are copies of another one, the same text but for case" in said
    assert (with_copies["counts"]["documents"], with_copies["counts"]["documents_of_test_data"]) == (documents,) * 2
    for role in ("base", "bm25", "teacher", "student"):
        assert with_copies["ranking"][role] == without["ranking"][role]
    for part in ("separation", "calibrated", "shuffled_queries"):
        assert with_copies[part]["student"] == without[part]["student"]
    assert with_copies["samples"] == without["samples"]
    assert (without["counts"]["copies_left_out"], without["counts"]["queries_among_documents"]) == (0, 0)


def twins(both_ways: bool) -> list[list[str]]:
    """Pairs of twin questions, A-B and, if wished, B-A."""
    words = ("file", "list", "set", "map", "tree", "graph", "key", "red")
    pairs = [(f"how to read a {word}", f"open the {word} to read {word}") for word in words]
    return [
        ["query", "passage", "label"],
        *[[a, b, "1"] for a, b in pairs],
        *[[b, a, "1"] for a, b in pairs * both_ways],
    ]


@pytest.mark.slow
def test_a_query_does_not_stand_in_its_own_ranking(everything: Evaluated, tmp_path: Path, capfd: Any) -> None:
    given = options(everything, write_rows(tmp_path / "twins.csv", twins(both_ways=True)), None, tmp_path)
    result = evaluate(given)
    assert result["counts"]["queries_among_documents"] == 16
    assert "16 of 16 queries stand among the documents" in capfd.readouterr().err
    asked = questions.build(given.test_data)
    assert [asked.corpus[int(own)] for own in asked.own] == asked.queries
    found = scores.of_lexical(asked)
    for row, own in enumerate(asked.own.tolist()):
        ranked = [document for document in found.ids[row].tolist() if document >= 0]
        assert own not in ranked and len(set(ranked)) == len(ranked)
        assert own not in asked.random.documents[asked.random.queries == row]
    # The twin shares the rarest word with its question: without the question itself it is first for BM25.
    assert result["ranking"]["bm25"]["mrr_at_10"] == result["ranking"]["bm25"]["recall_at_1"] == 1


def test_a_ranking_without_the_own_text_is_the_whole_one_without_it(tmp_path: Path) -> None:
    asked = questions.build(write_rows(tmp_path / "twins.csv", twins(both_ways=True)))
    ids = np.stack([np.random.default_rng(row).permutation(16) for row in range(16)])
    values = -np.arange(16, dtype=np.float32) * np.ones((16, 1), dtype=np.float32)
    for depth in (1, 3, 15, 16, 99):
        found, cosines = asked.best(lambda most: (ids[:, :most], values[:, :most]), depth)
        for row in range(16):
            wanted = [document for document in ids[row].tolist() if document != asked.own[row]][:depth]
            assert found[row].tolist() == wanted + [-1] * (min(depth, 16) - len(wanted))
            order = ids[row].tolist()
            assert [order[int(-value)] for value in cosines[row] if np.isfinite(value)] == wanted


def test_a_query_that_is_labelled_positive_for_itself_stays(tmp_path: Path) -> None:
    lines = [
        *twins(both_ways=False),
        ["how to read a file", "How to read  a FILE", "1"],
        ["x", "map", "1"],
        ["x", "X", "0"],
    ]
    asked = questions.build(write_rows(tmp_path / "own.csv", lines))
    own = dict(zip(asked.queries, asked.own.tolist(), strict=True))
    assert own["how to read a file"] == -1 and asked.corpus[own["x"]] == "X"
    assert len(asked.negatives) == 0  # the query's own text, labelled irrelevant, is no negative
    assert left_out(asked.dataset)["negatives_like_the_query"] == 1


def test_spellings_of_one_text_in_one_file_are_one_document(tmp_path: Path) -> None:
    lines = [
        ["query", "passage", "label"],
        ["red tree", "Paris", "1"],
        ["blue map", " PARIS ", "1"],
        ["key", "Rome", "1"],
    ]
    lines += [["key", "paris", "0"], ["red tree", "rome", "0.6"]]
    asked = questions.build(write_rows(tmp_path / "paris.csv", lines))
    assert list(asked.corpus) == ["Paris", "Rome"]
    assert [(record.positives, record.positive_labels, record.negatives) for record in asked.records] == [
        ((0, 1), (1.0, 0.6), ()),
        ((0,), (1.0,), ()),
        ((1,), (1.0,), (0,)),
    ]
    assert (asked.copies, asked.of_test_data) == (3, 2)
    assert set(zip(asked.random.queries.tolist(), asked.random.documents.tolist(), strict=True)) <= {(1, 1), (2, 0)}


@pytest.mark.parametrize("depth", [1, 2])
def test_a_teacher_reads_no_empty_place(everything: Evaluated, tmp_path: Path, depth: int) -> None:
    """Two documents, one of which is the query: one is left to re-rank."""
    lines = [["query", "passage", "label"], ["red tree", "blue tree", "1"], ["blue tree", "red tree", "1"]]
    asked = questions.build(write_rows(tmp_path / "two.csv", lines))
    first = scores.of_lexical(asked).ids
    assert first.tolist() == [[0, -1], [1, -1]]
    with CachedTeacher.open(
        str(everything.options.teacher_path), TeacherReading(precision="fp32", batch_size=8)
    ) as teacher:
        found = scores.of_teacher(teacher, asked, first, depth=depth, extra=())
    assert found.ids.tolist() == first.tolist() and set(found.relevance) == {(0, 0), (1, 1)}
    assert {*found.run(asked)["0"]} == {"0"}
