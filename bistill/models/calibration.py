"""Scores made probabilities: a line through the logits of a re-ranker, fitted to labels.

Platt (1999), "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods",
with his smoothed targets, which keep the line finite where the labels are separated; minimised by Newton's method with
backtracking as Lin, Lin and Weng (2007), "A Note on Platt's Probabilistic Outputs for Support Vector Machines".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bistill.arrays import Doubles, Flags, Reals
from bistill.errors import DataError, ModelError, Told

MAX_STEPS: Final = 100
# Largest slope of the mean loss at which the minimum counts as reached: far below what float32 logits resolve.
TOLERANCE: Final = 1e-12
# Keeps the Hessian invertible where all predictions are near 0 or 1 (sigma of Lin, Lin and Weng).
RIDGE: Final = 1e-12
# Share of the promised fall of the loss that a step must bring, and the shortest step tried.
SUFFICIENT_FALL: Final = 1e-4
SHORTEST_STEP: Final = 1e-10


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
        return _sigmoid(self.a * np.asarray(logit, dtype=np.float64) + self.b)


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
    slope, intercept = _minimum((scores - mean) / scale, targets, start)
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


def _minimum(scores: Doubles, targets: Doubles, line: Doubles) -> tuple[float, float]:
    """Slope and intercept at the minimum of the mean cross-entropy, from a starting line; the loss is convex.

    Args:
        scores: shape (n,), of mean 0 and variance 1.
        targets: probabilities, shape (n,).
        line: slope and intercept to start from, shape (2,).
    """
    inputs = np.stack([scores, np.ones_like(scores)])
    loss = _loss(line, inputs, targets)
    for _ in range(MAX_STEPS):
        predicted = _sigmoid(line @ inputs)
        gradient = inputs @ (predicted - targets) / len(targets)
        if np.abs(gradient).max() < TOLERANCE:
            break
        hessian = (inputs * (predicted * (1 - predicted))) @ inputs.T / len(targets) + RIDGE * np.eye(2)
        direction = -np.linalg.solve(hessian, gradient)
        step = 1.0
        while (trial := _loss(line + step * direction, inputs, targets)) > loss + SUFFICIENT_FALL * step * float(
            gradient @ direction
        ):
            step /= 2
            if step < SHORTEST_STEP:  # the loss falls no further than rounding shows
                return float(line[0]), float(line[1])
        line, loss = line + step * direction, trial
    return float(line[0]), float(line[1])


def _loss(line: Doubles, inputs: Doubles, targets: Doubles) -> float:
    """Mean cross-entropy of the predictions sigmoid(x) against the targets t, each ``log(1 + exp(x)) - t * x``."""
    values = line @ inputs
    return float((np.logaddexp(0, values) - targets * values).mean())


def _sigmoid(values: Doubles) -> Doubles:
    """``1 / (1 + exp(-x))`` without overflow and exact also where it is tiny."""
    probabilities: Doubles = np.exp(-np.logaddexp(0, -values))
    return probabilities
