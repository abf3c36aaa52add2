"""The contract's margin between a query's positives and its negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from torch import Tensor
from torch.nn import functional

from bistill.losses.scores import ListScores, masked_mean, masked_row_mean
from bistill.settings import Settings, Within

MARGIN: Final = 0.7


@dataclass(frozen=True)
class ContrastiveHinge(Settings):
    """``contrastive_hinge`` of the student's score.

    Attributes:
        margin: wanted between mean positive and mean negative, in units of score.
        weight: of the term.
    """

    margin: Annotated[float, Within(0)] = MARGIN
    weight: Annotated[float, Within(0)] = 1.0
    name: ClassVar[str] = "contrastive_hinge"
    reads_teacher: ClassVar[bool] = False
    on_score: ClassVar[bool] = True

    def __call__(self, scores: ListScores) -> Tensor:
        """The term, a scalar."""
        return contrastive_hinge(scores.score, scores.positive, scores.mask, self.margin)


def contrastive_hinge(student: Tensor, positive: Tensor, mask: Tensor, margin: float = MARGIN) -> Tensor:
    """Mean over queries of max(0, margin - (mean positive score - mean negative score)).

    Queries without a positive or without a negative do not count. The contract's (``docs/decisions/0003-losses.md``).

    Args:
        student: (queries, candidates) scores.
        positive: (queries, candidates) bool.
        mask: (queries, candidates) bool.
        margin: wanted distance in units of score.

    Returns:
        Scalar, at least 0.
    """
    negative = mask & ~positive
    both = positive.any(dim=1) & negative.any(dim=1)
    gap = masked_row_mean(student, positive) - masked_row_mean(student, negative)
    return masked_mean(functional.relu(margin - gap), both)
