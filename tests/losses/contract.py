"""The contract's three losses, over scores as they stand."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from bistill.losses import ContrastiveHinge, ListScores, ListwiseKL, Loss, NegativePenalty, weighted_sum

CONTRACT = (ListwiseKL(tau=0.2), ContrastiveHinge(weight=0.3), NegativePenalty(weight=0.4))


def distillation(
    teacher: Tensor, student: Tensor, positive: Tensor, mask: Tensor, losses: Sequence[Loss] = CONTRACT
) -> dict[str, Tensor]:
    """``weighted_sum`` where the student's score is given, and so is its cosine, 2 * score - 1."""
    return weighted_sum(losses, ListScores(teacher, 2 * student - 1, student, positive, mask))
