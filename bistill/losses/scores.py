"""What a loss of a student sees: scores of a batch's queries and documents, which pairs count, and means over these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from bistill.errors import OptionError


@dataclass(frozen=True)
class ListScores:
    """Scores of a batch: ``queries`` rows, ``documents`` columns.

    Attributes:
        teacher: relevance in 0..1, shape (queries, documents).
        cosine: of the student, in -1..1, likewise.
        score: of the student, in 0..1, likewise: ``linear_score`` of the cosine, or the calibrated one.
        positive: bool, likewise: where a document is relevant, exactly one True in each row; none in that of a query
            without a label, from which only an embedding teacher's terms learn.
        mask: bool, likewise: where a document is a candidate of the query, also where ``positive`` is.
        teacher_cosines: of each embedding teacher its cosines of all pairs of the batch, likewise: float in -1..1, nan
            where a document is the query's own text.
        own_cosines: of each embedding teacher whose vectors are targets, the cosine of every text's vector with the
            teacher's of the same text: float in -1..1 of shape (queries + documents,), queries first.
    """

    teacher: Tensor
    cosine: Tensor
    score: Tensor
    positive: Tensor
    mask: Tensor
    teacher_cosines: tuple[Tensor, ...] = ()
    own_cosines: tuple[Tensor, ...] = ()

    @property
    def negative(self) -> Tensor:
        """Where a document is a candidate and not the positive: bool of shape (queries, documents)."""
        return self.mask & ~self.positive


class Loss(Protocol):
    """One term of a student's loss: a pure function of scores, with its weight and settings.

    Attributes:
        name: under which the term stands in journal, console and trackers.
        weight: factor of the term in the sum, at least 0; a term of weight 0 does not exist.
        reads_teacher: whether the teacher's scores count for it: such a term is left out where the teacher is weak.
        on_score: whether it acts on ``ListScores.score`` and not on the cosine: only then a calibrated score can learn.
    """

    name: ClassVar[str]
    reads_teacher: ClassVar[bool]
    on_score: ClassVar[bool]

    @property
    def weight(self) -> float:
        """Factor of the term in the sum."""

    def __call__(self, scores: ListScores) -> Tensor:
        """The term without its weight: a scalar, a mean, so that its size does not depend on the batch."""


def weighted_sum(losses: Sequence[Loss], scores: ListScores) -> dict[str, Tensor]:
    """The loss of a batch, ``loss = sum of weight * term``, and each term by name, unweighted.

    Args:
        losses: at least one with a weight above 0.
        scores: of the batch.
    """
    counting = [loss for loss in losses if loss.weight > 0]
    terms = {loss.name: loss(scores) for loss in counting}
    total = sum((loss.weight * terms[loss.name] for loss in counting), start=scores.cosine.new_zeros(()))
    return {"loss": total, **terms}


def mean_over_teachers(each: Sequence[Tensor], what: str, name: str) -> Tensor:
    """Mean of a term over embedding teachers, a scalar.

    Args:
        each: the term by each teacher, scalars.
        what: they give, for the message.
        name: of the term.

    Raises:
        OptionError: there is no embedding teacher.
    """
    if not each:
        raise OptionError(
            f"no embedding teacher gives the {what} that the term learns",
            where="`losses`",
            found=name,
            todo="give a Bi-Encoder as a teacher, or leave the term out",
        )
    return torch.stack(list(each)).mean()


def linear_score(cosine: Tensor) -> Tensor:
    """Cosine in -1..1 brought to 0..1: (cosine + 1) / 2, any shape."""
    return (cosine + 1) / 2


def masked_log_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Logarithms of the softmax over each row's True places: (rows, columns) -> (rows, columns).

    Elsewhere a finite floor stands, not -inf: probability 0 times a finite logarithm is 0, times -inf it would be NaN.
    """
    floor = torch.finfo(scores.dtype).min / 4
    return scores.masked_fill(~mask, floor).log_softmax(dim=1)


def masked_row_mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean of each row over the True places: (rows, columns) -> (rows,); 0 for a row without any."""
    return values.masked_fill(~where, 0.0).sum(dim=1) / where.sum(dim=1).clamp(min=1)


def masked_mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean over the True places, a scalar; 0 with graph if there are none."""
    return values.masked_fill(~where, 0.0).sum() / where.sum().clamp(min=1)
