"""Means and logarithms of probabilities over the True places of a mask."""

from __future__ import annotations

import torch
from torch import Tensor


def log_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Logarithms of the softmax over each row's True places: (rows, columns) -> (rows, columns).

    Elsewhere a finite floor stands, not -inf: probability 0 times a finite logarithm is 0, times -inf it would be NaN.
    """
    floor = torch.finfo(scores.dtype).min / 4
    return scores.masked_fill(~mask, floor).log_softmax(dim=1)


def row_mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean of each row over the True places: (rows, columns) -> (rows,); 0 for a row without any."""
    return values.masked_fill(~where, 0.0).sum(dim=1) / where.sum(dim=1).clamp(min=1)


def mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean over the True places, a scalar; 0 with graph if there are none."""
    return values.masked_fill(~where, 0.0).sum() / where.sum().clamp(min=1)
