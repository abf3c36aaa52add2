"""``teacher``: stage 1."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bistill.app import assembling
from bistill.app.assembling import checkpointing
from bistill.app.config import TeacherOptions
from bistill.app.following import said_again, say_next
from bistill.training.teacher import train as stage


def run(options: TeacherOptions) -> None:
    """Train a teacher, and say what comes next."""
    train(options)
    say_next(
        "distill",
        teacher_path=options.output_dir,
        output_dir=str(Path(options.output_dir).parent / "student"),
        **said_again(options),
    )


def train(options: TeacherOptions) -> Mapping[str, Any]:
    """Train a teacher and write its folder; see ``training.teacher.train.train``."""
    return stage.train(
        assembling.training_data(options),
        assembling.teacher_training(options),
        place=assembling.place(options),
        checkpointing=checkpointing(options),
    )
