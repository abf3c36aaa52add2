"""What a Bi-Encoder teacher says of single texts: its own vector of each, to be met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor

from bistill.losses.scores import ListScores, mean_over_teachers
from bistill.settings import Settings, Within


@dataclass(frozen=True)
class VectorDistance(Settings):
    """``vector_distance`` of the student's vectors from an embedding teacher's; of several teachers the mean.

    Attributes:
        weight: of the term.
    """

    weight: Annotated[float, Within(0)] = 1.0
    name: ClassVar[str] = "vector_distance"
    reads_teacher: ClassVar[bool] = True
    on_score: ClassVar[bool] = False

    def __call__(self, scores: ListScores) -> Tensor:
        """The term, a scalar.

        Raises:
            OptionError: no embedding teacher gave vectors.
        """
        queries = len(scores.cosine)
        each = [vector_distance(own[:queries], own[queries:]) for own in scores.own_cosines]
        return mean_over_teachers(each, "vectors", self.name)


def vector_distance(queries: Tensor, documents: Tensor) -> Tensor:
    """Mean squared distance of unit vectors from their targets: |s - t|^2 = 2 - 2 cos(s, t), in 0..4.

    The mean of two halves, over queries and over documents, of which a batch holds many more. It needs no label and no
    negative: LEAF (arXiv 2509.12539), where a linear layer stands between s and the student's vector, and EmbedDistill
    (arXiv 2301.12005), which adds up both sides.

    Args:
        queries: (queries,) cosine of each query's vector with its target, in -1..1.
        documents: (documents,) of each document's.

    Returns:
        Scalar in 0..4.
    """
    return (1 - queries).mean() + (1 - documents).mean()
