"""From the options of commands to the settings objects that the library takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from bistill.app.config import CandidatesOptions, DistillationOptions, TeacherOptions
from bistill.app.config.candidates import LexicalOptions, ListOptions, TeacherReadingOptions
from bistill.app.config.shared import DataOptions, LoraOptions, StudentOptions
from bistill.app.config.training import TrainingOptions
from bistill.candidates.mining import registry
from bistill.candidates.settings import (
    CrossEncoderRanked,
    Dense,
    Lexical,
    LexicalTokens,
    Limits,
    Lists,
    MinerSettings,
    Promotion,
    TeacherReading,
)
from bistill.data.store.version import Version
from bistill.errors import OptionError
from bistill.losses import ContrastiveHinge, EmbeddingKL, InfoNCE, ListwiseKL, NegativePenalty, VectorDistance
from bistill.models.settings import EncoderStart, Lora, Precision, RerankerStart
from bistill.training.run.data import TrainingData
from bistill.training.settings import Checkpointing, Loop, Merging, NewHead, Place, Validation
from bistill.training.student.objective import Objective
from bistill.training.student.settings import Candidates, StudentTraining, TaughtBy
from bistill.training.teacher.settings import Hard, TeacherTraining

# Miners by the name that --miners gives them.
MINERS: Final = {kind.name: kind for kind in registry.MINERS}


def version(options: DataOptions) -> Version:
    """The data version that training reads, or several.

    Raises:
        OptionError: one is named twice, or none is named.
    """
    return Version(Path(options.data_root), *names_of(options.data_version))


def names_of(data_version: str | tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The first data version that is named, and the others.

    Raises:
        OptionError: none is named.
    """
    names = (data_version,) if isinstance(data_version, str) else data_version
    if not names:
        raise OptionError("no data version is named", where="--data_version", todo="name one, or several")
    return names[0], names[1:]


def lora(options: LoraOptions) -> Lora | None:
    """Adapters, where they are wanted."""
    if not options.use_lora:
        return None
    return Lora(options.lora_r, options.lora_alpha, options.lora_dropout)


def student_start(options: StudentOptions, precision: Precision) -> EncoderStart:
    """The Bi-Encoder that a student starts as."""
    return EncoderStart(
        options.student_name,
        max_len=options.max_len,
        layers=options.student_layers,
        query_prompt=options.query_prompt,
        document_prompt=options.document_prompt,
        pooling=options.pooling,
        precision=precision,
        trust_remote_code=options.trust_remote_code,
    )


def loop(options: TrainingOptions) -> Loop:
    """What the engine needs to know."""
    return Loop(
        epochs=options.epochs,
        batch_size=options.batch_size,
        lr=options.lr,
        warmup_ratio=options.warmup_ratio,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        micro_batch_tokens=options.micro_batch_tokens,
        seed=options.seed,
    )


def validation(options: TrainingOptions) -> Validation:
    """When the best weights are chosen."""
    return Validation(every=options.eval_steps, queries=options.valid_samples, patience=options.patience)


def checkpointing(options: TrainingOptions) -> Checkpointing:
    """When checkpoints are written."""
    return Checkpointing(
        steps=options.save_steps,
        minutes=options.save_minutes,
        keep=options.keep,
        rollbacks=options.spike_rollbacks,
        lr_factor=options.resume_lr_factor,
    )


def lexical(options: LexicalOptions) -> Lexical:
    """BM25 where no miner is named."""
    return Lexical(tokens=options.lexical_tokens)


def candidates(options: CandidatesOptions | DistillationOptions) -> Candidates:
    """Which documents a query is compared with.

    Raises:
        OptionError: an unknown or repeated miner, a depth that is no number above 0, or no miner at all.
    """
    dense = None
    if options.miner_model is not None:
        trusted = options.trust_remote_code
        dense = EncoderStart(options.miner_model, precision=options.precision, trust_remote_code=trusted)
    near = Dense(model=dense)
    miners = tuple(
        _miner(given, options.lexical_tokens, options.mining_depth, near, options.cross_encoder_reads)
        for given in options.miners
    )
    promotion = Promotion(options.unlabelled_reads, options.source_rank, near, options.promote_margin)
    return Candidates(miners, lists(options), limits(options), lexical(options), promotion)


def _miner(given: str, tokens: LexicalTokens, depth: int | None, dense: Dense, reads: int) -> MinerSettings:
    name, colon, number = given.partition(":")
    if name not in MINERS:
        raise OptionError("unknown miner", where="--miners", found=given, todo=f"give any of {', '.join(MINERS)}")
    if colon and not (number.isdecimal() and int(number) > 0):
        raise OptionError("the depth is no number above 0", where="--miners", found=given, todo=f"give {name}:50")
    depth = int(number) if colon else depth
    lexical_miner, dense = Lexical(depth, tokens), replace(dense, depth=depth)
    if name == "lexical":
        return lexical_miner
    if name == "dense":
        return dense
    if name == "cross_encoder":
        return CrossEncoderRanked(depth, reads, lexical_miner, dense)
    kind = MINERS[name]
    return kind(depth if kind.retrieval or colon else None)


def lists(options: ListOptions) -> Lists:
    """What a candidate list holds; ``choice`` and ``redraw`` where the command has them."""
    own = {name: getattr(options, name) for name in ("choice", "redraw") if hasattr(options, name)}
    return Lists(options.K, options.own_documents, **own)


def limits(options: ListOptions) -> Limits:
    """Above which relevance a candidate counts as a positive."""
    return Limits(options.max_negative_ratio, options.max_negative_score, options.irrelevant_below)


def teacher_reading(options: TeacherReadingOptions, precision: Precision) -> TeacherReading:
    """How the teachers read pairs."""
    return TeacherReading(
        options.teacher_max_len,
        options.teacher_instruction,
        precision,
        options.score_batch_size,
        options.trust_remote_code,
    )


def place(options: TeacherOptions | DistillationOptions) -> Place:
    """Where a run is at work."""
    return Place(options.output_dir, options.restart, options.overwrite, options.trackers, takes_flags=True)


def training_data(options: TeacherOptions | DistillationOptions | CandidatesOptions) -> TrainingData:
    """What a run trains on; a teacher learns from labels alone."""
    balance = options.balance if isinstance(options, TrainingOptions) else "rows"
    unlabelled = options.unlabelled if isinstance(options, ListOptions) else 0
    return TrainingData(version(options), options.on_bad_rows, options.max_samples, balance, unlabelled)


def teacher_training(options: TeacherOptions) -> TeacherTraining:
    """How a teacher is trained."""
    return TeacherTraining(
        RerankerStart(options.model_name, options.max_len, options.precision, options.trust_remote_code),
        lora(options),
        loop(options),
        validation(options),
        NewHead(options.head_pairs, options.head_lr_factor),
        options.negatives_per_positive,
        lexical(options),
        hard(options),
    )


def hard(options: TeacherOptions) -> Hard | None:
    """The negatives of a teacher that are searched for; None where no miner is named that searches.

    Raises:
        OptionError: an unknown or repeated miner, a depth that is no number above 0, or miners of which none searches
            and that are not the default.
    """
    reads = CrossEncoderRanked().reads
    miners = [_miner(given, options.lexical_tokens, None, Dense(), reads) for given in options.miners]
    return Hard.of(miners, options.list_weight)


def student_training(options: DistillationOptions) -> StudentTraining:
    """How a student is trained."""
    return StudentTraining(
        student_start(options, options.precision),
        lora(options),
        candidates(options),
        objective(options),
        loop(options),
        validation(options),
        Merging(options.merge_with_start, options.weak_student),
        options.recipe,
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
    reading = teacher_reading(options, options.precision)
    return TaughtBy(names, options.teacher_weights, reading, options.weak_teacher, options.embedding_teacher)


def objective(options: DistillationOptions) -> Objective:
    """What a student learns."""
    losses = (
        ListwiseKL(options.tau, options.listwise_weight),
        ContrastiveHinge(weight=options.contrastive_weight),
        NegativePenalty(weight=options.negative_penalty_weight),
        InfoNCE(options.info_nce_tau, options.info_nce_weight),
    )
    embedding = EmbeddingKL(options.embedding_tau, options.embedding_teacher_tau, options.embedding_weight)
    vectors = VectorDistance(options.vector_weight)
    return Objective(losses, options.score, options.in_batch, options.matryoshka, embedding, vectors)
