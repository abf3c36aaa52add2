"""The candidate lists of ``bistill distill``, made by its own code, for those that shall learn from the same."""

from __future__ import annotations

from bistill.app.assembling import student_training, taught_by, version
from bistill.app.config import DistillationOptions
from bistill.candidates.scores.teachers import Teachers
from bistill.data.queries import choice
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.models.bi_encoder import BiEncoder
from bistill.training.student.list_task import ListTask
from bistill.training.student.making import task_of


def list_task(options: DistillationOptions, encoder: BiEncoder, dataset: Dataset) -> tuple[ListTask, Corpus]:
    """The task of ``bistill distill`` under these options, and its documents."""
    collection, training, taught = version(options).collection(dataset), student_training(options), taught_by(options)
    query_ids = choice.for_lists(dataset, options.seed, options.max_samples, options.unlabelled)
    with Teachers.open(taught.names, taught.weights, taught.reading) as teachers:
        # As the command makes it: an option that changes the task is measured with all it changes.
        task, _ = task_of(training, encoder, collection, query_ids, teachers)
    return task, collection.corpus
