"""The candidate lists of ``bistill distill``, made by its own code, for those that shall learn from the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bistill.candidates.scores.teachers import Teachers
from bistill.config import DistillationOptions, assembling
from bistill.data.queries import choice
from bistill.data.store.dataset import Dataset
from bistill.journal import Journal
from bistill.models.bi_encoder import BiEncoder
from bistill.training.student import train as distillation


def list_task(options: DistillationOptions, encoder: BiEncoder, dataset: Dataset) -> tuple[Any, Any]:
    """The task of ``bistill distill`` under these options, and its documents."""
    corpus = assembling.version(options).corpus(dataset)
    query_ids = choice.with_positive(dataset, options.seed, "train", options.max_samples)
    folder = Path(options.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "candidates.jsonl")
    names = (options.teacher_path, *options.more_teachers)
    with Teachers.open(
        names, options.teacher_weights, assembling.teacher_reading(options, options.precision)
    ) as teachers:
        # As the command makes it: an option that changes the task is measured with all it changes.
        task = distillation._task(options, encoder, dataset, query_ids, corpus, teachers, journal)
    journal.close()
    return task, corpus
