"""Options of both training stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.app.config.candidates import LexicalOptions, ListOptions, ScoringOptions
from bistill.app.config.shared import (
    DEFAULT_TEACHER,
    Arithmetic,
    DataOptions,
    LoraOptions,
    ModelOptions,
    Seed,
    StudentOptions,
    TeacherPath,
    UpdateSize,
    WhichRecipe,
)
from bistill.app.options import Option, Options
from bistill.candidates.settings import Choice, Redraw
from bistill.data.settings import Balance
from bistill.models.settings import RerankerStart
from bistill.settings import Within
from bistill.training.settings import (
    Checkpointing,
    InBatch,
    Loop,
    Merging,
    NewHead,
    Score,
    Validation,
    WeakStudent,
    WeakTeacher,
)
from bistill.training.teacher.settings import Hard, TeacherTraining


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options, group="training"):
    """What the training engine needs to know; the same for teacher and student."""

    epochs: Annotated[int, Option("Passes over the training queries.", of=(Loop, "epochs"), common=True)] = 3
    balance: Annotated[
        Balance,
        Option(
            "Of several data versions: rows: each query once an epoch; versions: those of smaller ones so often that "
            "an epoch has as many of each. All queries without labels together count as one more version.",
            group="data",
        ),
    ] = "rows"
    batch_size: UpdateSize = 16
    lr: Annotated[
        float | None,
        Option(
            "Peak; unset: 2e-5, with LoRA 2e-4; students of at most 384 dimensions 1e-4 and 1e-3.",
            of=(Loop, "lr"),
            common=True,
        ),
    ] = None
    warmup_ratio: Annotated[
        float, Option("Share of the updates with a rising learning rate.", of=(Loop, "warmup_ratio"))
    ] = 0.1
    weight_decay: Annotated[
        float, Option("AdamW weight decay of matrices (not of biases and norms).", of=(Loop, "weight_decay"))
    ] = 0.01
    max_grad_norm: Annotated[
        float, Option("Gradients are scaled down to at most this norm; 0: never.", of=(Loop, "max_grad_norm"))
    ] = 1.0
    eval_steps: Annotated[
        int, Option("Validate every so many updates; 0: at the end of each epoch.", of=(Validation, "every"))
    ] = 0
    valid_samples: Annotated[
        int, Option("Validation queries used each time, chosen by --seed.", of=(Validation, "queries"))
    ] = 500
    patience: Annotated[
        int, Option("Stop after so many validations without a better one; 0: never.", of=(Validation, "patience"))
    ] = 0
    spike_rollbacks: Annotated[
        int,
        Option(
            "Times that a run goes back to its last checkpoint when the loss leaps; from the second time on with half "
            "the learning rate.",
            of=(Checkpointing, "rollbacks"),
            group="checkpoints",
        ),
    ] = 2
    precision: Arithmetic = "auto"
    seed: Seed = 42
    save_steps: Annotated[
        int,
        Option(
            "Write a checkpoint every so many updates; 0: not by updates.",
            of=(Checkpointing, "steps"),
            group="checkpoints",
            alters_result=False,
        ),
    ] = 500
    save_minutes: Annotated[
        float,
        Option(
            "Write a checkpoint after so many minutes; 0: not by time.",
            of=(Checkpointing, "minutes"),
            group="checkpoints",
            alters_result=False,
        ),
    ] = 10.0
    keep: Annotated[
        int,
        Option("Checkpoints kept, the newest.", of=(Checkpointing, "keep"), alters_result=False, group="checkpoints"),
    ] = 2
    restart: Annotated[
        bool,
        Option(
            "Begin anew where an interrupted run could go on; its checkpoints are deleted.",
            alters_result=False,
            group="checkpoints",
        ),
    ] = False
    overwrite: Annotated[
        bool,
        Option(
            "Replace a finished model of other options, data or models in --output_dir, once the new one is whole; "
            "with --restart one of the same, too.",
            alters_result=False,
            group="checkpoints",
            common=True,
        ),
    ] = False
    resume_lr_factor: Annotated[
        float,
        Option(
            "A run that goes on from a checkpoint learns at this multiple of its learning rate at most, such as 0.5 "
            "after its numbers were none.",
            of=(Checkpointing, "lr_factor"),
            group="checkpoints",
            alters_result=False,
        ),
    ] = 1.0
    micro_batch_tokens: Annotated[
        int,
        Option(
            "Tokens whose activations are held at once; halved when memory runs out, and step by step as many again "
            "while it suffices. 0: from this machine's memory.",
            of=(Loop, "micro_batch_tokens"),
            group="machine",
            alters_result=False,
        ),
    ] = 0
    trackers: Annotated[
        tuple[str, ...],
        Option(
            "Also send figures to tensorboard, wandb, mlflow or another tracker of accelerate.", alters_result=False
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class TeacherOptions(
    TrainingOptions, LoraOptions, ModelOptions, LexicalOptions, DataOptions, group="models", common=True
):
    """Train a Cross-Encoder teacher on labelled pairs (stage 1)."""

    output_dir: Annotated[str, Option("Folder of the trained teacher.", alters_result=False)] = "models/teacher"
    model_name: Annotated[str, Option("Hub name or folder to start from.", of=(RerankerStart, "name"))] = (
        DEFAULT_TEACHER
    )
    max_len: Annotated[
        int, Option("Tokens of query and document together; longer documents are cut.", of=(RerankerStart, "max_len"))
    ] = 256
    head_lr_factor: Annotated[
        float,
        Option(
            "A new head learns at this multiple of --lr.",
            of=(NewHead, "lr_factor"),
            group="training",
            common=False,
        ),
    ] = 10.0
    head_pairs: Annotated[
        int,
        Option(
            "Training pairs to which a new head is fitted before the first update; 0: it starts at random.",
            of=(NewHead, "pairs"),
            group="training",
            common=False,
        ),
    ] = 2500
    negatives_per_positive: Annotated[
        int,
        Option(
            "Negatives of each positive and epoch: labelled ones first, then what --miners found.",
            of=(TeacherTraining, "negatives_per_positive"),
            group="candidates",
        ),
    ] = 4
    miners: Annotated[
        tuple[str, ...],
        Option(
            "Where negatives come from: labelled, random, lexical, dense; with a number for another depth "
            "(lexical:50). What the start itself takes for relevant is left out.",
            group="candidates",
        ),
    ] = ("labelled", "random")
    list_weight: Annotated[
        float,
        Option(
            "With lexical or dense --miners: weight of the cross-entropy of each positive against the negatives of its "
            "query, beside the binary one of every pair.",
            of=(Hard, "list_weight"),
            group="losses",
        ),
    ] = 1.0


@dataclass(frozen=True, kw_only=True)
class DistillationOptions(
    TrainingOptions, LoraOptions, StudentOptions, ListOptions, ScoringOptions, DataOptions, group="losses"
):
    """Distil the teacher into a Bi-Encoder student (stage 2)."""

    teacher_path: TeacherPath
    output_dir: Annotated[
        str, Option("Folder of the distilled student.", alters_result=False, group="models", common=True)
    ]
    recipe: WhichRecipe = None
    choice: Annotated[
        Choice,
        Option(
            "Which of the scored negatives make the list behind the labelled ones: others by chance, or one of each "
            "quantile of their scores.",
            group="candidates",
        ),
    ] = "stratified"
    redraw: Annotated[
        Redraw, Option("Make lists anew each epoch from the scored candidates, or never.", group="candidates")
    ] = "each_epoch"
    score: Annotated[
        Score,
        Option(
            "Scale of the student on which the losses act: linear is (cosine + 1) / 2, calibrated is "
            "sigmoid(a * cosine + b) with a and b learned, too."
        ),
    ] = "linear"
    tau: Annotated[float, Option("Temperature of the listwise KL term.", within=Within(1e-4), common=True)] = 0.05
    listwise_weight: Annotated[
        float,
        Option("Weight of the listwise KL term; 0: the teacher's scores only choose the lists.", within=Within(0)),
    ] = 1.0
    contrastive_weight: Annotated[float, Option("Weight of the margin hinge.", within=Within(0), common=True)] = 0.0
    negative_penalty_weight: Annotated[
        float, Option("Weight of the penalty on high negatives.", within=Within(0), common=True)
    ] = 0.0
    info_nce_weight: Annotated[
        float,
        Option(
            "Weight of the cross-entropy of the positive against the negatives of its list.",
            within=Within(0),
        ),
    ] = 1.0
    info_nce_tau: Annotated[
        float, Option("Temperature of that cross-entropy, in units of cosine.", within=Within(1e-4))
    ] = 0.05
    embedding_teacher: Annotated[
        tuple[str, ...],
        Option(
            "Bi-Encoders that teach beside --teacher_path: their cosines of all pairs of a batch are learned. One that "
            "is --teacher_path itself teaches so without being named here.",
            group="models",
        ),
    ] = ()
    embedding_weight: Annotated[
        float,
        Option(
            "Weight of the divergence from a Bi-Encoder teacher over all pairs of a batch; 0, without --vector_weight: "
            "--teacher_path and --more_teachers teach over lists, as a re-ranker does, and --embedding_teacher is "
            "refused.",
            within=Within(0),
        ),
    ] = 1.0
    embedding_tau: Annotated[float, Option("Temperature of the student's cosine in it.", within=Within(1e-4))] = 0.05
    embedding_teacher_tau: Annotated[
        float, Option("Temperature of the teacher's cosine in it.", within=Within(1e-4))
    ] = 0.05
    vector_weight: Annotated[
        float,
        Option(
            "Weight of the squared distance of the student's vectors from a Bi-Encoder teacher's; where the student is "
            "not made of that teacher's layers through a learned linear map, dropped at the end.",
            within=Within(0),
        ),
    ] = 0.0
    in_batch: Annotated[
        InBatch,
        Option(
            "floor: the documents of a batch serve all its queries as negatives; those that are no candidates of a "
            "query have its lowest score. never: lists hold own documents alone. With --own_documents lists are filled "
            "to K, no further."
        ),
    ] = "floor"
    matryoshka: Annotated[
        tuple[int, ...],
        Option(
            "Also learn with only so many first numbers of each vector, such as 256 128 64: vectors may be cut there."
        ),
    ] = ()
    merge_with_start: Annotated[
        tuple[float, ...],
        Option(
            "Shares of what the training changed that are tried at its end beside all of it; the smallest that ranks "
            "the validation queries as well is kept. Given without a number: all of it is.",
            of=(Merging, "shares"),
            group="training",
        ),
    ] = (0.8, 0.6, 0.4, 0.2)
    weak_student: Annotated[
        WeakStudent,
        Option(
            "What is written where the trained student ranks the validation queries no better than the base "
            "model: that base model, or what was trained.",
            group="training",
        ),
    ] = "start"
    weak_teacher: Annotated[
        WeakTeacher,
        Option(
            "Where the teacher ranks lower than the base model, beyond chance: labels: learn from the labels "
            "alone; teacher: from the teacher all the same; stop: end with both figures."
        ),
    ] = "labels"
    allow_weak_teacher: Annotated[
        bool, Option("The former name of --weak_teacher labels, which is the default.", alters_result=False)
    ] = False
