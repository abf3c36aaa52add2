"""From the options of training commands to the settings that the library takes."""

from __future__ import annotations

from bistill.config import DistillationOptions, TeacherOptions, assembling
from bistill.errors import OptionError
from bistill.losses import ContrastiveHinge, InfoNCE, ListwiseKL, NegativePenalty
from bistill.models.settings import RerankerStart
from bistill.training.run.data import TrainingData
from bistill.training.settings import Merging, Place
from bistill.training.student.objective import Objective
from bistill.training.student.settings import Candidates, StudentTraining, TaughtBy
from bistill.training.teacher.settings import TeacherTraining


def place(options: TeacherOptions | DistillationOptions) -> Place:
    """Where a run is at work."""
    return Place(options.output_dir, options.restart, options.overwrite, options.trackers)


def training_data(options: TeacherOptions | DistillationOptions) -> TrainingData:
    """What a run trains on."""
    return TrainingData(assembling.version(options), options.on_bad_rows, options.max_samples)


def teacher_training(options: TeacherOptions) -> TeacherTraining:
    """How a teacher is trained."""
    return TeacherTraining(
        RerankerStart(options.model_name, options.max_len, options.precision, options.trust_remote_code),
        assembling.lora(options),
        assembling.loop(options),
        assembling.validation(options),
        options.head_lr_factor,
        options.negatives_per_positive,
        assembling.lexical(options),
    )


def student_training(options: DistillationOptions) -> StudentTraining:
    """How a student is trained."""
    return StudentTraining(
        assembling.student_start(options, options.precision),
        assembling.lora(options),
        Candidates(
            assembling.miners(options, options, options.precision),
            assembling.lists(options),
            assembling.limits(options),
            assembling.lexical(options),
        ),
        objective(options),
        assembling.loop(options),
        assembling.validation(options),
        Merging(options.merge_with_start, options.weak_student),
    )


def taught_by(options: DistillationOptions) -> TaughtBy:
    """Whose scores a student learns.

    Raises:
        OptionError: two options contradict each other.
    """
    if options.allow_weak_teacher and options.weak_teacher == "stop":
        raise OptionError(
            "one of them goes on with a weak teacher, the other stops",
            where="--allow_weak_teacher, --weak_teacher",
            found=options.weak_teacher,
            todo="give one of them",
        )
    names = (options.teacher_path, *options.more_teachers)
    return TaughtBy(
        names, options.teacher_weights, assembling.teacher_reading(options, options.precision), options.weak_teacher
    )


def objective(options: DistillationOptions) -> Objective:
    """What a student learns."""
    losses = (
        ListwiseKL(options.tau, options.listwise_weight),
        ContrastiveHinge(weight=options.contrastive_weight),
        NegativePenalty(weight=options.negative_penalty_weight),
        InfoNCE(options.info_nce_tau, options.info_nce_weight),
    )
    return Objective(losses, options.score, options.in_batch, options.matryoshka)
