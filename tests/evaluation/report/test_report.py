"""What an evaluation gives to a script: an open file in, figures and the worst queries out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bistill import artifacts
from bistill.data.store.opening import load_split
from bistill.errors import OptionError
from bistill.evaluation import separation
from bistill.evaluation.evaluate import evaluate
from bistill.evaluation.report import failing
from bistill.evaluation.report.report import Report
from bistill.evaluation.settings import Asking, Beside
from tests.evaluation.conftest import brute_force, judged_and_ranked, write


@pytest.fixture
def report(tmp_path: Path, tiny_encoder: Path, other_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setattr(separation, "cuts", lambda *_: {"labelled_negatives": None, "random_negatives": None})
    dataset = load_split(write(tmp_path / "test.csv"))
    more = ["how to open a file", "서울 음식", "서울 음식"]
    beside = Beside(base=str(other_encoder), bm25=False, rerank_depth=0)
    return evaluate(str(tiny_encoder), dataset, documents=more, beside=beside, asking=Asking(seed=3))


def test_an_open_file_and_texts_are_asked_and_what_was_given_is_not_made_up(report: Report, tmp_path: Path) -> None:
    result = report.result
    assert result["options"] == {}
    assert result["data"]["test"]["path"] == str(tmp_path / "test.csv")
    assert result["data"]["test"]["sha256"] == artifacts.sha256_of_file(tmp_path / "test.csv")
    assert result["data"]["corpus"] == {"which": "texts", "path": None}
    assert result["counts"]["documents_of_corpus_data"] == 2  # a text that is given twice is ranked once


def test_the_frame_holds_what_the_summary_prints(report: Report) -> None:
    frame = report.to_frame()
    assert list(frame.columns) == ["base", "teacher", "student"]
    assert frame.loc["nDCG@10", "student"] == report.result["ranking"]["student"]["ndcg_at_10"]
    assert frame.loc["AUC, random", "base"] == report.result["separation"]["base"]["random_negatives"]["auc"]
    assert frame["teacher"].isna().all() and frame["student"].notna().all()


def test_failures_are_the_queries_of_lowest_ndcg(report: Report, tiny_encoder: Path, tmp_path: Path) -> None:
    found = report.failures(5)
    assert list(found.columns) == ["query", "ndcg_at_10", "rank", "expected", "found"] and len(found) == 5
    everyone = report.failures(1000)
    assert len(everyone) == report.asked.ranked
    assert everyone["ndcg_at_10"].is_monotonic_increasing
    assert everyone["ndcg_at_10"].mean() == pytest.approx(report.result["ranking"]["student"]["ndcg_at_10"])
    cosines, dataset = brute_force(tiny_encoder, tmp_path / "test.csv")
    qrels, _ = judged_and_ranked(cosines, dataset)
    texts = list(dataset.queries)
    for row in found.itertuples():
        gains = qrels[str(texts.index(row.query))]
        assert row.expected == dataset.documents[int(max(gains, key=lambda document: gains[document]))]
        hits = report.answers.student.ids[report.asked.query_ids().index(texts.index(row.query))].tolist()
        assert row.rank == min(hits.index(int(document)) for document in gains) + 1
        assert row.found == report.asked.corpus[hits[0]]


def test_a_relevant_document_below_the_ranking_has_no_rank(report: Report) -> None:
    ids = report.answers.student.ids
    missed = np.where(np.isin(ids, report.asked.records[0].positives), -1, ids)
    object.__setattr__(report.answers.student, "ids", np.concatenate([missed[:1], ids[1:]]))
    worst = report.failures(1).iloc[0]
    assert (worst["query"], worst["ndcg_at_10"]) == (report.asked.records[0].query, 0.0)
    assert math.isnan(worst["rank"])


def test_a_document_above_the_relevant_one_says_what_its_label_is(report: Report) -> None:
    row, record = next(item for item in enumerate(report.asked.records) if item[1].negatives)
    judged = (record.positives[0], *record.negatives)
    other = next(document for document in range(len(report.asked.corpus)) if document not in judged)
    ids = report.answers.student.ids.copy()
    ids[row] = -1
    ids[row, :3] = record.negatives[0], other, record.positives[0]
    object.__setattr__(report.answers.student, "ids", ids)
    failures = failing.report(report.asked, report.answers, count=1000)["worst"]
    found = next(item for item in failures if item["query"] == record.query)
    assert [(above["rank"], above["label"]) for above in found["above"]] == [(1, 0.0), (2, None)]
    assert found["ranks"]["student"] == 3 and found["positive"]["document"] == report.asked.corpus[record.positives[0]]


def test_settings_of_an_evaluation_are_refused_by_name() -> None:
    with pytest.raises(OptionError) as caught:
        Beside(rerank_depth=-1)
    assert (caught.value.where, caught.value.todo) == ("`Beside.rerank_depth`", "give at least 0")
    with pytest.raises(OptionError) as caught:
        Asking(on_bad_rows="drop")  # type: ignore[arg-type]
    assert caught.value.where == "`Asking.on_bad_rows`"
