"""How a teacher is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from bistill.candidates.mining import registry
from bistill.candidates.settings import Labelled, Lexical, Limits, MinerSettings, Random
from bistill.errors import OptionError, Told
from bistill.models.settings import Lora, RerankerStart
from bistill.settings import Settings, Within
from bistill.training.settings import Loop, NewHead, Validation

# Where a teacher's negatives come from without a search.
DRAWN: Final[tuple[MinerSettings, ...]] = (Labelled(), Random())


@dataclass(frozen=True)
class Hard(Settings):
    """Negatives that are searched for, and what is learned of their order.

    Attributes:
        miners: who finds them, beside the labelled ones.
        limits: above which relevance a candidate is taken for an unlabelled positive; the start says how relevant.
        list_weight: weight of the cross-entropy of each positive against the negatives of its query, beside the binary
            one of every pair, which keeps the sigmoid a probability.
    """

    miners: tuple[MinerSettings, ...] = (Labelled(), Lexical(), Random())
    limits: Limits = Limits()
    list_weight: Annotated[float, Within(0)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        registry.names_of(self.miners)

    @classmethod
    def of(cls, miners: Sequence[MinerSettings], list_weight: float) -> Hard | None:
        """What miners that are named for a teacher mean: None where they are labelled and random ones, which are drawn
        each epoch, without a search.

        Raises:
            OptionError: none of them searches, and they are not these two.
        """
        if any(map(registry.searches, miners)):
            return cls(tuple(miners), list_weight=list_weight)
        if len(miners) != len(DRAWN) or {*miners} != {*DRAWN}:
            raise OptionError(
                "none of the miners searches; without a search negatives are the labelled ones, then random documents",
                where="`miners`",
                found=Told(", ".join(miner.name for miner in miners) or "none"),
                todo="name lexical or dense beside them, or leave the option out",
            )
        return None


@dataclass(frozen=True)
class TeacherTraining(Settings):
    """How a teacher is trained.

    Attributes:
        start: the Cross-Encoder that it starts as.
        lora: adapters instead of all weights; None: all weights.
        loop: epochs, batch size, learning rate, seed.
        validation: when the best weights are chosen.
        head: how a head begins that is new.
        negatives_per_positive: negatives of each positive and epoch: labelled ones first, then random documents, or
            with ``hard`` what was found.
        lexical: BM25, by which the lists of the validation are found.
        hard: negatives that are searched for; None: labelled ones and random documents.
    """

    start: RerankerStart
    lora: Lora | None = None
    loop: Loop = Loop()
    validation: Validation = Validation()
    head: NewHead = NewHead()
    negatives_per_positive: Annotated[int, Within(1)] = 4
    lexical: Lexical = Lexical()
    hard: Hard | None = None
