"""Stage 1: a Cross-Encoder teacher trained with binary cross-entropy on (query, document) pairs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from bistill import console
from bistill.candidates.scores import scoring
from bistill.candidates.scores.cache import ScoreCache
from bistill.data.queries import choice
from bistill.data.store.collection import Collection
from bistill.errors import ArtifactError
from bistill.models import lora, rerankers, sizes
from bistill.models.compute.sharing import Made
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import loading
from bistill.models.settings import Lora, RerankerStart
from bistill.training.hard_lists import affordable, hard_lists
from bistill.training.loop.optimizer import Rates, peak_lr
from bistill.training.loop.shortage import Held
from bistill.training.run import finished, stage
from bistill.training.run.data import TrainingData
from bistill.training.run.hooks import Validate
from bistill.training.run.stage import Run, Training
from bistill.training.settings import Checkpointing, Place
from bistill.training.teacher import recorded
from bistill.training.teacher.hard import searched
from bistill.training.teacher.head import FitHead
from bistill.training.teacher.pairs import PairTask
from bistill.training.teacher.settings import TeacherTraining
from bistill.training.teacher.unlearned import WatchUnlearned
from bistill.training.validation import TEACHER_CRITERIA, Measured, ValidationLists, measure_teacher


def train(
    data: TrainingData,
    training: TeacherTraining,
    *,
    place: Place,
    checkpointing: Checkpointing,
) -> Mapping[str, Any]:
    """Train a teacher and write its folder; one that was given the same, of the same data and start, is kept.

    Args:
        data: labelled pairs.
        training: how.
        place: where.
        checkpointing: when checkpoints are written.

    Returns:
        The record also written to ``bistill.json``.

    Raises:
        OptionError: a model that was made otherwise is there, and is not to be replaced.
        BistillError: data or model cannot be used.
    """
    given = recorded.given(data, training, place, checkpointing)
    stage.refuse_overwriting(place.output_dir, [training.start.name], "the teacher would overwrite its start")
    if (there := finished.model_of("teacher", place, given, partial(inputs, data, training))) is not None:
        return there
    with stage.recorded("teacher", place, given, checkpointing) as run:
        return trained(run, data, training)


def inputs(data: TrainingData, training: TeacherTraining) -> dict[str, str]:
    """SHA-256 of the content of everything that a training reads, by the name under which it was given.

    Raises:
        ModelError: the start is neither on this machine nor can it be fetched.
    """
    return {"data_version": data.version.content(), "model_name": finished.content_of((training.start.name,))}


def start(training: TeacherTraining) -> CrossEncoder:
    """The Cross-Encoder that a teacher starts as, with adapters where these are wanted.

    Raises:
        ModelError: it cannot be loaded, or is a classifier with several outputs.
    """
    made = Made(adapted, (training.start, training.lora, training.loop.seed))
    encoder = adapted(*made.arguments)
    encoder.made = made
    if encoder.new_keys:
        console.say(f"{training.start.name} has no relevance head yet: {', '.join(encoder.new_keys)} are new")
    return encoder


def adapted(start: RerankerStart, adapters: Lora | None, seed: int) -> CrossEncoder:
    """A Cross-Encoder, with adapters where these are wanted."""
    encoder = CrossEncoder.start(
        start.name,
        max_len=start.max_len,
        precision=start.precision,
        seed=seed,
        trust_remote_code=start.trust_remote_code,
    )
    if adapters is not None:
        encoder.model = lora.apply(encoder.model, adapters, new_keys=encoder.new_keys, seed=seed)
    return encoder


def trained(run: Run, data: TrainingData, training: TeacherTraining) -> dict[str, Any]:
    """Train in a folder that is this run's own; the record of the model. Raises what ``train`` raises."""
    loop = training.loop
    collection, valid = data.load(run.journal)
    dataset = collection.dataset
    query_ids = choice.queries(dataset, loop.seed, "train", data.max_samples)
    console.say(f"teacher: {choice.chosen(dataset, query_ids)}")
    encoder = start(training)
    hard = searched(collection, query_ids, training, balance=data.balance)
    task = PairTask(
        encoder,
        dataset,
        query_ids,
        negatives_per_positive=training.negatives_per_positive,
        seed=loop.seed,
        balance=data.balance,
        hard=hard,
        list_weight=training.hard.list_weight if training.hard else 0.0,
    )
    _say_what_is_trained(encoder, task, training)
    head = FitHead(encoder, task, pairs=training.head.pairs, seed=loop.seed, journal=run.journal)
    at_first = not encoder.new_keys or head.applies  # a random head ranks by chance
    lists = _validation_lists(task, valid, training, at_first=at_first)
    validation = Validate(
        encoder.model,
        lambda: measure_teacher(encoder, lists),
        criteria=TEACHER_CRITERIA,
        settings=training.validation,
        journal=run.journal,
        at_first=at_first,
    )
    lr = peak_lr(loop.lr, lora=training.lora is not None)
    identity = {
        "data": {"train": dataset.fingerprint, "valid": valid.dataset.fingerprint},
        "models": {"start": loading.model_fingerprint(encoder.source)},
        "validation": {"lists": lists.fingerprint()},
        **({"candidates": {"hard": hard.fingerprint()}} if hard else {}),
    }
    record = stage.fit(
        run,
        Training(
            "teacher",
            task,
            encoder,
            loop,
            training.lora,
            validation,
            rates=Rates(lr, training.head.lr_factor * lr, encoder.new_head()),
            identity=identity,
            held=_held(training),
            settle=head.record,
            hooks=[
                head,
                WatchUnlearned(task, lr=lr, lora=training.lora is not None, journal=run.journal),
            ],
            facts={"base_model": loading.portable(training.start.name), "inputs": inputs(data, training)},
        ),
    )
    if validation.measured_best is not None:  # None in a run that went on behind its best weights
        _keep_scores(run.place.output_dir, training.start, lists, validation.measured_best)
    return record


def _say_what_is_trained(encoder: CrossEncoder, task: PairTask, training: TeacherTraining) -> None:
    alone = f", {task.without_positive} of them of queries without a positive" if task.without_positive else ""
    console.say(f"teacher: {training.start.name}, {sizes.of_model(encoder.model)}")
    console.say(f"teacher: {console.counted(task.samples, 'pair')} an epoch{alone}{task.turns.said()}")
    console.say(f"running on {sizes.machine(encoder.device, encoder.precision)}")


def _held(training: TeacherTraining) -> Held:
    sizes = {"RerankerStart.max_len": (training.start.max_len, 8), "Loop.batch_size": (training.loop.batch_size, 1)}
    return Held(sizes, lora=training.lora is not None)


def _validation_lists(
    task: PairTask, valid: Collection, training: TeacherTraining, *, at_first: bool
) -> ValidationLists:
    """The hard lists of so many validation queries that all validations of the run read a small part of the pairs that
    it trains on, with one validation an epoch, and one ``at_first``."""
    epochs = training.loop.epochs
    hard = hard_lists(valid, count=training.validation.queries, seed=training.loop.seed, lexical=training.lexical)
    count = affordable(hard, task.samples * epochs // (epochs + at_first))
    return ValidationLists(valid.dataset.queries, valid.corpus, hard[:count])


def _keep_scores(output_dir: str, start: RerankerStart, lists: ValidationLists, measured: Measured) -> None:
    """What the best weights gave the validation pairs goes into the cache of the saved teacher, where the gate of the
    next command finds it. Adapters are merged in the folder, which changes a score by rounding at most."""
    logits = np.concatenate(measured.logits)
    if not np.isfinite(logits).all():
        return
    identity = rerankers.identity(output_dir, precision=start.precision, trust_remote_code=start.trust_remote_code)
    try:
        with ScoreCache.open(identity) as cache:
            scoring.keep(cache, lists.queries, lists.documents, lists.pairs(), logits)
    except ArtifactError as error:
        console.say(f"the scores of the validation pairs are not kept: {error}")
