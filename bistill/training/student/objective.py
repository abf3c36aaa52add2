"""What a student learns: its losses, and the scores and documents on which they act."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

from bistill.errors import OptionError
from bistill.losses import EmbeddingKL, InfoNCE, ListwiseKL, Loss, VectorDistance
from bistill.settings import Settings, Within
from bistill.training.settings import InBatch, Score

# Numbers of the shortest vectors that can be learned beside the whole ones.
MATRYOSHKA_LEAST: Final = 8


@dataclass(frozen=True)
class Objective(Settings):
    """What a student learns.

    Attributes:
        losses: terms of the loss; those of weight 0 do not exist.
        score: scale of the student on which the losses act that act on a score: linear is (cosine + 1) / 2, calibrated
            is sigmoid(a * cosine + b) with a and b learned, too.
        in_batch: floor: the documents of a batch serve all its queries as negatives; those that are no candidates of a
            query have its lowest score. never: lists hold own documents alone.
        matryoshka: numbers of vectors' prefixes that are learned, too, falling.
        embedding: the further term where a Bi-Encoder teaches: its cosines of all pairs of a batch.
        vectors: another one there: its vectors of all texts of a batch.
    """

    losses: tuple[Loss, ...] = (ListwiseKL(), InfoNCE())
    score: Score = "linear"
    in_batch: InBatch = "floor"
    matryoshka: tuple[Annotated[int, Within(MATRYOSHKA_LEAST)], ...] = ()
    embedding: EmbeddingKL = EmbeddingKL()
    vectors: VectorDistance = VectorDistance(weight=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for loss in self.losses:
            lacks = [name for name in ("name", "weight", "reads_teacher", "on_score") if not hasattr(loss, name)]
            if isinstance(loss, type) or lacks or not callable(loss):
                raise OptionError(
                    "no loss",
                    where="`losses`",
                    found=loss,
                    todo="give such as bistill.losses.InfoNCE(), or an object with name, weight, reads_teacher, "
                    "on_score and __call__(scores)",
                )
        object.__setattr__(self, "losses", tuple(loss for loss in self.losses if loss.weight > 0))
        if not self.losses:
            raise OptionError(
                "the weights of all losses are 0, so there is nothing to learn",
                where="`losses`",
                found=0,
                todo="give one of them a weight above 0",
            )
        names = [loss.name for loss in self.losses]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise OptionError("a loss is there twice", where="`losses`", found=repeated[0], todo="give it once")
        if self.score == "calibrated" and not any(loss.on_score for loss in self.losses):
            raise OptionError(
                "no loss acts on the score: the cross-entropy of the labels acts on the cosine",
                where="`losses`",
                found=names,
                todo="give one that acts on it a weight above 0, or leave out `score` calibrated",
            )
        if list(self.matryoshka) != sorted(set(self.matryoshka), reverse=True):
            raise OptionError(
                "falling numbers are expected",
                where="`matryoshka`",
                found=self.matryoshka,
                todo="give numbers such as 256 128 64",
            )

    @property
    def of_batch(self) -> tuple[Loss, ...]:
        """The terms by which embedding teachers speak of all texts of a batch; () where they speak of lists alone."""
        return tuple(loss for loss in (self.embedding, self.vectors) if loss.weight > 0)

    @property
    def meets_vectors(self) -> bool:
        """Whether a teacher's vectors themselves are learned."""
        return any(isinstance(loss, VectorDistance) for loss in self.losses)

    def heard(self, *, lists: bool, batch: bool) -> Objective:
        """The same as far as its teachers are heard; ``losses`` are then all terms.

        Where none is left the labels' cross-entropy takes their place, with their weight, and where none acts on the
        score any more the score's line has nothing to learn.

        Args:
            lists: whether the terms are learned that read a teacher's scores of a query's list.
            batch: whether ``of_batch`` is learned, what embedding teachers say of all texts of a batch.
        """
        kept = tuple(loss for loss in self.losses if lists or not loss.reads_teacher)
        if batch:
            kept += self.of_batch
        if not kept:
            kept = (InfoNCE(weight=max(loss.weight for loss in self.losses)),)
        on_score = any(loss.on_score for loss in kept)
        return replace(self, losses=kept, score=self.score if on_score else "linear")
