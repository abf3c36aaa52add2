"""The contract's penalty on negatives of a high score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from torch import Tensor
from torch.nn import functional

from bistill.losses.scores import ListScores, masked_mean, masked_row_mean
from bistill.settings import Settings, Within

CEILING: Final = 0.15


@dataclass(frozen=True)
class NegativePenalty(Settings):
    """``negative_penalty`` of the student's score.

    Attributes:
        ceiling: highest wanted score of a negative.
        weight: of the term.
    """

    ceiling: Annotated[float, Within(0, 1)] = CEILING
    weight: Annotated[float, Within(0)] = 1.0
    name: ClassVar[str] = "negative_penalty"
    reads_teacher: ClassVar[bool] = False
    on_score: ClassVar[bool] = True

    def __call__(self, scores: ListScores) -> Tensor:
        """The term, a scalar."""
        return negative_penalty(scores.score, scores.positive, scores.mask, self.ceiling)


def negative_penalty(student: Tensor, positive: Tensor, mask: Tensor, ceiling: float = CEILING) -> Tensor:
    """How far negatives lie above ``ceiling``: half over the whole batch, half per query.

    0.5 * mean over all negatives of max(0, s - ceiling)
    + 0.5 * mean over queries of max(0, mean negative score of the query - ceiling).

    The first half sees every single high negative, the second holds each query's mean to the target of the contract
    (mean negative score <= 0.15) however many negatives the query has (``docs/decisions/0003-losses.md``).

    Args:
        student: (queries, candidates) scores.
        positive: (queries, candidates) bool.
        mask: (queries, candidates) bool.
        ceiling: highest wanted score of a negative.

    Returns:
        Scalar, at least 0.
    """
    negative = mask & ~positive
    whole_batch = masked_mean(functional.relu(student - ceiling), negative)
    per_query = masked_mean(functional.relu(masked_row_mean(student, negative) - ceiling), negative.any(dim=1))
    return 0.5 * whole_batch + 0.5 * per_query
