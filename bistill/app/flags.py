"""What the library says of its parameters, as a command line says it: `` `Lora.rank` `` is ``--lora_r``."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache
from typing import Final

from bistill.app import config
from bistill.app.options import Options

PARAMETER: Final = re.compile(r"`([A-Za-z_]+(?:\.\w+)?)`")
# Parameters whose flag has another name than they have, or that several flags set.
RENAMED: Final = {
    "Version.root": "data_root",
    "Version.name": "data_version",
    "Columns.query": "query_column",
    "Columns.positive": "positive_column",
    "Columns.negatives": "negative_columns",
    "Columns.passage": "passage_column",
    "Columns.label": "label_column",
    "Splitting.valid": "valid_share",
    "Splitting.test": "test_share",
    "Lora.rank": "lora_r",
    "Lora.alpha": "lora_alpha",
    "Lora.dropout": "lora_dropout",
    "lora": "use_lora",
    "Lists.size": "K",
    "Limits.max_ratio": "max_negative_ratio",
    "Limits.max_score": "max_negative_score",
    "Lexical.tokens": "lexical_tokens",
    "Dense.model": "miner_model",
    "CrossEncoderRanked.reads": "cross_encoder_reads",
    "TeacherReading.max_len": "teacher_max_len",
    "TeacherReading.instruction": "teacher_instruction",
    "TeacherReading.batch_size": "score_batch_size",
    "EncoderStart.name": "student_name",
    "EncoderStart.layers": "student_layers",
    "RerankerStart.name": "model_name",
    "Validation.every": "eval_steps",
    "Validation.queries": "valid_samples",
    "Validation.patience": "patience",
    "Checkpointing.steps": "save_steps",
    "Checkpointing.minutes": "save_minutes",
    "Checkpointing.rollbacks": "spike_rollbacks",
    "Checkpointing.lr_factor": "resume_lr_factor",
    "Merging.shares": "merge_with_start",
    "Asking.max_queries": "max_samples",
    "Patience.steps": "hang_steps",
    "Patience.seconds": "hang_seconds",
    "Notifying.command": "notify_command",
    "Notifying.webhook": "notify_webhook",
    "Beside.base": "base_model",
    "Beside.teacher": "teacher_path",
    "Beside.compared": "compare_with",
    "losses": "listwise_weight contrastive_weight negative_penalty_weight info_nce_weight",
}


def spoken(text: str) -> str:
    """The text with every parameter that a flag sets, in backticks, replaced by the flag; others stay."""
    return PARAMETER.sub(lambda found: _flag(found[1]) or found[0], text)


def _flag(parameter: str) -> str:
    names = RENAMED.get(parameter, parameter.rpartition(".")[2]).split()
    return ", ".join(f"--{name}" for name in names) if _names().issuperset(names) else ""


@cache
def _names() -> frozenset[str]:
    """Names of all options."""
    classes = (getattr(config, name) for name in config.__all__)
    kinds = [kind for kind in classes if isinstance(kind, type) and issubclass(kind, Options)]
    return frozenset(field.name for kind in kinds for field in fields(kind))
