"""``distill``: stage 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bistill import console
from bistill.app import assembling, recipes
from bistill.app.assembling import checkpointing
from bistill.app.config import DistillationOptions
from bistill.training.student import train as stage


def train(options: DistillationOptions) -> Mapping[str, Any]:
    """Distil a teacher into a student and write its folder; see ``training.student.train.train``."""
    if options.recipe is not None:
        console.say(recipes.said(options))
    return stage.train(
        assembling.taught_by(options),
        assembling.training_data(options),
        assembling.student_training(options),
        place=assembling.place(options),
        checkpointing=checkpointing(options),
    )
