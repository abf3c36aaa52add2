"""``teacher``: stage 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bistill.app import assembling
from bistill.app.assembling import checkpointing
from bistill.app.config import TeacherOptions
from bistill.training.teacher import train as stage


def train(options: TeacherOptions) -> Mapping[str, Any]:
    """Train a teacher and write its folder; see ``training.teacher.train.train``."""
    return stage.train(
        assembling.training_data(options),
        assembling.teacher_training(options),
        place=assembling.place(options),
        checkpointing=checkpointing(options),
    )
