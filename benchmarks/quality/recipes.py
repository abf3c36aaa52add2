"""The one table of recipes: what each row of the comparison trains, and with which settings.

Sources of the peers' settings:

- ``MultipleNegativesRankingLoss``: scale 20 and triplets with in-batch negatives are its documented defaults. The hard
  negative is the first of the list: a labelled one where there are any, else with ``--choice stratified`` one of those
  that the teacher scores highest; ``mnrl-1e-4`` has the learning rate that ours takes for small students.
- ``MarginMSELoss``: (query, positive, negative) with the difference of the teacher's logits, as its documentation
  trains on MS MARCO; the negative is another place of the list from query to query. A student's vectors mostly have
  length 1, and a margin of logits is out of their reach; ``margin-mse-relevance`` has the difference of relevances.
- ``DistillKLDivLoss``: temperature 1.0 of both sides is its default, which its authors found best for dense students
  (pull request 3428). Its docstring allows two temperatures, the teacher's matched to the spread of its scores instead
  of a fixed value: ``distill-kl-split`` takes the mean standard deviation of a list's logits, and for the student 0.05,
  the scale 20 of the library's own ranking loss.
- FlagEmbedding: its documented example of distillation (bge-m3): ``m3_kd_loss``, temperature 0.02, learning rate 1e-5,
  raw scores of the re-ranker; ``flagembedding-2e-5`` has the learning rate of all the others.
"""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bistill import artifacts

SENTENCE_TRANSFORMERS: Final = "sentence_transformers"
FLAG_EMBEDDING: Final = "flag_embedding"
BISTILL: Final = "bistill"
START: Final = "start"
TEACHER: Final = "teacher"
# Kinds without a training: one run serves all seeds.
UNTRAINED: Final = (START, TEACHER)
REFERENCE: Final = "ours"
UNTOUCHED: Final = "untouched"
# Fields of a job that decide nothing of its result.
INCIDENTAL: Final = ("flagembedding_python", "keep_models")
# Fields that decide how a model is measured, not which model it is.
MEASURING: Final = ("forgetting", "test_queries", "dimensions", "measured_files")


@dataclass(frozen=True)
class Recipe:
    """One row.

    Attributes:
        label: its name in the tables.
        kind: who trains.
        options: settings of the kind; of ``bistill`` options of ``bistill distill`` that differ from its defaults.
    """

    label: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)


# The trainer's settings that the documentation of sentence-transformers trains its examples with.
TRAINER: Final = {"lr": 2e-5, "warmup": 0.1}

RECIPES: Final = {
    UNTOUCHED: Recipe("base model", START),
    "teacher": Recipe("teacher", TEACHER),  # its depth is --teacher_depth
    "mnrl": Recipe(
        "sentence-transformers, MultipleNegativesRankingLoss",
        SENTENCE_TRANSFORMERS,
        {"loss": "mnrl", "scale": 20.0, **TRAINER},
    ),
    "mnrl-1e-4": Recipe(
        "sentence-transformers, MultipleNegativesRankingLoss, learning rate 1e-4",
        SENTENCE_TRANSFORMERS,
        {"loss": "mnrl", "scale": 20.0, **TRAINER, "lr": 1e-4},
    ),
    "margin-mse": Recipe(
        "sentence-transformers, MarginMSELoss",
        SENTENCE_TRANSFORMERS,
        {"loss": "margin_mse", "scores": "logits", **TRAINER},
    ),
    "margin-mse-relevance": Recipe(
        "sentence-transformers, MarginMSELoss, relevance",
        SENTENCE_TRANSFORMERS,
        {"loss": "margin_mse", "scores": "relevance", **TRAINER},
    ),
    "distill-kl": Recipe(
        "sentence-transformers, DistillKLDivLoss",
        SENTENCE_TRANSFORMERS,
        {"loss": "distill_kl", "student_temperature": 1.0, "teacher_temperature": 1.0, **TRAINER},
    ),
    "distill-kl-1e-4": Recipe(
        "sentence-transformers, DistillKLDivLoss, learning rate 1e-4",
        SENTENCE_TRANSFORMERS,
        {"loss": "distill_kl", "student_temperature": 1.0, "teacher_temperature": 1.0, **TRAINER, "lr": 1e-4},
    ),
    "distill-kl-split": Recipe(
        "sentence-transformers, DistillKLDivLoss, two temperatures",
        SENTENCE_TRANSFORMERS,
        {"loss": "distill_kl", "student_temperature": 0.05, "teacher_temperature": "spread", **TRAINER},
    ),
    "flagembedding": Recipe(
        "FlagEmbedding, m3_kd_loss",
        FLAG_EMBEDDING,
        {"kd_loss_type": "m3_kd_loss", "temperature": 0.02, "lr": 1e-5, "warmup": 0.1},
    ),
    "flagembedding-2e-5": Recipe(
        "FlagEmbedding, m3_kd_loss, learning rate 2e-5",
        FLAG_EMBEDDING,
        {"kd_loss_type": "m3_kd_loss", "temperature": 0.02, "lr": 2e-5, "warmup": 0.1},
    ),
    "contract": Recipe(
        "bistill distill, the literal recipe",
        BISTILL,
        {
            "tau": 0.2,
            "contrastive_weight": 0.3,
            "negative_penalty_weight": 0.4,
            "score": "linear",
            "in_batch": "never",
            "info_nce_weight": 0,
            "lr": 2e-5,
            "merge_with_start": [],
        },
    ),
    REFERENCE: Recipe("bistill distill", BISTILL),
}
DEFAULT: Final = (
    *("untouched", "teacher", "mnrl", "margin-mse", "distill-kl", "distill-kl-split", "flagembedding", "contract"),
    REFERENCE,
)


def further(text: str) -> tuple[str, Recipe]:
    """``NAME:key=value,key=value`` as a further row of ours.

    Raises:
        ArgumentTypeError: the text has another form, or the name is taken.
    """
    name, separator, rest = text.partition(":")
    pairs = [part.partition("=") for part in rest.split(",") if part]
    if not name or "/" in name or not separator or not all(key and equals for key, equals, _ in pairs):
        raise ArgumentTypeError(f"NAME:key=value,key=value is expected, found {text!r}")
    if name in RECIPES:
        raise ArgumentTypeError(f"{name!r} is the name of another row")
    options = {key.strip().removeprefix("--"): value.split() for key, _, value in pairs}
    shown = ", ".join(f"{key}={' '.join(words)}" for key, words in options.items())
    return name, Recipe(f"{name}: bistill distill, {shown}" if shown else f"{name}: bistill distill", BISTILL, options)


def identity(job: dict[str, Any]) -> dict[str, Any]:
    """What of a job decides its result, as JSON holds it: a result of another identity is made anew."""
    return dict(json.loads(json.dumps({name: value for name, value in job.items() if name not in INCIDENTAL})))


def training_identity(job: dict[str, Any]) -> dict[str, Any]:
    """What of a job decides its model: other questions to the same model train nothing anew, where it was kept."""
    return {name: value for name, value in identity(job).items() if name not in MEASURING}


def of_job(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """What a file holds of a job, known by its identity; None where there is none, or one of another job."""
    found = artifacts.read_json(path) if path.is_file() else {}
    return found if found.get("job") == identity else None


def figure_of_first(size: int | str) -> str:
    """Name, in results, of the nDCG@10 that the first numbers of each vector reach alone."""
    return f"ndcg_at_10_first_{size}"


def command_line(*options: dict[str, Any]) -> list[str]:
    """Options as arguments of ``bistill distill``; of two of one name the later one counts.

    True, and the word "true" alone, is a switch that is on, False and "false" one that is off; None is an option left
    out.
    """
    merged: dict[str, Any] = {}
    for group in options:
        merged |= group
    arguments: list[str] = []
    for name, value in merged.items():
        words = list(map(str, value)) if isinstance(value, list | tuple) else [str(value)]
        switch = words[0].lower() if len(words) == 1 else ""
        if value is None or switch == "false":
            continue
        arguments += [f"--{name}", *([] if switch == "true" else words)]
    return arguments
