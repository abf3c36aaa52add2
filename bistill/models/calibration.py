"""Scores made probabilities: a line through the logits of a re-ranker, fitted to labels.

Platt (1999), "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods",
with his smoothed targets, which keep the line finite where the labels are separated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bistill.arrays import Doubles, Flags, Reals
from bistill.errors import DataError, ModelError, Told
from bistill.models import logistic


@dataclass(frozen=True)
class Calibration:
    """The line ``a * logit + b`` whose sigmoid is the probability of relevance.

    Attributes:
        a: slope, above 0: the order of the scores stays.
        b: intercept.
    """

    a: float
    b: float

    def apply(self, logit: Reals) -> Doubles:
        """Probability of relevance, ``1 / (1 + exp(-(a * logit + b)))``: float64 of the logits' shape."""
        return logistic.sigmoid(self.a * np.asarray(logit, dtype=np.float64) + self.b)


def fit(logits: Reals, labels: Flags) -> Calibration:
    """The calibration under which the labels are likeliest, the targets smoothed.

    Relevant pairs aim at ``(N+ + 1) / (N+ + 2)``, irrelevant ones at ``1 / (N- + 2)``, N+ and N- their numbers.

    Args:
        logits: scores of any scale, higher for more relevant, shape (n,).
        labels: true where relevant, shape (n,).

    Raises:
        DataError: a class is missing, or a logit is NaN or infinite.
        ModelError: the scores do not rise with relevance.
    """
    scores, relevant = np.asarray(logits, dtype=np.float64), np.asarray(labels).astype(bool)
    assert scores.shape == relevant.shape and scores.ndim == 1
    _check(scores, relevant)
    positives, negatives = int(relevant.sum()), int((~relevant).sum())
    targets = np.where(relevant, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    # Newton's method in standard units: the fit and its stopping do not depend on the scale of the scores.
    mean, scale = float(scores.mean()), float(scores.std())
    start = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    inputs = np.stack([(scores - mean) / scale, np.ones_like(scores)])
    slope, intercept = map(float, logistic.minimum(inputs, targets, start))
    if slope <= 0:
        raise ModelError(
            "the scores fall where relevance rises",
            found=Told(f"fitted slope {slope / scale:.3g} a unit of score"),
            todo="check the labels, and which teacher was given",
        )
    return Calibration(a=slope / scale, b=intercept - slope * mean / scale)


def _check(scores: Reals, relevant: Flags) -> None:
    if relevant.all() or not relevant.any():  # also where there is no pair at all
        raise DataError(
            "a calibration needs relevant and irrelevant pairs",
            found=Told(f"{int(relevant.sum())} relevant of {len(relevant)}"),
            todo="give labelled pairs of both kinds",
        )
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise DataError("a score is no finite number", where=f"pair {row}", found=float(scores[row]))
    if scores.min() == scores.max():
        raise ModelError("the scores are all the same", found=float(scores[0]), todo="check which teacher was given")
