"""Whether probabilities mean what they say: of the pairs given 0.8, are eight in ten relevant?

Expected calibration error and reliability diagram as Guo, Pleiss, Sun and Weinberger (2017), "On Calibration of Modern
Neural Networks", for the probability of one class (relevant); score of Brier (1950).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from bistill.arrays import Flags, Reals

BINS: Final = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs whose probability lies above ``lower`` and not above ``upper`` (the first bin holds 0, too).

    Attributes:
        lower: excluded lower edge.
        upper: included upper edge.
        mean_predicted: mean probability; nan of no pair.
        share_relevant: share of the relevant among them; nan of no pair.
        count: pairs.
    """

    lower: float
    upper: float
    mean_predicted: float
    share_relevant: float
    count: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """Probabilities against labels.

    Attributes:
        pairs: number of pairs.
        share_relevant: share of the relevant among all; nan of no pair.
        expected_calibration_error: ``sum over bins of count / pairs * |share_relevant - mean_predicted|``.
        brier: mean of ``(probability - label) ** 2``, label 1 or 0.
        bins: the reliability table, equal-width bins of 0..1.
    """

    pairs: int
    share_relevant: float
    expected_calibration_error: float
    brier: float
    bins: tuple[Bin, ...]


def reliability(probabilities: Reals, relevant: Flags, bins: int = BINS) -> Reliability:
    """Calibration error, Brier score and reliability table.

    Args:
        probabilities: predicted chance of relevance in 0..1, shape (pairs,).
        relevant: true where relevant, shape (pairs,).
        bins: equal-width bins.
    """
    predicted, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(relevant).astype(np.float64)
    assert predicted.shape == labels.shape and predicted.ndim == 1
    edges = np.linspace(0, 1, bins + 1)
    of_bin = np.searchsorted(edges[1:-1], predicted, side="left")  # an edge belongs to the bin below it
    count = np.bincount(of_bin, minlength=bins)
    filled = np.maximum(count, 1)
    mean = np.where(count > 0, np.bincount(of_bin, predicted, bins) / filled, np.nan)
    share = np.where(count > 0, np.bincount(of_bin, labels, bins) / filled, np.nan)
    columns = (edges[:-1], edges[1:], mean, share)
    table = zip(*(column.tolist() for column in columns), count.tolist(), strict=True)
    pairs = len(predicted)
    return Reliability(
        pairs=pairs,
        share_relevant=float(labels.mean()) if pairs else math.nan,
        expected_calibration_error=float(np.nansum(count * np.abs(share - mean)) / pairs) if pairs else math.nan,
        brier=float(np.mean((predicted - labels) ** 2)) if pairs else math.nan,
        bins=tuple(Bin(*row) for row in table),
    )
