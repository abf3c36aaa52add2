"""Who teaches a student: its teachers opened, each measured beside the base model, and what is learned of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bistill import console
from bistill.arrays import Ints
from bistill.candidates.scores.teachers import Teachers, is_model
from bistill.data.store.dataset import Dataset
from bistill.errors import ModelError, OptionError
from bistill.models import sizes
from bistill.models.files import loading
from bistill.models.settings import EncoderStart
from bistill.training.settings import WeakTeacher
from bistill.training.student import gate
from bistill.training.student.settings import StudentTraining, TaughtBy

Measure = Callable[[Teachers], dict[str, Any] | None]


class Teaching(NamedTuple):
    """The teachers of a run.

    Attributes:
        scoring: whose scores the lists hold.
        beside: further Bi-Encoders, each alone, which speak of all pairs of a batch; often none.
    """

    scoring: Teachers
    beside: list[Teachers]

    def facts(self, heard: Heard) -> dict[str, Any]:
        """What the record of a model says of them."""
        facts: dict[str, Any] = {
            "teachers": self.scoring.identities(),
            "teacher_gate": heard.figures,
            "learned_from": "teacher" if heard.teaches else "labels",
        }
        if self.beside:
            identities = [identity for teacher in self.beside for identity in teacher.identities()]
            facts |= {"embedding_teachers": identities, "embedding_gates": heard.of_beside}
        return facts


class Heard(NamedTuple):
    """What is learned of the teachers.

    Attributes:
        training: what is trained: without what a weak teacher says.
        encoders: Bi-Encoders whose cosines of all pairs of a batch, or vectors of all its texts, are learned.
        figures: of the gate, ``scoring`` beside the base model; None where it was left out.
        of_beside: the same of each of ``beside``.
        teaches: whether any teacher is heard; else the labels alone teach.
        judges: whether ``scoring`` is: only then queries without labels are learned from.
    """

    training: StudentTraining
    encoders: list[EncoderStart]
    figures: dict[str, Any] | None
    of_beside: list[dict[str, Any] | None]
    teaches: bool
    judges: bool

    def learned_from(self, dataset: Dataset, query_ids: Ints) -> Ints:
        """Of training queries those that are learned from; those left out are said.

        Args:
            dataset: of the queries.
            query_ids: int64 of shape (queries,).

        Returns:
            int64 of shape (n,).
        """
        labelled = query_ids[query_ids < dataset.labelled]
        if self.judges or len(labelled) == len(query_ids):
            return query_ids
        without = console.counted(len(query_ids) - len(labelled), "query")
        console.say(f"{without} without labels left out: nobody can judge them")
        return labelled


@contextmanager
def opened(taught: TaughtBy) -> Iterator[Teaching]:
    """Find the teachers; closed at the end.

    Raises:
        ModelError: one cannot be used, or one of ``TaughtBy.embedding`` is no Bi-Encoder.
        OptionError, ArtifactError: as ``Teachers.open``.
    """
    for name in filter(is_model, (*taught.names, *taught.embedding)):
        console.say(f"teacher: {name}, {sizes.of_folder(Path(loading.resolve(name)))}".removesuffix(", "))
    reads_texts = dataclasses.replace(taught.reading, instruction=None)
    with ExitStack() as stack:
        scoring = stack.enter_context(Teachers.open(taught.names, taught.weights, taught.reading))
        beside = [stack.enter_context(Teachers.open([name], (), reads_texts)) for name in taught.embedding]
        for name, teacher in zip(taught.embedding, beside, strict=True):
            if not teacher.all_encoders:
                raise ModelError(
                    "no Bi-Encoder, so it has no vectors to compare all texts of a batch by",
                    where=name,
                    todo="give it as `teacher_path` or among `more_teachers`, whose scores of pairs are learned",
                )
        yield Teaching(scoring, beside)


def heard(teaching: Teaching, training: StudentTraining, measure: Measure, weak: WeakTeacher) -> Heard:
    """Measure the teachers, say the figures, and leave out what weak ones say.

    Bi-Encoders alone are learned over all texts of a batch, which holds the lists, too; where the terms that do so have
    weight 0 (``Objective.of_batch``) over the lists, as a re-ranker is.

    Args:
        teaching: the teachers.
        training: what was asked for.
        measure: the gate, as ``gate.measure`` is asked.
        weak: what happens where they are weak.

    Raises:
        ModelError: a teacher is weak, and the run is to stop then.
        OptionError: vectors are to be learned, and no teacher has any.
    """
    scoring, beside = teaching
    if training.objective.vectors.weight and not (scoring.encoders or beside):
        raise OptionError(
            "no teacher is a Bi-Encoder, so there are no vectors to learn",
            where="`VectorDistance.weight`",
            found=training.objective.vectors.weight,
            todo="give a Bi-Encoder as `teacher_path` or `embedding_teacher`, or leave the weight out",
        )
    figures = measure(scoring)
    strong = figures is None or gate.teaches(figures, weak, others=bool(beside))
    of_beside = [measure(teacher) for teacher in beside]
    encoders = scoring.encoders if strong else []
    for teacher, found in zip(beside, of_beside, strict=True):
        if found is None or gate.teaches(found, weak, who=f"embedding teacher {teacher.encoders[0].name}"):
            encoders = [*encoders, *teacher.encoders]
    if not training.objective.of_batch:
        encoders = []
    if encoders or not strong:
        lists = strong and not (scoring.all_encoders and encoders)
        training = training.heard(lists=lists, batch=bool(encoders), limits=strong)
    return Heard(training, encoders, figures, of_beside, teaches=strong or bool(encoders), judges=strong)
