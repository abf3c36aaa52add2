"""The teacher's loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def pointwise_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy of sigmoid(logits) against labels in 0..1, both of shape (pairs,); in nats."""
    return functional.binary_cross_entropy_with_logits(logits, labels)
