"""What a Bi-Encoder teacher says of a whole batch: every query of it against every document of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor

from bistill.losses.scores import ListScores, masked_log_softmax, mean_over_teachers
from bistill.settings import Settings, Within


@dataclass(frozen=True)
class EmbeddingKL(Settings):
    """``embedding_kl`` of the student's cosine against that of an embedding teacher; of several teachers the mean.

    The mean of divergences has the gradient of the divergence from the mean of the teachers' distributions.

    Attributes:
        tau: temperature of the student, in units of cosine.
        teacher_tau: temperature of the teacher, in units of its cosine.
        weight: of the term.
    """

    tau: Annotated[float, Within(1e-4)] = 0.05
    teacher_tau: Annotated[float, Within(1e-4)] = 0.05
    weight: Annotated[float, Within(0)] = 1.0
    name: ClassVar[str] = "embedding_kl"
    reads_teacher: ClassVar[bool] = True
    on_score: ClassVar[bool] = False

    def __call__(self, scores: ListScores) -> Tensor:
        """The term, a scalar.

        Raises:
            OptionError: no embedding teacher gave cosines.
        """
        each = [embedding_kl(teacher, scores.cosine, self.teacher_tau, self.tau) for teacher in scores.teacher_cosines]
        return mean_over_teachers(each, "cosines", self.name)


def embedding_kl(teacher: Tensor, student: Tensor, teacher_tau: float, tau: float) -> Tensor:
    """How far the student's order of a batch is from the teacher's, both ways, in nats.

    The mean of two halves: over queries KL(softmax(teacher / teacher_tau) || softmax(student / tau)) over all documents
    of the batch, and over documents the same over all its queries. KL(p || q) = sum p (log p - log q). A larger
    Bi-Encoder's vectors as targets, without labels: EmbedDistill (arXiv 2301.12005), LEAF (arXiv 2509.12539); here its
    cosines, since the spaces of two models are not aligned.

    Args:
        teacher: (queries, documents) cosines in -1..1; nan where a pair does not count.
        student: (queries, documents) cosines in -1..1.
        teacher_tau: temperature of the teacher, above 0.
        tau: temperature of the student, above 0.

    Returns:
        Scalar, at least 0; 0 with graph for a row or column in which no pair, or one, counts.
    """
    counts, target = ~teacher.isnan(), teacher.nan_to_num() / teacher_tau
    by_query = _divergence(target, student / tau, counts)
    by_document = _divergence(target.T, student.T / tau, counts.T)
    return (by_query + by_document) / 2


def _divergence(teacher: Tensor, student: Tensor, mask: Tensor) -> Tensor:
    target, predicted = masked_log_softmax(teacher, mask), masked_log_softmax(student, mask)
    return (target.exp() * (target - predicted)).sum(dim=1).mean()
