"""The bootstrap against scipy's, by hand, and by how often its intervals hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bistill.evaluation.measures import bootstrap


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_each_resample_has_as_many_items_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(bootstrap.counts(stream(), 7, 50)))
    assert whole.shape == (50, 7)
    assert set(whole.sum(axis=1)) == {7}
    monkeypatch.setattr(bootstrap, "BLOCK", 21)  # three resamples at once
    assert np.array_equal(np.concatenate(list(bootstrap.counts(stream(), 7, 50))), whole)


def test_means_are_those_of_the_drawn_rows() -> None:
    values = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    drawn = np.concatenate(list(bootstrap.counts(stream(3), 3, 20)))
    expected = np.stack([np.repeat(values, row, axis=0).mean(axis=0) for row in drawn])
    assert bootstrap.means(values, stream(3), 20) == pytest.approx(expected)


def test_interval_takes_the_outer_order_statistics() -> None:
    # 2.5 % and 97.5 % of 41 values lie exactly on the second and the second last.
    assert bootstrap.interval(5.0, np.arange(41.0)[::-1]) == bootstrap.Interval(5.0, 1.0, 39.0)
    assert bootstrap.interval(5.0, np.arange(40.0)) == bootstrap.Interval(5.0, 0.0, 39.0)


def test_paired_interval_equals_scipy() -> None:
    from scipy import stats

    random = stream(1)
    first = random.random((80, 2))
    second = np.clip(first + random.normal(0.05, 0.2, first.shape), 0, 1)
    for column, found in enumerate(bootstrap.paired(first, second, stream(2))):
        differences = first[:, column] - second[:, column]
        expected = stats.bootstrap(
            (differences,), np.mean, n_resamples=20_000, method="percentile", rng=stream(5)
        ).confidence_interval
        assert found.value == pytest.approx(differences.mean())
        # Monte-Carlo error of an end: about a twentieth of a standard error at 10,000 resamples.
        error = differences.std() / math.sqrt(80)
        assert found.low == pytest.approx(expected.low, abs=0.15 * error)
        assert found.high == pytest.approx(expected.high, abs=0.15 * error)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random, held = stream(7), 0
    for trial in range(300):
        values = random.normal(0.1, 1.0, (60, 1))
        (found,) = bootstrap.paired(values, np.zeros_like(values), stream(trial), 600)
        held += found.low <= 0.1 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_what_is_common_to_both_sides_cancels_out() -> None:
    hardness = stream(4).normal(0, 100, (50, 1))
    (found,) = bootstrap.paired(hardness + 0.25, hardness, stream(5))
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_paired_of_no_query_is_nan() -> None:
    assert all(math.isnan(item.value) for item in bootstrap.paired(np.empty((0, 2)), np.empty((0, 2)), stream()))


def test_share_of_the_gap_by_hand() -> None:
    base, teacher = np.full(30, 0.2), np.full(30, 0.6)
    found = bootstrap.gap_closed(base, np.full(30, 0.5), teacher, stream())
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75))
    assert bootstrap.gap_closed(base, np.full(30, 0.1), teacher, stream()).value == pytest.approx(-0.25)


def test_there_is_no_share_of_a_gap_that_is_none() -> None:
    half = np.full(5, 0.5)
    assert bootstrap.gap_closed(half, half + 0.1, half, stream()) is None
    assert bootstrap.gap_closed(half, half + 0.1, half - 0.1, stream()) is None
    assert bootstrap.gap_closed(np.empty(0), np.empty(0), np.empty(0), stream()) is None


def test_a_lead_that_might_be_none_leaves_the_share_unbounded() -> None:
    random = stream(8)
    base, student = random.random(40), random.random(40)
    teacher = base + random.normal(0.01, 0.3, 40)
    teacher += 0.01 - (teacher - base).mean()  # leads by a hundredth, with an error of five
    found = bootstrap.gap_closed(base, student, teacher, stream(9))
    assert found is not None
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_share_of_the_gap_equals_scipy() -> None:
    from scipy import stats

    random = stream(10)
    base = random.random(100)
    teacher, student = base + random.normal(0.3, 0.2, 100), base + random.normal(0.15, 0.2, 100)
    found = bootstrap.gap_closed(base, student, teacher, stream(11))
    assert found is not None
    expected = stats.bootstrap(
        (student - base, teacher - base),
        lambda won, lead, axis: won.mean(axis=axis) / lead.mean(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        vectorized=True,
        rng=stream(12),
    )
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.15 * expected.standard_error)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.15 * expected.standard_error)
