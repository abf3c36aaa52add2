"""How far scores of relevant documents lie above those of irrelevant ones.

Pure functions of numbers. Cosines lie in -1..1; the linear score of the contract is ``(cosine + 1) / 2`` in 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bistill.arrays import Doubles, Reals


@dataclass(frozen=True, slots=True)
class Separation:
    """How far the scores of relevant pairs lie above those of irrelevant ones; nan where a side is empty.

    Attributes:
        positives: number of scores of relevant pairs.
        negatives: number of scores of irrelevant pairs.
        mean_positive: mean score of the relevant pairs.
        std_positive: their standard deviation (population).
        mean_negative: mean score of the irrelevant pairs.
        std_negative: their standard deviation (population).
        margin: ``mean_positive - mean_negative``.
        variance: variance (population) of all scores together: what reports call uniformity.
        auc: chance that a relevant pair scores above an irrelevant one, equal scores counting half.
    """

    positives: int
    negatives: int
    mean_positive: float
    std_positive: float
    mean_negative: float
    std_negative: float
    margin: float
    variance: float
    auc: float


def linear_score(cosine: Reals) -> Doubles:
    """``(cosine + 1) / 2``, cut to 0..1 since a float32 cosine may pass 1 by a rounding error;
    float64 of the same shape."""
    return np.clip((np.asarray(cosine, dtype=np.float64) + 1) / 2, 0.0, 1.0)


def sigmoid(logit: Reals) -> Doubles:
    """``1 / (1 + exp(-logit))`` without overflow, float64 of the same shape."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logit, dtype=np.float64)))


def auc(positive: Reals, negative: Reals) -> float:
    """Area under the ROC curve from all pairs of scores (Mann-Whitney U), equal scores counting half.

    ``(#(p > n) + 0.5 * #(p = n)) / (#p * #n)`` over scores p of relevant and n of irrelevant pairs.

    Args:
        positive: scores of relevant pairs, shape (p,).
        negative: scores of irrelevant pairs, shape (n,).

    Returns:
        0..1; nan where one side is empty or a score is nan.
    """
    high, low = np.asarray(positive, dtype=np.float64).ravel(), np.asarray(negative, dtype=np.float64).ravel()
    if not len(high) or not len(low) or np.isnan(high).any() or np.isnan(low).any():
        return math.nan
    low = np.sort(low)
    below = np.searchsorted(low, high, side="left").sum()
    not_above = np.searchsorted(low, high, side="right").sum()
    return float((below + not_above) / (2 * len(high) * len(low)))


def separation(positive: Reals, negative: Reals) -> Separation:
    """Means, spreads, margin, variance and AUC of scores of relevant (p,) and irrelevant (n,) pairs."""
    high, low = np.asarray(positive, dtype=np.float64).ravel(), np.asarray(negative, dtype=np.float64).ravel()
    mean_high, std_high = _mean_and_std(high)
    mean_low, std_low = _mean_and_std(low)
    return Separation(
        positives=len(high),
        negatives=len(low),
        mean_positive=mean_high,
        std_positive=std_high,
        mean_negative=mean_low,
        std_negative=std_low,
        margin=mean_high - mean_low,
        variance=_mean_and_std(np.concatenate([high, low]))[1] ** 2,
        auc=auc(high, low),
    )


def histogram(scores: Reals, bins: int) -> list[int]:
    """Number of scores in each of ``bins`` equal parts of 0..1.

    A score on an edge belongs to the part above it, 1 to the last; scores outside and NaN or infinite ones are
    not counted.
    """
    return [int(count) for count in np.histogram(scores, bins=bins, range=(0, 1))[0]]


def query_margins(positive: Sequence[Reals], negative: Sequence[Reals]) -> Doubles:
    """Mean positive score minus mean negative score of each query; nan where a query lacks one side.

    Args:
        positive: for each query the scores of its relevant documents.
        negative: for each query the scores of its irrelevant documents.

    Returns:
        float64 of shape (queries,).
    """
    pairs = zip(positive, negative, strict=True)
    return np.array([_mean_and_std(high)[0] - _mean_and_std(low)[0] for high, low in pairs], dtype=np.float64)


def margin_ceiling(mean_negative_cosine: float) -> float:
    """Largest margin that random pairs allow on the linear score: ``0.5 * (1 - |mean negative cosine|)``.

    Over all pairs of n unit vectors q of queries and d of their documents the mean cosine m is the product of their
    means. The mean positive cosine is at most ``1 - |mean(q) - mean(d)|^2 / 2`` (convexity of the square), hence at
    most 1, and at most ``1 + 2 m`` where m is negative: mean positive cosine minus m never passes ``1 - |m|``. Random
    negatives, which leave the positive pairs out, may pass by 2 / (n - 1) on the linear score; documents that are
    nobody's positive are not bound.
    """
    return 0.5 * (1 - abs(mean_negative_cosine))


def _mean_and_std(values: Reals) -> tuple[float, float]:
    """Mean and population standard deviation; nan of nothing, without numpy's warning."""
    if not len(values):
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values))
