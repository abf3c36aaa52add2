"""What the records of a teacher's run hold of what it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bistill.data.store.version import Version
from bistill.models.settings import RerankerStart
from bistill.training.run.data import TrainingData
from bistill.training.run.given import Given
from bistill.training.run.recorded import ASIDE, miner_named, of_loop, of_run
from bistill.training.settings import Checkpointing, Place
from bistill.training.teacher.settings import DRAWN, Hard, TeacherTraining


def given(data: TrainingData, training: TeacherTraining, place: Place, checkpointing: Checkpointing) -> Given:
    """Names and values of a run."""
    values = _values(data, training, place, checkpointing)
    nothing = TrainingData(Version(Path(), ""))
    defaults = _values(nothing, TeacherTraining(RerankerStart("")), Place(""), Checkpointing())
    return Given(values, values.keys() - ASIDE, defaults)


def _values(
    data: TrainingData, training: TeacherTraining, place: Place, checkpointing: Checkpointing
) -> dict[str, Any]:
    hard = training.hard or Hard()
    return {
        **of_run(place, checkpointing, data),
        **of_loop(training.loop, training.validation, training.lora),
        "model_name": training.start.name,
        "max_len": training.start.max_len,
        "precision": training.start.precision,
        "trust_remote_code": training.start.trust_remote_code,
        "head_lr_factor": training.head.lr_factor,
        "head_pairs": training.head.pairs,
        "negatives_per_positive": training.negatives_per_positive,
        "lexical_tokens": training.lexical.tokens,
        "miners": tuple(map(miner_named, hard.miners if training.hard else DRAWN)),
        "list_weight": hard.list_weight,
    }
