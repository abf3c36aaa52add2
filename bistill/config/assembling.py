"""From options to the settings objects that the library takes."""

from __future__ import annotations

from pathlib import Path

from bistill.candidates.settings import (
    CrossEncoderRanked,
    Dense,
    Labelled,
    Lexical,
    Limits,
    Lists,
    MinerSettings,
    Random,
    TeacherReading,
)
from bistill.config.candidates import LexicalOptions, ListOptions, ScoringOptions
from bistill.config.shared import DataOptions, LoraOptions, StudentOptions
from bistill.config.training import TrainingOptions
from bistill.data.store.version import Version
from bistill.errors import OptionError
from bistill.models.settings import EncoderStart, Lora, Precision
from bistill.training.settings import Checkpointing, Loop, Validation

# Miners by the name that --miners gives them.
MINERS = {kind.name: kind for kind in (Labelled, Random, Lexical, Dense, CrossEncoderRanked)}


def version(options: DataOptions) -> Version:
    """The data version that training reads."""
    return Version(Path(options.data_root), options.data_version)


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


def miners(options: ListOptions, student: StudentOptions, precision: Precision) -> tuple[MinerSettings, ...]:
    """The miners that ``--miners`` names.

    Raises:
        OptionError: an unknown or repeated miner, a depth that is no number above 0, or no miner at all.
    """
    found = [_miner(given, options, student, precision) for given in options.miners]
    for place, (given, miner) in enumerate(zip(options.miners, found, strict=True)):
        if miner.name in (earlier.name for earlier in found[:place]):
            raise OptionError("the miner is named twice", where="--miners", found=given)
    if not found:
        raise OptionError("at least one miner is needed", where="--miners", todo="give labelled lexical random")
    return tuple(found)


def _miner(given: str, options: ListOptions, student: StudentOptions, precision: Precision) -> MinerSettings:
    name, colon, number = given.partition(":")
    if name not in MINERS:
        raise OptionError("unknown miner", where="--miners", found=given, todo=f"give any of {', '.join(MINERS)}")
    if colon and not (number.isdecimal() and int(number) > 0):
        raise OptionError("the depth is no number above 0", where="--miners", found=given, todo=f"give {name}:50")
    depth = int(number) if colon else options.mining_depth
    lexical_miner = Lexical(depth, options.lexical_tokens)
    if options.miner_model is None:
        dense = Dense(depth)
    else:
        own = EncoderStart(options.miner_model, precision=precision, trust_remote_code=student.trust_remote_code)
        dense = Dense(depth, own)
    if name == "lexical":
        return lexical_miner
    if name == "dense":
        return dense
    if name == "cross_encoder":
        return CrossEncoderRanked(depth, options.cross_encoder_reads, lexical_miner, dense)
    return MINERS[name](int(number) if colon else None)


def lists(options: ListOptions) -> Lists:
    """What a candidate list holds; ``choice`` and ``redraw`` where the command has them."""
    own = {name: getattr(options, name) for name in ("choice", "redraw") if hasattr(options, name)}
    return Lists(options.K, options.own_documents, **own)


def limits(options: ListOptions) -> Limits:
    """Above which relevance a candidate counts as a positive."""
    return Limits(options.max_negative_ratio, options.max_negative_score, options.irrelevant_below)


def teacher_reading(options: ScoringOptions, precision: Precision) -> TeacherReading:
    """How the teachers read pairs."""
    return TeacherReading(
        options.teacher_max_len,
        options.teacher_instruction,
        precision,
        options.score_batch_size,
        options.trust_remote_code,
    )
