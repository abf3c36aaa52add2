"""How a teacher is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.candidates.settings import Lexical
from bistill.models.settings import Lora, RerankerStart
from bistill.settings import Settings, Within
from bistill.training.settings import Loop, NewHead, Validation


@dataclass(frozen=True)
class TeacherTraining(Settings):
    """How a teacher is trained.

    Attributes:
        start: the Cross-Encoder that it starts as.
        lora: adapters instead of all weights; None: all weights.
        loop: epochs, batch size, learning rate, seed.
        validation: when the best weights are chosen.
        head: how a head begins that is new.
        negatives_per_positive: negatives of each positive and epoch: labelled ones first, then random documents.
        lexical: BM25, by which the lists of the validation are found.
    """

    start: RerankerStart
    lora: Lora | None = None
    loop: Loop = Loop()
    validation: Validation = Validation()
    head: NewHead = NewHead()
    negatives_per_positive: Annotated[int, Within(1)] = 4
    lexical: Lexical = Lexical()
