"""What all recipes of a data version and a seed share: the start model, the lists of every update, validation lists.

python benchmarks/quality/prepare.py JOB

JOB is a file that ``compare.py`` wrote. The lists are those that ``bistill distill`` learns from under the common
options: pools mined, scored and filtered by its own code, lists drawn anew in each epoch. ``prepared.json`` comes last:
a folder without it is not whole.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lists import list_task
from recipes import command_line, identity

from bistill import artifacts
from bistill.app import assembling, cli
from bistill.app.config import DistillationOptions
from bistill.candidates.scores.teachers import Teachers
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.models.bi_encoder import BiEncoder
from bistill.training.loop.updates import Updates
from bistill.training.student import validating
from bistill.training.student.list_task import ListTask, training_lists


def main() -> None:
    """Prepare one data version under one seed."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    started = time.monotonic()
    folder = Path(job["folder"])
    encoder = start_model(job)
    given = command_line(job["common"], {"output_dir": str(folder / "candidates")})
    # A list of the peers is K documents of its own, whatever ours takes from the other queries of a batch.
    options = replace(cli.parse("distill", given, "bistill distill"), own_documents=None, in_batch="never")
    dataset, valid = assembling.training_data(options).read(folder)
    task, corpus = list_task(options, encoder, dataset)
    updates = list(updates_of(task, corpus, dataset, options))
    lines = (json.dumps(update, ensure_ascii=False) for update in updates)
    artifacts.write_text(folder / "lists.jsonl", "\n".join(lines) + "\n")
    artifacts.write_json(folder / "validation.json", validation_of(options, valid))
    facts = {
        "job": identity(job),
        "pools": task.fingerprints()["pools"],
        "queries": task.samples,
        "pairs": task._pools.counts.pairs,
        "scored": task._pools.counts.scored,
        "lists": sum(len(update["queries"]) for update in updates),
        "short_lists": sum(update["short"] for update in updates),
        "updates": len(updates),
        "updates_of_an_epoch": len(updates) // options.epochs,
        "prompts": list(encoder.prompts),
        "pooling": encoder.mode,
        "seconds": round(time.monotonic() - started, 1),
    }
    artifacts.write_json(folder / "prepared.json", facts)


def start_model(job: dict[str, Any]) -> BiEncoder:
    """The directory that every recipe starts from: the student, made to read as many tokens as the data are given."""
    encoder = BiEncoder.load(job["student"], max_len=job["common"]["max_len"], precision="fp32")
    encoder.save(Path(job["start"]), None)
    return encoder


def updates_of(
    task: ListTask, corpus: Corpus, dataset: Dataset, options: DistillationOptions
) -> Iterator[dict[str, Any]]:
    """Queries, documents (the positive first) and the teacher's logits of each update, and how many lists were short.

    The peers' lists have one length: where the false-negative filter left fewer than K - 1 negatives, they come again,
    as FlagEmbedding has it by itself.
    """
    pools, training = task._pools, assembling.student_training(options)
    for epoch, samples in Updates(task.order, task.samples, training.loop):
        update: dict[str, Any] = {"epoch": epoch, "queries": [], "documents": [], "logits": [], "short": 0}
        for item in training_lists(pools, training.candidates.lists, samples, seed=training.loop.seed, epoch=epoch):
            logit_of = dict(zip(item.documents, item.logits.tolist(), strict=True))
            update["queries"].append(dataset.queries[item.query_id])
            negatives = itertools.islice(itertools.cycle(item.documents[1:]), options.K - 1)
            documents = [item.documents[0], *negatives]
            update["documents"].append(corpus.take(documents))
            update["logits"].append([logit_of[document] for document in documents])
            update["short"] += len(item.documents) < options.K
        yield update


def validation_of(options: DistillationOptions, valid: Dataset) -> dict[str, Any]:
    """The validation queries by which ours keeps its best weights, as an evaluator of the peers takes them."""
    taught, training = assembling.taught_by(options), assembling.student_training(options)
    with Teachers.open(taught.names, taught.weights, taught.reading) as teachers:
        lists = validating.of(assembling.version(options).collection(valid), teachers, training).lists
    documents = sorted(lists.further | {document for item in lists.lists for document in item.documents.tolist()})
    return {
        "queries": {str(item.query_id): lists.queries[item.query_id] for item in lists.lists},
        "corpus": {str(document): lists.documents[document] for document in documents},
        "relevant": {query: list(gains) for query, gains in lists.qrels().items()},
    }


if __name__ == "__main__":
    main()
