"""Platt scaling against scikit-learn, and what its definition demands."""

from __future__ import annotations

import numpy as np
import pytest

from bistill.errors import DataError, ModelError
from bistill.models.calibration import Calibration, fit


def sample(seed: int, size: int = 400, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.random(size) < share
    return generator.normal(loc=np.where(labels, 1.5, -2.0), scale=3.0), labels


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_fit_equals_logistic_regression_on_smoothed_targets(share: float) -> None:
    from sklearn.linear_model import LogisticRegression

    logits, labels = sample(0, share=share)
    high, low = (labels.sum() + 1) / (labels.sum() + 2), 1 / ((~labels).sum() + 2)
    targets = np.where(labels, high, low)
    # A target t is a relevant pair of weight t beside an irrelevant one of weight 1 - t.
    reference = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky").fit(
        np.tile(logits, 2)[:, None],
        np.repeat([1, 0], len(logits)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    line = fit(logits, labels)
    np.testing.assert_allclose([line.a, line.b], [reference.coef_[0, 0], reference.intercept_[0]], rtol=1e-6)


def test_fit_equals_the_sigmoid_calibration_of_scikit_learn() -> None:
    from sklearn.calibration import _SigmoidCalibration

    logits, labels = sample(1)
    reference = _SigmoidCalibration().fit(logits, labels.astype(int))
    np.testing.assert_allclose(fit(logits, labels).apply(logits), reference.predict(logits), atol=1e-4)


def test_the_gradient_vanishes_at_the_fit() -> None:
    logits, labels = sample(2)
    targets = np.where(labels, (labels.sum() + 1) / (labels.sum() + 2), 1 / ((~labels).sum() + 2))
    error = fit(logits, labels).apply(logits) - targets
    assert abs(error.sum()) < 1e-8
    assert abs((error * logits).sum()) < 1e-8


def test_two_pairs_reach_their_targets() -> None:
    line = fit(np.array([-1.0, 3.0]), np.array([0, 1]))  # targets 1/3 and 2/3: logits -log 2 and log 2
    np.testing.assert_allclose([line.a, line.b], [np.log(2) / 2, -np.log(2) / 2], rtol=1e-10)
    np.testing.assert_allclose(line.apply(np.array([-1.0, 1.0, 3.0])), [1 / 3, 1 / 2, 2 / 3], rtol=1e-10)


@pytest.mark.parametrize("size", [20, 100_000])
def test_perfect_separation_has_a_finite_line(size: int) -> None:
    labels = np.arange(size) % 2 == 1
    line = fit(np.where(labels, 9.0, -11.0), labels)
    wanted = (size / 2 + 1) / (size / 2 + 2)  # both classes reach their smoothed target
    np.testing.assert_allclose(line.apply(np.array([9.0, -11.0])), [wanted, 1 - wanted], rtol=1e-6)


def test_a_separated_line_with_an_outlier_converges() -> None:
    logits, labels = np.append(np.linspace(-1, 1, 1001), 1e6), np.append(np.linspace(-1, 1, 1001) > 0.9, True)
    line = fit(logits, labels)
    targets = np.where(labels, (labels.sum() + 1) / (labels.sum() + 2), 1 / ((~labels).sum() + 2))
    assert np.isfinite([line.a, line.b]).all()
    assert line.a > 0
    assert abs((line.apply(logits) - targets).sum()) < 1e-6


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e6])
def test_scaling_and_shifting_the_scores_changes_no_probability(factor: float) -> None:
    logits, labels = sample(3)
    line, other = fit(logits, labels), fit(factor * (logits + 5), labels)
    np.testing.assert_allclose(other.a, line.a / factor, rtol=1e-8)
    np.testing.assert_allclose(other.apply(factor * (logits + 5)), line.apply(logits), rtol=1e-8)
    np.testing.assert_allclose(fit(factor * logits, labels).b, line.b, rtol=1e-8)


def test_the_true_line_is_found_again() -> None:
    generator = np.random.default_rng(4)
    logits = generator.normal(scale=3, size=200_000)
    labels = generator.random(len(logits)) < Calibration(a=0.7, b=-1.2).apply(logits)
    line = fit(logits.astype(np.float32), labels)
    np.testing.assert_allclose([line.a, line.b], [0.7, -1.2], atol=0.02)


def test_apply_is_exact_at_both_ends_and_keeps_the_shape() -> None:
    probabilities = Calibration(a=2.0, b=0.0).apply(np.array([[-1000.0, -50.0, 0.0], [0.5, 50.0, 1000.0]], np.float32))
    assert probabilities.dtype == np.float64
    expected = [[0.0, np.exp(-100.0), 0.5], [1 / (1 + np.exp(-1.0)), 1.0, 1.0]]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-12)


def test_scores_that_do_not_rise_with_relevance_are_refused() -> None:
    logits, labels = sample(5)
    with pytest.raises(ModelError, match="the scores fall where relevance rises"):
        fit(-logits, labels)
    with pytest.raises(ModelError, match=r"the scores are all the same\n  found: 0\.1"):
        fit(np.full(7, 0.1), np.arange(7) > 3)


def test_unusable_data_is_refused() -> None:
    for labels in (np.ones(3), np.zeros(3, dtype=bool)):
        with pytest.raises(DataError, match=r"needs relevant and irrelevant pairs\n  found: [03] relevant of 3"):
            fit(np.arange(3.0), labels)
    with pytest.raises(DataError, match="0 relevant of 0"):
        fit(np.empty(0), np.empty(0))
    for bad in (np.nan, np.inf):
        with pytest.raises(DataError, match="pair 1: a score is no finite number"):
            fit(np.array([0.0, bad, 1.0]), np.array([0, 1, 1]))
