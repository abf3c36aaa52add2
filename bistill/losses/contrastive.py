"""The labels' cross-entropy: the positive against the negatives of its list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from bistill.losses.scores import ListScores
from bistill.settings import Settings, Within


@dataclass(frozen=True)
class InfoNCE(Settings):
    """``info_nce`` of the student's cosine.

    Attributes:
        tau: temperature in units of cosine.
        weight: of the term.
    """

    tau: Annotated[float, Within(1e-4)] = 0.05
    weight: Annotated[float, Within(0)] = 1.0
    name: ClassVar[str] = "info_nce"
    reads_teacher: ClassVar[bool] = False
    on_score: ClassVar[bool] = False

    def __call__(self, scores: ListScores) -> Tensor:
        """The term, a scalar."""
        return info_nce(scores.cosine, scores.positive, scores.negative, self.tau)


def info_nce(cosine: Tensor, positive: Tensor, negative: Tensor, tau: float) -> Tensor:
    """Mean over queries of the cross-entropy of the positive against a query's negatives, in nats.

    -log(exp(c+ / tau) / (exp(c+ / tau) + sum of exp(c- / tau) over the negatives)), as van den Oord et al. 2018,
    "Representation Learning with Contrastive Predictive Coding", equation 4. Which documents are negatives is the
    caller's choice: those that a teacher finds relevant are better left out (Qu et al. 2021, RocketQA).

    Args:
        cosine: (queries, documents) in -1..1.
        positive: (queries, documents) bool, exactly one True in each row.
        negative: (queries, documents) bool, never where ``positive`` is.
        tau: temperature in units of cosine, above 0.

    Returns:
        Scalar, at least 0.
    """
    floor = torch.finfo(cosine.dtype).min / 4
    scores = (cosine / tau).masked_fill(~(positive | negative), floor)
    return functional.cross_entropy(scores, positive.int().argmax(dim=1))
