"""Separation of scores against hand-computed values and independent implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bistill.evaluation.measures import margins


def test_linear_score_by_hand() -> None:
    assert margins.linear_score(np.array([-1.0, 0.0, 0.5, 1.0, 1.0000001])).tolist() == [0.0, 0.5, 0.75, 1.0, 1.0]


def test_sigmoid_by_hand_and_without_overflow() -> None:
    assert margins.sigmoid(np.array([0.0, math.log(3), -1e4, 1e4])) == pytest.approx([0.5, 0.75, 0.0, 1.0])


def test_auc_by_hand() -> None:
    # pairs: 0.9>0.1, 0.9>0.5, 0.5>0.1, 0.5=0.5 -> 3.5 of 4
    assert margins.auc(np.array([0.9, 0.5]), np.array([0.1, 0.5])) == 0.875
    assert math.isnan(margins.auc(np.array([]), np.array([0.1])))
    assert math.isnan(margins.auc(np.array([0.1]), np.array([])))
    assert math.isnan(margins.auc(np.array([0.1]), np.array([math.nan])))


@pytest.mark.parametrize("decimals", [1, 6])
def test_auc_equals_sklearn(decimals: int) -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    positive, negative = random.normal(0.5, 1, 200).round(decimals), random.normal(0, 1, 300).round(decimals)
    expected = roc_auc_score([1] * 200 + [0] * 300, np.concatenate([positive, negative]))
    assert margins.auc(positive, negative) == pytest.approx(expected, abs=1e-12)
    assert margins.auc(np.exp(positive), np.exp(negative)) == margins.auc(positive, negative)


def test_separation_by_hand() -> None:
    found = margins.separation(np.array([0.8, 1.0]), np.array([0.2, 0.4]))
    assert (found.positives, found.negatives) == (2, 2)
    assert found.mean_positive == pytest.approx(0.9)
    assert found.mean_negative == pytest.approx(0.3)
    assert found.std_positive == pytest.approx(0.1)
    assert found.margin == pytest.approx(0.6)
    assert found.variance == pytest.approx((0.2**2 + 0.4**2 + 0.2**2 + 0.4**2) / 4)
    assert found.auc == 1.0


def test_separation_without_negatives() -> None:
    found = margins.separation(np.array([0.8, 1.0]), np.array([]))
    assert found.mean_positive == pytest.approx(0.9)
    assert found.variance == pytest.approx(0.01)
    assert all(math.isnan(value) for value in (found.mean_negative, found.std_negative, found.margin, found.auc))


def test_histogram_by_hand() -> None:
    # parts of 0.25: 0 and 0.2 | 0.25, an edge | 0.5 | 0.75 and 1; 1.5, -0.1 and nan are nowhere
    scores = np.array([0.0, 0.2, 0.25, 0.5, 0.75, 1.0, 1.5, -0.1, math.nan])
    assert margins.histogram(scores, 4) == [2, 1, 1, 2]
    assert margins.histogram(np.array([0.16, 0.56]), 20) == [0] * 3 + [1] + [0] * 7 + [1] + [0] * 8
    assert margins.histogram(np.array([]), 3) == [0, 0, 0]


def test_query_margins_by_hand() -> None:
    found = margins.query_margins([np.array([0.8, 1.0]), np.array([0.5])], [np.array([0.4, 0.2, 0.0]), np.array([])])
    assert found[0] == pytest.approx(0.7)
    assert math.isnan(found[1])


def test_margin_ceiling_by_hand() -> None:
    assert margins.margin_ceiling(-0.7) == pytest.approx(0.15)
    assert margins.margin_ceiling(0.0) == 0.5


def test_margin_of_random_pairs_stays_below_the_ceiling() -> None:
    random = np.random.default_rng(1)
    for shift in (0.0, 0.5, 2.0):
        vectors = random.normal(size=(400, 8)) + shift
        queries = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = queries @ queries.T  # each document is its query's copy: the best model there can be
        negatives = cosines[~np.eye(400, dtype=bool)]
        margin = margins.linear_score(np.diag(cosines)).mean() - margins.linear_score(negatives).mean()
        assert margin <= margins.margin_ceiling(negatives.mean()) + 1 / 400


def excess(queries: torch.Tensor, documents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the linear margin passes the ceiling, negatives being all pairs, and without the positive ones."""
    cosines = torch.nn.functional.normalize(queries, dim=1) @ torch.nn.functional.normalize(documents, dim=1).T
    positive, pairs = cosines.diag().mean(), len(cosines)
    everyone = cosines.mean()
    others = (cosines.sum() - cosines.diag().sum()) / (pairs * (pairs - 1))
    first, second = ((positive - mean) / 2 - margins.margin_ceiling(mean) for mean in (everyone, others))
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
    margin = margins.linear_score(np.diag(cosines)).mean() - margins.linear_score(cosines).mean()
    assert cosines.mean() == pytest.approx(cosine)
    assert margin == pytest.approx(margins.margin_ceiling(cosine))
