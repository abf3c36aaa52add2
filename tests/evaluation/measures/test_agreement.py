"""Two sources of scores, by hand and beside scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bistill.evaluation.measures.agreement import agreement, ranks


def test_by_hand() -> None:
    """Query 0: 0.9 > 0.5 > 0.1 against 0.8 > 0.2 > 0.3: one of three pairs of documents is reversed. Query 1: tied for
    the second source alone. Query 2 has one document."""
    a, b = np.array([0.9, 0.5, 0.1, 0.4, 0.6, 0.7]), np.array([0.8, 0.2, 0.3, 0.5, 0.5, 0.7])
    found = agreement(a, b, np.array([0, 0, 0, 1, 1, 2]))
    assert (found.pairs, found.queries) == (6, 2)
    assert found.mean_difference == pytest.approx((0.1 + 0.3 + 0.2 + 0.1 + 0.1 + 0) / 6)
    assert found.largest_difference == pytest.approx(0.3)
    assert found.high_difference == pytest.approx(0.3 - 0.25 * 0.1)  # between the two largest of six
    assert found.reversed_order == pytest.approx((1 / 3 + 0) / 2)
    assert found.tied == pytest.approx((0 + 1) / 2)
    assert found.same_first == 1  # of two equally high ones either is the first


def test_the_order_of_the_pairs_does_not_matter() -> None:
    random = np.random.default_rng(0)
    a, b, queries = random.random(60), random.random(60), random.integers(0, 9, 60)
    order = random.permutation(60)
    one, other = agreement(a, b, queries), agreement(a[order], b[order], queries[order])
    for name in ("mean_difference", "correlation", "reversed_order", "same_first"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))


def test_beside_scipy() -> None:
    random = np.random.default_rng(1)
    a, b = random.integers(0, 6, 40) / 5, random.integers(0, 6, 40) / 5  # many equal ones
    np.testing.assert_allclose(ranks(a), stats.rankdata(a))
    assert agreement(a, b, np.zeros(40, dtype=int)).correlation == pytest.approx(stats.spearmanr(a, b).statistic)
    a, b = random.random(12), random.random(12)
    tau = stats.kendalltau(a, b).statistic
    assert agreement(a, b, np.zeros(12, dtype=int)).reversed_order == pytest.approx((1 - tau) / 2)


def test_the_same_scores_and_none() -> None:
    same = agreement(np.array([0.1, 0.2]), np.array([0.1, 0.2]), np.array([3, 3]))
    assert (same.largest_difference, same.reversed_order, same.same_first) == (0, 0, 1)
    assert same.correlation == pytest.approx(1)
    none = agreement(np.empty(0), np.empty(0), np.empty(0, dtype=int))
    assert none.pairs == none.queries == 0
    assert all(map(math.isnan, (none.mean_difference, none.largest_difference, none.correlation, none.same_first)))
