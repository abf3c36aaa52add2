"""How a student is trained: who teaches it, what it is compared with, what it learns."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bistill.candidates.mining import registry
from bistill.candidates.mining.miner import Miner
from bistill.candidates.settings import (
    Labelled,
    Lexical,
    Limits,
    Lists,
    MinerSettings,
    Promotion,
    Random,
    TeacherReading,
)
from bistill.errors import OptionError, Told
from bistill.models.settings import EncoderStart, Lora
from bistill.settings import Settings
from bistill.training.settings import Loop, Merging, Validation, WeakTeacher
from bistill.training.student.objective import Objective


@dataclass(frozen=True)
class TaughtBy(Settings):
    """Whose scores are learned.

    Attributes:
        names: folders or hub names of re-rankers, or ``scores:NAME`` for imported scores; the calibrated scores of
            several are averaged. A Bi-Encoder among them speaks of all pairs of a batch, too, and where all are
            Bi-Encoders of these alone.
        weights: of each; (): equal.
        reading: how they read pairs.
        weak: what happens where they rank lower than the base model, beyond chance: labels: the labels alone
            teach; teacher: they teach all the same; stop: the run ends.
        embedding: folders or hub names of Bi-Encoders that speak of all pairs of a batch beside them.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...] = ()
    reading: TeacherReading = TeacherReading()
    weak: WeakTeacher = "labels"
    embedding: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidates(Settings):
    """Which documents a query is compared with.

    Attributes:
        miners: who finds them.
        lists: what a list holds of them.
        limits: above which relevance a candidate counts as a positive and is left out.
        lexical: BM25, by which the lists of gate and validation are found.
        promotion: how a query without labels gets a positive.
    """

    miners: tuple[MinerSettings | Miner, ...] = (Labelled(), Lexical(), Random())
    lists: Lists = Lists()
    limits: Limits = Limits()
    lexical: Lexical = Lexical()
    promotion: Promotion = Promotion()

    def __post_init__(self) -> None:
        super().__post_init__()
        for miner in self.miners:
            if isinstance(miner, type) or not isinstance(miner, MinerSettings | Miner):
                raise OptionError(
                    "no miner",
                    where="`miners`",
                    found=miner,
                    todo="give such as bistill.miners.Lexical(20), or an object with name, fingerprint() and mine()",
                )
        registry.names_of(self.miners)


@dataclass(frozen=True)
class StudentTraining(Settings):
    """How a student is trained.

    Attributes:
        start: the Bi-Encoder that it starts as.
        lora: adapters instead of all weights; None: all weights.
        candidates: which documents a query is compared with.
        objective: what it learns.
        loop: epochs, batch size, learning rate, seed.
        validation: when the best weights are chosen.
        merging: how far the best weights are brought back towards the start.
        recipe: name under which the records hold this choice of values; decides nothing.
    """

    start: EncoderStart
    lora: Lora | None = None
    candidates: Candidates = Candidates()
    objective: Objective = Objective()
    loop: Loop = Loop()
    validation: Validation = Validation()
    merging: Merging = Merging()
    recipe: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        own, size = self.candidates.lists.own_documents, self.candidates.lists.size
        if own is not None and self.loop.batch_size * own < size:
            raise OptionError(
                "a batch holds fewer documents than a list",
                where="`Lists.own_documents`",
                found=Told(
                    f"`Loop.batch_size` {self.loop.batch_size}, `Lists.own_documents` {own}, `Lists.size` {size}"
                ),
                todo=f"give `Loop.batch_size` {-(-size // own)}, more `Lists.own_documents`, or a lower `Lists.size`",
            )

    def refuse_unheard(self, taught: TaughtBy) -> None:
        """Raise where a teacher is named of which nothing would be learned.

        Raises:
            OptionError: Bi-Encoders beside the others, whose terms all have weight 0.
        """
        if taught.embedding and not self.objective.of_batch:
            raise OptionError(
                "Bi-Encoders that teach over all texts of a batch, and weight 0 for what they say there",
                where="`TaughtBy.embedding`, `EmbeddingKL.weight`, `VectorDistance.weight`",
                found=taught.embedding,
                todo="name them in `more_teachers`, where they teach over lists as re-rankers do, give "
                "one of the weights above 0, or leave them out",
            )

    def heard(self, *, lists: bool, batch: bool, limits: bool) -> StudentTraining:
        """The same as far as its teachers are heard; see ``Objective.heard``.

        Args:
            lists: whether terms of the loss read a teacher's scores of a query's list.
            batch: whether what embedding teachers say of all texts of a batch is learned.
            limits: whether candidates are removed, or made positives, by a teacher's scores.
        """
        candidates = self.candidates
        if not limits:
            candidates = replace(
                candidates,
                limits=replace(candidates.limits, max_ratio=None, max_score=None),
                promotion=replace(candidates.promotion, labelled_margin=None),
            )
        return replace(self, objective=self.objective.heard(lists=lists, batch=batch), candidates=candidates)
