"""The worst queries and the table of all of them, against rankings by brute force."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from bistill import artifacts
from bistill.evaluation.report import failing
from tests.evaluation.conftest import Evaluated, brute_force


@pytest.fixture(scope="module")
def table(everything: Evaluated) -> list[dict[str, str]]:
    with everything.file(artifacts.EVALUATION_QUERIES).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def expected(everything: Evaluated) -> dict[str, tuple[int, list[str], dict[str, float]]]:
    """By query: rank of its first positive, all documents in the student's order, their linear scores."""
    cosines, dataset = brute_force(everything.options.model_path, everything.options.test_data)
    found = {}
    for record in dataset:
        row = cosines[record.query_id]
        order = np.argsort(-row, kind="stable").tolist()
        rank = 1 + min(map(order.index, record.positives))
        texts = [dataset.documents[document] for document in order]
        scores = {dataset.documents[document]: float(row[document] + 1) / 2 for document in order}
        found[record.query] = rank, texts, scores
    return found


def test_equal_figures_are_ordered_by_rank_and_none_is_the_deepest() -> None:
    figures, ranks = np.array([0.0, 0.5, 0.0, 0.0, 0.5]), np.array([12.0, 2.0, math.nan, 40.0, 2.0])
    assert failing.worst_first(figures, ranks).tolist() == [2, 3, 0, 1, 4]


def test_documents_above_the_first_relevant_one(
    everything: Evaluated, expected: dict[str, tuple[int, list[str], dict[str, float]]]
) -> None:
    failures = everything.result["failures"]
    assert failures["queries"] == sum(rank > 1 for rank, *_ in expected.values())
    figures = [item["ndcg_at_10"] for item in failures["worst"]]
    assert figures == sorted(figures) and len(figures) == min(10, failures["queries"]) > 1
    for item in failures["worst"]:
        rank, texts, scores = expected[item["query"]]
        assert item["ranks"]["student"] == rank > 1
        assert set(item["ranks"]) == {"base", "bm25", "teacher", "student", "compared"}
        assert [found["document"] for found in item["above"]] == texts[: min(3, rank - 1)]
        assert item["positive"]["document"] == texts[rank - 1]
        for found in (*item["above"], item["positive"]):
            assert found["student"] == pytest.approx(scores[found["document"]], abs=1e-6)


def test_the_teacher_is_asked_about_documents_above(everything: Evaluated) -> None:
    scores = [found["teacher"] for item in everything.result["failures"]["worst"] for found in item["above"]]
    assert any(score is not None for score in scores)
    assert all(0 < score < 1 for score in scores if score is not None)


def test_every_query_stands_in_the_table_as_the_student_ranks_it(
    everything: Evaluated,
    table: list[dict[str, str]],
    expected: dict[str, tuple[int, list[str], dict[str, float]]],
) -> None:
    assert {row["query"] for row in table} == set(expected) and len(table) == len(expected)
    figures = [float(row["ndcg_at_10"]) for row in table]
    assert figures == sorted(figures)
    assert np.mean(figures) == pytest.approx(everything.result["ranking"]["student"]["ndcg_at_10"], abs=1e-4)
    for row in table:
        rank, texts, scores = expected[row["query"]]
        assert int(row["rank_student"]) == rank
        assert (row["positive"], row["best_document"]) == (texts[rank - 1], texts[0])
        assert float(row["best_score"]) == pytest.approx(scores[texts[0]], abs=1e-4)
        assert float(row["positive_score"]) == pytest.approx(scores[texts[rank - 1]], abs=1e-4)
        assert row["best_is_positive"] == ("yes" if rank == 1 else "no")


def test_ranks_of_other_models_agree_with_their_figures(everything: Evaluated, table: list[dict[str, str]]) -> None:
    for role in ("base", "bm25", "teacher", "student", "compared"):
        ranks = [int(row[f"rank_{role}"]) if row[f"rank_{role}"] else math.inf for row in table]
        reciprocal = np.mean([1 / rank if rank <= 10 else 0 for rank in ranks])
        assert reciprocal == pytest.approx(everything.result["ranking"][role]["mrr_at_10"], abs=1e-9)
