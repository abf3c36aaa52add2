"""The teacher's order of a list, as a distribution over its documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor

from bistill.losses.scores import ListScores, masked_log_softmax
from bistill.settings import Settings, Within


@dataclass(frozen=True)
class ListwiseKL(Settings):
    """``listwise_kl`` of the student's score against the teacher's relevance.

    Attributes:
        tau: temperature of both, in units of score.
        weight: of the term.
    """

    tau: Annotated[float, Within(1e-4)] = 0.05
    weight: Annotated[float, Within(0)] = 1.0
    name: ClassVar[str] = "listwise_kl"
    reads_teacher: ClassVar[bool] = True
    on_score: ClassVar[bool] = True

    def __call__(self, scores: ListScores) -> Tensor:
        """The term, a scalar."""
        return listwise_kl(scores.teacher, scores.score, scores.mask, self.tau)


def listwise_kl(teacher: Tensor, student: Tensor, mask: Tensor, tau: float) -> Tensor:
    """Mean over queries of KL(softmax(teacher / tau) || softmax(student / tau)) over each query's candidates.

    KL(p || q) = sum_d p_d (log p_d - log q_d), in nats; Hinton et al. 2015 without their factor tau^2, as the
    contract writes it. One temperature stands for both; a second one for the student (CADET, arXiv 2505.19274) ranked
    no better (``docs/experiments.md``).

    Args:
        teacher: (queries, candidates) scores.
        student: (queries, candidates) scores.
        mask: (queries, candidates) bool, at least one True in each row.
        tau: temperature in units of score, above 0.

    Returns:
        Scalar, at least 0.
    """
    target = masked_log_softmax(teacher / tau, mask)
    predicted = masked_log_softmax(student / tau, mask)
    return (target.exp() * (target - predicted)).sum(dim=1).mean()
