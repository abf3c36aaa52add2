"""Logistic regression in float64: the weights under which labels of 0..1 are likeliest, the same wherever it is run.

Newton's method with backtracking as Lin, Lin and Weng (2007), "A Note on Platt's Probabilistic Outputs for Support
Vector Machines", for any number of inputs, with a ridge penalty where one is wanted: the loss is convex then, and has
one minimum.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from bistill.arrays import Doubles

MAX_STEPS: Final = 100
# Largest slope of the loss at which the minimum counts as reached: far below what float32 scores resolve.
TOLERANCE: Final = 1e-12
# Keeps the Hessian invertible where all predictions are near 0 or 1 (sigma of Lin, Lin and Weng).
RIDGE: Final = 1e-12
# Share of the promised fall of the loss that a step must bring, and the shortest step tried.
SUFFICIENT_FALL: Final = 1e-4
SHORTEST_STEP: Final = 1e-10


def minimum(inputs: Doubles, targets: Doubles, start: Doubles, penalty: Doubles | float = 0.0) -> Doubles:
    """Weights at the minimum of the mean cross-entropy plus ``sum(penalty * weights ** 2) / 2``.

    Args:
        inputs: one row an input, float64 of shape (inputs, n); a row of ones gives an intercept.
        targets: probabilities, shape (n,).
        start: weights to begin with, shape (inputs,).
        penalty: of each weight, shape (inputs,), or one of all of them; 0: none.

    Returns:
        float64 of shape (inputs,).
    """
    weights, shrink = start, np.broadcast_to(np.asarray(penalty, dtype=np.float64), start.shape)
    loss = _loss(weights, inputs, targets, shrink)
    for _ in range(MAX_STEPS):
        predicted = sigmoid(weights @ inputs)
        gradient = inputs @ (predicted - targets) / len(targets) + shrink * weights
        if np.abs(gradient).max() < TOLERANCE:
            break
        hessian = (inputs * (predicted * (1 - predicted))) @ inputs.T / len(targets)
        hessian[np.diag_indices_from(hessian)] += shrink + RIDGE
        direction = -np.linalg.solve(hessian, gradient)
        step = 1.0
        while (
            trial := _loss(weights + step * direction, inputs, targets, shrink)
        ) > loss + SUFFICIENT_FALL * step * float(gradient @ direction):
            step /= 2
            if step < SHORTEST_STEP:  # the loss falls no further than rounding shows
                return weights
        weights, loss = weights + step * direction, trial
    return weights


def cross_entropy(logits: Doubles, targets: Doubles) -> float:
    """Mean cross-entropy of predictions sigmoid(x) against targets t, each ``log(1 + exp(x)) - t * x``."""
    return float((np.logaddexp(0, logits) - targets * logits).mean())


def entropy(share: float) -> float:
    """Mean cross-entropy of giving every pair the share of relevant ones, in nats: 0 where all or none are."""
    return -sum(part * math.log(part) for part in (share, 1 - share) if part > 0)


def sigmoid(values: Doubles) -> Doubles:
    """``1 / (1 + exp(-x))`` without overflow and exact also where it is tiny."""
    probabilities: Doubles = np.exp(-np.logaddexp(0, -values))
    return probabilities


def _loss(weights: Doubles, inputs: Doubles, targets: Doubles, shrink: Doubles) -> float:
    return cross_entropy(weights @ inputs, targets) + float(shrink @ weights**2) / 2
