"""What a student is validated on: queries with labels or, in data without any, held-out queries that its teacher
judges."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from bistill import console
from bistill.candidates.judging import judged
from bistill.candidates.lists import CandidateList
from bistill.candidates.scores.teachers import Teachers
from bistill.data.queries import choice
from bistill.data.store.collection import Collection
from bistill.errors import DataError, OptionError
from bistill.models.bi_encoder import BiEncoder
from bistill.training.hard_lists import LEAST_LISTS, PRICE, affordable, hard_lists
from bistill.training.student import gate
from bistill.training.student.calibrated import LabelledPairs, ScoreLine, first_line
from bistill.training.student.settings import StudentTraining
from bistill.training.validation import JUDGED, Measured, ValidationLists, measure_beside


class Validating(NamedTuple):
    """Validation queries as a run uses them.

    Attributes:
        collection: they and the documents.
        lists: what best weights are chosen by.
        hard: lists that teacher and base model are compared on; without labels none.
        labelled: pairs that the score is calibrated on; None without labels.
        judged: lists of queries of another kind, without labels and judged by the teacher, whose figure stands beside
            the other and chooses nothing; None where there are none.
    """

    collection: Collection
    lists: ValidationLists
    hard: list[CandidateList]
    labelled: LabelledPairs | None
    judged: ValidationLists | None = None

    def measure(self, encoder: BiEncoder, *, description: str = "validation") -> Measured:
        """Figures of a student; see ``validation.measure_beside``."""
        return measure_beside(encoder, self.lists, self.judged, description=description)

    def beside(self, held_out: Collection | None, teachers: Teachers, training: StudentTraining, pairs: int) -> Self:
        """The same with held-out queries without labels beside it, as many as ``affordable`` reads.

        Args:
            held_out: these queries; None: there are none.
            teachers: who judge.
            training: how the student is trained.
            pairs: that the training's lists hold in an epoch.
        """
        if held_out is None:
            return self
        most = max(int(PRICE * pairs / training.candidates.promotion.reads), LEAST_LISTS)
        try:
            found = _judged(held_out, min(most, training.validation.queries), teachers, training)
        except DataError as error:
            console.say(f"no second validation: {error.what}")
            return self
        console.say(
            f"{len(found)} held-out queries without labels, judged by the teacher, are measured beside the validation "
            f"with labels ({JUDGED}); the labels decide which weights are kept"
        )
        return self._replace(judged=ValidationLists(held_out.dataset.queries, held_out.corpus, found))

    def gate(self, teachers: Teachers, encoder: BiEncoder, pairs: int, *, seed: int) -> dict[str, Any] | None:
        """``gate.measure`` where there are labels.

        Args:
            teachers: who are measured.
            encoder: the base model.
            pairs: that the training's lists hold in an epoch.
            seed: of the interval's draws.
        """
        if self.labelled is None:
            return None
        most = affordable(self.hard, pairs)
        return gate.measure(teachers, encoder, self.collection, self.hard, most=most, seed=seed)

    def line(self, encoder: BiEncoder) -> ScoreLine:
        """The line from cosines to scores that training begins with."""
        assert self.labelled is not None, "`of` refuses it"
        return first_line(self.labelled.cosines(encoder), self.labelled.relevant)


def of(collection: Collection, teachers: Teachers, training: StudentTraining) -> Validating:
    """How validation queries are used; without labels the teacher reads the lists of all, which is said.

    Args:
        collection: the queries, all with labels or none.
        teachers: who judge.
        training: how the student is trained.

    Raises:
        DataError: no query has a positive, or the teacher finds nothing relevant for any.
        OptionError: a score is to be calibrated, and there are no labels for it.
    """
    seed, count, candidates = training.loop.seed, training.validation.queries, training.candidates
    if collection.dataset.labelled:
        hard = hard_lists(collection, count=count, seed=seed, lexical=candidates.lexical)
        lists = ValidationLists.of(collection.dataset, count=count, seed=seed).among(collection.corpus, hard)
        return Validating(collection, lists, hard, LabelledPairs.of(collection, count=count, seed=seed))
    if training.objective.score == "calibrated":
        raise OptionError(
            "a calibrated score is learned from labels, and the validation queries have none",
            where="`Objective.score`",
            found=training.objective.score,
            todo="give `score` linear, or a data version with labelled validation queries",
        )
    found = _judged(collection, count, teachers, training)
    console.say(
        f"the teacher is the judge: {len(found)} validation queries have no labels, so nDCG@10 is against the "
        "teacher's relevance of the documents found for each. The teacher gate, which needs labels, is left out, and "
        "so is the calibrated score"
    )
    return Validating(collection, ValidationLists(collection.dataset.queries, collection.corpus, found), [], None)


def _judged(collection: Collection, count: int, teachers: Teachers, training: StudentTraining) -> list[CandidateList]:
    """At most so many queries without labels, chosen by the seed, as the teacher judges them."""
    candidates, seed = training.candidates, training.loop.seed
    return judged(
        collection,
        choice.without_labels(collection.dataset, seed, "valid", count),
        teachers,
        miners=candidates.miners,
        limits=candidates.limits,
        promotion=candidates.promotion,
        lexical=candidates.lexical,
        start=training.start,
        seed=seed,
    )
