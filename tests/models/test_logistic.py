"""Logistic regression beside scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bistill.models import logistic


@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_the_minimum_is_that_of_scikit_learn(penalty: float) -> None:
    random = np.random.default_rng(1)
    inputs = random.normal(size=(200, 6))
    labels = inputs @ random.normal(size=6) + random.normal(size=200) > 0.5
    reference = LogisticRegression(C=1 / (200 * penalty), tol=1e-10, max_iter=10_000).fit(inputs, labels)
    rows = np.concatenate([inputs.T, np.ones((1, 200))])
    found = logistic.minimum(rows, labels.astype(float), np.zeros(7), np.array([penalty] * 6 + [0.0]))
    np.testing.assert_allclose(found, [*reference.coef_[0], *reference.intercept_], atol=1e-6)


def test_targets_between_0_and_1_are_shares_of_both_labels() -> None:
    inputs, targets = np.array([[-1.0, 0.5, 2.0], [1.0, 1.0, 1.0]]), np.array([0.25, 0.5, 1.0])
    both = np.concatenate([inputs, inputs], axis=1)
    weights = np.concatenate([targets, 1 - targets])
    labels = np.array([1, 1, 1, 0, 0, 0])
    kept = weights > 0
    reference = LogisticRegression(C=10.0, tol=1e-12, max_iter=10_000).fit(
        both[:1, kept].T, labels[kept], weights[kept]
    )
    found = logistic.minimum(inputs, targets, np.zeros(2), np.array([1 / 30, 0.0]))
    np.testing.assert_allclose(found, [*reference.coef_[0], *reference.intercept_], atol=1e-6)


def test_separated_labels_have_a_finite_minimum_under_a_penalty() -> None:
    inputs, targets = np.array([[-1.0, 1.0]]), np.array([0.0, 1.0])
    (weight,) = logistic.minimum(inputs, targets, np.zeros(1), 0.1)
    assert 0.1 * weight == pytest.approx(1 / (1 + math.exp(weight)), abs=1e-10)  # where the slope is 0


def test_entropy_of_a_share() -> None:
    assert logistic.entropy(0.2) == pytest.approx(0.5004024235381879)
    assert logistic.entropy(0.5) == pytest.approx(math.log(2))
    assert logistic.entropy(0.0) == logistic.entropy(1.0) == 0
    assert logistic.cross_entropy(np.array([math.log(0.25)] * 5), np.array([1.0, 0, 0, 0, 0])) == pytest.approx(
        logistic.entropy(0.2)
    )
