"""Losses: each a pure function of score tensors, and beside it a small object with its weight and settings.

A student's losses are objects that ``weighted_sum`` adds up; every one is a mean, so that its size does not depend on
the batch, and one with nothing to act on is a zero that keeps the graph. A loss of your own is any object of the same
shape as ``Loss`` (``docs/extending.md``).
"""

from bistill.losses.contrastive import InfoNCE, info_nce
from bistill.losses.embedding import EmbeddingKL, embedding_kl
from bistill.losses.hinge import ContrastiveHinge, contrastive_hinge
from bistill.losses.listwise import ListwiseKL, listwise_kl
from bistill.losses.localized import localized_contrast
from bistill.losses.penalty import NegativePenalty, negative_penalty
from bistill.losses.pointwise import pointwise_bce
from bistill.losses.scores import ListScores, Loss, linear_score, weighted_sum
from bistill.losses.vectors import VectorDistance, vector_distance

__all__ = [
    "ContrastiveHinge",
    "EmbeddingKL",
    "InfoNCE",
    "ListScores",
    "ListwiseKL",
    "Loss",
    "NegativePenalty",
    "VectorDistance",
    "contrastive_hinge",
    "embedding_kl",
    "info_nce",
    "linear_score",
    "listwise_kl",
    "localized_contrast",
    "negative_penalty",
    "pointwise_bce",
    "vector_distance",
    "weighted_sum",
]
