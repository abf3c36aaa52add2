"""From what a distillation was asked for to its task: scored candidates of all epochs, and what its losses read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bistill import console
from bistill.arrays import Ints
from bistill.candidates.building import build
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.shared_negatives import SharedNegatives
from bistill.candidates.teacher_vectors import TeacherVectors
from bistill.data.queries.turns import turns_of
from bistill.data.settings import Balance
from bistill.data.store.collection import Collection
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import EncoderStart
from bistill.training.loop.updates import Updates
from bistill.training.student.calibrated import ScoreLine
from bistill.training.student.list_task import ListTask, training_lists
from bistill.training.student.settings import StudentTraining
from bistill.training.student.vector_targets import target_of


def task_of(
    training: StudentTraining,
    encoder: BiEncoder,
    collection: Collection,
    query_ids: Ints,
    teachers: Teachers,
    *,
    line: ScoreLine | None = None,
    shared_scores: Path | None = None,
    balance: Balance = "rows",
    encoders: Sequence[EncoderStart] = (),
) -> tuple[ListTask, dict[str, Any]]:
    """Scored candidates of all epochs, as a task, and how many there are; afterwards no teacher is needed any more.

    Args:
        training: how.
        encoder: the student.
        collection: queries and documents.
        query_ids: queries that it learns from.
        teachers: who score.
        line: from cosines to the scores that the losses see, trained, too.
        shared_scores: file in which the scores of documents of other queries lie for a run that goes on.
        balance: how often an epoch comes to the queries of each data version; see ``Turns``.
        encoders: embedding teachers.
    """
    loop, lists, limits = training.loop, training.candidates.lists, training.candidates.limits
    dataset, once = collection.dataset, np.ones(len(query_ids), dtype=np.int64)
    pools = build(
        collection,
        query_ids,
        teachers,
        miners=training.candidates.miners,
        lists=lists,
        limits=limits,
        epochs=loop.epochs * turns_of(dataset, query_ids, once, balance).most,
        start=training.start,
        seed=loop.seed,
        promotion=training.candidates.promotion,
        lexical=training.candidates.lexical,
    )
    turns = turns_of(dataset, pools.query_ids, once[: len(pools)], balance)
    if said := turns.said():
        console.say(f"student: {console.counted(turns.samples, 'list')} an epoch{said}")
    counts = dataclasses.asdict(pools.counts)
    shared = None
    if lists.own_documents is not None:
        planned = (
            (epoch, training_lists(pools, lists, samples, seed=loop.seed, epoch=epoch, turns=turns))
            for epoch, samples in Updates(turns.order, turns.samples, loop)
        )
        shared = SharedNegatives(
            collection, pools, lists, limits, planned, teachers, seed=loop.seed, kept=shared_scores
        )
        counts["shared"] = shared.counts
    vectors = [TeacherVectors(model, collection, pools) for model in encoders]
    targets = []
    if training.objective.meets_vectors:
        each = zip(encoders, vectors, strict=True)
        targets = [target_of(model, own, encoder, collection, pools, seed=loop.seed) for model, own in each]
        counts["vectors"] = [target.facts for target in targets]
    task = ListTask(
        encoder,
        collection,
        pools,
        lists,
        training.objective,
        seed=loop.seed,
        shared=shared,
        line=line,
        vectors=vectors,
        targets=targets,
        turns=turns,
    )
    return task, counts
