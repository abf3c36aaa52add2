"""bistill's side of the comparison.

python benchmarks/speed/ours.py WORKLOAD [--options '{"name": value}']

Training runs by the engine of the commands, with the journal that they write and without checkpoints and validation.
Scoring is what ``bistill distill`` runs: reading, scoring and writing to a score cache, which is new in every pass.
``--options`` changes options of ``bistill distill``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from batches import options_of
from lists import list_task
from turn import Turns, workload

from bistill.app import assembling
from bistill.app.config import DistillationOptions, TeacherOptions
from bistill.candidates.scores.cache import ScoreCache
from bistill.candidates.scores.teachers import CachedTeacher, relevance
from bistill.candidates.settings import TeacherReading
from bistill.data.queries import choice
from bistill.data.store.opening import load_split
from bistill.journal import Journal
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop.engine import Engine
from bistill.training.loop.hook import Hook, Progress
from bistill.training.run.hooks import WriteJournal
from bistill.training.teacher.pairs import PairTask


class TakeTurns(Hook):
    """Waits for the driver after each update.

    Args:
        turns: the driver's commands.
        facts: further numbers to tell of an update that has just ended.
    """

    def __init__(self, turns: Turns, facts: Callable[[], dict[str, float]] = dict) -> None:
        self._turns, self._facts = turns, facts

    def at_start(self, progress: Progress) -> None:
        """Before the first update."""
        self._turns.ready()
        self._turns.begin()

    def after_step(self, progress: Progress) -> None:
        """The weights were changed."""
        self._turns.done(progress.terms["loss"], tokens=progress.tokens, **self._facts())
        self._turns.begin()


def main() -> None:
    """Do one kind of work in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload")
    parser.add_argument("--options", type=json.loads, default={})
    changes = parser.parse_args().options
    given, turns = workload(), Turns()
    if given["work"] == "distillation":
        distil(given, turns, changes)
    elif given["work"] == "teacher":
        teach(given, turns)
    elif given["work"] == "scoring":
        score(given, turns)
    else:
        encode(given, turns)


def distil(given: dict[str, Any], turns: Turns, changes: dict[str, Any]) -> None:
    """Updates of a student."""
    options = options_of(DistillationOptions, given["options"], changes)
    encoder = BiEncoder.load(given["model"], max_len=given["max_len"], precision=options.precision)
    task, _ = list_task(options, encoder, load_split(assembling.version(options).path("train")))
    train(task, options, encoder, turns)


def teach(given: dict[str, Any], turns: Turns) -> None:
    """Updates of a teacher."""
    options = options_of(TeacherOptions, given["options"], {})
    encoder = CrossEncoder.start(given["model"], max_len=given["max_len"], precision=options.precision, seed=0)
    dataset = load_split(assembling.version(options).path("train"))
    query_ids = choice.with_positive(dataset, options.seed, "train", options.max_samples)
    own = options.negatives_per_positive
    task = PairTask(encoder, dataset, query_ids, negatives_per_positive=own, seed=options.seed)
    train(task, options, encoder, turns)


def train(task: Any, options: Any, encoder: Any, turns: Turns) -> None:
    """The engine, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        hooks = [WriteJournal(journal), TakeTurns(turns)]
        Engine(task, assembling.loop(options), precision=encoder.precision, hooks=hooks).run()


def score(given: dict[str, Any], turns: Turns) -> None:
    """Passes over all pairs, each into a new cache."""
    queries, documents = given["queries"], given["documents"]
    pairs = np.repeat(np.arange(len(queries))[:, None], 2, axis=1)
    settings = TeacherReading(max_len=given["max_len"], precision=given["precision"])
    with tempfile.TemporaryDirectory() as folder, CachedTeacher.open(given["model"], settings) as teacher:
        teacher.logits(["query"], ["document"], np.array([[0, 0]]), "")  # loads the weights
        turns.ready()
        number = 0
        while True:
            turns.wait()
            teacher.cache.close()
            os.environ["BISTILL_CACHE"] = f"{folder}/{number}"
            teacher.cache = ScoreCache.open(teacher.identity)
            turns.start()
            scored = teacher.logits(queries, documents, pairs, "")
            turns.done()
            assert scored.scored == len(pairs) or len(set(zip(queries, documents, strict=True))) < len(pairs)
            np.save(f"{given['results']}/ours.npy", relevance(scored.logits))
            number += 1


def encode(given: dict[str, Any], turns: Turns) -> None:
    """Passes over all documents."""
    encoder = BiEncoder.load(given["model"], max_len=given["max_len"], precision=given["precision"])
    turns.ready()
    while True:
        turns.begin()
        vectors = encoder.encode_documents(given["documents"])
        turns.done()
        np.save(f"{given['results']}/ours.npy", vectors)


if __name__ == "__main__":
    main()
