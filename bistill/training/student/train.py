"""Stage 2: a Bi-Encoder student that learns its teacher's scores over candidate lists."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from bistill import artifacts, console
from bistill.candidates.building import build
from bistill.candidates.lists import CandidateList
from bistill.candidates.scores.teachers import Teachers, is_model
from bistill.candidates.shared_negatives import SharedNegatives
from bistill.config import DistillationOptions, assembling
from bistill.data.queries import choice
from bistill.data.sampling import permutation
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.journal import Journal
from bistill.models import lora
from bistill.models.bi_encoder import BiEncoder
from bistill.models.files import calibration_file, loading
from bistill.training.hard_lists import affordable, hard_lists
from bistill.training.loop.engine import peak_lr
from bistill.training.loop.schedule import Rates
from bistill.training.loop.updates import Updates
from bistill.training.run import finished, stage
from bistill.training.run.hooks import Validate
from bistill.training.student import gate, matryoshka, merging
from bistill.training.student.calibrated import LINE_LR, LabelledPairs, ScoreLine, first_line, fitted
from bistill.training.student.list_task import ListTask, training_lists
from bistill.training.validation import STUDENT_CRITERIA, ValidationLists, measure_student

# Dimensions of the largest students that learn at these rates unless told otherwise: MiniLM, e5-small, bge-small.
SMALL: Final = 384
SMALL_LR: Final = 1e-4
SMALL_LORA_LR: Final = 1e-3


def train(options: DistillationOptions) -> dict[str, Any]:
    """Distil the teacher into a student and write its folder; one of the same options, data and models is kept.

    Returns:
        The record also written to ``bistill.json``.

    Raises:
        OptionError: a model of others is there, and ``overwrite`` is not given.
        BistillError: data or a model cannot be used.
    """
    teachers = [name for name in (options.teacher_path, *options.more_teachers) if is_model(name)]
    stage.refuse_overwriting(options.output_dir, teachers, "the student would overwrite its teacher")
    stage.refuse_overwriting(options.output_dir, [options.student_name], "the student would overwrite its start")
    if options.miner_model is not None:
        stage.refuse_overwriting(options.output_dir, [options.miner_model], "the student would overwrite its miner")
    if (there := finished.model_of("student", options)) is not None:
        return there
    with stage.recorded("distillation", options) as journal:
        return _train(options, journal)


def _train(options: DistillationOptions, journal: Journal) -> dict[str, Any]:
    assembling.miners(options, options, options.precision)  # a wrong miner is said before anything is read
    dataset, valid = stage.load_data(options, journal)
    query_ids = choice.with_positive(dataset, options.seed, "train", options.max_samples)
    console.say(f"student: {choice.chosen_for_lists(dataset, query_ids)}")
    corpus = assembling.version(options).corpus(dataset)
    encoder = student(options)
    matryoshka.prepare(encoder, options.matryoshka)
    names, reading = (
        (options.teacher_path, *options.more_teachers),
        assembling.teacher_reading(options, options.precision),
    )
    with Teachers.open(names, options.teacher_weights, reading) as teachers:
        teachers.calibrate(valid, seed=options.seed)
        documents = assembling.version(options).corpus(valid)
        hard = hard_lists(valid, documents, options)
        taught, figures = _gate(options, encoder, len(query_ids), valid, documents, hard, teachers, journal)
        labelled = LabelledPairs.of(valid, documents, count=options.valid_samples, seed=options.seed)
        line = first_line(labelled.cosines(encoder), labelled.relevant) if taught.score == "calibrated" else None
        task = _task(taught, encoder, dataset, query_ids, corpus, teachers, journal, line)
        identities = teachers.identities()
    lists = ValidationLists.of(valid, count=options.valid_samples, seed=options.seed).among(documents, hard)
    validation = Validate(
        task.model,
        lambda: measure_student(encoder, lists),
        criteria=STUDENT_CRITERIA,
        every=options.eval_steps,
        journal=journal,
        at_first=True,
        patience=options.patience,
    )
    return stage.fit(
        "student",
        task,
        encoder,
        options,
        validation,
        journal,
        base_model=loading.portable(options.student_name),
        inputs=finished.inputs_of(options),
        start_layers=encoder.start_layers,
        matryoshka=list(options.matryoshka) or None,
        teacher_path=_portable(options.teacher_path),
        teachers=identities,
        teacher_gate=figures,
        learned_from="teacher" if taught is options else "labels",
        run={
            "data": {"train": dataset.fingerprint, "valid": valid.fingerprint},
            "models": {"start": loading.model_fingerprint(encoder.source)},
            "candidates": task.fingerprints(),
            "validation": {"lists": lists.fingerprint()},
        },
        rates=Rates(student_lr(options, encoder.dim), LINE_LR, task.line_parameters()),
        settle=lambda: _merge(encoder, options, validation, lists, journal),
        beside=lambda folder: _calibrate(folder, encoder, labelled, {"valid": valid.fingerprint}),
    )


def _gate(
    options: DistillationOptions,
    encoder: BiEncoder,
    queries: int,
    valid: Dataset,
    documents: Corpus,
    hard: list[CandidateList],
    teachers: Teachers,
    journal: Journal,
) -> tuple[DistillationOptions, dict[str, Any] | None]:
    """Teacher and untouched student measured at a small part of the price of a training of so many queries; the options
    that it learns by, and the figures."""
    most = affordable(hard, queries * options.K)
    figures = gate.measure(teachers, encoder, valid, documents, hard, most=most, seed=options.seed)
    if figures is None:
        return options, None
    journal.write("gate", figures=figures)
    return gate.check(figures, options), figures


def _task(
    options: DistillationOptions,
    encoder: BiEncoder,
    dataset: Dataset,
    query_ids: np.ndarray,
    corpus: Corpus,
    teachers: Teachers,
    journal: Journal,
    line: ScoreLine | None = None,
) -> ListTask:
    """Scored candidates of all epochs; afterwards no teacher is needed any more."""
    collection, lists, limits = Collection(dataset, corpus), assembling.lists(options), assembling.limits(options)
    pools = build(
        collection,
        query_ids,
        teachers,
        miners=assembling.miners(options, options, options.precision),
        lists=lists,
        limits=limits,
        epochs=options.epochs,
        start=assembling.student_start(options, options.precision),
        seed=options.seed,
    )
    counts = dataclasses.asdict(pools.counts)
    shared = None
    if options.own_documents is not None:
        updates = Updates(partial(permutation, size=len(pools)), len(pools), options)
        planned = ((epoch, training_lists(pools, options, samples, epoch)) for epoch, samples in updates)
        kept = journal.folder / artifacts.CHECKPOINTS_FOLDER / artifacts.SHARED_SCORES
        shared = SharedNegatives(collection, pools, lists, limits, planned, teachers, seed=options.seed, kept=kept)
        counts["shared"] = shared.counts
    journal.write("candidates", **counts)
    return ListTask(encoder, dataset, corpus, pools, options, shared, line)


def student(options: DistillationOptions) -> BiEncoder:
    """The Bi-Encoder that a student starts as, with adapters where these are wanted.

    Raises:
        ModelError: it cannot be loaded, or has modules that a student cannot have, or layers that cannot be left out.
        OptionError: it has fewer layers than the options want.
    """
    encoder = _start(options)
    if (adapters := assembling.lora(options)) is not None:
        encoder.model = lora.apply(encoder.model, adapters, new_keys=[], seed=options.seed)
    console.say(
        f"student: {lora.trainable_parameters(encoder.model)} weights to train, prompts {tuple(encoder.prompts)}"
    )
    return encoder


def student_lr(options: DistillationOptions, dimensions: int) -> float:
    """The peak learning rate of a student whose vectors have so many dimensions; small ones learn faster.

    The rates of ``SMALL`` ones are measured (``docs/experiments.md``, "Labels beside the teacher" and "LoRA's learning
    rate"), the others' are usual.
    """
    if options.lr is None and dimensions <= SMALL:
        return SMALL_LORA_LR if options.use_lora else SMALL_LR
    return peak_lr(options)


def _start(options: DistillationOptions) -> BiEncoder:
    """The untouched student."""
    return BiEncoder.load(
        options.student_name,
        max_len=options.max_len,
        layer_count=options.student_layers,
        precision=options.precision,
        query_prompt=options.query_prompt,
        document_prompt=options.document_prompt,
        pooling_name=options.pooling,
        trust_remote_code=options.trust_remote_code,
    )


def _merge(
    encoder: BiEncoder, options: DistillationOptions, validation: Validate, lists: ValidationLists, journal: Journal
) -> dict[str, Any]:
    """Bring the best weights back towards the start as far as the options say and validation allows; how far is part
    of the record."""
    merged = merging.merge(
        encoder,
        lambda: _start(options),
        options.merge_with_start,
        lambda: measure_student(encoder, lists),
        validation.measured_best,
        validation.measured_first,
        journal,
        keep_start=options.weak_student == "start",
        seed=options.seed,
    )
    validation.figures = merged.measured.figures
    if not merged.share:
        validation.best_step = 0
    share = merged.share if options.merge_with_start or not merged.share else None
    return {"merged_share": share, "beside_start": merged.beside_start}


def _calibrate(folder: Path, encoder: BiEncoder, labelled: LabelledPairs, data: dict[str, str]) -> dict[str, Any]:
    """Fit the line of the finished student to the labels of validation pairs, and write it beside the model."""
    found = fitted(labelled.cosines(encoder), labelled.relevant)
    if found is None:
        return {"calibration": None}
    relevant = int(labelled.relevant.sum())
    facts = {"data": data, "relevant": relevant, "irrelevant": len(labelled.relevant) - relevant}
    calibration_file.write(folder, found, **facts)
    return {"calibration": {"a": found.a, "b": found.b, **facts}}


def _portable(teacher: str) -> str:
    return loading.portable(teacher) if is_model(teacher) else teacher
