"""``distill``: stage 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bistill.app import assembling, recipes
from bistill.app.assembling import checkpointing
from bistill.app.config import DistillationOptions
from bistill.app.following import say_next
from bistill.training.student import train as stage


def run(options: DistillationOptions) -> None:
    """Distil a student, and say what comes next."""
    train(options)
    version, trust = assembling.version(options), options.trust_remote_code
    test_data = version.path("test")
    if test_data.is_file():
        say_next("evaluate", model_path=options.output_dir, test_data=str(test_data), trust_remote_code=trust)
        return
    documents = str(version.searched)
    say_next(
        "search", model_path=options.output_dir, documents=documents, query="your question", trust_remote_code=trust
    )


def train(options: DistillationOptions) -> Mapping[str, Any]:
    """Distil a teacher into a student and write its folder; see ``training.student.train.train``."""
    return stage.train(
        assembling.taught_by(options),
        assembling.training_data(options),
        assembling.student_training(options),
        place=assembling.place(options),
        checkpointing=checkpointing(options),
        opening=recipes.said(options) if options.recipe is not None else "",
    )
