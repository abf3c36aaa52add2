"""The two stages as calls of a program; the command line calls the same functions below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from bistill.api.dataset import Dataset
from bistill.candidates.settings import (
    Labelled,
    Lexical,
    Limits,
    Lists,
    MinerSettings,
    Promotion,
    Random,
    TeacherReading,
)
from bistill.data.settings import Balance
from bistill.errors import OptionError
from bistill.losses import EmbeddingKL, InfoNCE, ListwiseKL, Loss, VectorDistance
from bistill.models.settings import EncoderStart, Lora, Precision, RerankerStart
from bistill.serving.student import Student
from bistill.serving.teacher import Teacher
from bistill.training.run.data import TrainingData
from bistill.training.settings import (
    Checkpointing,
    InBatch,
    Loop,
    Merging,
    NewHead,
    Place,
    Score,
    Validation,
    WeakTeacher,
)
from bistill.training.student.objective import Objective
from bistill.training.student.settings import Candidates, StudentTraining, TaughtBy
from bistill.training.student.train import train as train_student
from bistill.training.teacher.settings import DRAWN, Hard, TeacherTraining
from bistill.training.teacher.train import train as train_cross_encoder


class LoopArguments(TypedDict, total=False):
    """Arguments of ``Loop``: what the engine needs to know."""

    epochs: int
    batch_size: int
    lr: float | None
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    micro_batch_tokens: int
    seed: int


class PlaceArguments(TypedDict, total=False):
    """What becomes of what lies in ``output_dir``, and who is sent the figures; see ``Place``."""

    restart: bool
    overwrite: bool
    trackers: Sequence[str]


class TrainingArguments(LoopArguments, PlaceArguments, total=False):
    """Arguments of both."""


def train_teacher(
    data: Dataset,
    start: str | RerankerStart,
    *,
    output_dir: str | Path,
    lora: Lora | None = None,
    max_len: int = 256,
    precision: Precision = "auto",
    trust_remote_code: bool = False,
    negatives_per_positive: int = 4,
    head_lr_factor: float = 10.0,
    head_pairs: int = 2500,
    max_samples: int | None = None,
    balance: Balance = "rows",
    validation: Validation = Validation(),
    checkpointing: Checkpointing = Checkpointing(),
    lexical: Lexical = Lexical(),
    miners: Sequence[MinerSettings] = DRAWN,
    list_weight: float = 1.0,
    **training: Unpack[TrainingArguments],
) -> Teacher:
    """Train a Cross-Encoder on labelled pairs, write its folder, and load it.

    A call that was interrupted goes on from its last checkpoint when it is made again. A teacher that is there already,
    of the same data, start and settings, is loaded.

    Args:
        data: prepared.
        start: folder or hub name, or with its settings (then ``max_len``, ``precision`` and ``trust_remote_code`` are
            those of the object).
        output_dir: folder of the teacher.
        lora: adapters instead of all weights; None: all weights.
        max_len: tokens of query and document together.
        precision: arithmetic.
        trust_remote_code: whether code that the start brings along may run.
        negatives_per_positive: of each positive and epoch: labelled ones first, then random documents.
        head_lr_factor: a new head learns at this multiple of the learning rate.
        head_pairs: training pairs to which a new head is fitted before the first update; 0: it starts at random.
        max_samples: training queries used at most.
        balance: of several data versions: "rows": every query once an epoch; "versions": as many of each.
        validation: when the best weights are chosen.
        checkpointing: when checkpoints are written.
        lexical: BM25, by which the lists of the validation are found.
        miners: where negatives come from; with one that searches, such as ``miners.Lexical(20)``, they are hard ones,
            without those that the start itself takes for relevant.
        list_weight: with such a miner, of the cross-entropy of each positive against the negatives of its query, beside
            the binary one of every pair.
        **training: ``epochs``, ``batch_size``, ``lr``, ``seed`` and the others of ``Loop``; ``restart``, ``overwrite``
            and ``trackers`` of ``Place``.

    Raises:
        OptionError: a value is of another type or out of range, the data are not prepared, or a model that was made
            otherwise is in the folder.
        BistillError: data or model cannot be used.
    """
    if isinstance(start, str):
        start = RerankerStart(start, max_len, precision, trust_remote_code)
    loop, place = _split(training, output_dir)
    head = NewHead(head_pairs, head_lr_factor)
    hard = Hard.of(miners, list_weight)
    how = TeacherTraining(start, lora, loop, validation, head, negatives_per_positive, lexical, hard)
    train_cross_encoder(_data(data, max_samples, balance), how, place=place, checkpointing=checkpointing)
    return Teacher(str(output_dir), precision=start.precision, trust_remote_code=start.trust_remote_code)


def distill(
    teacher: Teacher | str | Sequence[Teacher | str],
    data: Dataset,
    start: str | EncoderStart,
    *,
    output_dir: str | Path,
    lora: Lora | None = None,
    losses: Sequence[Loss] = (ListwiseKL(), InfoNCE()),
    miners: Sequence[Any] = (Labelled(), Lexical(), Random()),
    lists: Lists = Lists(),
    limits: Limits = Limits(),
    score: Score = "linear",
    in_batch: InBatch = "floor",
    matryoshka: Sequence[int] = (),
    embedding: EmbeddingKL = EmbeddingKL(),
    vectors: VectorDistance = VectorDistance(weight=0.0),
    embedding_teachers: Sequence[str] = (),
    merging: Merging = Merging(),
    weights: Sequence[float] = (),
    weak_teacher: WeakTeacher = "labels",
    reading: TeacherReading = TeacherReading(),
    max_len: int = 256,
    precision: Precision = "auto",
    trust_remote_code: bool = False,
    max_samples: int | None = None,
    balance: Balance = "rows",
    unlabelled: int | None = None,
    promotion: Promotion = Promotion(),
    validation: Validation = Validation(),
    checkpointing: Checkpointing = Checkpointing(),
    lexical: Lexical = Lexical(),
    **training: Unpack[TrainingArguments],
) -> Student:
    """Distil a teacher, or several, into a Bi-Encoder, write its folder, and load it; goes on and keeps what is
    finished as ``train_teacher`` does.

    Args:
        teacher: of ``train_teacher`` or ``load_teacher``, its folder or hub name, ``scores:NAME`` for imported scores,
            or several of these, whose calibrated scores are averaged. A Bi-Encoder, by its folder or hub name, speaks
            of all pairs of a batch.
        data: prepared.
        start: folder or hub name, or with its settings (then ``max_len``, ``precision`` and ``trust_remote_code`` are
            those of the object).
        output_dir: folder of the student.
        lora: adapters instead of all weights; None: all weights.
        losses: of ``bistill.losses``, or objects of your own like them.
        miners: of ``bistill.miners``, or objects of your own like them.
        lists: what a candidate list holds.
        limits: above which relevance a candidate counts as a positive.
        score: scale of the student on which the losses act: linear or calibrated.
        in_batch: whether the documents of a batch serve all its queries.
        matryoshka: numbers of vectors' prefixes that are learned, too, falling.
        embedding: the term by which Bi-Encoders teach all pairs of a batch.
        vectors: the term by which they teach the vector of each text.
        embedding_teachers: folders or hub names of Bi-Encoders that teach beside ``teacher``.
        merging: how far the best weights are brought back towards the start.
        weights: of several teachers; (): equal.
        weak_teacher: what happens where the teacher ranks lower than the base model.
        reading: how the teachers read pairs.
        max_len: tokens of a text.
        precision: arithmetic of the student.
        trust_remote_code: whether code that the start brings along may run.
        max_samples: training queries with labels used at most.
        balance: of several data versions: "rows": every query once an epoch; "versions": as many of each.
        unlabelled: those without labels used at most; None: all there are.
        promotion: how the teacher makes positives for these.
        validation: when the best weights are chosen.
        checkpointing: when checkpoints are written.
        lexical: BM25, by which the lists of gate and validation are found.
        **training: see ``train_teacher``.

    Raises:
        OptionError: a value is of another type or out of range, the data are not prepared, or a model that was made
            otherwise is in the folder.
        BistillError: data or a model cannot be used.
    """
    if isinstance(start, str):
        start = EncoderStart(start, max_len, precision=precision, trust_remote_code=trust_remote_code)
    loop, place = _split(training, output_dir)
    candidates = Candidates(tuple(miners), lists, limits, lexical, promotion)
    objective = Objective(tuple(losses), score, in_batch, tuple(matryoshka), embedding, vectors)
    how = StudentTraining(start, lora, candidates, objective, loop, validation, merging)
    taught = TaughtBy(_names(teacher), tuple(weights), reading, weak_teacher, tuple(embedding_teachers))
    train_student(taught, _data(data, max_samples, balance, unlabelled), how, place=place, checkpointing=checkpointing)
    return Student(str(output_dir), precision=start.precision, trust_remote_code=start.trust_remote_code)


def _data(data: Dataset, max_samples: int | None, balance: Balance, unlabelled: int | None = 0) -> TrainingData:
    if not isinstance(data, Dataset):
        raise OptionError(
            "a bistill.Dataset is expected",
            where="`data`",
            found=type(data).__name__,
            todo="give bistill.Dataset.from_rows(rows).prepared(seed=42)",
        )
    return TrainingData(data.version, data.on_bad_rows, max_samples, balance, unlabelled)


def _split(training: TrainingArguments, output_dir: str | Path) -> tuple[Loop, Place]:
    """Arguments of the loop, and those of the place.

    Raises:
        OptionError: there is no such argument.
    """
    of_loop = {name: value for name, value in training.items() if name in LoopArguments.__annotations__}
    of_place = {name: value for name, value in training.items() if name in PlaceArguments.__annotations__}
    if unknown := training.keys() - of_loop.keys() - of_place.keys():
        known = [*LoopArguments.__annotations__, *PlaceArguments.__annotations__]
        raise OptionError(
            "no such argument",
            where=f"`{min(unknown)}`",
            todo=f"give any of {', '.join(known)}, or an argument of the call",
        )
    return Loop(**of_loop), Place(str(output_dir), **of_place)  # type: ignore[arg-type]


def _names(teacher: Teacher | str | Sequence[Teacher | str]) -> tuple[str, ...]:
    given = [teacher] if isinstance(teacher, Teacher | str) else list(teacher)
    names = [item.name if isinstance(item, Teacher) else item for item in given]
    if not names or not all(isinstance(name, str) for name in names):
        raise OptionError(
            "a teacher, its name, or several are expected", where="`teacher`", found=teacher, todo="give a folder"
        )
    return tuple(names)
