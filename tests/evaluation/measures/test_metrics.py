"""Metrics against hand-computed values and independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bistill.evaluation.measures import metrics


def test_linear_score_by_hand() -> None:
    assert metrics.linear_score(np.array([-1.0, 0.0, 0.5, 1.0, 1.0000001])).tolist() == [0.0, 0.5, 0.75, 1.0, 1.0]


def test_sigmoid_by_hand_and_without_overflow() -> None:
    assert metrics.sigmoid(np.array([0.0, math.log(3), -1e4, 1e4])) == pytest.approx([0.5, 0.75, 0.0, 1.0])


def test_auc_by_hand() -> None:
    # pairs: 0.9>0.1, 0.9>0.5, 0.5>0.1, 0.5=0.5 -> 3.5 of 4
    assert metrics.auc(np.array([0.9, 0.5]), np.array([0.1, 0.5])) == 0.875
    assert math.isnan(metrics.auc(np.array([]), np.array([0.1])))
    assert math.isnan(metrics.auc(np.array([0.1]), np.array([])))
    assert math.isnan(metrics.auc(np.array([0.1]), np.array([math.nan])))


@pytest.mark.parametrize("decimals", [1, 6])
def test_auc_equals_sklearn(decimals: int) -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    positive, negative = random.normal(0.5, 1, 200).round(decimals), random.normal(0, 1, 300).round(decimals)
    expected = roc_auc_score([1] * 200 + [0] * 300, np.concatenate([positive, negative]))
    assert metrics.auc(positive, negative) == pytest.approx(expected, abs=1e-12)
    assert metrics.auc(np.exp(positive), np.exp(negative)) == metrics.auc(positive, negative)


def test_separation_by_hand() -> None:
    found = metrics.separation(np.array([0.8, 1.0]), np.array([0.2, 0.4]))
    assert (found.positives, found.negatives) == (2, 2)
    assert found.mean_positive == pytest.approx(0.9)
    assert found.mean_negative == pytest.approx(0.3)
    assert found.std_positive == pytest.approx(0.1)
    assert found.margin == pytest.approx(0.6)
    assert found.variance == pytest.approx((0.2**2 + 0.4**2 + 0.2**2 + 0.4**2) / 4)
    assert found.auc == 1.0


def test_separation_without_negatives() -> None:
    found = metrics.separation(np.array([0.8, 1.0]), np.array([]))
    assert found.mean_positive == pytest.approx(0.9)
    assert found.variance == pytest.approx(0.01)
    assert all(math.isnan(value) for value in (found.mean_negative, found.std_negative, found.margin, found.auc))


def test_histogram_by_hand() -> None:
    # parts of 0.25: 0 and 0.2 | 0.25, an edge | 0.5 | 0.75 and 1; 1.5, -0.1 and nan are nowhere
    scores = np.array([0.0, 0.2, 0.25, 0.5, 0.75, 1.0, 1.5, -0.1, math.nan])
    assert metrics.histogram(scores, 4) == [2, 1, 1, 2]
    assert metrics.histogram(np.array([0.16, 0.56]), 20) == [0] * 3 + [1] + [0] * 7 + [1] + [0] * 8
    assert metrics.histogram(np.array([]), 3) == [0, 0, 0]


def test_query_margins_by_hand() -> None:
    margins = metrics.query_margins([np.array([0.8, 1.0]), np.array([0.5])], [np.array([0.4, 0.2, 0.0]), np.array([])])
    assert margins[0] == pytest.approx(0.7)
    assert math.isnan(margins[1])


def test_margin_ceiling_by_hand() -> None:
    assert metrics.margin_ceiling(-0.7) == pytest.approx(0.15)
    assert metrics.margin_ceiling(0.0) == 0.5


def test_margin_of_random_pairs_stays_below_the_ceiling() -> None:
    random = np.random.default_rng(1)
    for shift in (0.0, 0.5, 2.0):
        vectors = random.normal(size=(400, 8)) + shift
        queries = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = queries @ queries.T  # each document is its query's copy: the best model there can be
        negatives = cosines[~np.eye(400, dtype=bool)]
        margin = metrics.linear_score(np.diag(cosines)).mean() - metrics.linear_score(negatives).mean()
        assert margin <= metrics.margin_ceiling(negatives.mean()) + 1 / 400


def excess(queries: torch.Tensor, documents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the linear margin passes the ceiling, negatives being all pairs, and without the positive ones."""
    cosines = torch.nn.functional.normalize(queries, dim=1) @ torch.nn.functional.normalize(documents, dim=1).T
    positive, pairs = cosines.diag().mean(), len(cosines)
    everyone = cosines.mean()
    others = (cosines.sum() - cosines.diag().sum()) / (pairs * (pairs - 1))
    first, second = ((positive - mean) / 2 - metrics.margin_ceiling(mean) for mean in (everyone, others))
    return first, second


@pytest.mark.parametrize("shift", [0.0, 1.0, -0.3])
def test_no_search_for_vectors_passes_the_ceiling(shift: float) -> None:
    count = 32
    start = torch.Generator().manual_seed(int(10 * shift + 100))
    direction = torch.randn(6, generator=start)
    # Documents pushed along a direction, queries along it or against it: mean cosines of both signs.
    queries = (torch.randn(count, 6, generator=start) + direction * shift).requires_grad_()
    documents = (torch.randn(count, 6, generator=start) + direction * abs(shift)).requires_grad_()
    optimizer = torch.optim.Adam([queries, documents], lr=0.05)
    found = []
    for _ in range(150):
        over_all, over_others = excess(queries, documents)
        found.append(float(over_all.detach()))
        assert found[-1] <= 1e-6
        assert float(over_others.detach()) <= 2 / (count - 1)  # the positive pairs' share in the mean of all
        optimizer.zero_grad()
        (-over_all).backward()
        optimizer.step()
    assert found[-1] > max(found[0], -0.02)  # the search came close: the ceiling is no looser than it says


@pytest.mark.parametrize("cosine", [-0.6, -0.2, 0.0, 0.3, 0.8])
def test_there_are_vectors_that_reach_the_ceiling(cosine: float) -> None:
    # A part that all share (opposite for a negative mean), and parts of their own that cancel out over a circle.
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    own = np.sqrt(1 - abs(cosine)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    shared = np.full((12, 1), np.sqrt(abs(cosine)))
    queries, documents = np.hstack([own, shared]), np.hstack([own, np.copysign(shared, cosine)])
    cosines = queries @ documents.T
    margin = metrics.linear_score(np.diag(cosines)).mean() - metrics.linear_score(cosines).mean()
    assert cosines.mean() == pytest.approx(cosine)
    assert margin == pytest.approx(metrics.margin_ceiling(cosine))


def test_gains_by_hand() -> None:
    assert metrics.gains([1.0, 0.5, 0.004, 0.336]) == [100, 50, 1, 34]


def test_ranking_by_hand() -> None:
    qrels = {"a": {"d1": 100, "d3": 50}, "b": {"d9": 100}}
    run = {"a": {"d1": 0.2, "d2": 0.9, "d3": 0.1}, "c": {"d1": 1.0}}
    found = metrics.ranking_metrics_by_query(qrels, run)
    # ranks of a: d2, d1 (gain 100), d3 (gain 50)
    ideal = 100 / math.log2(2) + 50 / math.log2(3)
    assert found["a"]["ndcg_at_10"] == pytest.approx((100 / math.log2(3) + 50 / math.log2(4)) / ideal)
    assert found["a"]["mrr_at_10"] == 0.5
    assert found["a"]["map"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert (found["a"]["recall_at_1"], found["a"]["recall_at_10"]) == (0.0, 1.0)
    assert set(found["b"].values()) == {0.0}
    assert metrics.ranking_metrics(qrels, run)["mrr_at_10"] == 0.25


def test_reciprocal_rank_ends_at_ten_and_recall_at_hundred() -> None:
    run = {"q": {f"d{rank:03d}": -float(rank) for rank in range(1, 151)}}
    found = metrics.ranking_metrics({"q": {"d011": 1, "d101": 1}}, run)
    assert found["mrr_at_10"] == 0.0
    assert found["recall_at_10"] == 0.0
    assert found["recall_at_100"] == 0.5
    assert found["map"] == pytest.approx((1 / 11 + 2 / 101) / 2)


def random_case(
    queries: int = 20, documents: int = 150
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    random = np.random.default_rng(2)
    names = [f"d{number}" for number in range(documents)]
    qrels = {
        f"q{query}": {str(name): int(random.integers(1, 101)) for name in random.choice(names, 4, replace=False)}
        for query in range(queries)
    }
    run = {
        query: {name: float(score) for name, score in zip(names, random.normal(size=documents), strict=True)}
        for query in qrels
    }
    return qrels, run


def test_ranking_equals_ir_measures() -> None:
    import ir_measures
    from ir_measures import AP, RR, R, nDCG

    qrels, run = random_case()
    expected = ir_measures.calc_aggregate([nDCG @ 10, RR @ 10, AP, R @ 1, R @ 10, R @ 100], qrels, run)
    found = metrics.ranking_metrics(qrels, run)
    assert found == pytest.approx(
        {name: expected[ir_measures.parse_measure(measure)] for name, measure in metrics.RANKING_MEASURES.items()}
    )


def test_ranking_equals_numpy_and_sklearn() -> None:
    from sklearn.metrics import average_precision_score, ndcg_score

    qrels, run = random_case()
    found = metrics.ranking_metrics_by_query(qrels, run)
    for query, scores in run.items():
        gain = np.array([qrels[query].get(document, 0) for document in scores])
        values = np.array(list(scores.values()))
        assert found[query]["ndcg_at_10"] == pytest.approx(ndcg_score([gain], [values], k=10), abs=1e-9)
        assert found[query]["map"] == pytest.approx(average_precision_score(gain > 0, values), abs=1e-9)
        top = gain[np.argsort(-values)] > 0
        assert found[query]["recall_at_10"] == pytest.approx(top[:10].sum() / 4)
        assert found[query]["mrr_at_10"] == pytest.approx(max(top[:10] / np.arange(1, 11)))


def test_ranking_ignores_monotone_transforms_order_and_gain_scale() -> None:
    qrels, run = random_case()
    before = metrics.ranking_metrics(qrels, run)
    squeezed = {
        query: {name: math.exp(scores[name]) for name in reversed(list(scores))} for query, scores in run.items()
    }
    assert metrics.ranking_metrics(qrels, squeezed) == before
    doubled = {query: {name: 2 * gain for name, gain in gains.items()} for query, gains in qrels.items()}
    assert metrics.ranking_metrics(doubled, run) == pytest.approx(before)


@pytest.mark.parametrize("name", ["a", "z"])
def test_equal_scores_and_nan_gain_nothing(name: str) -> None:
    flat = {"q": {name: 0.5, "m": 0.5, "n": 0.5}}
    assert metrics.ranking_metrics({"q": {name: 1}}, flat)["mrr_at_10"] == pytest.approx(1 / 3)
    broken = {"q": {name: math.nan, "m": 0.5}}
    assert metrics.ranking_metrics({"q": {name: 1}}, broken)["mrr_at_10"] == 0.5


def test_no_queries_gives_nan() -> None:
    assert all(math.isnan(value) for value in metrics.ranking_metrics({}, {}).values())


@pytest.mark.parametrize("depth", [1, 7, 40, 99])
def test_top_documents_equals_a_full_sort(monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    monkeypatch.setattr(metrics, "QUERY_BLOCK", 4)
    monkeypatch.setattr(metrics, "DOCUMENT_BLOCK", 9)
    random = np.random.default_rng(3)
    # Small integers: products are exact and many scores are equal, also where the cut falls.
    queries = random.integers(-2, 3, (11, 3)).astype(np.float32)
    documents = random.integers(-2, 3, (40, 3)).astype(np.float32)
    done: list[int] = []
    ids, scores = metrics.top_documents(queries, documents, depth, advance=done.append)
    full = queries @ documents.T
    expected = np.argsort(-full, axis=1, kind="stable")[:, :depth]
    assert np.array_equal(ids, expected)
    assert np.array_equal(scores, np.take_along_axis(full, expected, 1))
    assert done == [4, 4, 3]


def test_top_documents_of_none() -> None:
    ids, scores = metrics.top_documents(np.ones((2, 3), np.float32), np.empty((0, 3), np.float32), 5)
    assert ids.shape == scores.shape == (2, 0)


def test_rankings_are_the_dictionaries_that_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    documents = np.stack([random.permutation(30)[:12] for _ in range(20)])
    documents[:, 10:] = -1  # places without a document
    scores = random.integers(4, size=documents.shape).astype(np.float32)
    ids = random.permutation(100)[:20].tolist()
    written = {
        str(query): {str(place): float(score) for place, score in zip(row[:10], own[:10], strict=True)}
        for query, row, own in zip(ids, documents.tolist(), scores.tolist(), strict=True)
    }
    found = metrics.Rankings(ids, documents, scores)
    assert found == written and list(found) == list(map(str, ids)) and len(found) == 20
    qrels = {str(query): {str(place): 100 for place in random.integers(30, size=3)} for query in [*ids[:15], 1000]}
    expected = metrics.ranking_metrics_by_query(qrels, written)
    assert metrics.ranking_metrics_by_query(qrels, found) == expected
    assert expected["1000"] == dict.fromkeys(metrics.RANKING_MEASURES, 0.0)
    for size in (1, 4, 15):
        monkeypatch.setattr(metrics, "RANKINGS_AT_ONCE", size)
        assert metrics.ranking_metrics_by_query(qrels, found) == expected
