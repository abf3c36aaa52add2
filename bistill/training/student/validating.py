"""What a student is validated on: queries with labels or, in data without any, held-out queries that its teacher
judges."""

from __future__ import annotations

from typing import Any, NamedTuple

from bistill import console
from bistill.candidates.judging import judged
from bistill.candidates.lists import CandidateList
from bistill.candidates.scores.teachers import Teachers
from bistill.data.queries import choice
from bistill.data.store.collection import Collection
from bistill.errors import OptionError
from bistill.models.bi_encoder import BiEncoder
from bistill.training.hard_lists import affordable, hard_lists
from bistill.training.student import gate
from bistill.training.student.calibrated import LabelledPairs, ScoreLine, first_line
from bistill.training.student.settings import StudentTraining
from bistill.training.validation import ValidationLists


class Validating(NamedTuple):
    """Validation queries as a run uses them.

    Attributes:
        collection: they and the documents.
        lists: what best weights are chosen by.
        hard: lists that teacher and base model are compared on; without labels none.
        labelled: pairs that the score is calibrated on; None without labels.
    """

    collection: Collection
    lists: ValidationLists
    hard: list[CandidateList]
    labelled: LabelledPairs | None

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
    found = judged(
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
    console.say(
        f"the teacher is the judge: {len(found)} validation queries have no labels, so nDCG@10 is against the "
        "teacher's relevance of the documents found for each. The teacher gate, which needs labels, is left out, and "
        "so is the calibrated score"
    )
    return Validating(collection, ValidationLists(collection.dataset.queries, collection.corpus, found), [], None)
