"""Differences between models, forgetting and BM25, against independent computations and where they are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from ir_measures import nDCG

from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.data.records import Record
from bistill.evaluation import comparisons
from bistill.evaluation.comparisons import shuffled_queries
from bistill.evaluation.measures import ranking
from bistill.evaluation.questions import Pairs, Questions
from bistill.evaluation.scores import EncoderScores, LexicalScores
from tests.evaluation.conftest import Evaluated, brute_force, judged_and_ranked

MEASURES = tuple(ranking.MEASURES)


def ndcg_by_query(model: str, test_data: str) -> np.ndarray:
    cosines, dataset = brute_force(model, test_data)
    qrels, run = judged_and_ranked(cosines, dataset)
    found = {item.query_id: item.value for item in ir_measures.iter_calc([nDCG @ 10], qrels, run)}
    return np.array([found[str(record.query_id)] for record in dataset])


def test_differences_are_those_of_the_means_and_their_intervals_scipys(everything: Evaluated) -> None:
    from scipy import stats

    found, ranking = everything.result["comparisons"], everything.result["ranking"]
    for role in ("base", "teacher", "bm25"):
        for name in MEASURES:
            item = found[f"student_minus_{role}"][name]
            assert item["difference"] == pytest.approx(ranking["student"][name] - ranking[role][name])
            assert item["low"] <= item["difference"] <= item["high"]
    options = everything.options
    values = ndcg_by_query(options.model_path, options.test_data) - ndcg_by_query(
        str(options.base_model), options.test_data
    )
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    )
    item, error = found["student_minus_base"]["ndcg_at_10"], 0.15 * expected.standard_error
    assert item["low"] == pytest.approx(expected.confidence_interval.low, abs=error)
    assert item["high"] == pytest.approx(expected.confidence_interval.high, abs=error)


def test_a_second_student_of_the_same_weights_differs_nowhere(everything: Evaluated) -> None:
    assert everything.result["models"]["compared"]["path"] == everything.options.compare_with
    assert everything.result["ranking"]["compared"] == everything.result["ranking"]["student"]
    none = {"difference": 0.0, "low": 0.0, "high": 0.0}
    assert everything.result["comparisons"]["student_minus_compared"] == dict.fromkeys(MEASURES, none)


def ranked(values: list[float]) -> dict[str, dict[str, float]]:
    return {str(query): dict.fromkeys(MEASURES, value) for query, value in enumerate(values)}


def test_share_of_the_gap_is_there_only_where_the_teacher_leads() -> None:
    found: dict[str, Any] = {
        "base": ranked([0.2, 0.4]),
        "student": ranked([0.5, 0.7]),
        "teacher": ranked([0.6, 0.8]),
        "bm25": None,
        "compared": None,
    }
    figures = comparisons.differences(found, seed=1)
    assert figures["gap_closed"] == pytest.approx({"share": 0.75, "low": 0.75, "high": 0.75})
    assert figures["student_minus_bm25"] is None
    assert figures["student_minus_teacher"]["map"] == pytest.approx({"difference": -0.1, "low": -0.1, "high": -0.1})
    assert comparisons.differences(found | {"teacher": ranked([0.2, 0.4])}, seed=1)["gap_closed"] is None
    assert comparisons.differences(found | {"teacher": None}, seed=1)["gap_closed"] is None


def test_the_seed_decides_the_draws() -> None:
    random = np.random.default_rng(2)
    found: dict[str, Any] = {role: ranked(random.random(30).tolist()) for role in ("base", "student")}
    first = comparisons.differences(found, seed=1)
    assert comparisons.differences(found, seed=1) == first
    assert comparisons.differences(found, seed=2) != first


def test_forgetting_is_the_ranking_of_the_other_file(everything: Evaluated) -> None:
    (found,) = everything.result["forgetting"]
    options = everything.options
    (path,) = options.forgetting_data
    student, base = ndcg_by_query(options.model_path, path), ndcg_by_query(str(options.base_model), path)
    assert (found["test"]["path"], found["queries"], found["documents"]) == (path, 5, 10)
    assert found["ndcg_at_10"] == pytest.approx({"student": student.mean(), "base": base.mean()})
    assert found["student_minus_base"]["difference"] == pytest.approx((student - base).mean())
    assert found["student_minus_base"]["low"] <= found["student_minus_base"]["high"]


@pytest.mark.slow
def test_forgetting_without_a_base(everything: Evaluated, tmp_path: Path, tiny_encoder: Path) -> None:
    options = EvaluationOptions(
        model_path=str(tiny_encoder),
        test_data=everything.options.test_data,
        forgetting_data=everything.options.forgetting_data,
        output_dir=str(tmp_path),
        bm25=False,
    )
    (found,) = evaluate(options)["forgetting"]
    assert (found["ndcg_at_10"]["base"], found["student_minus_base"]) == (None, None)
    assert found["ndcg_at_10"]["student"] == everything.result["forgetting"][0]["ndcg_at_10"]["student"]


def test_bm25_ranks_by_the_words_of_the_query(everything: Evaluated) -> None:
    # Every positive holds the words of its query, so BM25 finds it; a random encoder does not.
    assert everything.result["ranking"]["bm25"]["mrr_at_10"] > 0.9
    assert everything.result["models"]["bm25"]["method"] == "lucene"


@pytest.mark.slow
def test_bm25_can_be_left_out(everything: Evaluated, tmp_path: Path) -> None:
    options = dataclasses.replace(
        everything.options, bm25=False, compare_with=None, forgetting_data=(), output_dir=str(tmp_path)
    )
    result = evaluate(options)
    assert result["ranking"]["bm25"] is None
    assert result["models"]["bm25"]["left_out"] == "the options leave it out"
    assert result["models"]["compared"]["left_out"] == "the options name no second student"
    assert result["ranking"]["student"] == everything.result["ranking"]["student"]


def task_of(records: list[Record], **pairs: Pairs) -> Questions:
    empty = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    nothing: Any = None
    kinds = {kind: pairs.get(kind, empty) for kind in ("positives", "negatives", "random")}
    return Questions(nothing, records, nothing, **kinds, others=np.roll(np.arange(len(records)), 1))


def test_equal_bm25_gains_nothing_by_the_order_of_the_file() -> None:
    asked = task_of([Record(0, "q", (0,), (1.0,), (), ())])
    found = LexicalScores({}, np.array([[0, 1, 2, -1]]), np.array([[1.5, 1.5, 1.5, 0.0]]))
    assert found.run(asked) == {"0": {"0": 1.5, "1": 1.5, "2": 1.5}}
    assert ranking.figures(asked.qrels(), found.run(asked))["mrr_at_10"] == pytest.approx(1 / 3)


def test_a_model_that_reads_no_query_keeps_its_whole_margin_under_shuffled_queries() -> None:
    records = [Record(row, f"q{row}", (row,), (1.0,), (row + 3,), (0.0,)) for row in range(3)]
    rows = np.arange(3)
    asked = task_of(records, positives=Pairs(rows, rows, np.ones(3)), negatives=Pairs(rows, rows + 3, np.zeros(3)))
    by_document = np.array([0.9, 0.8, 0.7, 0.1, 0.2, 0.3])  # whatever the query is
    moved = {
        kind: asked.shuffled(pairs) for kind, pairs in (("positives", asked.positives), ("negatives", asked.negatives))
    }
    scores = EncoderScores(
        description={},
        positives=by_document[:3],
        negatives=by_document[3:],
        random=np.empty(0),
        ids=np.empty((3, 0)),
        cosines=np.empty((3, 0)),
        shuffled={**{kind: by_document[pairs.documents] for kind, pairs in moved.items()}, "random": np.empty(0)},
        calibration=None,
    )
    found = shuffled_queries(asked, scores)
    assert found is not None
    assert found["labelled_negatives"]["margin"] == pytest.approx(0.3)
    assert found["labelled_negatives"]["true_margin"] == pytest.approx(0.3)
    assert found["labelled_negatives"]["auc"] == 1.0
