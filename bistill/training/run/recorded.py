"""Under which names settings stand in journals, checkpoints and the records of models: those of the flags.

A run is known by what it was given, whether a command line or a program gave it.
"""

from __future__ import annotations

from typing import Any, Final

from bistill.candidates.mining import registry
from bistill.candidates.settings import CrossEncoderRanked, Dense, Labelled, Lexical, MinerSettings, Random
from bistill.models.settings import Lora
from bistill.own_classes import described
from bistill.training.run.data import TrainingData
from bistill.training.settings import Checkpointing, Loop, Place, Validation

# Miners whose settings, but for the depth, have names of their own.
FLAGGED: Final = (Labelled, Random, Lexical, Dense, CrossEncoderRanked)
# They say where, when and how often something is written, and how memory is used, and decide nothing of the result.
ASIDE: Final = frozenset(
    {
        "output_dir",
        "restart",
        "overwrite",
        "trackers",
        "save_steps",
        "save_minutes",
        "keep",
        "resume_lr_factor",
        "micro_batch_tokens",
        "trust_remote_code",
        "score_batch_size",
        "recipe",
    }
)


def of_run(place: Place, checkpointing: Checkpointing, data: TrainingData) -> dict[str, Any]:
    """Where a run is at work, when it saves, and on what it trains."""
    return {
        "data_version": data.version.names if data.version.further else data.version.name,
        "data_root": str(data.version.root),
        "on_bad_rows": data.on_bad_rows,
        "max_samples": data.max_samples,
        "balance": data.balance,
        "output_dir": place.output_dir,
        "restart": place.restart,
        "overwrite": place.overwrite,
        "trackers": place.trackers,
        "save_steps": checkpointing.steps,
        "save_minutes": checkpointing.minutes,
        "keep": checkpointing.keep,
        "spike_rollbacks": checkpointing.rollbacks,
        "resume_lr_factor": checkpointing.lr_factor,
    }


def of_loop(loop: Loop, validation: Validation, lora: Lora | None) -> dict[str, Any]:
    """What the engine does; without adapters their settings are the default ones, which do not act."""
    adapters = lora or Lora()
    return {
        "epochs": loop.epochs,
        "batch_size": loop.batch_size,
        "lr": loop.lr,
        "warmup_ratio": loop.warmup_ratio,
        "weight_decay": loop.weight_decay,
        "max_grad_norm": loop.max_grad_norm,
        "micro_batch_tokens": loop.micro_batch_tokens,
        "seed": loop.seed,
        "eval_steps": validation.every,
        "valid_samples": validation.queries,
        "patience": validation.patience,
        "use_lora": lora is not None,
        "lora_r": adapters.rank,
        "lora_alpha": adapters.alpha,
        "lora_dropout": adapters.dropout,
    }


def miner_named(miner: Any) -> str:
    """As the record names it under ``miners``; one that is not ours by what it is."""
    if not isinstance(miner, MinerSettings):
        return registry.recorded(miner)
    if type(miner) not in FLAGGED:
        return described(miner)
    return miner.name if miner.depth is None else f"{miner.name}:{miner.depth}"
