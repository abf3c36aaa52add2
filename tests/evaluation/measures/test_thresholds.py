"""Thresholds by hand, against scikit-learn, and on resamples against choosing anew."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from bistill.evaluation.measures import bootstrap, thresholds


def case(seed: int, pairs: int, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    relevant = random.random(pairs) < 0.4
    return random.normal(np.where(relevant, 2.0, 0.0), 1.0).round(decimals), relevant


def test_thresholds_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    relevant = np.array([True, True, False, True, False, False])
    found = thresholds.choose(scores, relevant)
    # at 0.6: 3 of 4 count rightly, all 3 found: F1 6/7; at 0.8: 2 of 2, 2 of 3: F1 4/5
    assert found["best_f1"] == thresholds.Threshold(0.6, 0.75, 1.0, pytest.approx(6 / 7))
    assert found["precision_95"] == thresholds.Threshold(0.8, 1.0, pytest.approx(2 / 3), pytest.approx(0.8))
    assert found["recall_95"] == found["best_f1"]


def test_equal_scores_count_together() -> None:
    found = thresholds.choose(np.array([0.5, 0.5, 0.5]), np.array([True, False, True]))
    assert found["best_f1"] == thresholds.Threshold(0.5, pytest.approx(2 / 3), 1.0, pytest.approx(0.8))
    assert found["precision_95"] is None


def test_nothing_relevant_gives_no_threshold() -> None:
    none = dict.fromkeys(thresholds.NAMES)
    assert thresholds.choose(np.array([0.1, 0.2]), np.array([False, False])) == none
    assert thresholds.choose(np.empty(0), np.empty(0, dtype=bool)) == none


@pytest.mark.parametrize(("pairs", "decimals"), [(30, 1), (500, 1), (500, 9)])
@pytest.mark.parametrize("seed", range(5))
def test_thresholds_equal_those_of_sklearns_curve(seed: int, pairs: int, decimals: int) -> None:
    scores, relevant = case(seed, pairs, decimals)
    precision, recall, values = precision_recall_curve(relevant, scores)
    precision, recall = precision[:-1], recall[:-1]  # sklearn ends with a point that no threshold has
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    curve = thresholds.curve(scores, relevant)
    assert curve.thresholds == pytest.approx(values[::-1])
    assert curve.precision == pytest.approx(precision[::-1])
    assert curve.recall == pytest.approx(recall[::-1])
    assert curve.f1 == pytest.approx(f1[::-1])
    found = thresholds.choose(scores, relevant)
    assert found["best_f1"].f1 == pytest.approx(f1.max())
    exact = values[precision >= 0.95]
    assert (found["precision_95"].threshold if found["precision_95"] else None) == (exact.min() if len(exact) else None)
    assert found["recall_95"].threshold == values[recall >= 0.95].max()


def test_resampled_thresholds_are_those_of_the_repeated_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "BLOCK", 500)
    scores, relevant = case(3, 90, 1)
    queries = np.sort(np.random.default_rng(5).integers(0, 25, 90))
    draws = list(bootstrap.counts(np.random.default_rng(6), 25, 60))
    found = thresholds.resampled(scores, relevant, queries, draws)
    for row, drawn in enumerate(np.concatenate(draws)):
        repeat = drawn[queries]
        expected = thresholds.choose(np.repeat(scores, repeat), np.repeat(relevant, repeat))
        for name in thresholds.NAMES:
            item = expected[name]
            assert found[name][row] == (item.threshold if item else math.inf)


def test_a_rising_line_moves_thresholds_and_nothing_else() -> None:
    scores, relevant = case(4, 300, 9)
    before, after = thresholds.choose(scores, relevant), thresholds.choose(np.tanh(scores), relevant)
    for name in thresholds.NAMES:
        assert after[name].threshold == pytest.approx(math.tanh(before[name].threshold))
        assert (after[name].precision, after[name].recall) == (before[name].precision, before[name].recall)


@pytest.mark.parametrize(
    ("precision", "recall", "share", "why"),
    [
        (1.0, 0.099, 0.5, "finds_few"),
        (1.0, 0.1, 0.5, None),
        (0.5, 1.0, 0.5, "keeps_all"),  # every pair counts
        (0.5, 0.95, 0.5, "keeps_all"),
        (0.5, 0.94, 0.5, None),
        (0.9, 0.95, 0.2, None),
    ],
)
def test_a_threshold_of_no_use(precision: float, recall: float, share: float, why: str | None) -> None:
    assert thresholds.useless(thresholds.Threshold(0.3, precision, recall, 0.5), share) == why
