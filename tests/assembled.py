"""Library calls with the options of a command, as the application makes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bistill.app import assembling
from bistill.app.assembling import student_training
from bistill.app.config import CandidatesOptions, DistillationOptions, TeacherOptions
from bistill.candidates.building import build
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import ScoredPools
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import Lexical
from bistill.candidates.shared_negatives import SharedNegatives
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import Precision
from bistill.training.hard_lists import hard_lists
from bistill.training.student.calibrated import ScoreLine
from bistill.training.student.list_task import ListTask


def opened(path: str, options: CandidatesOptions | DistillationOptions, precision: Precision = "fp32") -> Teachers:
    names, reading = (path, *options.more_teachers), assembling.teacher_reading(options, precision)
    return Teachers.open(names, options.teacher_weights, reading)


def built(
    options: CandidatesOptions | DistillationOptions,
    dataset: Dataset,
    corpus: Corpus,
    query_ids: np.ndarray,
    teachers: Any,
) -> ScoredPools:
    wanted = assembling.candidates(options)
    return build(
        Collection(dataset, corpus),
        query_ids,
        teachers,
        miners=wanted.miners,
        lists=wanted.lists,
        limits=wanted.limits,
        epochs=options.epochs,
        start=assembling.student_start(options, options.precision),
        seed=options.seed,
    )


def hard_lists_of(collection: Collection, made: TeacherOptions | DistillationOptions) -> list[CandidateList]:
    """``hard_lists`` as a command with these options makes them."""
    lexical = Lexical(tokens=made.lexical_tokens)
    return hard_lists(collection, count=made.valid_samples, seed=made.seed, lexical=lexical)


def list_task(
    made: DistillationOptions,
    encoder: BiEncoder,
    collection: Collection,
    pools: ScoredPools,
    shared: SharedNegatives | None = None,
    line: ScoreLine | None = None,
) -> ListTask:
    """The task of a distillation with these options, over pools that are there."""
    training = student_training(made)
    lists, objective = training.candidates.lists, training.objective
    return ListTask(encoder, collection, pools, lists, objective, seed=made.seed, shared=shared, line=line)
