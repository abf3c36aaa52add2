"""Calibration figures by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from bistill.evaluation.measures.reliability import reliability


def test_figures_by_hand() -> None:
    found = reliability(np.array([0.1, 0.3, 0.9, 0.8]), np.array([False, True, True, True]), bins=2)
    # bins: {0.1, 0.3} with one of two relevant, {0.9, 0.8} with two of two
    assert [(item.lower, item.upper, item.count) for item in found.bins] == [(0.0, 0.5, 2), (0.5, 1.0, 2)]
    assert [item.mean_predicted for item in found.bins] == pytest.approx([0.2, 0.85])
    assert [item.share_relevant for item in found.bins] == [0.5, 1.0]
    assert found.expected_calibration_error == pytest.approx(0.5 * 0.3 + 0.5 * 0.15)
    assert found.brier == pytest.approx((0.1**2 + 0.7**2 + 0.1**2 + 0.2**2) / 4)
    assert (found.pairs, found.share_relevant) == (4, 0.75)


def test_edges_belong_to_the_bin_below_and_nothing_falls_out() -> None:
    found = reliability(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.zeros(5), bins=4)
    assert [item.count for item in found.bins] == [2, 1, 1, 1]


def test_no_pair_gives_nan_and_an_empty_table() -> None:
    found = reliability(np.empty(0), np.empty(0))
    assert (found.pairs, [item.count for item in found.bins]) == (0, [0] * 15)
    assert all(math.isnan(value) for value in (found.expected_calibration_error, found.brier, found.share_relevant))
    assert all(math.isnan(item.mean_predicted) for item in found.bins)


@pytest.mark.parametrize("decimals", [1, 9])
@pytest.mark.parametrize("power", [0.5, 1.0, 4.0])
def test_table_and_scores_equal_sklearn(power: float, decimals: int) -> None:
    random = np.random.default_rng(0)
    truth = random.random(2_000)
    relevant = random.random(2_000) < truth
    predicted = (truth**power).round(decimals)
    found = reliability(predicted, relevant)
    share, mean = calibration_curve(relevant, predicted, n_bins=15, strategy="uniform")
    filled = [item for item in found.bins if item.count]
    assert [item.share_relevant for item in filled] == pytest.approx(share.tolist())
    assert [item.mean_predicted for item in filled] == pytest.approx(mean.tolist())
    weights = np.array([item.count for item in filled]) / len(predicted)
    assert found.expected_calibration_error == pytest.approx(float(weights @ np.abs(share - mean)))
    assert found.brier == pytest.approx(brier_score_loss(relevant, predicted))


def test_true_probabilities_have_hardly_an_error_and_overconfident_ones_have_one() -> None:
    random = np.random.default_rng(1)
    truth = random.random(50_000)
    relevant = random.random(50_000) < truth
    assert reliability(truth, relevant).expected_calibration_error < 0.01
    assert reliability((truth > 0.5).astype(float), relevant).expected_calibration_error == pytest.approx(
        0.25, abs=0.01
    )
