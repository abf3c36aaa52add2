"""Test files that were judged in part: how they are read, and what the evaluation makes of them."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bistill import artifacts
from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.data.settings import RowReading
from bistill.data.store.opening import load_split
from bistill.errors import DataError, RowError
from bistill.evaluation.report import summary, verdict
from tests.evaluation.conftest import Evaluated, brute_force, rows

SHEET = """query,document,label
서울 날씨,red file,1
서울 날씨,blue file,
서울 날씨,green file,0
how to sort,a list,
how to sort,a map,
read a tree,a graph,2
read a tree,a key,
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8-sig")  # as spreadsheets write it
    return path


def test_a_cell_without_a_label_is_no_judgement(tmp_path: Path) -> None:
    found = load_split(write(tmp_path / "judged.csv", SHEET), partly_judged=True)
    assert list(found.queries) == ["서울 날씨", "read a tree"]
    assert list(found.documents) == ["red file", "blue file", "green file", "a list", "a map", "a graph", "a key"]
    assert [(record.positives, record.negatives) for record in found] == [((0,), (2,)), ((5,), ())]
    assert found.rejected == 0
    assert found.notes == ("4 pairs without a label: nobody judged them, so they are no negatives",)


def test_it_is_a_bad_row_elsewhere(tmp_path: Path) -> None:
    file = write(tmp_path / "judged.csv", SHEET)
    with pytest.raises(RowError, match="the label is empty") as refused:
        load_split(file)
    assert refused.value.row == 3 and "`partly_judged`" in str(refused.value)
    assert load_split(file, on_bad_rows="skip").rejected == 4
    assert load_split(file, partly_judged=True).rejected == 0


def test_a_sheet_without_any_label_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "judged.csv", "query,document,label\nred,a list,\nred,a map,\n")
    with pytest.raises(DataError, match="no pair has a label yet") as refused:
        load_split(file, partly_judged=True)
    assert "2 pairs" in str(refused.value)


def test_files_that_were_parsed_before_keep_their_key(tmp_path: Path) -> None:
    file = write(tmp_path / "test.csv", "query,document,label\nred,a list,1\n")
    reading = asdict(RowReading())
    del reading["partly_judged"]
    facts = {"version": 3, "kind": "records", "sha256": artifacts.sha256_of_file(file), "ending": ".csv"}
    assert load_split(file).fingerprint == artifacts.fingerprint({**facts, "reading": reading})
    assert load_split(file, partly_judged=True).fingerprint != load_split(file).fingerprint


def condensed_ndcg(ranked: list[float]) -> float:
    """nDCG@10 of the labels of a ranking's judged documents."""
    discounts = [1 / math.log2(rank + 2) for rank in range(10)]
    ideal = sorted(ranked, reverse=True)
    dcg, best = (sum(d * label for d, label in zip(discounts, labels, strict=False)) for labels in (ranked, ideal))
    return dcg / best


def bpref(ranked: list[float]) -> float:
    relevant, irrelevant = sum(label > 0 for label in ranked), sum(label == 0 for label in ranked)
    total, above = 0.0, 0
    for label in ranked:
        if label > 0:
            total += 1 - (min(above, relevant) / min(relevant, irrelevant) if above else 0)
        else:
            above += 1
    return total / relevant


def test_an_evaluation_of_a_filled_sheet(
    tmp_path: Path, tiny_encoder: Path, other_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = rows(negatives=True)
    documents = [f"tree of the red number {number}" for number in range(30)]
    file, corpus = tmp_path / "judged.csv", tmp_path / "corpus.csv"
    with file.open("w", encoding="utf-8-sig", newline="") as out:
        unjudged = [[judged[0][0], document, ""] for document in documents[:3]]
        csv.writer(out).writerows([["query", "document", "label"], *judged, *unjudged])
    corpus.write_text("\n".join(["document", *documents]) + "\n", encoding="utf-8")
    with (tmp_path / "all.csv").open("w", encoding="utf-8", newline="") as out:  # to rank the same documents apart
        ends = [["no query", document, "1"] for document in documents]
        csv.writer(out).writerows([["query", "document", "label"], *judged, *ends])
    options = {
        "model_path": str(tiny_encoder),
        "base_model": str(other_encoder),
        "test_data": str(file),
        "documents": str(corpus),
        "output_dir": str(tmp_path / "results"),
        "bm25": False,
    }
    result = evaluate(EvaluationOptions(**options, partly_judged=True))
    cosines, whole = brute_force(tiny_encoder, tmp_path / "all.csv")
    expected: dict[str, list[float]] = {"judged_at_10": [], "condensed_ndcg_at_10": [], "bpref": []}
    for record in list(whole)[:24]:
        labels = dict(zip(record.positives, record.positive_labels, strict=True))
        labels |= dict.fromkeys(record.negatives, 0.0)
        order = np.argsort(-cosines[record.query_id], kind="stable").tolist()
        ranked = [labels[document] for document in order if document in labels]
        expected["judged_at_10"].append(sum(document in labels for document in order[:10]) / 10)
        expected["condensed_ndcg_at_10"].append(condensed_ndcg(ranked))
        expected["bpref"].append(bpref(ranked))
    figures = result["ranking"]["student"]
    assert {name: figures[name] for name in expected} == pytest.approx(
        {name: float(np.mean(values)) for name, values in expected.items()}
    )
    assert 0 < figures["judged_at_10"] < 1 and figures["condensed_ndcg_at_10"] > figures["ndcg_at_10"]
    base = result["ranking"]["base"]
    for name, item in result["comparisons"]["student_minus_base"].items():
        assert item["difference"] == pytest.approx(figures[name] - base[name]), name
    assert result["counts"]["documents"] == 72 + 30 and result["counts"]["labelled_negatives"] == 24
    printed = capsys.readouterr().out
    share = f"{figures['judged_at_10']:.0%}"
    assert f"student {share}" in printed and "condensed nDCG@10" in printed and "bpref" in printed
    assert any(f"학생 {share}" in line for line in summary.sentences(result, "ko"))


def test_more_judged_is_not_better() -> None:
    assert [verdict.best(title, [0.5, 0.7, None]) for title in ("judged@10", "condensed nDCG@10", "bpref")] == [
        frozenset(),
        {1},
        {1},
    ]


def test_other_reports_stay_as_they_are(everything: Evaluated) -> None:
    result = everything.result
    assert {"judged_at_10", "condensed_ndcg_at_10", "bpref"}.isdisjoint(result["ranking"]["student"])
    assert not any("judged in part" in line for line in summary.sentences(result))
