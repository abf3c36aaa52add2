"""What a run trains and validates on, with labels and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.app.commands.distill import train
from bistill.data.store.version import Version
from bistill.training.run.data import TrainingData
from tests.training.conftest import TOPICS, distillation_options

Write = Callable[[Path, list[list[str]]], Path]


@pytest.fixture
def labelled_for_validation(data_root: Path, write_csv: Write) -> Path:
    """The tiny version with a log in the place of its training file, and queries of that log held out."""
    folder = data_root / "tiny"
    (folder / "train.csv").unlink()
    write_csv(folder / "corpus.csv", [["document"], *[[f"returns the {word}"] for word in TOPICS]])
    write_csv(folder / "queries.csv", [["query"], *[[f"{word} fast in a thread"] for word in TOPICS[:9]]])
    write_csv(folder / "valid_queries.csv", [["query"], ["asked by nobody"]])
    return data_root


def test_labels_decide_validation_where_training_has_none(labelled_for_validation: Path, tmp_path: Path) -> None:
    version = Version(labelled_for_validation, "tiny")
    learned, valid = TrainingData(version, unlabelled=None).read(tmp_path)
    assert (learned.labelled, len(learned.unlabelled)) == (0, 9)
    assert valid.labelled == len(valid) == len(valid.with_positive) > 1
    version.path("valid").unlink()
    again, judged = TrainingData(version, unlabelled=None).read(tmp_path)
    assert list(again.queries) == list(learned.queries)
    assert (judged.labelled, list(judged.queries)) == (0, ["asked by nobody"])


@pytest.mark.slow
def test_a_student_of_a_log_is_measured_by_the_labels(
    labelled_for_validation: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    asked = {"unlabelled_reads": 6, "lexical_tokens": "words", "source_rank": 20, "epochs": 1}
    made = distillation_options(labelled_for_validation, tiny_teacher, tiny_encoder, **asked)
    record = train(made)
    assert "judge" not in record and record["teacher_gate"] is not None
    assert json.loads((Path(made.output_dir) / "bistill.json").read_text())["learned_from"] == "teacher"
