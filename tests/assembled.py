"""Library calls with the options of a command, as the application makes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bistill.candidates.building import build
from bistill.candidates.pools import ScoredPools
from bistill.candidates.scores.teachers import Teachers
from bistill.config import CandidatesOptions, DistillationOptions, assembling
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.models.settings import Precision


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
    return build(
        Collection(dataset, corpus),
        query_ids,
        teachers,
        miners=assembling.miners(options, options, options.precision),
        lists=assembling.lists(options),
        limits=assembling.limits(options),
        epochs=options.epochs,
        start=assembling.student_start(options, options.precision),
        seed=options.seed,
    )
