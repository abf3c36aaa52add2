"""Stage 2: a Bi-Encoder student that learns its teacher's scores over candidate lists."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from bistill import artifacts, console
from bistill.candidates.scores.teachers import Teachers, is_model
from bistill.data.queries import choice
from bistill.models import lora, sizes
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.sharing import Made
from bistill.models.files import calibration_file, loading
from bistill.models.settings import EncoderStart, Lora
from bistill.training.loop.optimizer import Rates, peak_lr
from bistill.training.loop.shortage import Held
from bistill.training.run import finished, stage
from bistill.training.run.data import TrainingData
from bistill.training.run.hooks import Validate
from bistill.training.run.stage import Run, Training
from bistill.training.settings import Checkpointing, Place
from bistill.training.student import matryoshka, merging, recorded, teaching, validating
from bistill.training.student.calibrated import LINE_LR, LabelledPairs, fitted
from bistill.training.student.making import task_of
from bistill.training.student.settings import StudentTraining, TaughtBy
from bistill.training.student.validating import Validating
from bistill.training.validation import STUDENT_CRITERIA

# Dimensions of the largest students that learn at these rates unless told otherwise: MiniLM, e5-small, bge-small.
SMALL: Final = 384
SMALL_LR: Final = 1e-4
SMALL_LORA_LR: Final = 1e-3


def train(
    taught: TaughtBy,
    data: TrainingData,
    training: StudentTraining,
    *,
    place: Place,
    checkpointing: Checkpointing,
    opening: str = "",
) -> Mapping[str, Any]:
    """Distil teachers into a student and write its folder; one that was given the same, of the same data and models, is
    kept.

    Args:
        taught: whose scores are learned.
        data: training queries, and those that the best weights are chosen by.
        training: how.
        place: where.
        checkpointing: when checkpoints are written.
        opening: said where the training begins, and only there; "": nothing is.

    Returns:
        The record also written to ``bistill.json``.

    Raises:
        OptionError: a model that was made otherwise is there, and is not to be replaced; or nothing would be learned of
            one of the teachers.
        BistillError: data or a model cannot be used.
    """
    training.refuse_unheard(taught)
    output, given = place.output_dir, recorded.given(taught, data, training, place, checkpointing)
    teachers = [name for name in (*taught.names, *taught.embedding) if is_model(name)]
    stage.refuse_overwriting(output, teachers, "the student would overwrite its teacher")
    stage.refuse_overwriting(output, [training.start.name], "the student would overwrite its start")
    stage.refuse_overwriting(
        output, recorded.miner_models(training.candidates), "the student would overwrite its miner"
    )

    if (there := finished.model_of("student", place, given, partial(inputs, taught, data, training))) is not None:
        return there
    with stage.recorded("distillation", place, given, checkpointing) as run:
        return trained(run, taught, data, training, opening)


def inputs(taught: TaughtBy, data: TrainingData, training: StudentTraining) -> dict[str, str]:
    """SHA-256 of the content of everything that a distillation reads, by the name under which it was given.

    Raises:
        ModelError: a model is neither on this machine nor can it be fetched.
    """
    models = {
        "student_name": (training.start.name,),
        "teacher_path": taught.names[:1],
        "more_teachers": taught.names[1:],
        "miner_model": recorded.miner_models(training.candidates),
    }
    if taught.embedding:  # a record that is older than the option names none
        models["embedding_teacher"] = taught.embedding
    content = {name: finished.content_of(names) for name, names in models.items()}
    return {"data_version": data.version.content(unlabelled=data.unlabelled != 0)} | content


def start(training: StudentTraining) -> BiEncoder:
    """The Bi-Encoder that a student starts as, with adapters where these are wanted.

    Raises:
        ModelError: it cannot be loaded, or has modules that a student cannot have, or layers that cannot be left out.
        OptionError: it has fewer layers than are wanted, or vectors no longer than a prefix that is to be learned.
    """
    made = Made(adapted, (training.start, training.lora, training.loop.seed))
    encoder = adapted(*made.arguments)
    encoder.made = made
    prompts = f"prompts {tuple(encoder.prompts)}" if any(encoder.prompts) else "no prompts"
    console.say(f"student: {training.start.name}, {sizes.of_model(encoder.model)}; {prompts}")
    matryoshka.prepare(encoder, training.objective.matryoshka)
    return encoder


def adapted(start: EncoderStart, adapters: Lora | None, seed: int) -> BiEncoder:
    """A Bi-Encoder, with adapters where these are wanted."""
    encoder = BiEncoder.start(start)
    if adapters is not None:
        encoder.model = lora.apply(encoder.model, adapters, new_keys=[], seed=seed)
    return encoder


def student_lr(training: StudentTraining, dimensions: int) -> float:
    """The peak learning rate of a student whose vectors have so many dimensions; small ones learn faster.

    The rates of ``SMALL`` ones are measured (``docs/experiments.md``, "Labels beside the teacher" and "LoRA's learning
    rate"), the others' are usual.
    """
    if training.loop.lr is None and dimensions <= SMALL:
        return SMALL_LR if training.lora is None else SMALL_LORA_LR
    return peak_lr(training.loop.lr, lora=training.lora is not None)


def trained(
    run: Run, taught: TaughtBy, data: TrainingData, training: StudentTraining, opening: str = ""
) -> dict[str, Any]:
    """Train in a folder that is this run's own; the record of the model. Raises what ``train`` raises."""
    seed = training.loop.seed
    collection, valid = data.load(run.journal)
    query_ids = choice.for_lists(collection.dataset, seed, data.max_samples, data.unlabelled)
    console.say(f"student: {choice.chosen_for_lists(collection.dataset, query_ids)}")
    encoder = start(training)
    console.say(f"running on {sizes.machine(encoder.device, encoder.precision)}")
    with teaching.opened(taught) as teachers:
        if opening:  # data and models are there
            console.say(opening)
        teachers.scoring.calibrate(valid.dataset, seed=seed)
        validated = validating.of(valid, teachers.scoring, training)

        pairs = len(query_ids) * training.candidates.lists.size

        def measure(some: Teachers) -> dict[str, Any] | None:
            figures = validated.gate(some, encoder, pairs, seed=seed)
            if figures is not None:
                beside = {} if some is teachers.scoring else {"embedding_teacher": some.encoders[0].name}
                run.journal.write("gate", **beside, figures=figures)
            return figures

        heard = teaching.heard(teachers, training, measure, taught.weak)
        learned = heard.training
        query_ids = heard.learned_from(collection.dataset, query_ids)
        if heard.judges:
            held_out = data.held_out(valid.dataset, run.journal.folder)
            validated = validated.beside(held_out, teachers.scoring, training, pairs)
        line = validated.line(encoder) if learned.objective.score == "calibrated" else None
        kept = run.journal.folder / artifacts.CHECKPOINTS_FOLDER / artifacts.SHARED_SCORES
        task, counts = task_of(
            learned,
            encoder,
            collection,
            query_ids,
            teachers.scoring,
            line=line,
            shared_scores=kept,
            encoders=heard.encoders,
            balance=data.balance,
        )
        run.journal.write("candidates", **counts)
        of_teachers = teachers.facts(heard)
    lists, labelled = validated.lists, validated.labelled
    # A start that was cut has everything to learn, and a larger encoder's word did no harm as a whole.
    alone = not heard.encoders and encoder.start_layers is None
    most = merging.MADE_MOST if alone and labelled is None and choice.all_made(valid.dataset) else 1.0
    validation = Validate(
        task.model,
        lambda: validated.measure(encoder),
        criteria=STUDENT_CRITERIA,
        settings=training.validation,
        journal=run.journal,
        at_first=True,
    )
    fingerprints = {"train": collection.dataset.fingerprint, "valid": valid.dataset.fingerprint}
    return stage.fit(
        run,
        Training(
            "student",
            task,
            encoder,
            training.loop,
            training.lora,
            validation,
            rates=Rates(student_lr(training, encoder.dim), LINE_LR, task.line_parameters()),
            identity={
                "data": fingerprints,
                "models": {"start": loading.model_fingerprint(encoder.source)},
                "candidates": task.fingerprints(),
                "validation": {"lists": lists.fingerprint()},
            },
            held=_held(training),
            settle=lambda: _merge(encoder, training, validation, validated, run, most=most),
            beside=lambda folder: _calibrate(folder, encoder, labelled, {"valid": fingerprints["valid"]}),
            facts={
                "base_model": loading.portable(training.start.name),
                "inputs": inputs(taught, data, training),
                "start_layers": encoder.start_layers,
                "matryoshka": list(training.objective.matryoshka) or None,
                "teacher_path": _portable(taught.names[0]),
                **of_teachers,
                **({"judge": "teacher"} if labelled is None else {}),
                **({"judged_queries": len(validated.judged.lists)} if validated.judged else {}),
            },
        ),
    )


def _merge(
    encoder: BiEncoder, training: StudentTraining, validation: Validate, validated: Validating, run: Run, *, most: float
) -> dict[str, Any]:
    """Bring the best weights back towards the start as far as ``merging`` says and validation allows; how far is part
    of the record."""
    merged = merging.merge(
        encoder,
        lambda: BiEncoder.start(training.start),
        training.merging.shares,
        lambda: validated.measure(encoder, description=""),
        validation.measured_best,
        validation.measured_first,
        run.journal,
        keep_start=training.merging.weak_student == "start",
        seed=training.loop.seed,
        most=most,
    )
    validation.figures = merged.measured.figures
    validation.measured_best, validation.measured_first = merged.measured, merged.start
    if not merged.share:
        validation.best_step = 0
    share = merged.share if training.merging.shares or not merged.share else None
    return {"merged_share": share, "beside_start": merged.beside_start}


def _calibrate(
    folder: Path, encoder: BiEncoder, labelled: LabelledPairs | None, data: dict[str, str]
) -> dict[str, Any]:
    """Fit the line of the finished student to the labels of validation pairs, where there are any, and write it beside
    the model."""
    if labelled is None:
        return {"calibration": None}
    found = fitted(labelled.cosines(encoder), labelled.relevant)
    if found is None:
        return {"calibration": None}
    relevant = int(labelled.relevant.sum())
    facts = {"data": data, "relevant": relevant, "irrelevant": len(labelled.relevant) - relevant}
    calibration_file.write(folder, found, **facts)
    return {"calibration": {"a": found.a, "b": found.b, **facts}}


def _held(training: StudentTraining) -> Held:
    sizes: dict[str, tuple[int, int]] = {}
    if training.start.max_len is not None:
        sizes["EncoderStart.max_len"] = (training.start.max_len, 8)
    sizes |= {"Loop.batch_size": (training.loop.batch_size, 1), "Lists.size": (training.candidates.lists.size, 2)}
    return Held(sizes, lora=training.lora is not None)


def _portable(teacher: str) -> str:
    return loading.portable(teacher) if is_model(teacher) else teacher
